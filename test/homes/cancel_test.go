package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// sleeper is a child that ends by a cancellation only.
var sleeper = lambdabiz.Define("Sleeper", func(o lambdabiz.Context, _ int) (int, error) {
	return 1, lambdabiz.Sleep(o, "long", 10*time.Hour)
})

func untilDone(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }

func never(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "never") }

// waits is an orchestration for everything that can be waited for.
var waits = map[string]func(o lambdabiz.Context) (int, error){
	"task": func(o lambdabiz.Context) (int, error) { return lambdabiz.Step(o, "w", untilDone) },
	"task with its time limited": func(o lambdabiz.Context) (int, error) {
		return lambdabiz.Step(o, "w", untilDone, lambdabiz.Timeout(time.Hour), attempts(3, time.Second))
	},
	"backoff": func(o lambdabiz.Context) (int, error) {
		return lambdabiz.Step(o, "w", func(context.Context) (int, error) { return 0, errFlaky }, attempts(2, time.Hour))
	},
	"timer": func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Sleep(o, "w", time.Hour) },
	"event": func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "w") },
	"event with its time-out": func(o lambdabiz.Context) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "w", lambdabiz.Timeout(time.Hour))
	},
	"child":  func(o lambdabiz.Context) (int, error) { return lambdabiz.CallChild(o, "w", sleeper, 0) },
	"branch": func(o lambdabiz.Context) (int, error) { return lambdabiz.Go(o, "b", never).Wait(o) },
	"race": func(o lambdabiz.Context) (int, error) {
		x, y := lambdabiz.Go(o, "x", never), lambdabiz.Go(o, "y", never)
		first, err := lambdabiz.Race(o, "w", x, y)
		if err != nil {
			return 0, err
		}
		return []*lambdabiz.Future[int]{x, y}[first].Wait(o)
	},
	"map": func(o lambdabiz.Context) (int, error) {
		_, err := lambdabiz.Map(o, "m", []string{"a", "b"}, func(s string) string { return s },
			func(o lambdabiz.Context, _ string) (int, error) { return never(o) }, lambdabiz.Concurrency(1))
		return 0, err
	},
}

// endsCancelled checks the outcome of a run that was cancelled in a wait.
func endsCancelled(b *bench, e *lambdabiz.Engine, d *lambdabiz.Definition[int, int], id string) {
	b.t.Helper()
	began := time.Now()
	err := failure(b, lambdabiz.Get(e, d, id))
	var ended *lambdabiz.OrchestrationError
	if !errors.Is(err, lambdabiz.ErrCancelled) || !errors.Is(err, context.Canceled) ||
		!errors.As(err, &ended) || ended.Status != lambdabiz.StatusCancelled {
		b.t.Errorf("%s: error is %v", id, err)
	}
	if took := seconds(began); took > 30 {
		b.t.Errorf("%s: it ended after %d s", id, took)
	}
	for _, o := range b.state(e, id).Operations {
		if o.Kind != lambdabiz.KindRace && o.Status != lambdabiz.StatusCancelled {
			b.t.Errorf("%s: %s is %v", id, o.ID, o.Status)
		}
	}
}

func waiting(t *testing.T) (definitions []*lambdabiz.Definition[int, int], items []lambdabiz.Registrable) {
	for name, f := range waits {
		d := lambdabiz.Define(name, func(o lambdabiz.Context, _ int) (int, error) {
			v, err := f(o)
			if !errors.Is(err, lambdabiz.ErrCancelled) || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: the wait gave %v", name, err)
			}
			select {
			case <-o.Done():
			default:
				t.Errorf("%s: the context has not ended", name)
			}
			return v, err
		})
		definitions, items = append(definitions, d), append(items, d)
	}
	return definitions, append(items, sleeper)
}

func TestCancelEndsWaitsOfEveryKind(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		definitions, items := waiting(t)
		e, _ := b.worker(items...)
		for _, d := range definitions {
			start(b, e, d, d.Name(), 0)
		}
		time.Sleep(10 * time.Second)
		for _, d := range definitions {
			if err := e.Cancel(b.ctx, d.Name(), "enough"); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range definitions {
			endsCancelled(b, e, d, d.Name())
		}
	}, notOnSWF("a step may take 50 s there"))
}

