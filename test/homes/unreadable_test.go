package homes_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// writeOnly can be encoded, and what comes of it cannot be decoded into it again.
type writeOnly struct{ E error }

var unread = writeOnly{errors.New("lost")}

// wantRefused checks that nothing is there of an orchestration that was refused.
func wantRefused(b *bench, e *lambdabiz.Engine, what, id string, err error, names ...string) {
	b.t.Helper()
	if !errors.Is(err, lambdabiz.ErrInvalidPayload) {
		b.t.Errorf("%s gave %v", what, err)
		return
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			b.t.Errorf("%s gave %v, which does not name %s", what, err, name)
		}
	}
	if _, err := e.State(b.ctx, id); !errors.Is(err, lambdabiz.ErrNotFound) {
		b.t.Errorf("after %s the state of %s gave %v", what, id, err)
	}
}

func TestAValueThatItsTypeCannotReadBackStartsNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		takes := lambdabiz.Define("Takes", func(lambdabiz.Context, writeOnly) (int, error) { return 1, nil })
		number := lambdabiz.Define("Number", func(lambdabiz.Context, int) (int, error) { return 1, nil })
		worker, _ := b.worker(takes, number)
		client := b.engine(lambdabiz.Config{})
		_, err := lambdabiz.Start(b.ctx, client, takes, "x", unread)
		wantRefused(b, client, "a start", "x", err, "orchestration x", "input")
		_, err = client.StartByName(b.ctx, "Takes", "x", unread)
		wantRefused(b, client, "a start by name", "x", err, "orchestration x", "input")
		_, err = worker.StartByName(b.ctx, "Number", "x", "no number")
		wantRefused(b, client, "a start of a definition that reads something else", "x", err, "orchestration x", "input")
		_, err = worker.StartByName(b.ctx, "Number", "x", lambdabiz.Payload(`"no number"`))
		wantRefused(b, client, "a start with a payload that is something else", "x", err, "orchestration x", "input")
		if _, err := lambdabiz.Start(b.ctx, client, takes, "empty", writeOnly{}); err != nil {
			t.Errorf("a value of the type that can be read back gave %v", err)
		}
		if _, err := worker.StartByName(b.ctx, "Number", "payload", lambdabiz.Payload(`7`)); err != nil {
			t.Errorf("a payload that can be read gave %v", err)
		}
	})
}

// Row 164 of docs/proof/bugs.md.
func TestAValueThatItsTypeCannotReadBackStartsNoChild(t *testing.T) {
	takes := lambdabiz.Define("Takes", func(lambdabiz.Context, writeOnly) (int, error) { return 1, nil })
	number := lambdabiz.Define("Number", func(lambdabiz.Context, int) (int, error) { return 1, nil })
	calls := map[string]func(o lambdabiz.Context, id string) error{
		"CallChild": func(o lambdabiz.Context, id string) error {
			_, err := lambdabiz.CallChild(o, id, takes, unread, lambdabiz.ChildID("c"))
			return err
		},
		"CallChildByName": func(o lambdabiz.Context, id string) error {
			_, err := lambdabiz.CallChildByName[int](o, id, "Number", "no number", lambdabiz.ChildID("c"))
			return err
		},
		"CallChildByName of who is elsewhere": func(o lambdabiz.Context, id string) error {
			_, err := lambdabiz.CallChildByName[int](o, id, "Elsewhere", unread, lambdabiz.ChildID("c"))
			return err
		},
		"StartChild": func(o lambdabiz.Context, id string) error {
			_, err := lambdabiz.StartChild(o, id, takes, unread, lambdabiz.ChildID("c"))
			return err
		},
	}
	for what, call := range calls {
		t.Run(what, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				d := define(func(o lambdabiz.Context) (int, error) {
					if err := call(o, "child"); !errors.Is(err, lambdabiz.ErrInvalidPayload) {
						return 0, err
					} else if !strings.Contains(err.Error(), `operation "child"`) {
						return 0, errors.New("it does not name the operation: " + err.Error())
					}
					return 7, nil
				})
				e, _ := b.worker(d, takes, number)
				if got := result(b, start(b, e, d, "x", 0)); got != 7 {
					t.Errorf("the result is %v", got)
				}
				if s := b.state(e, "x"); len(s.Operations) != 0 {
					t.Errorf("recorded: %+v", s.Operations)
				}
				if _, err := e.State(b.ctx, "c"); !errors.Is(err, lambdabiz.ErrNotFound) {
					t.Errorf("the child's state gave %v", err)
				}
			})
		})
	}
}

