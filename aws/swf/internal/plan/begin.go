package plan

import (
	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// begin schedules what is recorded and not begun, while there is room: attempts of tasks and services, children, raised
// events and timers. The rest waits for the next decision. What SWF cannot take fails its operation, which goes into the
// journal; the engine has to hear of it.
func (d *Draft) begin() (refused bool, err error) {
	f := d.answer.After
	if f.Denied != "" {
		return false, nil
	}
	if err := d.cancelChildren(); err != nil {
		return false, err
	}
	for _, o := range f.Ops {
		if !mayBegin(o) || !d.hasRoom() {
			continue
		}
		failed := false
		switch o.Kind {
		case lambdabiz.KindRaise, lambdabiz.KindChild:
			if o.ToBegin() && (o.Kind == lambdabiz.KindRaise || f.OpenChildren < wire.MaxOpen) &&
				!d.waits(o) && d.fits(wire.Quoted(o.Input)) {
				failed, err = d.beginOther(o)
			}
		case lambdabiz.KindTimer:
			if f.OpenTimers < wire.MaxOpen && !d.waits(o) {
				f.OpenTimers++
				d.add(timerOf(o, d.now))
			}
		case lambdabiz.KindTask, lambdabiz.KindService:
			if f.OpenWork < wire.MaxOpen && o.Attempt != nil && o.DueAt.IsZero() && d.fits(wire.Quoted(o.Input)) {
				failed, err = d.beginAttempt(o)
			}
		}
		if err != nil {
			return false, err
		}
		refused = refused || failed
	}
	return refused, nil
}

// beginLast begins, with the end of the run, what goes on without it: children and raised events.
func (d *Draft) beginLast() (refused bool, err error) {
	for _, o := range d.answer.After.Ops {
		if !mayBegin(o) || !o.ToBegin() {
			continue
		}
		failed, err := d.beginOther(o)
		if err != nil {
			return false, err
		}
		refused = refused || failed
	}
	return refused, nil
}

func mayBegin(o *history.Op) bool { return !o.Status.Ended() && o.Open == 0 && o.Tried == nil }

// hasRoom reports whether the history has room for one more beginning and all that follows from what is open: what began
// beyond that would let SWF end the run without a word. The rest begins when something has ended, or the run is ended
// with a clear error; see TooLong.
func (d *Draft) hasRoom() bool {
	f := d.answer.After
	return f.Last+int64(len(d.answer.Decisions))+wire.EventsOfWork*int64(f.OpenWork)+wire.EventsOfTimer*int64(f.OpenTimers)+
		wire.EventsOfChild*int64(f.OpenChildren) < wire.FullEvents
}

// fits reports whether there is room in the answer for so many bytes more, and counts them. What does not fit goes out
// with the next one.
func (d *Draft) fits(size int) bool {
	if d.bytes > 0 && d.bytes+size > wire.MaxBegin {
		d.more = true
		return false
	}
	d.bytes += size
	return true
}

// waits reports whether it is too early to ask SWF again for what it had no room for.
func (d *Draft) waits(o *history.Op) bool {
	wait := o.NotBefore
	if !wait.After(wire.Stamp(d.now)) {
		return false
	}
	if d.retry.IsZero() || wait.Before(d.retry) {
		d.retry = wait
	}
	return true
}

// beginAttempt begins an attempt of a task or a service. What SWF will never take fails the operation.
func (d *Draft) beginAttempt(o *history.Op) (refused bool, err error) {
	f := d.answer.After
	f.OpenWork++
	if err = d.schedule(o); !isUnfit(err) {
		return false, err
	}
	f.OpenWork--
	d.refuse(o, err)
	return true, nil
}

// beginOther starts a child or raises an event. What SWF will never take fails the operation.
func (d *Draft) beginOther(o *history.Op) (refused bool, err error) {
	f := d.answer.After
	if o.Kind == lambdabiz.KindChild {
		f.OpenChildren++
		o.Begun = true
		err = d.addChild(o)
	} else {
		o.Again = false
		err = d.signal(raiseOf(o), o.StartedAt)
	}
	if !isUnfit(err) {
		return false, err
	}
	if o.Kind == lambdabiz.KindChild {
		f.OpenChildren--
	}
	d.refuse(o, err)
	return true, nil
}

// refuse ends an operation that SWF will never take, and records that.
func (d *Draft) refuse(o *history.Op, err error) {
	refuse(o, err, wire.Stamp(d.now))
	d.record(o)
}
