package process_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// handRole drives one orchestration by hand. After each operation it waits until the parent lets it on.
func handRole(c *child) {
	e, _ := c.engine()
	o, err := e.Create(c.ctx, "by-hand")
	c.must("create", err)
	err = o.Start("by hand")
	if errors.Is(err, lambdabiz.ErrClosed) {
		c.sayf("over")
	} else {
		c.must("start", err)
	}
	operations := []struct {
		id  string
		run func(id string) (string, error)
	}{
		{"one", func(id string) (string, error) { return lambdabiz.Call(o, id, work, move{Text: "1", Mode: "who"}) }},
		{"two", func(id string) (string, error) {
			return lambdabiz.Step(o, id, func(ctx context.Context) (string, error) {
				return body(ctx, move{Text: "2", Mode: "who"})
			})
		}},
		{"nap", func(id string) (string, error) { return "slept", lambdabiz.Sleep(o, id, 300*time.Millisecond) }},
		{"Approve", func(id string) (string, error) { return lambdabiz.WaitForEvent[string](o, id) }},
		{"three", func(id string) (string, error) { return lambdabiz.Call(o, id, work, move{Text: "3", Mode: "who"}) }},
	}
	for _, operation := range operations {
		result, err := operation.run(operation.id)
		if err != nil {
			c.sayf("error %s fenced=%v %v", operation.id, errors.Is(err, lambdabiz.ErrFenced), err)
			os.Exit(0)
		}
		c.sayf("did %s %s", operation.id, result)
		<-c.latch("after-" + operation.id)
	}
	c.must("complete", o.Complete("all done"))
	c.sayf("completed")
	c.must("close", e.Close())
	os.Exit(0)
}

// letAfter names the latches behind operations.
func letAfter(ids ...string) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = "after-" + id
	}
	return names
}

func TestCallerByHandIsKilledBetweenOperations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := []string{"one", "two", "nap", "Approve", "three"}
	for i, id := range all {
		if id == "Approve" {
			b.raise("by-hand", "Approve", "yes")
		}
		p := b.spawn(args{Role: "hand", Name: "caller-" + id, Let: letAfter(all[:i]...)})
		p.await("did " + id)
		p.kill() // what the caller was told is on disk
		if o := b.operation("by-hand", id); o.Status != lambdabiz.StatusSucceeded {
			t.Errorf("%s was returned, and is %v on disk", id, o.Status)
		}
	}
	for _, name := range []string{"last", "after the end"} {
		p := b.spawn(args{Role: "hand", Name: name, Let: letAfter(all...)})
		p.await("completed")
		for id, want := range map[string]string{
			"one": "1 by caller-one", "two": "2 by caller-two", "Approve": "yes", "three": "3 by caller-three",
		} {
			if got := p.await("did " + id); got != want {
				t.Errorf("%s was %q for %s, want %q", id, got, name, want)
			}
		}
		if code := p.awaitExit(); code != 0 || p.said("over") > 0 != (name == "after the end") {
			t.Errorf("%s ended with exit code %d, and heard %d times that it is over", name, code, p.said("over"))
		}
	}
	for _, id := range []string{"one", "two", "three"} {
		b.wantBegun("by-hand", id, 1)
	}
	if s := b.state("by-hand"); s.Status != lambdabiz.StatusSucceeded || string(s.Result) != `"all done"` {
		t.Errorf("status %v, result %s", s.Status, s.Result)
	}
}

func TestSecondCallerByHandFencesFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.spawn(args{Role: "hand", Name: "first"})
	first.await("did one")
	second := b.spawn(args{Role: "hand", Name: "second"})
	if got := second.await("did one"); got != "1 by first" {
		t.Errorf("the second caller got %q", got)
	}
	first.tell("let after-one")
	if got := first.await("error two"); got[:len("fenced=true")] != "fenced=true" {
		t.Errorf("the first caller got %q", got)
	}
	second.tell("let after-one")
	if got := second.await("did two"); got != "2 by second" {
		t.Errorf("the second caller got %q", got)
	}
	if o := b.operation("by-hand", "two"); string(o.Result) != `"2 by second"` || o.Attempts != 1 {
		t.Errorf("recorded is %s after %d attempts", o.Result, o.Attempts)
	}
}
