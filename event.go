package lambdabiz

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
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
	var zero T
	w := waitOptions{name: id}
	for _, opt := range opts {
		opt.applyWait(&w)
	}
	r := o.run()
	c := ask[T](o, id, KindEvent, "payload")
	c.name, c.former = w.name, w.former
	if err := checkID("event name", w.name); err != nil && id != "" {
		return zero, c.fault(err)
	}
	op, err := c.begin()
	if err != nil {
		return zero, err
	}
	if op.Number == 0 {
		op.Status, op.Attempts, op.StartedAt = StatusStarted, 1, op.ScheduledAt
		if op.DueAt = w.due(op.ScheduledAt); !op.DueAt.IsZero() {
			if err := r.checkWait(op.DueAt); err != nil {
				return zero, c.refuseLocked(op, err)
			}
		}
		r.touch(op)
		r.inbox.expect(op, true)
		r.match(false)
	}
	if err := c.await(op); err != nil {
		return zero, err
	}
	if err := c.give(op); err != nil {
		return zero, err
	}
	return c.out, nil
}

// due is when the wait is over that begins at a time; zero for never.
func (w *waitOptions) due(begun time.Time) time.Time {
	due := w.until
	if w.timeout > 0 {
		if by := begun.Add(w.timeout); due.IsZero() || by.Before(due) {
			due = by
		}
	}
	if due.IsZero() {
		return due
	}
	return roundUp(due)
}

// WaitForAnyEvent waits for the first of several events, and returns its name and its payload. Of those that have arrived
// already it is the one that arrived first. The others stay where they are, for waits to come. It is a [Race] with the
// id, between waits in branches that are called id, ":", and the event's name: both together may have 256 bytes. Where the
// events have different payloads, T is [Payload], and [Engine.Decode] reads it.
//
// [Timeout] and [Until] hold for all of them together: the *EventTimeoutError names all. [Named] makes no sense here, and is
// an error, as are no events at all and one twice.
func WaitForAnyEvent[T any](o Context, id string, events []string, opts ...WaitOption) (event string, payload T, err error) {
	var w waitOptions
	for _, opt := range opts {
		opt.applyWait(&w)
	}
	fault := func(text string) error {
		return fmt.Errorf("orchestration %s, operation %q: %s", o.ID(), id, text)
	}
	switch distinct := slices.Compact(slices.Sorted(slices.Values(events))); {
	case w.name != "":
		return "", payload, fault("Named is for a wait for one event")
	case len(events) == 0:
		return "", payload, fault("no event is named to wait for")
	case len(distinct) != len(events):
		return "", payload, fault("an event is named twice")
	}
	futures, racing := make([]*Future[T], len(events)), make([]Awaitable, len(events))
	for i, name := range events {
		futures[i] = Go(o, id+":"+name, func(o Context) (T, error) {
			return WaitForEvent[T](o, "event", append(slices.Clone(opts), Named(name), notFormerly{})...)
		}, branchOptions{w.former.with(":" + name)})
		racing[i] = futures[i]
	}
	first, err := race(o, id, w.former, racing)
	if err != nil {
		return "", payload, err
	}
	payload, err = futures[first].Wait(o)
	var late *EventTimeoutError
	switch {
	case errors.As(err, &late):
		all := *late
		all.Event = strings.Join(events, ", ")
		return "", payload, &all
	case err != nil:
		return "", payload, err
	}
	return events[first], payload, nil
}

// RaiseEvent raises an event in another orchestration, or in its own. It returns after the commit that
// carries it: nil when the event is stored there, ErrNotFound when there is no such orchestration
// (unless [BeforeStart] keeps the event), ErrClosed when it has ended, ErrInvalidPayload for a payload that cannot be
// decoded into its own type again.
func RaiseEvent(o Context, id, orchestrationID, event string, payload any, opts ...RaiseFromOption) error {
	r := o.run()
	var given raiseOptions
	for _, opt := range opts {
		opt.applyRaise(&given)
	}
	raise, err := r.env.raise(orchestrationID, event, payload, &given)
	if err != nil {
		return fmt.Errorf("orchestration %s, operation %q: %w", o.ID(), id, err)
	}
	c := &call{o: o, id: id, kind: KindRaise, name: event, input: raise.Payload, given: payload, hasInput: true,
		target: orchestrationID, renaming: given.renaming}
	op, err := c.begin()
	if err != nil {
		return err
	}
	if op.Number == 0 && !op.Status.Ended() {
		if err := c.readsLocked(op, func() error { return r.env.readsBack("payload", payload, raise.Payload) }); err != nil {
			return err
		}
	}
	if !op.Status.Ended() && (op.Number == 0 || !r.env.desc.performs(KindRaise)) {
		op.Attempts, op.StartedAt, op.Target = 1, now(), orchestrationID
		if r.env.desc.performs(KindRaise) {
			r.touch(op)
		} else {
			r.end(op, StatusSucceeded, nil, nil) // or refused, by the verdict on its commit
		}
		raise.Operation = op.Number
		if raise.Key == "" {
			raise.Key = idempotencyKey(r.info.ID, r.info.RunID, op.ID)
		}
		r.pending.raises = append(r.pending.raises, raise)
	}
	if err := c.await(op); err != nil {
		return err
	}
	if !op.loaded && !r.env.desc.performs(KindRaise) && !r.flushLocked(r.changed) {
		return r.leaveLocked(c.scope())
	}
	return c.give(op)
}

// raise checks the parts of an event at the door.
func (v *env) raise(id, event string, payload any, o *raiseOptions) (Raise, error) {
	raise := Raise{ID: id, Name: event, Key: o.key, Until: o.until, AfterEnd: o.afterEnd}
	if err := v.desc.checkOrchestrationID(id); err != nil {
		return raise, err
	}
	if err := checkID("event name", event); err != nil {
		return raise, err
	}
	if o.keyed {
		if err := checkID("event key", raise.Key); err != nil {
			return raise, err
		}
	}
	if !raise.Until.IsZero() {
		if err := v.desc.supports(FeatureBeforeStart); err != nil {
			return raise, err
		}
	}
	p, err := v.encode(fmt.Sprintf("payload of event %q", event), payload)
	raise.Payload = p
	return raise, err
}
