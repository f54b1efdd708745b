package lambdabiz

import (
	"cmp"
	"slices"
	"time"
)

// changes is what has changed in a run and how far that is committed. It knows nothing of claims, of goroutines or of
// who commits; run.mu guards it.
type changes struct {
	pending pending   // what no commit has taken
	changed uint64    // counts changes
	durable uint64    // the last change that is committed
	since   time.Time // when the oldest pending change was made; zero for none
	fetch   bool      // the next commit asks for messages

	committing bool // a commit of what was taken is on its way
}

// note counts a change.
func (c *changes) note() {
	c.changed++
	if c.since.IsZero() {
		c.since = time.Now()
	}
}

// isLate reports whether what was pending since then still is.
func (c *changes) isLate(since time.Time) bool { return c.since.Equal(since) }

// join has an operation written with the next commit, whenever that comes. One that is new gets its number.
func (c *changes) join(rec *record, o *op) {
	if o.Number == 0 {
		rec.number(o)
	}
	rec.changed(o)
	if !o.dirty {
		o.dirty = true
		c.pending.ops = append(c.pending.ops, o)
	}
}

// withdraw takes an operation out of the pending changes, for whoever writes it by himself.
func (c *changes) withdraw(o *op) {
	if !o.dirty {
		return
	}
	o.dirty = false
	p := &c.pending
	if at := slices.Index(p.ops, o); at >= 0 { // their order is that of their numbers, when they are written
		last := len(p.ops) - 1
		p.ops[at], p.ops[last] = p.ops[last], nil
		p.ops = p.ops[:last]
	}
	if p.empty() && !p.started {
		c.since = time.Time{}
	}
}

// consume lets the next commit say that a message is consumed.
func (c *changes) consume(number int64) {
	c.pending.consume(number)
	c.note()
}

// timeOut lets the next commit say that no event has come in time.
func (c *changes) timeOut(o *op) {
	if o.timingOut || o.Status.Ended() {
		return
	}
	o.timingOut = true
	c.pending.timeouts = append(c.pending.timeouts, o)
	c.note()
}

// withdrawStart takes a child's start out of the pending changes, and reports whether it was there.
func (c *changes) withdrawStart(o *op) bool {
	p := &c.pending
	before := len(p.starts)
	p.starts = slices.DeleteFunc(p.starts, func(s RunStart) bool { return s.Operation == o.Number })
	if len(p.starts) == before {
		return false
	}
	p.controls = slices.DeleteFunc(p.controls, func(c Control) bool {
		return c.Parent != nil && c.Parent.Operation == o.Number
	})
	o.Target = "" // there is no such child
	return true
}

// take makes a commit of all that is pending, at a time. A run that is not live gives events to waits no more: so their
// time-outs are not in it, or one that has come in time would lose.
func (c *changes) take(rec *record, failures *errorRegistry, at time.Time, live bool) taken {
	p := &c.pending
	room := &takenCommit{}
	out := &room.commit
	*out = Commit{
		Run: &room.ref, At: at, Fetch: c.fetch,
		Consumed: p.takeConsumed(), Progress: p.progress, Started: p.started,
		Starts: p.starts, Raises: p.raises, Controls: p.controls, Attempts: p.attempts,
	}
	out.Operations = room.operations[:0]
	timesOut := func(o *op) bool { return live && o.timingOut && !o.Status.Ended() && !o.choosing() }
	var timeouts, later []*op
	for _, o := range p.timeouts {
		if timesOut(o) {
			out.Operations = append(out.Operations, timedOut(failures, o, at))
			out.Conditional = true
		}
		if o.choosing() { // its code reads an event just now
			later = append(later, o)
		} else {
			timeouts = append(timeouts, o)
		}
	}
	for _, o := range p.ops {
		o.dirty = false
		if o.message != nil {
			o.message = nil
			rec.changed(o)
		}
		if !timesOut(o) {
			out.Operations = append(out.Operations, o.Operation)
		}
	}
	slices.SortFunc(out.Operations, func(a, b Operation) int { return cmp.Compare(a.Number, b.Number) })
	if len(out.Operations) == 0 {
		out.Operations = nil
	}
	t := taken{commit: out, upTo: c.changed, ops: p.ops, timeouts: timeouts}
	c.pending = pending{timeouts: later}
	c.since, c.fetch = time.Time{}, false
	return t
}

