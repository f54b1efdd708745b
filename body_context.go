package lambdabiz

import (
	"context"
	"fmt"
	"sync"
)

// bodyContext is the context of one attempt. It ends with the one that it is made of, and when the attempt ends. Most
// bodies only look into it, or hand it on to what does: the context that can be waited for is made when it is asked for.
type bodyContext struct {
	context.Context //nolint:containedctx // what it is made of
	task            liveTask

	mu    sync.Mutex
	own   context.Context //nolint:containedctx // it ends with the attempt; nil until it is asked for
	end   context.CancelCauseFunc
	ended error // why the attempt is over, if that was before the end of what it is made of, and before own; nil else
}

// begin says what it is made of. It comes before all else.
func (c *bodyContext) begin(of context.Context, task liveTask) { c.Context, c.task = of, task }

// over ends the context for a cause. It has no effect on one that has ended.
func (c *bodyContext) over(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.own != nil:
		c.end(cause)
	case c.ended == nil && c.Context.Err() == nil:
		c.ended = cause
	}
}

// made is the context that can be waited for.
func (c *bodyContext) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own == nil {
		of := c.Context
		if c.ended != nil {
			of = context.WithoutCancel(of) // it may have ended since, for another cause
		}
		c.own, c.end = context.WithCancelCause(of)
		if c.ended != nil {
			c.end(c.ended)
		}
	}
	return c.own
}

// Done is closed when the context has ended.
func (c *bodyContext) Done() <-chan struct{} { return c.made().Done() }

// Err is why the context has ended; nil while it has not.
func (c *bodyContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.own != nil:
		return c.own.Err()
	case c.ended != nil:
		return context.Canceled
	default:
		return c.Context.Err()
	}
}

// Value gives values of the context that it is made of. Package context asks so, too, for the context that can be
// waited for.
func (c *bodyContext) Value(key any) any {
	if key == (taskKey{}) {
		return c.task
	}
	return c.made().Value(key)
}

// String names it as package context does: else who prints it reads what others change.
func (c *bodyContext) String() string { return fmt.Sprintf("%v.WithAttempt", c.Context) }