func TestCancelIsDurable(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		definitions, items := waiting(t)
		b.well()
		e, stop := b.workerWith(lambdabiz.Config{DrainTimeout: time.Millisecond}, items...)
		for _, d := range definitions {
			start(b, e, d, d.Name(), 0)
		}
		time.Sleep(10 * time.Second)
		stop()
		b.ill()
		client := b.engine(lambdabiz.Config{})
		for _, d := range definitions {
			if err := client.Cancel(b.ctx, d.Name(), "nobody is there"); err != nil {
				t.Fatal(err)
			}
			if s := b.state(client, d.Name()); !s.CancelRequested || s.Status.Ended() {
				t.Errorf("%s: state is %+v", d.Name(), s.RunInfo)
			}
		}
		e, _ = b.worker(items...)
		for _, d := range definitions {
			endsCancelled(b, e, d, d.Name())
		}
	}, notOnSWF("a step may take 50 s there"))
}

func TestCancelReachesTheContextOfCodeAndBodies(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			if o.Err() != nil {
				t.Error("the context has ended before the cancellation")
			}
			_, err := lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), lambdabiz.ErrCancelled) {
					t.Errorf("the body's context ended with %v", context.Cause(ctx))
				}
				return 1, nil // a result all the same: it is kept
			})
			if err != nil || !errors.Is(o.Err(), context.Canceled) || !errors.Is(context.Cause(o), lambdabiz.ErrCancelled) {
				t.Errorf("the step gave %v, the context ended with %v, %v", err, o.Err(), context.Cause(o))
			}
			return lambdabiz.Step(o, "next", one)
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(10 * time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		if err := failure(b, lambdabiz.Get(e, d, "x")); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Error(err)
		}
		s := b.state(e, "x")
		if operation(t, s, "s").Status != lambdabiz.StatusSucceeded || len(s.Operations) != 1 {
			t.Errorf("operations are %+v", s.Operations)
		}
	}, notOnSWF("a step may take 50 s there"), keepsClaims("a worker that begins anew ends the contexts too"))
}

// cleans cleans up in two steps after a cancellation, and waits between them.
func cleans(seen *notes) *lambdabiz.Definition[int, int] {
	return define(func(o lambdabiz.Context) (int, error) {
		_, err := lambdabiz.WaitForEvent[int](o, "never")
		clean := lambdabiz.Detached(o)
		if clean.Err() != nil {
			return 0, errors.New("the clean-up's context has ended")
		}
		note := func(ctx context.Context) error {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			seen.add(info.OperationID)
			return ctx.Err()
		}
		if err := lambdabiz.Do(clean, "undo 1", note); err != nil {
			return 0, err
		}
		if err := lambdabiz.Sleep(clean, "between", 20*time.Second); err != nil {
			return 0, err
		}
		branch := lambdabiz.Go(clean, "branch", func(o lambdabiz.Context) (int, error) {
			_, err := lambdabiz.WaitForEvent[bool](o, "E", lambdabiz.Timeout(10*time.Second))
			if !errors.Is(err, context.DeadlineExceeded) {
				return 0, fmt.Errorf("the wait gave %w", err)
			}
			return 0, lambdabiz.Do(o, "undo 2", note)
		})
		if _, err := branch.Wait(clean); err != nil {
			return 0, err
		}
		return 0, err
	})
}

func TestCleanUpRunsUnderDetached(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		d := cleans(&seen)
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(5 * time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		if err := failure(b, run); !errors.Is(err, lambdabiz.ErrCancelled) || seen.String() != "undo 1, branch/undo 2" {
			t.Errorf("error is %v, cleaned up: %v", err, &seen)
		}
	}, keepsClaims(countsBodies))
}