// timedOut is the record of an event wait whose time is over. It becomes true with its commit.
func timedOut(failures *errorRegistry, o *op, at time.Time) Operation {
	rec := o.Operation
	rec.Status, rec.EndedAt = StatusTimeout, at
	rec.Error = failures.record(&EventTimeoutError{Event: o.Name, OperationID: o.ID, Deadline: o.DueAt})
	return rec
}

// putBack makes pending again what a refused commit took.
func (c *changes) putBack(t taken) {
	p, refused := &c.pending, t.commit
	for _, o := range t.ops {
		if !o.dirty {
			o.dirty = true
			p.ops = append(p.ops, o)
		}
	}
	p.timeouts = append(t.timeouts, p.timeouts...)
	p.consumed = append(refused.Consumed, p.consumed...)
	if p.progress == nil {
		p.progress = refused.Progress
	}
	p.started = p.started || refused.Started
	p.starts = append(refused.Starts, p.starts...)
	p.raises = append(refused.Raises, p.raises...)
	p.controls = append(refused.Controls, p.controls...)
	p.attempts = append(refused.Attempts, p.attempts...)
	for _, o := range t.ops {
		if o.Kind == KindChild && o.Status == StatusCancelled {
			c.withdrawStart(o) // it was cancelled while its start was on its way
		}
	}
	c.fetch = c.fetch || refused.Fetch
}

// settled notes that a commit is durable.
func (c *changes) settled(t taken) {
	c.durable = max(c.durable, t.upTo)
	if c.pending.ops == nil && cap(t.ops) <= 64 { // there is room for the next ones
		clear(t.ops)
		c.pending.ops = t.ops[:0]
	}
}

// pending is the changes of a run that no commit has taken yet.
type pending struct {
	ops      []*op // dirty, each once
	timeouts []*op // event waits whose time is over, if no event has come by then
	consumed []int64
	back     map[int64]bool // of consumed: those that were given back
	progress Payload
	started  bool
	starts   []RunStart
	raises   []Raise
	controls []Control
	attempts []Attempt
}

func (p *pending) empty() bool {
	return len(p.ops) == 0 && len(p.timeouts) == 0 && len(p.consumed) == 0 && p.progress == nil &&
		len(p.starts) == 0 && len(p.raises) == 0 && len(p.controls) == 0 && len(p.attempts) == 0
}

// isLarge reports whether it is half of what the home writes at once, so that one more thing may not fit soon.
func (p *pending) isLarge(d *Description) bool {
	if most := d.MaxCommitItems; most > 0 {
		items := len(p.ops) + len(p.timeouts) + len(p.consumed) + len(p.starts) + len(p.raises) + len(p.controls) + len(p.attempts)
		if items >= most/2 {
			return true
		}
	}
	if d.MaxCommitBytes <= 0 {
		return false
	}
	bytes := len(p.progress)
	for _, o := range p.ops {
		bytes += o.Operation.bytes()
	}
	for i := range p.starts {
		bytes += len(p.starts[i].Input)
	}
	for i := range p.raises {
		bytes += len(p.raises[i].Payload)
	}
	return bytes >= d.MaxCommitBytes/2
}

// giveBack withdraws that a message is consumed.
func (p *pending) giveBack(number int64) {
	if p.back == nil {
		p.back = map[int64]bool{}
	}
	p.back[number] = true
}

// consume notes that a message is consumed.
func (p *pending) consume(number int64) {
	if p.back[number] {
		delete(p.back, number)
		return
	}
	p.consumed = append(p.consumed, number)
}

// takeConsumed are the messages that are consumed and were not given back.
func (p *pending) takeConsumed() []int64 {
	if len(p.back) > 0 {
		p.consumed = slices.DeleteFunc(p.consumed, func(n int64) bool { return p.back[n] })
		p.back = nil
	}
	return p.consumed
}

// taken is a commit with what it was made of.
type taken struct {
	commit   *Commit
	upTo     uint64 // the last change in it
	ops      []*op
	timeouts []*op
	granted  int // starts in it that claim, which count as on their way until the commit is over
}

// takenCommit is a commit with room for what most have: their run and one operation.
type takenCommit struct {
	commit     Commit
	ref        RunRef
	operations [1]Operation
}
