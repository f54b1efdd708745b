package lambdabiz

import "context"

// Event is the name of an event with the type of its payload, written down once: the side that waits and the side that
// raises cannot misspell the one or mistake the other. Make one with [NewEvent]. Events of the same name are the same event,
// with [WaitForEvent] and [Engine.RaiseEvent] too.
type Event[T any] struct{ name string }

// NewEvent names an event whose payload is a T. A name that is no id is refused where the event is used, with
// [ErrInvalidID].
func NewEvent[T any](name string) Event[T] { return Event[T]{name} }

// Name returns the event's name.
func (e Event[T]) Name() string { return e.name }

// Wait waits for the event, as [WaitForEvent] does: id names the operation, and may be another one than the event's name.
func (e Event[T]) Wait(o Context, id string, opts ...WaitOption) (T, error) {
	return WaitForEvent[T](o, id, append([]WaitOption{Named(e.name)}, opts...)...)
}

// Raise sends the event to an orchestration, as [Engine.RaiseEvent] does.
func (e Event[T]) Raise(ctx context.Context, engine *Engine, orchestrationID string, payload T, opts ...RaiseOption) error {
	return engine.RaiseEvent(ctx, orchestrationID, e.name, payload, opts...)
}

// RaiseFrom sends the event from one orchestration to another one, or to itself, as the operation id: see [RaiseEvent].
func (e Event[T]) RaiseFrom(o Context, id, orchestrationID string, payload T, opts ...RaiseFromOption) error {
	return RaiseEvent(o, id, orchestrationID, e.name, payload, opts...)
}
