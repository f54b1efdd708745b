package lambdabiz

import (
	"context"
	"time"
)

// Hooks are called by the engine for telemetry; each may be nil. They must return quickly, may be
// called by many goroutines at once, and must not call the engine.
type Hooks struct {
	// RunStarted: a worker has taken a run and calls its function, for the first time or again.
	RunStarted func(run RunEvent)
	// RunEnded: the outcome of a run is durable.
	RunEnded func(run RunEvent)
	// Operation: an operation has ended (it may not be durable yet), or, with Recorded, was returned
	// from its record to code that runs again.
	Operation func(op OperationEvent)
	// Attempt: a body is about to run. The context that it returns is the body's, the function is
	// called with the body's error when it has ended.
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

type hookCaller struct{ h Hooks }

func (c *hookCaller) runStarted(r *run) {
	if c.h.RunStarted != nil {
		c.h.RunStarted(RunEvent{r.info.ID, r.info.RunID, r.info.Name, StatusStarted})
	}
}

func (c *hookCaller) runEnded(r *run) {
	if c.h.RunEnded != nil {
		c.h.RunEnded(RunEvent{r.info.ID, r.info.RunID, r.info.Name, r.outcome.Status})
	}
}

func (c *hookCaller) operation(r *run, o *op, recorded bool) {
	if c.h.Operation == nil {
		return
	}
	rec := o.Operation
	rec.Input, rec.Result, rec.Details = nil, nil, nil
	c.h.Operation(OperationEvent{RunEvent{r.info.ID, r.info.RunID, r.info.Name, StatusStarted}, rec, recorded})
}

func (c *hookCaller) attempt(ctx context.Context, a *attempt) (context.Context, func(error)) {
	if c.h.Attempt == nil {
		return ctx, func(error) {}
	}
	return c.h.Attempt(ctx, a.info())
}

func (c *hookCaller) committed(n int, took time.Duration, err error) {
	if c.h.Commit != nil {
		c.h.Commit(n, took, err)
	}
}
