package lambdabiz

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// waitLocked blocks the calling branch until the waiter is woken; mu is given up meanwhile. The run
// may not be live when it returns.
func (r *run) waitLocked(s *scope, w *waiter) {
	w.ready = make(chan struct{})
	w.woken = false
	if !w.due.IsZero() {
		heap.Push(&r.dues, w)
		r.tidyDuesLocked()
		r.armLocked()
	}
	if r.waiting == nil {
		r.waiting = map[*waiter]struct{}{}
	}
	r.waiting[w] = struct{}{}
	s.blocked = w
	r.active--
	r.idleLocked()
	r.mu.Unlock()
	<-w.ready
	r.mu.Lock()
}

// tidyDuesLocked drops the waiters that were woken before their time, once they are the most.
func (r *run) tidyDuesLocked() {
	if len(r.dues) > 64+2*len(r.waiting) {
		r.dues = slices.DeleteFunc(r.dues, func(w *waiter) bool { return w.woken })
		heap.Init(&r.dues)
	}
}

// dueHeap is the waiters with a time, the earliest first. Woken ones are dropped when they come up.
type dueHeap []*waiter

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(w any)        { *h = append(*h, w.(*waiter)) } //nolint:forcetypeassert // its own
func (h *dueHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return w
}

// nextDueLocked is when the run has something to do by time; zero for never.
func (r *run) nextDueLocked() time.Time {
	for len(r.dues) > 0 && r.dues[0].woken {
		heap.Pop(&r.dues)
	}
	var next time.Time
	if len(r.dues) > 0 {
		next = r.dues[0].due
	}
	if d := r.info.Deadline; !d.IsZero() && r.stopCause == nil && (next.IsZero() || d.Before(next)) {
		next = d
	}
	return next
}

// armLocked sets the engine's alarm to the next thing that is due.
func (r *run) armLocked() {
	if r.ends() {
		return // the backend claims the run when it is due
	}
	next := r.nextDueLocked()
	if !next.Equal(r.alarm) {
		r.alarm = next
		r.env.alarms.Set(r, next)
	}
}

// ring is called by the engine's alarm.
func (r *run) ring() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alarm = time.Time{}
	switch {
	case r.phase != phaseLive || !r.claimed:
	case r.committing:
		r.fireLate = true
	default:
		r.fireLocked(now())
		fault.Point("timer.fired")
		r.nudgeIfPendingLocked()
		r.armLocked()
	}
}

