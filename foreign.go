package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Foreign code is what an engine calls and has not written: the author's functions, codecs, the methods of values
// and errors, task resolvers, hooks, log handlers, backends. Three rules hold for all of it:
//
//   - It is never called while a lock is held. It may block for ever, or call the engine.
//   - It is guarded: a panic is an error, and a runtime.Goexit is noticed.
//   - What only listens, hooks and log handlers, is called by a goroutine of its own (see notices).
//
// guard, apart and patiently are the ways to call it; nothing but recovered recovers panics.

// panicError is what a recovered panic becomes.
type panicError struct {
	text   string // of its value
	source string // of the author's code
	stack  string
}

func (e *panicError) Error() string { return "panic: " + e.text }

// guard calls foreign code on the calling goroutine, and makes an error of its panic. A Goexit in it ends the
// goroutine: who owns that sees to it (see run.exit), or calls apart.
func guard(f func() (any, error)) (v any, err error) {
	defer recovered(&err)
	return f()
}

// recovered makes an error of a panic in foreign code. It is deferred by guard, and by what is called too often for a
// closure.
func recovered(err *error) {
	if p := recover(); p != nil {
		var pcs [32]uintptr
		n := runtime.Callers(2, pcs[:])
		buf := make([]byte, 8<<10)
		buf = buf[:runtime.Stack(buf, false)]
		*err = &panicError{fmt.Sprint(p), authorLine(runtime.CallersFrames(pcs[:n])), string(buf)}
	}
}

// panicIn finds the panic that an error tells of; nil if it tells of none. An error whose own methods panic tells of
// that.
func panicIn(err error) *panicError {
	v, fault := guard(func() (any, error) {
		p, _ := errors.AsType[*panicError](err)
		return p, nil
	})
	if p, ok := fault.(*panicError); ok { //nolint:errorlint // it comes from guard
		return p
	}
	p, _ := v.(*panicError)
	return p
}

// textOf is an error's text, or what its method did instead.
func textOf(err error) string {
	v, fault := guard(func() (any, error) { return err.Error(), nil })
	if fault != nil {
		return fmt.Sprintf("an error of type %T, whose methods panic: %v", err, fault)
	}
	text, _ := v.(string)
	return text
}

// errGoexit is what a Goexit in foreign code becomes.
var errGoexit = errors.New("it ended its goroutine instead of returning (runtime.Goexit?)")

// outcome is what foreign code has returned on a goroutine of its own.
type outcome struct {
	v   any
	err error
}

// apart calls foreign code on a goroutine of its own, for callers whose goroutine must go on, and hands out what
// it returns.
func apart(f func() (any, error)) <-chan outcome {
	outcomes := make(chan outcome, 1)
	go func() {
		out := outcome{err: errGoexit}
		defer func() { outcomes <- out }()
		out.v, out.err = guard(f)
	}()
	return outcomes
}

// foreignGrace is how long foreign code may take after the context that it was given has ended. Then nobody waits
// for it any more.
const foreignGrace = 2 * time.Second

// patiently calls foreign code that is given a context, and does not wait for it much longer than the context lasts.
func patiently[T any](ctx context.Context, f func() (T, error)) (T, error) {
	out, late := awaitForeign(ctx, apart(func() (any, error) { return f() }))
	if late != nil {
		out.err = late
	}
	v, _ := out.v.(T)
	return v, out.err
}

// awaitForeign receives what foreign code on another goroutine comes to. The error says that it does not return.
func awaitForeign[T any](ctx context.Context, done <-chan T) (out T, late error) {
	select {
	case out = <-done:
		return out, nil
	case <-ctx.Done():
	}
	grace := time.NewTimer(foreignGrace)
	defer grace.Stop()
	select {
	case out = <-done:
		return out, nil
	case <-grace.C:
		return out, fmt.Errorf("%w: it does not return after its context has ended: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
}
