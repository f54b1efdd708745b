package lambdabiz

import (
	"fmt"
)

// WaitForEvent waits for an event and returns its payload. The event's name is the operation's id,
// without its scope, unless [Named] gives another. Events are buffered: one may come before the wait.
// Waits of one name are served in the order in which they were recorded, events in the order in which
// they arrived, each once. An event whose payload T cannot take stays where it is, and blocks the run until
// other code waits for it or [Engine.DropEvent] removes it.
//
// With [Timeout] it returns *EventTimeoutError when no event has arrived by then; an event that has
// arrived in time wins even if it is seen later. ErrCancelled when the orchestration is cancelled.
func WaitForEvent[T any](o Context, id string, opts ...WaitOption) (T, error) {
	var out, zero T
	w := waitOptions{name: id}
	for _, opt := range opts {
		opt.applyWait(&w)
	}
	r := o.scope().run
	c := &call{o: o, id: id, kind: KindEvent, name: w.name,
		take: func(p Payload) error { return takeInto(r.e, "payload", p, &out) }}
	if err := checkID("event name", w.name); err != nil && id != "" {
		return zero, c.fault(err)
	}
	op, err := r.begin(c)
	if err != nil {
		return zero, err
	}
	if op.Number == 0 {
		op.offer = &offer{c: c}
		op.Status, op.Attempts, op.StartedAt = StatusStarted, 1, op.ScheduledAt
		if w.timeout > 0 {
			op.DueAt = roundUp(op.ScheduledAt.Add(w.timeout))
			if err := r.checkWait(op.DueAt); err != nil {
				return zero, r.refuseLocked(c, op, err)
			}
		}
		r.touchLocked(op)
		r.expectLocked(op)
		r.matchAllLocked(false)
	}
	if err := r.await(c, op); err != nil {
		return zero, err
	}
	if err := r.give(c, op); err != nil {
		return zero, err
	}
	return out, nil
}

// RaiseEvent raises an event in another orchestration, or in its own. It returns after the commit that
// carries it: nil when the event is stored there, ErrNotFound when there is no such orchestration
// (unless [BeforeStart] keeps the event), ErrClosed when it has ended.
func RaiseEvent(o Context, id, orchestrationID, event string, payload any, opts ...RaiseOption) error {
	r := o.scope().run
	raise, err := r.e.raise(orchestrationID, event, payload, opts)
	if err != nil {
		return fmt.Errorf("orchestration %s, operation %q: %w", o.ID(), id, err)
	}
	c := &call{o: o, id: id, kind: KindRaise, name: event, input: raise.Payload, hasInput: true}
	op, err := r.begin(c)
	if err != nil {
		return err
	}
	if !op.Status.Ended() && (op.Number == 0 || !r.e.performs(KindRaise)) {
		op.Attempts, op.StartedAt, op.Target = 1, now(), orchestrationID
		if r.e.performs(KindRaise) {
			r.touchLocked(op)
		} else {
			r.endLocked(op, StatusSucceeded, nil, nil) // or refused, by the verdict on its commit
		}
		raise.Operation = op.Number
		if raise.Key == "" {
			raise.Key = idempotencyKey(r.info.ID, r.info.RunID, op.ID)
		}
		r.pending.raises = append(r.pending.raises, raise)
	}
	if err := r.await(c, op); err != nil {
		return err
	}
	if !op.loaded && !r.e.performs(KindRaise) && !r.flushLocked(r.changed) {
		return r.leaveLocked(c.scope())
	}
	return r.give(c, op)
}

// raise checks the parts of an event at the door.
func (e *Engine) raise(id, event string, payload any, opts []RaiseOption) (Raise, error) {
	raise := Raise{ID: id, Name: event}
	for _, opt := range opts {
		opt.applyRaise(&raise)
	}
	if err := e.checkOrchestrationID(id); err != nil {
		return raise, err
	}
	if err := checkID("event name", event); err != nil {
		return raise, err
	}
	if raise.Key != "" {
		if err := checkID("event key", raise.Key); err != nil {
			return raise, err
		}
	}
	if !raise.Until.IsZero() {
		if err := e.supports(FeatureBeforeStart); err != nil {
			return raise, err
		}
	}
	p, err := e.encode(fmt.Sprintf("payload of event %q", event), payload)
	raise.Payload = p
	return raise, err
}