func TestAResultThatItsTypeCannotReadBackFailsTheRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		child := lambdabiz.Define("Child", func(lambdabiz.Context, int) (writeOnly, error) { return unread, nil })
		failed := make(chan error, 1)
		parent := define(func(o lambdabiz.Context) (int, error) {
			_, err := lambdabiz.CallChild(o, "child", child, 1)
			select {
			case failed <- err:
			default: // it runs again
			}
			return 0, err
		})
		e, _ := b.worker(child, parent)
		for _, err := range []error{failure(b, start(b, e, child, "c", 1)), failure(b, start(b, e, parent, "x", 0)), <-failed} {
			var failed *lambdabiz.OrchestrationError
			if !errors.Is(err, lambdabiz.ErrInvalidPayload) || !errors.As(err, &failed) {
				t.Errorf("it gave %v", err)
			}
		}
		if s := b.state(e, "c"); s.Status != lambdabiz.StatusFailed || s.Blocked != nil || len(s.Result) != 0 {
			t.Errorf("the child is %+v", s.RunInfo)
		}
	}, keepsClaims(countsBodies))
}

func TestANextInputThatItsTypeCannotReadBackFailsTheRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		own := lambdabiz.Define("Own", func(o lambdabiz.Context, _ writeOnly) (int, error) {
			return 0, lambdabiz.ContinueAsNew(o, unread)
		})
		other := define(func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.ContinueAsNew(o, "no number") })
		e, _ := b.worker(own, other)
		for id, err := range map[string]error{
			"own": failure(b, start(b, e, own, "own", writeOnly{})), "other": failure(b, start(b, e, other, "other", 0)),
		} {
			if s := b.state(e, id); !errors.Is(err, lambdabiz.ErrInvalidPayload) || s.Status != lambdabiz.StatusFailed ||
				s.ContinuedAs != "" {
				t.Errorf("%s: %v, %+v", id, err, s.RunInfo)
			}
		}
	})
}

func TestAnEventThatItsTypeCannotReadBackIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		target := define(func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "e") })
		sender := lambdabiz.Define("Sender", func(o lambdabiz.Context, _ int) (int, error) {
			if err := lambdabiz.RaiseEvent(o, "raise", "x", "e", unread); !errors.Is(err, lambdabiz.ErrInvalidPayload) ||
				!strings.Contains(err.Error(), `operation "raise"`) {
				return 0, errors.Join(errors.New("it was not refused"), err)
			}
			return 1, nil
		})
		e, _ := b.worker(target, sender)
		run := start(b, e, target, "x", 0)
		if err := e.RaiseEvent(b.ctx, "x", "e", unread); !errors.Is(err, lambdabiz.ErrInvalidPayload) {
			t.Errorf("from outside it gave %v", err)
		}
		result(b, start(b, e, sender, "s", 0))
		if s := b.state(e, "s"); len(s.Operations) != 0 {
			t.Errorf("recorded: %+v", s.Operations)
		}
		raise(b, e, "x", "e", 5)
		if got := result(b, run); got != 5 {
			t.Errorf("the result is %v", got)
		}
	})
}

