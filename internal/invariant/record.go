package invariant

import (
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// checkRun looks at the run without its operations.
func (p *report) checkRun() {
	r := p.run
	if r.ID == "" || r.RunID == "" || r.ScheduledAt.IsZero() {
		p.addf(Resume, "", "a run without an id, a run id or the time of its start")
	}
	switch {
	case r.Status == lambdabiz.StatusNone || r.Status > lambdabiz.StatusTerminated:
		p.addf(Resume, "", "its status is %s", r.Status)
	case r.Status.Ended():
		p.checkEnded()
	default:
		p.checkOpen()
	}
	p.inOrder("", "started", r.StartedAt, "scheduled", r.ScheduledAt)
	p.inOrder("", "ended", r.EndedAt, "started", r.StartedAt)
	p.inOrder("", "ended", r.EndedAt, "scheduled", r.ScheduledAt)
}

func (p *report) checkEnded() {
	r := p.run
	switch {
	case r.EndedAt.IsZero():
		p.addf(OneOutcome, "", "it is %s, and has no end", r.Status)
	case r.Status == lambdabiz.StatusSucceeded && r.Error != nil:
		p.addf(OneOutcome, "", "it succeeded with an error: %s", r.Error.Message)
	case r.Status != lambdabiz.StatusSucceeded && r.Error == nil:
		p.addf(OneOutcome, "", "it is %s, and has no error", r.Status)
	case r.Status != lambdabiz.StatusSucceeded && len(r.Result) > 0:
		p.addf(OneOutcome, "", "it is %s, and has the result %s", r.Status, r.Result)
	case r.ContinuedAs != "" && (r.Status != lambdabiz.StatusSucceeded || len(r.Result) > 0):
		p.addf(OneOutcome, "", "it continued as %s, and is %s with the result %q", r.ContinuedAs, r.Status, r.Result)
	}
	if r.Worker != 0 || !r.WakeAt.IsZero() || r.Paused {
		p.addf(Resume, "", "it has ended, with worker %d, wake-up %s, paused %t", r.Worker, stamp(r.WakeAt), r.Paused)
	}
}

func (p *report) checkOpen() {
	r := p.run
	if !r.EndedAt.IsZero() || len(r.Result) > 0 || r.Error != nil || r.ContinuedAs != "" {
		p.addf(OneOutcome, "", "it is %s, and has an outcome: ended %s, result %q, error %v, next run %q",
			r.Status, stamp(r.EndedAt), r.Result, r.Error, r.ContinuedAs)
	}
	switch started := !r.StartedAt.IsZero(); {
	case started != (r.Status == lambdabiz.StatusStarted):
		p.addf(Resume, "", "it is %s, and was started at %s", r.Status, stamp(r.StartedAt))
	case !started && len(r.Operations) > 0:
		p.addf(Resume, "", "it has operations, and was never started")
	}
	if p.options.Ended {
		p.addf(Liveness, "", "it is %s, and all had to end", r.Status)
	}
}

// inOrder says so when the first time is before the second one.
func (p *report) inOrder(operation, what string, later time.Time, before string, earlier time.Time) {
	if !later.IsZero() && !earlier.IsZero() && later.Add(p.options.Skew).Before(earlier) {
		p.addf(Resume, operation, "%s at %s, before it was %s at %s", what, stamp(later), before, stamp(earlier))
	}
}

// checkOperations looks at each operation, and that each is there once.
func (p *report) checkOperations() {
	paths := map[string]bool{}
	last := int64(0)
	for i := range p.run.Operations {
		o := &p.run.Operations[i]
		if o.Number <= last {
			p.addf(OneOutcome, o.ID, "its number is %d, the one before has %d", o.Number, last)
		}
		if o.Number > last+1 { // an operation is recorded with all before it
			p.addf(Durable, o.ID, "its number is %d, and %d is not there", o.Number, last+1)
		}
		last = o.Number
		if paths[o.ID] {
			p.addf(OneOutcome, o.ID, "it has two records")
		}
		paths[o.ID] = true
		p.checkOperation(o)
	}
}

func (p *report) checkOperation(o *lambdabiz.Operation) {
	if o.ID == "" || o.ScheduledAt.IsZero() || o.Kind == lambdabiz.KindNone || o.Kind > lambdabiz.KindRace {
		p.addf(Resume, o.ID, "an operation without a path, a time or a kind (%s)", o.Kind)
	}
	if o.Status == lambdabiz.StatusStarted && o.StartedAt.IsZero() {
		p.addf(Resume, o.ID, "it was started, and nobody knows when")
	}
	p.checkResult(o)
	p.inOrder(o.ID, "started", o.StartedAt, "scheduled", o.ScheduledAt)
	p.inOrder(o.ID, "ended", o.EndedAt, "started", o.StartedAt)
	p.inOrder(o.ID, "ended", o.EndedAt, "scheduled", o.ScheduledAt)
	p.checkKind(o)
}

// checkResult: an operation that has ended has one outcome, an open one has none, and its run is open.
func (p *report) checkResult(o *lambdabiz.Operation) {
	ended := o.Status.Ended()
	switch {
	case o.Status == lambdabiz.StatusNone || o.Status > lambdabiz.StatusTerminated:
		p.addf(Resume, o.ID, "its status is %s", o.Status)
	case ended && o.EndedAt.IsZero():
		p.addf(OneOutcome, o.ID, "it is %s, and has no end", o.Status)
	case !ended && (!o.EndedAt.IsZero() || len(o.Result) > 0):
		p.addf(OneOutcome, o.ID, "it is %s, and has an outcome: ended %s, result %q", o.Status, stamp(o.EndedAt), o.Result)
	case o.Tried != nil: // it is not decided what follows
	case o.Status == lambdabiz.StatusSucceeded && o.Error != nil:
		p.addf(OneOutcome, o.ID, "it succeeded with an error: %s", o.Error.Message)
	case ended && o.Status != lambdabiz.StatusSucceeded && o.Error == nil:
		p.addf(OneOutcome, o.ID, "it is %s, and has no error", o.Status)
	case ended && o.Status != lambdabiz.StatusSucceeded && len(o.Result) > 0:
		p.addf(OneOutcome, o.ID, "it is %s, and has the result %s", o.Status, o.Result)
	}
	if !ended && p.run.Status.Ended() && p.run.Status != lambdabiz.StatusTerminated && !slices.Contains(p.run.Orphans, o.ID) {
		p.addf(OneOutcome, o.ID, "it is %s, and its run has ended", o.Status)
	}
}

// checkKind looks at what operations of one kind must have.
func (p *report) checkKind(o *lambdabiz.Operation) {
	succeeded := o.Status == lambdabiz.StatusSucceeded
	switch o.Kind {
	case lambdabiz.KindTask, lambdabiz.KindStep, lambdabiz.KindService:
		if o.Attempts < 1 && (succeeded || o.Status == lambdabiz.StatusStarted) {
			p.addf(Resume, o.ID, "it is %s, and no attempt has begun", o.Status)
		}
	case lambdabiz.KindTimer:
		switch {
		case o.DueAt.IsZero():
			p.addf(Timers, o.ID, "a timer that is never due")
		case succeeded:
			p.checkFired(o, 0)
		}
	case lambdabiz.KindEvent:
		switch {
		case o.Name == "":
			p.addf(Resume, o.ID, "a wait for an event without a name")
		case o.Status != lambdabiz.StatusTimeout:
		case o.DueAt.IsZero():
			p.addf(Timers, o.ID, "it timed out, and had no time-out")
		default:
			p.checkFired(o, p.options.Skew) // the sender's clock may say that the event is too late
		}
	case lambdabiz.KindRace:
		if succeeded && len(o.Result) == 0 {
			p.addf(Resume, o.ID, "a race without a winner")
		}
	default:
	}
}

// checkFired: what waits for a time does not end before it.
func (p *report) checkFired(o *lambdabiz.Operation, skew time.Duration) {
	switch late := o.EndedAt.Sub(o.DueAt); {
	case late < -skew:
		p.addf(Timers, o.ID, "due at %s, it ended at %s, %v early", stamp(o.DueAt), stamp(o.EndedAt), -late)
	case p.options.Late > 0 && late > p.options.Late:
		p.addf(Timers, o.ID, "due at %s, it ended at %s, %v late", stamp(o.DueAt), stamp(o.EndedAt), late)
	}
}

// checkMessages looks at what has arrived and is not consumed.
func (p *report) checkMessages() {
	last := int64(0)
	keys := map[string]bool{}
	for i := range p.run.Messages {
		m := &p.run.Messages[i]
		if m.Number <= last {
			p.addf(Conservation, "", "message %d comes after message %d", m.Number, last)
		}
		last = m.Number
		switch m.Kind {
		case lambdabiz.MessageEvent:
			if m.Name == "" {
				p.addf(Conservation, "", "message %d is an event without a name", m.Number)
			}
			if m.Key != "" && keys[m.Key] {
				p.addf(Conservation, "", "two events with the key %q are pending", m.Key)
			}
			keys[m.Key] = true
		case lambdabiz.MessageChild:
			if o := byNumber(p.run.Operations, m.Operation); o == nil || o.Kind != lambdabiz.KindChild {
				p.addf(Conservation, "", "a child has ended that belongs to operation %d, which is no child", m.Operation)
			}
		case lambdabiz.MessageCancel:
			if !p.run.CancelRequested {
				p.addf(Conservation, "", "a cancellation has arrived that was not asked for")
			}
		case lambdabiz.MessagePause, lambdabiz.MessageDrop:
		default:
			p.addf(Resume, "", "message %d is of no kind: %d", m.Number, m.Kind)
		}
	}
}

func byNumber(operations []lambdabiz.Operation, number int64) *lambdabiz.Operation {
	for i := range operations {
		if operations[i].Number == number {
			return &operations[i]
		}
	}
	return nil
}

// stamp writes a time with all that is stored of it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000")
}