func TestCleanUpGoesOnAfterARestartInTheMiddleOfIt(t *testing.T) {
	for name, restart := range map[string]func(b *bench, d *lambdabiz.Definition[int, int]) func(){
		"stopped": func(b *bench, d *lambdabiz.Definition[int, int]) func() { _, stop := b.worker(d); return stop },
		"killed":  func(b *bench, d *lambdabiz.Definition[int, int]) func() { _, kill := b.killable(d); return kill },
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				var seen notes
				d := cleans(&seen)
				stop := restart(b, d)
				e := b.engine(lambdabiz.Config{}, d)
				start(b, e, d, "x", 0)
				time.Sleep(5 * time.Second)
				if err := e.Cancel(b.ctx, "x", ""); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second) // the first step is over
				stop()
				e, _ = b.worker(d)
				if err := failure(b, lambdabiz.Get(e, d, "x")); !errors.Is(err, lambdabiz.ErrCancelled) ||
					seen.String() != "undo 1, branch/undo 2" {
					t.Errorf("error is %v, cleaned up: %v", err, &seen)
				}
				if s := b.state(e, "x"); s.Status != lambdabiz.StatusCancelled {
					t.Errorf("status is %v", s.Status)
				}
			}, keepsClaims(countsTime))
		})
	}
}

func TestStatusOfACancelledRunIsWhatItsCodeMakesOfIt(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, how string) (string, error) {
			_, err := never(o)
			switch how {
			case "swallowed":
				return "done all the same", nil
			case "another error":
				return "", errors.New("clean-up failed")
			case "wrapped":
				return "", fmt.Errorf("while it waited: %w", err)
			}
			return "", err
		})
		e, _ := b.worker(d)
		for how, want := range map[string]lambdabiz.Status{
			"swallowed": lambdabiz.StatusSucceeded, "another error": lambdabiz.StatusFailed,
			"wrapped": lambdabiz.StatusCancelled, "returned": lambdabiz.StatusCancelled,
		} {
			run := start(b, e, d, how, how)
			synctest.Wait()
			if err := e.Cancel(b.ctx, how, "by test"); err != nil {
				t.Fatal(err)
			}
			if _, err := run.Result(b.ctx); (err == nil) != (want == lambdabiz.StatusSucceeded) {
				t.Errorf("%s: result is an error: %v", how, err)
			}
			if s := b.state(e, how); s.Status != want || !s.CancelRequested {
				t.Errorf("%s: status is %v", how, s.Status)
			}
		}
	})
}

func TestErrCancelledWithoutACancellationIsAFailure(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(lambdabiz.Context) (int, error) { return 0, lambdabiz.ErrCancelled })
		e, _ := b.worker(d)
		if err := failure(b, start(b, e, d, "x", 0)); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Error(err)
		}
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusFailed {
			t.Errorf("status is %v", s.Status)
		}
	})
}

func TestCancelBeforeTheFirstClaimRunsCleanUpOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		d := define(func(o lambdabiz.Context) (int, error) {
			if o.Err() == nil {
				t.Error("the context has not ended")
			}
			note := func(context.Context) (int, error) { seen.add("effect"); return 1, nil }
			if _, err := lambdabiz.Step(o, "s", note); !errors.Is(err, lambdabiz.ErrCancelled) {
				t.Errorf("a step gave %v", err)
			}
			if _, err := lambdabiz.Go(o, "b", never).Wait(o); !errors.Is(err, lambdabiz.ErrCancelled) {
				t.Errorf("a branch gave %v", err)
			}
			err := lambdabiz.Do(lambdabiz.Detached(o), "clean", func(context.Context) error { seen.add("clean-up"); return nil })
			return 0, errors.Join(err, lambdabiz.Sleep(o, "timer", time.Hour))
		})
		e := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "x", 0)
		for range 2 { // the second is acknowledged, and does nothing
			if err := e.Cancel(b.ctx, "x", "changed my mind"); err != nil {
				t.Fatal(err)
			}
		}
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusScheduled {
			t.Errorf("status is %v before there is a worker", s.Status)
		}
		b.well() // a claim that is lost would run the clean-up again
		e, _ = b.worker(d)
		if err := failure(b, lambdabiz.Get(e, d, "x")); !errors.Is(err, lambdabiz.ErrCancelled) || seen.String() != "clean-up" {
			t.Errorf("error is %v, what ran is %v", err, &seen)
		}
		b.ill()
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusCancelled || len(s.Operations) != 1 {
			t.Errorf("status is %v, operations %+v", s.Status, s.Operations)
		}
		if err := e.Cancel(b.ctx, "x", ""); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("a cancellation after the end gave %v", err)
		}
		if err := e.Cancel(b.ctx, "nobody", ""); !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Errorf("a cancellation of nobody gave %v", err)
		}
	})
}

