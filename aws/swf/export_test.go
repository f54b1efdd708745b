package swf

import (
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
)

// CheckHistory reads a history as every worker does, event by event, and says what must never be seen in one: an
// ended operation that changes, a message that comes back, an attempt that begins twice, an end that is not the last.
func CheckHistory(events []types.HistoryEvent) []string {
	c := checker{f: history.New("", ""), ended: map[int64]lambdabiz.Operation{}, gone: map[int64]bool{}, begun: map[string]bool{}}
	for i := range events {
		if c.f.Closed {
			c.problemf(events[i].EventId, "comes after the end of the run")
		}
		before := c.numbers()
		c.f.Apply(&events[i])
		c.check(events[i].EventId, before)
		c.attempts(&events[i])
	}
	return c.problems
}

type checker struct {
	f        *history.Fold
	ended    map[int64]lambdabiz.Operation
	gone     map[int64]bool // messages that were consumed
	begun    map[string]bool
	problems []string
}

func (c *checker) problemf(event int64, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("event %d: ", event)+fmt.Sprintf(format, args...))
}

func (c *checker) numbers() map[int64]bool {
	all := map[int64]bool{}
	for _, m := range c.f.Messages {
		all[m.Number] = true
	}
	return all
}

func (c *checker) check(event int64, before map[int64]bool) {
	after := c.numbers()
	for n := range after {
		if c.gone[n] {
			c.problemf(event, "message %d was consumed before", n)
		}
	}
	for n := range before {
		if !after[n] {
			c.gone[n] = true
		}
	}
	for _, o := range c.f.Ops {
		old, was := c.ended[o.Number]
		switch {
		case was && (o.Status != old.Status || string(o.Result) != string(old.Result) || o.ID != old.ID):
			c.problemf(event, "operation %q was %s %s and is %s %s", o.ID, old.Status, old.Result, o.Status, o.Result)
		case o.Status.Ended() && o.Tried == nil:
			c.ended[o.Number] = o.Operation
		}
	}
}

// attempts counts what SWF was asked to perform. An attempt that came to nothing may begin again under its number.
func (c *checker) attempts(e *types.HistoryEvent) {
	switch e.EventType {
	case types.EventTypeLambdaFunctionScheduled:
		c.begin(e.EventId, "lambda "+*e.LambdaFunctionScheduledEventAttributes.Id)
	case types.EventTypeTimerStarted:
		c.begin(e.EventId, "timer "+*e.TimerStartedEventAttributes.TimerId)
	case types.EventTypeStartChildWorkflowExecutionInitiated:
		c.begin(e.EventId, "child "+*e.StartChildWorkflowExecutionInitiatedEventAttributes.WorkflowId)
	}
}

func (c *checker) begin(event int64, what string) {
	if c.begun[what] {
		c.problemf(event, "%s begins twice", what)
	}
	c.begun[what] = true
}

// Kept counts what a process remembers, by kind.
func (b *Backend) Kept() map[string]int {
	kept := map[string]int{}
	count := func(what string, mu *sync.Mutex, n func() int) {
		mu.Lock()
		defer mu.Unlock()
		kept[what] = n()
	}
	count("lists", &b.lists.mu, func() int { return len(b.lists.byName) })
	count("types", &b.registry.mu, func() int { return len(b.registry.known) })
	count("order", &b.folds.mu, func() int { return len(b.folds.order) })
	count("cache", &b.folds.mu, func() int { return len(b.folds.byHome) })
	count("loaded", &b.mirror.mu, func() int { return len(b.mirror.loaded) })
	return kept
}
