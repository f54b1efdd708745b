package lambdabiz

import (
	"context"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// end ends an operation, and wakes the branch that waits for it.
func (b *book) end(o *op, status Status, result Payload, failure *Failure) {
	o.Status, o.Result, o.Error, o.EndedAt = status, result, failure, now()
	o.DueAt = dueOf(o)
	b.touch(o)
	b.inbox.leave(o)
	b.hookEnded(o)
	b.wake(o.waiter)
}

// cancelOp ends an open operation as cancelled. A child whose start no commit has taken yet never begins; any
// other is asked to cancel, if it is this operation's: its start may have been refused, because the id is somebody
// else's, and the child may have ended and left its id to somebody else.
func (b *book) cancelOp(o *op, cause error) {
	if o.Kind == KindChild && o.Target != "" && !b.withdrawStart(o) {
		b.pending.controls = append(b.pending.controls, Control{
			Kind: ControlCancel, ID: o.Target, Reason: "its parent was cancelled",
			Parent: &Parent{ID: b.info.ID, RunID: b.info.RunID, Operation: o.Number},
		})
	}
	b.end(o, StatusCancelled, nil, b.env.failures.record(cause))
}

// giveBack returns an event to the inbox that a wait has taken, if that is not on its way to the
// store yet. No effect can have followed from it: that would have waited for the store. What a branch that
// has ended returned may be in the orchestration's outcome: then the event stays taken.
func (b *book) giveBack(o *op) bool {
	m := o.message
	if m == nil || o.handedOut() {
		return false
	}
	if !o.dropped {
		b.pending.giveBack(m.Number)
		b.inbox.giveBack(m)
	}
	delete(b.inbox.taken, m.Number)
	o.message, o.at = nil, time.Time{}
	return true
}

// cancelBranch ends a branch that has lost, with all that is inside it: its operations are
// recorded as cancelled, and why, its code ends at its next operation. Operations come first: whether they give
// their events back depends on which branches have ended.
func (b *book) cancelBranch(p *place, why error) {
	p.scope.closed = true
	p.eachOpen(func(o *op) {
		if !o.Status.Ended() || b.giveBack(o) {
			b.cancelOp(o, why)
		}
	})
	b.closeBranches(p, false)
	b.match(false) // a wait of the same name may take what was given back
	b.stirs = true
}

// closeBranches ends the branches in a place, and their contexts, and lets go on what waits there.
func (b *book) closeBranches(p *place, inner bool) {
	if s := p.scope; s != nil {
		s.closed = true
		s.cancel(ErrCancelled)
		if inner {
			b.endBranch(s.branch, ErrCancelled)
		}
		b.wake(s.blocked)
		if s.turn != nil {
			b.env.slots.Leave(s.turn)
		}
	}
	for _, branch := range slices.Backward(p.busy) {
		if branch != nil { // else the end of one item of a Map has ended it too
			b.closeBranches(branch, true)
		}
	}
}

// endBranch ends a future and wakes who waits for it.
func (b *book) endBranch(f *future, err error) {
	if f.ended {
		return
	}
	f.ended, f.err = true, err
	if f.s != nil {
		b.cancel.settle(f.s)
		b.branchesEnded++
		f.order, f.at = b.branchesEnded, f.s.last
		f.s.place.settle()
		b.stirs = true
		for _, w := range f.waiters {
			b.wake(w)
		}
	}
	f.waiters = nil
	if f.then != nil {
		f.then()
	}
}

// takeEvent ends a wait with the event that its code has read.
func (b *book) takeEvent(w *eventWait) {
	o, m := w.op, b.inbox.consume(w)
	b.consume(m.Number)
	fault.Point("event.match")
	o.at, o.message = m.ArrivedAt, m
	b.end(o, StatusSucceeded, m.Payload, nil)
}

func (b *book) childEnded(m *Message) {
	b.consume(m.Number)
	o := b.record.children[m.Operation]
	if o == nil {
		return
	}
	var failure *Failure
	if m.Status != StatusSucceeded {
		failure = b.env.failures.recordOutcome(o.Target, o.Name, m.Status, m.Error)
	}
	fault.Point("child.ended")
	b.end(o, m.Status, m.Payload, failure)
}

// dropEvent removes an event, unless a wait has taken it: then it goes with that.
func (b *book) dropEvent(m *Message) {
	b.consume(m.Number)
	event := b.inbox.mails[m.Operation]
	if event == nil {
		if o := b.inbox.taken[m.Operation]; o != nil {
			o.dropped = true
		}
		return
	}
	b.log().Warn("event was dropped", "event", event.Name, "number", m.Operation)
	b.inbox.drop(event)
	b.consume(m.Operation)
	b.mayBeFixed() // it may have been the event that blocks it
}

// match offers events to the waits that they belong to: see [inbox.match]. What a wait is offered is taken
// once its code has read it, by its own branch: nothing says before that the event is consumed. It reports whether
// a wait has got one.
func (b *book) match(idle bool) bool {
	if !b.isOpen() {
		return false
	}
	found, late := b.inbox.match(idle, b.committing)
	for _, o := range late {
		b.timeOut(o)
	}
	for _, w := range found {
		b.wake(w.op.waiter)
	}
	return len(found) > 0
}

// touch puts an operation into the pending changes.
func (b *book) touch(o *op) {
	b.join(&b.record, o)
	b.note()
	o.change = b.changed
}

// merge takes over what the backend has performed. It is durable: nothing of it is to be committed.
func (b *book) merge(operations []Operation) {
	for i := range operations {
		rec := &operations[i]
		o := b.record.get(rec.ID)
		if o == nil || o.Status.Ended() || !b.env.desc.performs(rec.Kind) || rec.Attempts != o.Attempts || o.dirty {
			continue
		}
		if !rec.Status.Ended() {
			o.Status, o.StartedAt, o.Details = rec.Status, rec.StartedAt, rec.Details
			b.record.changed(o)
			continue
		}
		b.cancel.replace(o, rec)
		if o.takeTried(); !o.tried {
			if o.Tried != nil { // final, and not in the record yet
				o.Tried = nil
				b.touch(o)
			}
			b.hookEnded(o)
		}
		b.record.changed(o)
		b.wake(o.waiter)
	}
}

// settleOperations takes back what the commit made of operations: refusals and time-outs.
func (b *book) settleOperations(c *Commit) {
	for i := range c.Operations {
		rec := &c.Operations[i]
		o := b.record.get(rec.ID)
		if o == nil || o.Status == rec.Status || !rec.Status.Ended() || o.dirty {
			continue
		}
		b.cancel.replace(o, rec)
		b.record.changed(o)
		b.inbox.leave(o)
		b.hookEnded(o)
		b.wake(o.waiter)
	}
}

// fire does what is due at t by the wall clock: never early, whatever woke it.
func (b *book) fire(t time.Time) {
	if d := b.info.Deadline; !d.IsZero() && !d.After(t) && b.cancel.cause == nil {
		b.stopCode(context.DeadlineExceeded)
	}
	for w := b.takeDue(t); w != nil; w = b.takeDue(t) {
		switch o := w.op; {
		case o == nil || o.Kind == KindTask || o.Kind == KindStep || o.Kind == KindService:
			b.wake(w) // its next attempt
		case o.Kind == KindTimer:
			fault.Point("timer.fire")
			b.end(o, StatusSucceeded, nil, nil)
		case o.Kind == KindEvent:
			b.timeOut(o)
		}
	}
}

// stopCode tells the code to stop, for a cancellation or the deadline, as far as it has come to where it was told before:
// operations that wait end as cancelled, children are asked to cancel, and code under Detached goes on.
func (b *book) stopCode(cause error) {
	if b.cancel.cause != nil {
		return
	}
	b.cancel.begin(cause)
	b.endTurns(false)
	for w := range b.waiting {
		if w.op != nil && !w.op.Status.Ended() && !w.detached {
			b.cancelOp(w.op, cause)
		}
	}
}

// dueOf keeps the times that say something of an ended operation: not the one of a next attempt.
func dueOf(o *op) time.Time {
	if o.Kind == KindTimer || o.Kind == KindEvent {
		return o.DueAt
	}
	return time.Time{}
}

// cancelChildren cancels the children that the code has not come to since it was resumed.
func (b *book) cancelChildren() {
	for _, o := range b.record.children {
		b.cancelOp(o, b.cancel.cause)
	}
}

// openChild names a child that the run waits for.
func (b *book) openChild() string {
	for _, o := range b.record.children {
		return o.ID
	}
	return ""
}

// taskFailure calls the error's own methods: it is not for errors of others while mu is held.
func (b *book) taskFailure(o *Operation, err error) *Failure {
	return b.env.failures.record(&TaskError{Task: o.Name, OperationID: o.ID, Attempt: o.Attempts, Err: err})
}

// recallStop is called when a run is resumed: code that was told that its deadline had passed does not find it to
// come by a clock that is behind.
func (b *book) recallStop() {
	if b.record.marked && b.cancel.cause == nil && !b.info.Deadline.IsZero() {
		b.stopCode(context.DeadlineExceeded)
	}
}
