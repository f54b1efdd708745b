package lambdabiz

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Hooks are called by the engine for telemetry; each may be nil. All but Attempt are called one after the other,
// soon after what they tell of, and those of one run in its order. They may call the engine.
//
// A hook can do no harm: orchestrations, commits and the end of [Engine.Run] do not wait for it. What it is to be
// told meanwhile is kept, up to 65,536 calls; what comes beyond is left out, and the log says how many. Run and
// [Engine.Close] give hooks two seconds to be told the rest. One that panics is logged once.
type Hooks struct {
	// RunStarted: a worker has taken a run and calls its function, for the first time or again.
	RunStarted func(run RunEvent)
	// RunEnded: the outcome of a run is durable.
	RunEnded func(run RunEvent)
	// Operation: an operation has ended (it may not be durable yet), or, with Recorded, was returned
	// from its record to code that runs again.
	Operation func(op OperationEvent)
	// Attempt: a body is about to run. The context that it returns is the body's, the function is
	// called with the body's error when it has ended. It is called by many goroutines at once, after what
	// was before was told to the other hooks. A body waits for it for a second; while a call takes longer,
	// bodies begin without it.
	Attempt func(ctx context.Context, info TaskInfo) (context.Context, func(err error))
	// Commit: a batch of commits was written, or, with an error, was not.
	Commit func(commits int, took time.Duration, err error)
}

// RunEvent says which run a hook speaks of.
type RunEvent struct {
	ID, RunID, Name string
	Status          Status
}

// OperationEvent says which operation a hook speaks of. Its payloads are left out.
type OperationEvent struct {
	Run       RunEvent
	Operation Operation
	Recorded  bool
}

// hookCaller tells hooks what has happened. It may be used under any lock.
type hookCaller struct {
	notices
	tell func(what string, call func()) bool // adds to the notices
	h    Hooks
	log  *slog.Logger

	saying sync.Mutex
	said   map[string]bool // which hooks have misbehaved

	stuck atomic.Int32 // calls of Attempt that take too long
}

func newHookCaller(h Hooks, log *slog.Logger) *hookCaller {
	c := &hookCaller{h: h, log: log, said: map[string]bool{}}
	c.tell, c.misbehaved = c.add, c.failed
	c.lost = func(dropped int) {
		if dropped == 0 {
			c.log.Warn("the hooks do not keep up: from now on calls of them are left out")
			return
		}
		c.log.Warn("the hooks keep up again", "left out", dropped)
	}
	return c
}

// failed says once of each hook that it has misbehaved.
func (c *hookCaller) failed(hook string, err error) {
	c.saying.Lock()
	again := c.said[hook]
	c.said[hook] = true
	c.saying.Unlock()
	if again {
		return
	}
	args := []any{"hook", hook, "error", err.Error()}
	if p, ok := errors.AsType[*panicError](err); ok {
		args = append(args, "stack", p.stack)
	}
	c.log.Error("a hook has misbehaved, this is said once", args...)
}

func (c *hookCaller) runStarted(run RunEvent) {
	if c.h.RunStarted != nil {
		c.tell("RunStarted", func() { c.h.RunStarted(run) })
	}
}

func (c *hookCaller) runEnded(run RunEvent) {
	if c.h.RunEnded != nil {
		c.tell("RunEnded", func() { c.h.RunEnded(run) })
	}
}

func (c *hookCaller) operation(run RunEvent, o *Operation, recorded bool) {
	if c.h.Operation == nil {
		return
	}
	rec := *o
	rec.Input, rec.Result, rec.Details = nil, nil, nil
	event := OperationEvent{run, rec, recorded}
	c.tell("Operation", func() { c.h.Operation(event) })
}

func (c *hookCaller) committed(n int, took time.Duration, err error) {
	if c.h.Commit != nil {
		c.tell("Commit", func() { c.h.Commit(n, took, err) })
	}
}

var errLateHook = errors.New("it, or a hook before it, has not returned in time: bodies begin without it")

// attemptPatience is how long a body waits for the hook before it.
const attemptPatience = time.Second

// hookedAttempt is an attempt that a hook knows of. A nil one is known to none.
type hookedAttempt struct {
	c *hookCaller

	mu    sync.Mutex
	after func(err error) // what the hook has returned
	ended bool
	err   error
}

// attempt calls the hook before a body, when the hooks have been told what was before, and returns the body's context.
// A body does not wait for a hook that blocks: as long as one does, the attempts are not told to it.
func (c *hookCaller) attempt(ctx context.Context, task liveTask) (context.Context, *hookedAttempt) {
	if c.h.Attempt == nil || c.stuck.Load() > 0 {
		return ctx, nil
	}
	return c.hook(ctx, task)
}

// hook calls the hook, and waits for its context. It is a function of its own so that an attempt without a hook does not pay
// for its variables.
func (c *hookCaller) hook(ctx context.Context, task liveTask) (context.Context, *hookedAttempt) {
	a, info := &hookedAttempt{c: c}, task.info()
	before := c.mark()
	called := apart(func() (any, error) {
		<-before
		body, after := c.h.Attempt(ctx, info)
		a.returned(after)
		return body, nil
	})
	clock := time.NewTimer(attemptPatience)
	defer clock.Stop()
	select {
	case out := <-called:
		if out.err != nil {
			c.failed("Attempt", out.err)
			return ctx, nil
		}
		if body, ok := out.v.(context.Context); ok {
			ctx = body
		}
	case <-clock.C:
		c.stuck.Add(1)
		go func() {
			if out := <-called; out.err != nil {
				c.failed("Attempt", out.err)
			}
			c.stuck.Add(-1)
		}()
		c.failed("Attempt", errLateHook)
	}
	return ctx, a
}

// returned takes the function that the hook wants to be called at the attempt's end, which may be over.
func (a *hookedAttempt) returned(after func(err error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.after = after; a.ended {
		a.tellLocked()
	}
}

// end tells the hook that the body has ended.
func (a *hookedAttempt) end(err error) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended, a.err = true, err
	a.tellLocked()
}

func (a *hookedAttempt) tellLocked() {
	if after, err := a.after, a.err; after != nil {
		a.c.tell("Attempt", func() { after(err) })
	}
}
