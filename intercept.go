package lambdabiz

import (
	"context"
	"runtime"

	"github.com/lambdabiz/lambdabiz/internal/seam"
)

// tested is what an interceptor is told of a call besides, and what it gave to perform it.
type tested struct {
	result     any  // a pointer to where the result goes
	registered bool // a task or a service that is known by its name
	instead    func(ctx context.Context, input []byte) (any, error)
}

// tested returns nil without an interceptor.
func (e *Engine) tested(result any) *tested {
	if e.interceptor == nil {
		return nil
	}
	return &tested{result: result}
}

// interceptLocked asks the test that stands behind the backend what becomes of an operation. It gives mu
// up while it asks. An error means that mu is given up and the caller must return it.
func (r *run) interceptLocked(c *call, o *op, path string, site callSite) error {
	asked := seam.Operation{
		Orchestration: r.info.ID, RunID: r.info.RunID, Path: path, Kind: c.kind.String(), Name: c.name,
		Source: site.String(), Value: c.input, Input: c.encoded,
	}
	if c.tested != nil {
		asked.Result, asked.Registered = c.tested.result, c.tested.registered
	}
	if o != nil {
		asked.Recorded, asked.Ended, asked.RecordedInput = true, o.Status.Ended(), o.Input
	}
	asked.Cancelled = asked.Recorded && !asked.Ended && r.stopCause != nil && !c.o.detached()
	s := c.scope()
	s.busy, s.asking = &site, true
	r.mu.Unlock()
	r.e.hooks.settle()
	v, fault := guard(func() (any, error) { return r.e.interceptor.Intercept(asked), nil })
	answer, _ := v.(seam.Answer)
	if fault != nil {
		answer.Refuse = "the interceptor: " + fault.Error()
	}
	r.mu.Lock()
	s.busy, s.asking = nil, false
	if !r.liveLocked(s) {
		return r.leaveLocked(s)
	}
	switch {
	case asked.Cancelled:
		return nil
	case o == nil && r.stopCause != nil && !c.o.detached(): // that came meanwhile
		s.visitedLocked(c.id, site)
		r.mu.Unlock()
		return c.fault(r.stopCause)
	case answer.Refuse != "":
		r.blockLocked(Blocked{Operation: path, Source: site.String(), Reason: answer.Refuse})
		return r.leaveLocked(c.scope())
	case answer.Hold:
		for r.liveLocked(c.scope()) {
			r.waitLocked(&waiter{s: c.scope()})
		}
		return r.leaveLocked(c.scope())
	}
	if c.tested != nil {
		c.tested.instead = answer.Perform
	}
	return nil
}

// runID makes an id that no other run has: at random, or as the test says that stands behind the backend.
func (e *Engine) runID(orchestration string, from ...string) string {
	if e.interceptor == nil {
		return newRunID()
	}
	return e.interceptor.RunID(orchestration, from...)
}

// leaveTheDead ends the goroutine of a body that a dead process of a test would begin.
func (e *Engine) leaveTheDead() {
	if e.interceptor != nil && !e.interceptor.Alive() {
		runtime.Goexit()
	}
}

// bodyOf is what performs the operation: what the interceptor gave, or else the author's.
func (c *call) bodyOf(f func(in Payload) body) func(in Payload) body {
	if c.tested == nil || c.tested.instead == nil {
		return f
	}
	return func(in Payload) body {
		return func(ctx context.Context) (any, error) { return c.tested.instead(ctx, in) }
	}
}

// knows reports whether a task is registered, or known to a resolver: found is what the engine made of it.
func (e *Engine) knows(asked, found *taskSpec) bool {
	return e.registry.hasTask(asked.kind, asked.name) || asked.run == nil && found.run != nil
}
