package lambdabiz

import (
	"context"
	"errors"
	"time"
)

// body is the effect of a task, a step or a service call: one of these.
type body struct {
	task    *taskSpec
	step    func(ctx context.Context) (any, error)
	within  *bodyWithin                                          // a step in a transaction of the home's
	instead func(ctx context.Context, input []byte) (any, error) // what an interceptor has given
}

// bodyWithin is the body of a step that writes in a transaction of the home's.
type bodyWithin struct {
	Within
	call  func(ctx context.Context, t Transaction) (any, error)
	reads func(p *payloads, what string, v any, stored Payload) error // whether a result can be read
}

func (b *body) isKnown() bool {
	return b.task != nil && b.task.run != nil || b.step != nil || b.within != nil || b.instead != nil
}

// transacts reports whether a transaction is needed for it.
func (b *body) transacts() bool { return b.within != nil && b.instead == nil }

// run calls it with a recorded input, which may be known to be that of a value.
func (b *body) run(ctx context.Context, p *payloads, in Payload, given any) (any, error) {
	switch {
	case b.instead != nil:
		return b.instead(ctx, in)
	case b.step != nil:
		return b.step(ctx)
	default:
		return b.task.run(ctx, p, in, given)
	}
}

// returned is what a body has returned.
type returned struct {
	value  any
	result Payload // made of the value
	err    error
}

// perform runs the body and makes a payload of its result.
func (b *body) perform(ctx context.Context, p *payloads, kind Kind, in Payload, given any) (out returned) {
	return performed(p, kind, func() (any, error) { return b.run(ctx, p, in, given) })
}

// perform runs the body in a transaction, and makes a payload of its result that can be read.
func (b *bodyWithin) perform(ctx context.Context, p *payloads, t Transaction) returned {
	out := performed(p, KindStep, func() (any, error) { return b.call(ctx, t) })
	if out.err == nil {
		out.err = NonRetryable(b.reads(p, "result", out.value, out.result))
	}
	return out
}

func performed(p *payloads, kind Kind, call func() (any, error)) (out returned) {
	out.value, out.err = guard(call)
	if out.err == nil {
		out.result, out.err = p.encodeOf(kind, "result", out.value)
		out.err = NonRetryable(out.err)
	}
	return out
}

// bodyWatch is how long a body may go on that has a goroutine of its own.
type bodyWatch struct {
	limit   *time.Timer       // rings when its time is over
	silence time.Duration     // how long it may go without a beat; 0 for any time
	beats   <-chan struct{}   // receives with each of its heartbeats
	end     func(cause error) // ends its context

	// Meanwhile look is called every so often; 0 for never. It returns an error when nobody wants the outcome any more.
	every time.Duration
	look  func() error

	// leave, if not nil, is asked whether the body may be left when its time is over: not if it is recording its end.
	leave func() bool
}

var errBodyGone = NonRetryable(errors.New("the body ended its goroutine instead of returning"))

// await calls a body on a goroutine of its own, and waits until it returns. If it is not waited for any longer, left says
// why, its context has ended with that, and its goroutine may go on.
func (w *bodyWatch) await(perform func() returned) (out returned, left error) {
	outcomes := make(chan returned, 1)
	go func() {
		out := returned{err: errBodyGone}
		defer func() { outcomes <- out }()
		out = perform()
	}()
	silence, look := timerIf(w.silence), timerIf(w.every)
	defer silence.Stop()
	defer look.Stop()
	for {
		select {
		case out := <-outcomes:
			return out, nil
		case <-w.limit.C:
			left = errLate
		case <-silence.C:
			left = errSilent
		case <-w.beats:
			if w.silence > 0 {
				silence.Reset(w.silence)
			}
		case <-look.C:
			look.Reset(w.every)
			left = w.look()
		}
		if left != nil {
			if w.leave != nil && !w.leave() {
				return <-outcomes, nil
			}
			w.end(left)
			return returned{}, left
		}
	}
}