func TestByHandAValueThatItsTypeCannotReadBackIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		ctx, cancel := context.WithCancel(b.ctx)
		defer cancel()
		o, err := e.Create(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(b, e, "a start by hand", "x", o.Start(unread), "orchestration x", "input")
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		if err := o.Complete(unread); !errors.Is(err, lambdabiz.ErrInvalidPayload) {
			t.Errorf("the end gave %v", err)
		}
		if s := b.state(e, "x"); s.Status.Ended() {
			t.Errorf("it has ended: %+v", s.RunInfo)
		}
		if err := o.Complete(1); err != nil {
			t.Error(err)
		}
	}, keepsEnds())
}

// Other code than the worker's has taken an input that the worker's cannot read.
// Row 165 of docs/proof/bugs.md.
func TestACancellationIsHeardBeforeTheCodeCanBegin(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		number := lambdabiz.Define("Number", func(lambdabiz.Context, int) (int, error) { return 1, nil })
		parent := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.CallChildByName[int](o, "child", "Number", lambdabiz.Payload(`"no number"`))
		})
		sender, stop := b.worker(parent) // it does not know the child, and so cannot refuse its input
		above := start(b, sender, parent, "p", 0)
		run, err := sender.StartByName(b.ctx, "Number", "x", lambdabiz.Payload(`"no number"`))
		if err != nil {
			t.Fatal(err)
		}
		b.settle()
		stop()
		e, _ := b.worker(number, parent)
		time.Sleep(10 * time.Second)
		b.settle()
		for _, id := range []string{"x", "p~-child"} {
			if s := b.state(e, id); s.Blocked == nil || !strings.Contains(s.Blocked.Reason, "input") {
				t.Fatalf("%s is not blocked by its input: %+v", id, s.RunInfo)
			}
		}
		for _, id := range []string{"x", "p"} {
			if err := e.Cancel(b.ctx, id, "nobody wants it"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := run.Result(b.ctx); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("it ended with %v", err)
		}
		if err := failure(b, above); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("the parent ended with %v", err)
		}
		if _, err := lambdabiz.Get(e, number, "p~-child").Result(b.ctx); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("the child ended with %v", err)
		}
		for _, id := range []string{"x", "p~-child"} {
			b.settle()
			if s := b.state(e, id); s.Status != lambdabiz.StatusCancelled || s.Error == nil ||
				!strings.Contains(s.Error.Message, "before its code could begin") {
				t.Errorf("%s is %+v, %v", id, s.RunInfo, s.Error)
			}
		}
	})
}

// Code that has begun may have something to take back: a cancellation waits for code that can do it.
func TestACancellationOfCodeThatHasBegunWaitsForCodeThatReadsItsInput(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		text := lambdabiz.Define("D", func(o lambdabiz.Context, _ string) (int, error) {
			if err := lambdabiz.Do(o, "book", func(context.Context) error { return nil }); err != nil {
				return 0, err
			}
			_, err := lambdabiz.WaitForEvent[int](o, "e")
			if errors.Is(err, lambdabiz.ErrCancelled) {
				err = errors.Join(err, lambdabiz.Do(lambdabiz.Detached(o), "take back", func(context.Context) error { return nil }))
			}
			return 0, err
		})
		number := lambdabiz.Define("D", func(lambdabiz.Context, int) (int, error) { return 1, nil })
		e, stop := b.worker(text)
		run := start(b, e, text, "x", "text")
		b.settle()
		stop()
		_, stop = b.worker(number)
		client := b.engine(lambdabiz.Config{})
		if err := client.Cancel(b.ctx, "x", "nobody wants it"); err != nil {
			t.Fatal(err)
		}
		b.settle()
		if s := b.state(client, "x"); s.Status != lambdabiz.StatusStarted || s.Blocked == nil {
			t.Errorf("it is %+v", s.RunInfo)
		}
		stop()
		b.worker(text)
		if err := failure(b, run); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("it ended with %v", err)
		}
		b.settle()
		operation(t, b.state(client, "x"), "take back")
	}, keepsClaims(countsBodies))
}
