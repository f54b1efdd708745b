package lambdabiz

import (
	"context"
	"fmt"
)

// Call calls a task. The task runs at least once, its result is recorded exactly once and returned
// from the record ever after. Its failure, after the last attempt, is a *TaskError. When a task of the
// same name is registered with the engine, that one is called.
//
// It returns ErrInvalidID, ErrTooLarge or ErrInvalidPayload for bad input, with nothing recorded, and
// ErrCancelled when the orchestration was cancelled before the task ended.
func Call[In, Out any](o Context, id string, t *Task[In, Out], in In, opts ...CallOption) (Out, error) {
	return callTask[Out](o, id, t.spec, in, opts)
}

// CallTask calls a task by name: one that is registered, one that the backend performs, like a Lambda
// function, or else one that a [TaskResolver] knows. A name that nobody knows blocks the run. Otherwise it
// is like [Call].
func CallTask[Out any](o Context, id, name string, in any, opts ...CallOption) (Out, error) {
	return callTask[Out](o, id, &taskSpec{name: name, kind: KindTask}, in, opts)
}

func callTask[Out any](o Context, id string, t *taskSpec, in any, opts []CallOption) (Out, error) {
	r := o.run()
	asked := t
	t, fault := r.registry.resolved(t, &r.env.desc)
	c := ask[Out](o, id, t.kind, "result")
	c.name, c.input, c.hasInput, c.unresolved, c.body.task = t.name, in, true, fault, t
	if c.with(opts); r.env.interceptor != nil {
		c.intercepted = &intercepted{result: &c.out, registered: r.registry.knows(asked, t)}
	}
	if err := c.effect(); err != nil {
		var zero Out
		return zero, err
	}
	return c.out, nil
}

// Step runs a closure as an operation: an effect, or a decision that must stay (the time, a random
// number, a new id). It is like [Call] of a task without a name and an input. The closure must not
// use the orchestration's Context; it gets a plain one.
func Step[T any](o Context, id string, f func(ctx context.Context) (T, error), opts ...CallOption) (T, error) {
	c := ask[T](o, id, KindStep, "result")
	c.body.step = func(ctx context.Context) (any, error) { return f(ctx) }
	c.with(opts)
	c.intercepted = o.run().env.intercepted(&c.out)
	if err := c.effect(); err != nil {
		var zero T
		return zero, err
	}
	return c.out, nil
}

// Do is [Step] for a closure that returns an error alone.
func Do(o Context, id string, f func(ctx context.Context) error, opts ...CallOption) error {
	_, err := Step(o, id, func(ctx context.Context) (*struct{}, error) { return nil, f(ctx) }, opts...)
	return err
}

// with sets the options of a task, a step or a service call.
func (c *call) with(opts []CallOption) {
	for _, opt := range opts {
		opt.applyCall(&c.opts)
	}
	c.renaming = c.opts.renaming
}

// SetProgress shows a value in the run's [State]. It is written with the next commit, at latest after
// some milliseconds, and costs no operation. It returns ErrTooLarge or ErrInvalidPayload for a value
// that cannot be stored.
func SetProgress(o Context, value any) error {
	r := o.run()
	p, err := r.env.encode("progress", value)
	if err != nil {
		return fmt.Errorf("orchestration %s: %w", r.info.ID, err)
	}
	r.mu.Lock()
	defer r.unlock()
	if r.isLive(o.scope()) && !r.isReadOnly() {
		r.pending.progress = p
		r.note()
	}
	return nil
}
