package lambdabiz

import (
	"context"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// endLocked ends an operation, and wakes the branch that waits for it.
func (r *run) endLocked(o *op, status Status, result Payload, failure *Failure) {
	o.Status, o.Result, o.Error, o.EndedAt = status, result, failure, now()
	o.DueAt = dueOf(o)
	r.touchLocked(o)
	r.inbox.leave(o)
	r.hookEnded(o)
	r.wakeLocked(o.waiter)
}

// timeOutLocked lets the next commit say that no event has come in time.
func (r *run) timeOutLocked(o *op) {
	if r.timeOut(o) {
		r.changedLocked()
	}
}

// cancelOpLocked ends an open operation as cancelled. A child whose start no commit has taken yet never begins; any
// other is asked to cancel, if it is this operation's: its start may have been refused, because the id is somebody
// else's, and the child may have ended and left its id to somebody else.
func (r *run) cancelOpLocked(o *op, cause error) {
	if o.Kind == KindChild && o.Target != "" && !r.withdrawStart(o) {
		r.pending.controls = append(r.pending.controls, Control{
			Kind: ControlCancel, ID: o.Target, Reason: "its parent was cancelled",
			Parent: &Parent{ID: r.info.ID, RunID: r.info.RunID, Operation: o.Number},
		})
	}
	r.endLocked(o, StatusCancelled, nil, r.env.registry.record(cause))
}

// giveBackLocked returns an event to the inbox that a wait has taken, if that is not on its way to the
// store yet. No effect can have followed from it: that would have waited for the store. What a branch that
// has ended returned may be in the orchestration's outcome: then the event stays taken.
func (r *run) giveBackLocked(o *op) bool {
	m := o.message
	if m == nil || o.handedOut() {
		return false
	}
	if !o.dropped {
		r.pending.giveBack(m.Number)
		r.inbox.giveBack(m)
	}
	delete(r.inbox.taken, m.Number)
	o.message, o.at = nil, time.Time{}
	return true
}

// cancelBranchLocked ends a branch that has lost, with all that is inside it: its operations are
// recorded as cancelled, and why, its code ends at its next operation. Operations come first: whether they give
// their events back depends on which branches have ended.
func (r *run) cancelBranchLocked(p *place, why error) {
	p.scope.closed = true
	p.eachOpen(func(o *op) {
		if !o.Status.Ended() || r.giveBackLocked(o) {
			r.cancelOpLocked(o, why)
		}
	})
	r.closeLocked(p, false)
	r.matchLocked(false) // a wait of the same name may take what was given back
	r.stirred.Broadcast()
}

// closeLocked ends the branches in a place, and their contexts, and lets go on what waits there.
func (r *run) closeLocked(p *place, inner bool) {
	if s := p.scope; s != nil {
		s.closed = true
		s.cancel(ErrCancelled)
		if inner {
			r.endBranchLocked(s.branch, ErrCancelled)
		}
		r.wakeLocked(s.blocked)
		if s.turn != nil {
			r.env.slots.Leave(s.turn)
		}
	}
	for _, branch := range slices.Backward(p.busy) {
		if branch != nil { // else the end of one item of a Map has ended it too
			r.closeLocked(branch, true)
		}
	}
}

// endBranchLocked ends a future and wakes who waits for it.
func (r *run) endBranchLocked(f *future, err error) {
	if f.ended {
		return
	}
	f.ended, f.err = true, err
	if f.s != nil {
		r.settleStopLocked(f.s)
		r.branchesEnded++
		f.order, f.at = r.branchesEnded, f.s.last
		f.s.place.settle()
		r.stirred.Broadcast()
		for _, w := range f.waiters {
			r.wakeLocked(w)
		}
	}
	f.waiters = nil
	if f.then != nil {
		f.then()
	}
}

// takeEventLocked ends a wait with the event that its code has read.
func (r *run) takeEventLocked(w *eventWait) {
	o, m := w.op, r.inbox.consume(w)
	r.consumeLocked(m.Number)
	fault.Point("event.match")
	o.at, o.message = m.ArrivedAt, m
	r.endLocked(o, StatusSucceeded, m.Payload, nil)
}

func (r *run) childEndedLocked(m *Message) {
	r.consumeLocked(m.Number)
	o := r.record.children[m.Operation]
	if o == nil {
		return
	}
	var failure *Failure
	if m.Status != StatusSucceeded {
		failure = r.env.registry.recordOutcome(o.Target, o.Name, m.Status, m.Error)
	}
	fault.Point("child.ended")
	r.endLocked(o, m.Status, m.Payload, failure)
}

// dropLocked removes an event, unless a wait has taken it: then it goes with that.
func (r *run) dropLocked(m *Message) {
	r.consumeLocked(m.Number)
	event := r.inbox.mails[m.Operation]
	if event == nil {
		if o := r.inbox.taken[m.Operation]; o != nil {
			o.dropped = true
		}
		return
	}
	r.log().Warn("event was dropped", "event", event.Name, "number", m.Operation)
	r.inbox.drop(event)
	r.consumeLocked(m.Operation)
	if r.phase == phaseStopping && r.release.Blocked != nil {
		r.release.WakeAt = now() // it may have been the event that blocks it
	}
}

func (r *run) consumeLocked(number int64) {
	r.pending.consume(number)
	r.changedLocked()
}

// matchLocked offers events to the waits that they belong to: see [inbox.match]. What a wait is offered is taken
// once its code has read it, by its own branch: nothing says before that the event is consumed. It reports whether
// a wait has got one.
func (r *run) matchLocked(idle bool) bool {
	if r.closing != nil || r.phase != phaseLive {
		return false
	}
	found, late := r.inbox.match(idle, r.committing)
	for _, o := range late {
		r.timeOutLocked(o)
	}
	for _, w := range found {
		r.wakeLocked(w.op.waiter)
	}
	return len(found) > 0
}

// changedLocked counts a change, and makes sure that it does not stay in memory for long.
func (r *run) changedLocked() {
	if r.note(time.Now()) && r.phase != phaseDead && !r.commitEndsClaim() {
		r.env.flushes.Add(r, r.since)
	}
}

// touchLocked puts an operation into the pending changes.
func (r *run) touchLocked(o *op) {
	r.join(&r.record, o)
	r.changedLocked()
	o.change = r.changed
}

// mergeLocked takes over what the backend has performed. It is durable: nothing of it is to be committed.
func (r *run) mergeLocked(operations []Operation) {
	for i := range operations {
		rec := &operations[i]
		o := r.record.get(rec.ID)
		if o == nil || o.Status.Ended() || !r.env.desc.performs(rec.Kind) || rec.Attempts != o.Attempts || o.dirty {
			continue
		}
		if !rec.Status.Ended() {
			o.Status, o.StartedAt, o.Details = rec.Status, rec.StartedAt, rec.Details
			r.record.changed(o)
			continue
		}
		r.replaceLocked(o, rec)
		if o.takeTried(); !o.tried {
			if o.Tried != nil { // final, and not in the record yet
				o.Tried = nil
				r.touchLocked(o)
			}
			r.hookEnded(o)
		}
		r.record.changed(o)
		r.wakeLocked(o.waiter)
	}
}

// settleOperationsLocked takes back what the commit made of operations: refusals and time-outs.
func (r *run) settleOperationsLocked(c *Commit) {
	for i := range c.Operations {
		rec := &c.Operations[i]
		o := r.record.get(rec.ID)
		if o == nil || o.Status == rec.Status || !rec.Status.Ended() || o.dirty {
			continue
		}
		r.replaceLocked(o, rec)
		r.record.changed(o)
		r.inbox.leave(o)
		r.hookEnded(o)
		r.wakeLocked(o.waiter)
	}
}

// fireLocked does what is due at t by the wall clock: never early, whatever woke it.
func (r *run) fireLocked(t time.Time) {
	if d := r.info.Deadline; !d.IsZero() && !d.After(t) && r.stopCause == nil {
		r.stopCodeLocked(context.DeadlineExceeded)
	}
	for w := r.takeDue(t); w != nil; w = r.takeDue(t) {
		switch o := w.op; {
		case o == nil || o.Kind == KindTask || o.Kind == KindStep || o.Kind == KindService:
			r.wakeLocked(w) // its next attempt
		case o.Kind == KindTimer:
			fault.Point("timer.fire")
			r.endLocked(o, StatusSucceeded, nil, nil)
		case o.Kind == KindEvent:
			r.timeOutLocked(o)
		}
	}
}

// stopCodeLocked tells the code to stop, for a cancellation or the deadline, as far as it has come to where it was told before:
// operations that wait end as cancelled, children are asked to cancel, and code under Detached goes on.
func (r *run) stopCodeLocked(cause error) {
	if r.stopCause != nil {
		return
	}
	r.stopCause = cause
	if !r.tellLocked() {
		r.watchStopLocked()
	}
	r.endTurnsLocked(false)
	for w := range r.waiting {
		if w.op != nil && !w.op.Status.Ended() && !w.detached {
			r.cancelOpLocked(w.op, cause)
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

// cancelChildrenLocked cancels the children that the code has not come to since it was resumed.
func (r *run) cancelChildrenLocked() {
	for _, o := range r.record.children {
		r.cancelOpLocked(o, r.stopCause)
	}
}

// openChild names a child that the run waits for.
func (r *run) openChildLocked() string {
	for _, o := range r.record.children {
		return o.ID
	}
	return ""
}

// taskFailure calls the error's own methods: it is not for errors of others while mu is held.
func (r *run) taskFailure(o *Operation, err error) *Failure {
	return r.env.registry.record(&TaskError{Task: o.Name, OperationID: o.ID, Attempt: o.Attempts, Err: err})
}

// recallStopLocked is called when a run is resumed: code that was told that its deadline had passed does not find it to
// come by a clock that is behind.
func (r *run) recallStopLocked() {
	if r.record.marked && r.stopCause == nil && !r.info.Deadline.IsZero() {
		r.stopCodeLocked(context.DeadlineExceeded)
	}
}