// fireLocked does what is due at t by the wall clock: never early, whatever woke it.
func (r *run) fireLocked(t time.Time) {
	if d := r.info.Deadline; !d.IsZero() && !d.After(t) && r.stopCause == nil {
		r.stopCodeLocked(context.DeadlineExceeded)
	}
	for len(r.dues) > 0 && (r.dues[0].woken || !r.dues[0].due.After(t)) {
		w, _ := heap.Pop(&r.dues).(*waiter)
		if w.woken {
			continue
		}
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

// timeOutLocked lets the next commit say that no event has come in time.
func (r *run) timeOutLocked(o *op) {
	if !o.timingOut && !o.Status.Ended() {
		o.timingOut = true
		r.pending.timeouts = append(r.pending.timeouts, o)
		r.changedLocked()
	}
}

// endLocked ends an operation, and wakes the branch that waits for it.
func (r *run) endLocked(o *op, status Status, result Payload, failure *Failure) {
	o.Status, o.Result, o.Error, o.EndedAt = status, result, failure, now()
	o.DueAt = dueOf(o)
	r.touchLocked(o)
	r.inbox.leave(o)
	r.hookEnded(o)
	r.wakeLocked(o.waiter)
}

// dueOf keeps the times that say something of an ended operation: not the one of a next attempt.
func dueOf(o *op) time.Time {
	if o.Kind == KindTimer || o.Kind == KindEvent {
		return o.DueAt
	}
	return time.Time{}
}

// deliverLocked takes messages in, or keeps them until the commit is over that is on its way.
func (r *run) deliverLocked(messages []Message) {
	switch {
	case r.phase == phaseDead:
	case r.ends() && !r.claimed:
		// They came under a claim that is still on its way to this copy, with older messages in it: taken now,
		// those would count as seen. The commit that answers the claim is stale, and brings them.
	case r.committing:
		r.arrived = append(r.arrived, messages...)
	default:
		r.acceptLocked(messages)
		if r.phase == phaseLive {
			r.nudgeIfPendingLocked()
		}
	}
}

// setBack sets the time of events back that come by clocks that are ahead: whether one has come in time is for the clock
// that the wait's deadline is of. Those that come together keep their order, by which a race may be decided.
func (r *run) setBack(messages []Message) {
	t := now()
	for i := range slices.Backward(messages) {
		m := &messages[i]
		if m.Kind == MessageEvent && m.Number > r.seen && m.ArrivedAt.After(t) {
			m.ArrivedAt = t
			t = t.Add(-time.Microsecond)
		}
	}
}

// acceptLocked takes messages in, in the order of their numbers; what it has seen before it ignores.
func (r *run) acceptLocked(messages []Message) {
	r.setBack(messages)
	for i := range messages {
		m := &messages[i]
		if m.Number <= r.seen {
			continue
		}
		r.seen = m.Number
		if r.phase == phaseStopping && r.release.Blocked == nil {
			r.release.WakeAt = now() // it may be what the run waits for: it counts as seen
		}
		switch m.Kind {
		case MessageEvent:
			r.inbox.arrive(m)
		case MessageChild:
			r.childEndedLocked(m)
		case MessageCancel:
			r.info.CancelRequested = true
			r.stopCodeLocked(ErrCancelled)
		case MessageDrop:
			r.dropLocked(m)
		case MessagePause:
			r.consumeLocked(m.Number)
			if r.started { // else it was resumed before it was claimed
				r.stopLocked(Release{WakeAt: now()}, r.pausedBy(m))
			}
		}
	}
	r.matchLocked(r.active == 0)
	if r.active == 0 {
		r.env.idle.Resize(r, r.sizeLocked())
	}
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

// pausedBy is why a run stops that such a message has come for.
func (r *run) pausedBy(m *Message) error {
	err := &PausedError{ID: r.info.ID}
	if m.Error != nil {
		err.Reason = m.Error.Message
	}
	return err
}

func (r *run) consumeLocked(number int64) {
	r.pending.consume(number)
	r.changedLocked()
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

// readLocked decodes the event that is offered to the calling branch, and takes it if it is still offered then. One
// that cannot be read stays where it is, and blocks the run. The author's codec is called without mu.
func (c *call) readLocked(o *op) {
	r, w := c.run(), o.wait
	m := w.mail
	late := r.readsTooLongLocked(o, m)
	r.mu.Unlock()
	err := c.take(m.Payload)
	r.mu.Lock()
	late()
	switch {
	case w.mail != m: // it was dropped, or an earlier event has come back
	case r.phase != phaseLive || r.closing != nil:
		r.inbox.unpair(w)
	case err != nil:
		r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: fmt.Sprintf(
			"event %d (%q) cannot be read by the code that waits for it, drop it or register code that reads it: %v",
			m.Number, m.Name, err)})
	default:
		c.taken = true
		r.takeEventLocked(w)
	}
	r.stirred.Broadcast() // a race may wait for what the branch has read
}

// readsTooLongLocked blocks the run when an event is read for too long: nothing else would say what it is that takes so
// long, and a race that the event may decide waits for it, as may all other code. Where claims end by themselves, it does
// so while it has the claim: else the next holder would begin anew.
func (r *run) readsTooLongLocked(o *op, m *mail) (stop func() bool) {
	limit, why := readsFor, "than "+readsFor.String()
	if left := time.Until(r.until) - lateMargin; !r.until.IsZero() && left < limit {
		limit, why = max(0, left), "than its home lets a worker hold the orchestration"
	}
	fence, w := r.ref.Fence, o.wait
	t := time.AfterFunc(limit, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.ref.Fence != fence || !r.claimed || w.mail != m {
			return // the wait may be over, and its operation have none any more
		}
		r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: fmt.Sprintf(
			"reading event %d (%q) takes longer %s: drop it, or register code that reads it faster", m.Number, m.Name, why)})
	})
	return t.Stop
}

// readsFor is how long the code may take to read an event.
const readsFor = time.Minute

// lateMargin is kept of a claim's time for the commit that blocks its run.
const lateMargin = 2 * time.Second

// takeEventLocked ends a wait with the event that its code has read.
func (r *run) takeEventLocked(w *eventWait) {
	o, m := w.op, r.inbox.consume(w)
	r.consumeLocked(m.Number)
	fault.Point("event.match")
	o.at, o.message = m.ArrivedAt, m
	r.endLocked(o, StatusSucceeded, m.Payload, nil)
}

// stopCodeLocked ends the contexts of the code that has passed what is recorded, for a cancellation or the deadline:
// operations that wait end as cancelled, children are asked to cancel, and code under Detached goes on.
func (r *run) stopCodeLocked(cause error) {
	if r.stopCause != nil {
		return
	}
	r.stopCause = cause
	if !r.tellLocked() {
		r.watchStopLocked()
	}
	r.endTurnsLocked(func(c *call) bool { return !c.o.detached() })
	for w := range r.waiting {
		if w.op != nil && !w.op.Status.Ended() && !w.detached {
			r.cancelOpLocked(w.op, cause)
		}
	}
}

// cancelOpLocked ends an open operation as cancelled. A child whose start no commit has taken yet never begins; any
// other is asked to cancel, if it is this operation's: its start may have been refused, because the id is somebody
// else's, and the child may have ended and left its id to somebody else.
func (r *run) cancelOpLocked(o *op, cause error) {
	if o.Kind == KindChild && o.Target != "" && !r.withdrawStartLocked(o) {
		r.pending.controls = append(r.pending.controls, Control{
			Kind: ControlCancel, ID: o.Target, Reason: "its parent was cancelled",
			Parent: &Parent{ID: r.info.ID, RunID: r.info.RunID, Operation: o.Number},
		})
	}
	r.endLocked(o, StatusCancelled, nil, r.env.registry.record(cause))
}

// withdrawStartLocked takes a child's start out of the pending changes, and reports whether it was there.
func (r *run) withdrawStartLocked(o *op) bool {
	p := &r.pending
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