func TestCancelledParentCancelsItsChildrenButNotTheDetached(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		free := lambdabiz.Define("Free", func(o lambdabiz.Context, _ int) (int, error) {
			return 5, lambdabiz.Sleep(o, "sleep", 30*time.Second)
		})
		d := define(func(o lambdabiz.Context) (int, error) {
			if _, err := lambdabiz.StartChild(o, "free", free, 0); err != nil {
				return 0, err
			}
			grandchild := lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.CallChildByName[int](o, "inner", "Middle", 0)
			})
			_, err := lambdabiz.CallChild(o, "child", sleeper, 0)
			_, err2 := grandchild.Wait(o)
			return 0, errors.Join(err, err2)
		})
		middle := lambdabiz.Define("Middle", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallChild(o, "grandchild", sleeper, 0)
		})
		e, _ := b.worker(d, free, sleeper, middle)
		b.well() // all have begun before the cancellation
		start(b, e, d, "x", 0)
		time.Sleep(5 * time.Second)
		b.ill()
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"x", "x~-child", "x~-branch/inner", "x~-branch/inner~-grandchild"} {
			if err := failure(b, lambdabiz.Get(e, d, id)); !errors.Is(err, lambdabiz.ErrCancelled) {
				t.Errorf("%s ended with %v", id, err)
			}
			if s := b.state(e, id); s.Status != lambdabiz.StatusCancelled {
				t.Errorf("%s is %v", id, s.Status)
			}
		}
		if got := result(b, lambdabiz.Get(e, free, "x~-free")); got != 5 || b.state(e, "x~-free").CancelRequested {
			t.Errorf("the detached child ended with %d", got)
		}
	}, keepsClaims(countsTime))
}

func TestTerminateEndsAtOnceAndDropsWhatComesLater(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		release := make(chan struct{})
		var after atomic.Bool
		child := lambdabiz.Define("Child", func(o lambdabiz.Context, _ int) (int, error) {
			if _, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) { <-release; return 1, nil }); err != nil {
				return 0, err
			}
			return lambdabiz.Step(o, "next", func(context.Context) (int, error) { after.Store(true); return 1, nil })
		})
		parent := define(func(o lambdabiz.Context) (int, error) {
			_, err := lambdabiz.CallChild(o, "child", child, 0)
			var ended *lambdabiz.OrchestrationError
			if !errors.As(err, &ended) || ended.Status != lambdabiz.StatusTerminated || ended.ID != "x~-child" ||
				!errors.Is(err, lambdabiz.ErrTerminated) {
				t.Errorf("the parent got %v", err)
			}
			return 1, nil
		})
		e, _ := b.worker(parent, child)
		run := start(b, e, parent, "x", 0)
		time.Sleep(5 * time.Second)
		if err := e.Terminate(b.ctx, "x~-child", "it hangs"); err != nil {
			t.Fatal(err)
		}
		s := b.state(e, "x~-child")
		if s.Status != lambdabiz.StatusTerminated || s.EndedAt.IsZero() || s.Error == nil ||
			!strings.Contains(s.Error.Message, "it hangs") {
			t.Errorf("state is %+v", s.RunInfo)
		}
		result(b, run)
		close(release)
		synctest.Wait()
		for _, o := range b.state(e, "x~-child").Operations {
			if o.Status == lambdabiz.StatusSucceeded {
				t.Errorf("a late result is recorded: %+v", o)
			}
		}
		if after.Load() {
			t.Error("another effect began after the termination")
		}
		if err := e.Terminate(b.ctx, "x~-child", ""); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("a second termination gave %v", err)
		}
	}, keepsClaims(countsTime))
}

