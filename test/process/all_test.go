package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// allRole is worker and client in one: for each of its orders it does all that there is to do from inside and
// from outside, tells what was acknowledged, and ends in an orderly way. A later process does the same again.
func allRole(c *child) {
	e, backend := c.engine()
	c.workWhile(e, backend, func() {
		var all sync.WaitGroup
		for _, n := range c.Orders {
			for _, do := range []func(*lambdabiz.Engine, int){
				c.order, c.paused, c.kept, c.cancelled, c.terminated, c.byHand, c.purged,
			} {
				all.Go(func() { do(e, n) })
			}
		}
		all.Wait()
	})
	c.tellArrivals()
	os.Exit(0)
}

func (c *child) begin(e *lambdabiz.Engine, id string, moves []move) *lambdabiz.Run[lambdabiz.Payload] {
	run, err := e.StartByName(c.ctx, script.Name(), id, moves)
	c.try("start "+id, err)
	c.sayf("started %s %s", id, run.RunID())
	return run
}

// approve raises the event that scripts wait for.
func (c *child) approve(e *lambdabiz.Engine, id string, opts ...lambdabiz.RaiseOption) {
	err := e.RaiseEvent(c.ctx, id, "Approve", "yes", append(opts, lambdabiz.Key("the only Approve"))...)
	c.try("raise in "+id, err, lambdabiz.ErrClosed)
	c.sayf("raised %s", id)
}

func (c *child) outcome(id string, run *lambdabiz.Run[lambdabiz.Payload]) {
	out, err := run.Result(c.ctx)
	c.try("result of "+id, err)
	c.sayf("ended %s %s", id, out)
}

func (c *child) order(e *lambdabiz.Engine, n int) {
	id := orderID(n)
	run := c.begin(e, id, orderMoves(n))
	c.approve(e, id)
	c.outcome(id, run)
	note, err := lambdabiz.Get(e, script, id+"~-note").Result(c.ctx)
	c.try("result of the note", err)
	c.sayf("ended %s~-note %q", id, note)
}

// paused is paused inside a body, and goes on.
func (c *child) paused(e *lambdabiz.Engine, n int) {
	id := fmt.Sprintf("pause-%d", n)
	run := c.begin(e, id, []move{{ID: "first", Kind: "task", Text: "1", Millis: 10}, {ID: "Approve", Kind: "event"}})
	c.try("pause", e.Pause(c.ctx, id, ""), lambdabiz.ErrClosed)
	c.try("resume", e.Resume(c.ctx, id), lambdabiz.ErrClosed)
	c.approve(e, id)
	c.outcome(id, run)
}

// kept gets its event before it is started.
func (c *child) kept(e *lambdabiz.Engine, n int) {
	id := fmt.Sprintf("kept-%d", n)
	c.approve(e, id, lambdabiz.BeforeStart(time.Hour))
	c.outcome(id, c.begin(e, id, []move{{ID: "Approve", Kind: "event"}}))
}

func (c *child) cancelled(e *lambdabiz.Engine, n int) {
	id := fmt.Sprintf("cancel-%d", n)
	run := c.begin(e, id, []move{{ID: "Approve", Kind: "event"}})
	c.try("cancel", e.Cancel(c.ctx, id, "not wanted"), lambdabiz.ErrClosed)
	c.otherwise(id, run)
}

func (c *child) terminated(e *lambdabiz.Engine, n int) {
	id := fmt.Sprintf("stop-%d", n)
	run := c.begin(e, id, []move{{ID: "Approve", Kind: "event"}})
	c.try("terminate", e.Terminate(c.ctx, id, "enough"), lambdabiz.ErrClosed)
	c.otherwise(id, run)
}

// otherwise tells with which status something ended that has no result.
func (c *child) otherwise(id string, run *lambdabiz.Run[lambdabiz.Payload]) {
	_, err := run.Result(c.ctx)
	failed, ok := errors.AsType[*lambdabiz.OrchestrationError](err)
	if !ok {
		c.try("end of "+id, fmt.Errorf("it ended with %w", err))
	}
	c.sayf("otherwise %s %s", id, failed.Status)
}

// byHand drives a run as two callers, the second one after the first.
func (c *child) byHand(e *lambdabiz.Engine, n int) {
	id := fmt.Sprintf("hand-%d", n)
	for _, operation := range []string{"one", "two"} {
		o, err := e.Create(c.ctx, id)
		c.try("create "+id, err)
		c.try("start "+id, o.Start("by hand"), lambdabiz.ErrClosed)
		_, err = lambdabiz.Step(o, operation, func(ctx context.Context) (string, error) { return body(ctx, move{Text: operation}) })
		c.try("step", err)
		if operation == "two" {
			c.try("complete", o.Complete("by hand"))
			c.sayf("ended %s %q", id, "by hand")
		}
	}
}

// purged ends, and is removed. A process that finds it removed starts it again, and removes it again.
func (c *child) purged(e *lambdabiz.Engine, n int) {
	id := fmt.Sprintf("purge-%d", n)
	run, err := e.StartByName(c.ctx, script.Name(), id, json.RawMessage("[]"))
	c.try("start "+id, err)
	_, err = run.Result(c.ctx)
	c.try("result of "+id, err)
	c.try("purge "+id, e.Purge(c.ctx, id))
	c.sayf("purged %s", id)
}