func TestDeadlineOfARunEndsItsContextAndGivesTimeout(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var cleaned atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			if at, ok := o.Deadline(); !ok || time.Until(at) > 20*time.Second {
				t.Errorf("the context's deadline is %v, %v", at, ok)
			}
			_, err := never(o)
			if !errors.Is(err, context.DeadlineExceeded) || o.Err() == nil {
				t.Errorf("the wait gave %v, the context %v", err, o.Err())
			}
			clean := lambdabiz.Do(lambdabiz.Detached(o), "clean", func(context.Context) error { cleaned.Add(1); return nil })
			return 0, errors.Join(err, clean)
		})
		e, stop := b.worker(d)
		began := time.Now()
		run := start(b, e, d, "held", 0, lambdabiz.Deadline(20*time.Second))
		start(b, e, d, "parked", 0, lambdabiz.Deadline(20*time.Second))
		for _, id := range []string{"held", "parked"} {
			if id == "parked" { // its deadline passes while nobody is there
				stop()
				e, _ = b.worker(d)
				run = lambdabiz.Get(e, d, id)
			}
			err := failure(b, run)
			var ended *lambdabiz.OrchestrationError
			if !errors.As(err, &ended) || ended.Status != lambdabiz.StatusTimeout || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: error is %v", id, err)
			}
			if at := b.state(e, id).EndedAt.Sub(began); at < 20*time.Second || at > 30*time.Second {
				t.Errorf("%s: it ended after %v", id, at)
			}
		}
		if cleaned.Load() != 2 {
			t.Errorf("%d of 2 cleaned up", cleaned.Load())
		}
	}, keepsClaims(countsTime), oneClock(deadlineOfStart))
}

func TestEvictionClosesTheContextAndRecordsNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		d := define(func(o lambdabiz.Context) (int, error) {
			v, err := lambdabiz.Step(o, "before", one)
			if err != nil {
				return 0, err
			}
			if seen.len() > 0 {
				return lambdabiz.Step(o, "resumed", func(context.Context) (int, error) { return v + 1, nil })
			}
			<-o.Done() // the author's own wait: it ends when the run leaves the process
			seen.add("done")
			err = lambdabiz.Do(lambdabiz.Detached(o), "clean-up", func(context.Context) error { seen.add("effect"); return nil })
			seen.add("went on") // not reached: the operation ends the goroutine
			return 0, err
		})
		e, stop := b.workerWith(lambdabiz.Config{DrainTimeout: time.Second}, d)
		start(b, e, d, "x", 0)
		b.settle()
		stop()
		b.settle()
		if seen.String() != "done" {
			t.Errorf("in the evicted run: %v", &seen)
		}
		s := b.state(b.engine(lambdabiz.Config{}), "x")
		if s.Status.Ended() || s.CancelRequested || len(s.Operations) > 1 {
			t.Errorf("after the eviction the state is %+v", s)
		}
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != 2 || seen.String() != "done" {
			t.Errorf("result is %d, seen: %v", got, &seen)
		}
	}, keepsClaims(countsBodies))
}

// slowInput is an input that takes its time to encode.
type slowInput int

func (n slowInput) MarshalJSON() ([]byte, error) {
	if n > 0 {
		time.Sleep(time.Second)
	}
	return []byte(fmt.Sprint(int(n))), nil
}

// A message that comes while the outcome is encoded.
func TestCancelWhileTheOutcomeIsEncoded(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, n slowInput) (int, error) {
			if n == 0 {
				return 0, lambdabiz.ContinueAsNew(o, slowInput(1))
			}
			return 1, nil
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(500 * time.Millisecond)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		_, _ = run.Result(b.ctx)
	}, "memory")
}

// A body that fails because its context was cancelled, with an error of its own, is not tried again, and no backoff is
// waited for.
func TestCancelDoesNotWaitForTheBackoff(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
				}
				return 0, errors.New("interrupted")
			}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Hour, Max: time.Hour, Jitter: -1}))
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(b, 30*time.Minute)
		defer cancel()
		if _, err := run.Result(ctx); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("result: %v; %+v", err, operation(t, b.state(e, "x"), "s"))
		}
	})
}
