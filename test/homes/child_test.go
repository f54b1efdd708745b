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

// echo is a child that ends at once.
var echo = lambdabiz.Define("Echo", func(_ lambdabiz.Context, n int) (int, error) { return n, nil })

func TestDefaultIDOfAChildIsItsParentsIDAndTheOperationsPath(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
			if _, err := lambdabiz.CallChild(o, "c", echo, 1); err != nil {
				return "", err
			}
			return lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (string, error) {
				if _, err := lambdabiz.CallChild(o, "given", echo, 2, lambdabiz.ChildID("my child")); err != nil {
					return "", err
				}
				return lambdabiz.StartChild(o, "c", echo, 3)
			}).Wait(o)
		})
		e, _ := b.worker(d, echo)
		run := start(b, e, d, "x", 0)
		if got := result(b, run); got != "x~-branch/c" {
			t.Errorf("the detached child's id is %q", got)
		}
		for id, want := range map[string]int{"x~-c": 1, "my child": 2, "x~-branch/c": 3} {
			if got := result(b, lambdabiz.Get(e, echo, id)); got != want {
				t.Errorf("%s gave %d", id, got)
			}
			s := b.state(e, id)
			if s.Parent == nil || s.Parent.ID != "x" || s.Parent.RunID != run.RunID() || s.Parent.Detached != (want == 3) {
				t.Errorf("the parent of %s is %+v", id, s.Parent)
			}
		}
		if o := operation(t, b.state(e, "x"), "branch/given"); o.Target != "my child" || o.Name != "Echo" {
			t.Errorf("the operation is %+v", o)
		}
	})
}

func TestChildWhoseIDIsTakenIsRecordedAsErrExists(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			for _, child := range []string{"open", "ended", "another name"} {
				_, called := lambdabiz.CallChild(o, "call "+child, echo, 1, lambdabiz.ChildID(child))
				_, started := lambdabiz.StartChild(o, "start "+child, echo, 1, lambdabiz.ChildID(child))
				if !errors.Is(called, lambdabiz.ErrExists) || !errors.Is(started, lambdabiz.ErrExists) {
					t.Errorf("a call of %s gave %v, a start %v", child, called, started)
				}
			}
			_, err := lambdabiz.WaitForEvent[bool](o, "go")
			return 1, err
		})
		held := lambdabiz.Define("Echo", func(o lambdabiz.Context, _ int) (int, error) { return never(o) })
		e, stop := b.worker(held)
		start(b, e, held, "open", 0)
		if err := e.Pause(b.ctx, "open", "stays open"); err != nil {
			t.Fatal(err)
		}
		stop()
		e, stop = b.worker(d, echo, sleeper)
		result(b, start(b, e, echo, "ended", 0))
		start(b, e, sleeper, "another name", 0)
		start(b, e, d, "x", 0)
		b.settle()
		s := b.state(e, "x")
		if len(s.Operations) != 7 {
			t.Errorf("%d operations are recorded: %+v", len(s.Operations), s)
		}
		for _, o := range s.Operations {
			if o.Kind == lambdabiz.KindChild && o.Status != lambdabiz.StatusFailed {
				t.Errorf("%s is %v", o.ID, o.Status)
			}
		}
		stop()
		e, _ = b.worker(d, sleeper) // which sees the same errors
		raise(b, e, "x", "go", true)
		result(b, lambdabiz.Get(e, d, "x"))
	})
}

func TestFailureOfAChildIsAnOrchestrationErrorAfterAResumeToo(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		bad := errors.New("bad child")
		fails := lambdabiz.Define("Fails", func(o lambdabiz.Context, _ int) (int, error) {
			return 0, lambdabiz.Do(o, "s", func(context.Context) error { return bad })
		})
		var passes atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			passes.Add(1)
			_, err := lambdabiz.CallChild(o, "c", fails, 1)
			var ended *lambdabiz.OrchestrationError
			var failed *lambdabiz.TaskError
			if !errors.Is(err, bad) || !errors.As(err, &ended) || ended.ID != "x~-c" || ended.Name != "Fails" ||
				ended.Status != lambdabiz.StatusFailed || !errors.As(err, &failed) || failed.OperationID != "s" {
				t.Errorf("pass %d: the child gave %v", passes.Load(), err)
			}
			_, err = lambdabiz.WaitForEvent[bool](o, "go")
			return 1, err
		})
		known := lambdabiz.ErrorValue("bad", bad)
		e, stop := b.worker(d, fails, known)
		start(b, e, d, "x", 0)
		b.settle()
		stop()
		e, _ = b.worker(d, known)
		raise(b, e, "x", "go", true)
		if result(b, lambdabiz.Get(e, d, "x")); !b.exact(int(passes.Load()), 2) {
			t.Errorf("%d passes", passes.Load())
		}
	})
}

func TestRecursionByName(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Factorial", func(o lambdabiz.Context, n int) (int, error) {
			if n <= 1 {
				return 1, nil
			}
			below, err := lambdabiz.CallChildByName[int](o, "c", "Factorial", n-1)
			return n * below, err
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "f", 8)); got != 40320 {
			t.Errorf("8! is %d", got)
		}
		if got := result(b, lambdabiz.Get(e, d, "f"+strings.Repeat("~-c", 7))); got != 1 {
			t.Errorf("the innermost gave %d", got)
		}
	})
}

func TestDetachedChildrenGoOnAfterTheEndOfTheirParent(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		child := lambdabiz.Define("Child", func(o lambdabiz.Context, n int) (int, error) {
			return n, lambdabiz.Sleep(o, "s", 10*time.Minute)
		})
		d := define(func(o lambdabiz.Context) (int, error) {
			if _, err := lambdabiz.StartChild(o, "detached", child, 5); err != nil {
				return 0, err
			}
			_, err := lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (string, error) {
				return lambdabiz.StartChild(o, "detached", child, 6)
			}).Wait(o)
			return 1, err
		})
		e, _ := b.worker(d, child)
		result(b, start(b, e, d, "x", 0))
		children := map[string]int{"x~-detached": 5, "x~-branch/detached": 6}
		for id := range children {
			if s := b.state(e, id); s.Status.Ended() || s.CancelRequested {
				t.Errorf("when its parent has ended %s is %+v", id, s.RunInfo)
			}
		}
		for id, want := range children {
			if got := result(b, lambdabiz.Get(e, child, id)); got != want {
				t.Errorf("%s ended with %d", id, got)
			}
		}
	})
}

func TestUnawaitedChildGoesOnAfterTheEndOfItsParent(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		child := lambdabiz.Define("Child", func(o lambdabiz.Context, n int) (int, error) {
			return n, lambdabiz.Sleep(o, "s", 10*time.Minute)
		})
		// The function of a run that was recorded with a child returns without coming to it again.
		before := define(func(o lambdabiz.Context) (int, error) { return lambdabiz.CallChild(o, "c", child, 5) })
		after := define(func(lambdabiz.Context) (int, error) { return 1, nil })
		b.well()
		e, stop := b.worker(before, child)
		start(b, e, before, "x", 0)
		synctest.Wait()
		stop()
		b.ill()
		e, _ = b.worker(after, child)
		// A home where a worker holds a run has gone on by itself.
		if err := e.Resume(b.ctx, "x"); err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
			t.Fatal(err)
		}
		result(b, lambdabiz.Get(e, after, "x"))
		if s := b.state(e, "x~-c"); s.Status.Ended() || s.CancelRequested {
			t.Errorf("when its parent has ended the child is %+v", s.RunInfo)
		}
		if got := result(b, lambdabiz.Get(e, child, "x~-c")); got != 5 {
			t.Errorf("the child ended with %d", got)
		}
	})
}

func TestParentGetsTheOutcomeOnceThoughBothRestart(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		child := lambdabiz.Define("Child", func(o lambdabiz.Context, n int) (int, error) {
			for i := range 3 {
				if err := lambdabiz.Sleep(o, fmt.Sprint("sleep ", i), 10*time.Second); err != nil {
					return 0, err
				}
				if err := lambdabiz.Do(o, fmt.Sprint("step ", i), func(context.Context) error { seen.add(i); return nil }); err != nil {
					return 0, err
				}
			}
			return n, nil
		})
		d := define(func(o lambdabiz.Context) (int, error) {
			n, err := lambdabiz.CallChild(o, "c", child, 7)
			if err != nil {
				return 0, err
			}
			return n, lambdabiz.Do(o, "after", func(context.Context) error { seen.add("got ", n); return nil })
		})
		e := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "x", 0)
		for range 2 {
			_, kill := b.killable(d, child)
			time.Sleep(time.Second)
			b.well() // what has run and is not recorded when a worker is killed runs again
			time.Sleep(6 * time.Second)
			kill()
			b.ill()
			_, stop := b.worker(d, child)
			time.Sleep(7 * time.Second)
			b.well()
			time.Sleep(time.Second)
			stop()
			b.ill()
		}
		e, _ = b.worker(d, child)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != 7 || seen.String() != "0, 1, 2, got 7" {
			t.Errorf("result is %d, what ran: %v", got, &seen)
		}
	}, keepsClaims(countsBodies))
}

func TestChildOfAnUnknownDefinitionWaitsForAWorkerThatKnowsIt(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.CallChildByName[int](o, "c", "Echo", 7)
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(10 * time.Second)
		s := b.state(e, "x~-c")
		if s.Status != lambdabiz.StatusScheduled || s.Blocked == nil || !strings.Contains(s.Blocked.Reason, `"Echo"`) {
			t.Errorf("the child is %v, blocked %+v", s.Status, s.Blocked)
		}
		if s := b.state(e, "x"); s.Blocked != nil || len(s.WaitingFor) != 1 || s.WaitingFor[0].Kind != lambdabiz.KindChild {
			t.Errorf("the parent is blocked %+v, waiting for %+v", s.Blocked, s.WaitingFor)
		}
		b.worker(echo)
		if got := result(b, run); got != 7 {
			t.Errorf("result is %d", got)
		}
	}, notOnSWF("all workers share one task list, and one that does not know the definition says so"), keepsClaims(countsTime))
}

func TestDeadlineAndTagsOfAChild(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.CallChild(o, "c", sleeper, 0,
				lambdabiz.Deadline(10*time.Second), lambdabiz.Tags(map[string]string{"k": "v"}))
		})
		e, _ := b.worker(d, sleeper)
		err := failure(b, start(b, e, d, "x", 0))
		var ended *lambdabiz.OrchestrationError
		if !errors.As(errors.Unwrap(err), &ended) || ended.ID != "x~-c" || ended.Status != lambdabiz.StatusTimeout ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		_ = failure(b, lambdabiz.Get(e, sleeper, "x~-c")) // a home that lags may show it open for a moment
		s := b.state(e, "x~-c")
		if s.Status != lambdabiz.StatusTimeout || s.Tags["k"] != "v" || s.Deadline.IsZero() {
			t.Errorf("the child is %+v", s.RunInfo)
		}
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusFailed || operation(t, s, "c").Status != lambdabiz.StatusTimeout {
			t.Errorf("the parent is %v, its operation %v", s.Status, operation(t, s, "c").Status)
		}
	})
}

// The answer to the closing commit is lost, and with it the child that it started and claimed.
// Row 8 of docs/proof/bugs.md.
func TestChildOfAClosingWhoseAnswerIsLost(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		var lost atomic.Bool
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if err == nil && batch[0].Close != nil && len(batch[0].Starts) > 0 && !lost.Swap(true) {
				return nil, fmt.Errorf("the line is dead: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return v, err
		}}
		child := lambdabiz.Define("C", func(o lambdabiz.Context, _ int) (int, error) { return 1, lambdabiz.Sleep(o, "s", time.Second) })
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.CallChild(o, "c", child, 1, lambdabiz.ChildID("c"))
			})
			time.Sleep(time.Millisecond)
			return 1, nil
		})
		e, _ := b.worker(d, child)
		result(b, start(b, e, d, "a", 1))
		if !lost.Load() {
			t.Skip("the start was in another commit")
		}
		time.Sleep(time.Hour)
		if s := b.state(e, "c"); !s.Status.Ended() {
			t.Errorf("the child is run by nobody: %v", s.Status)
		}
	}, "memory", "sqlite", "postgres")
}

// The run leaves the memory while its commit starts a child and claims it: the child is run all the same.
func TestChildOfACallerThatGoesAway(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		c := lambdabiz.Define("C", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		e, _ := b.worker(c)
		ctx, cancel := context.WithCancel(b.ctx)
		o, err := e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		d.Store(int64(time.Second))
		time.AfterFunc(500*time.Millisecond, cancel)
		_, err = lambdabiz.CallChild(o, "c", c, 1)
		if !errors.Is(err, lambdabiz.ErrWaiting) {
			t.Error(err)
		}
		d.Store(0)
		time.Sleep(10 * time.Minute)
		if s := b.state(e, "h~-c"); !s.Status.Ended() {
			t.Errorf("the child is %v, held by worker %d", s.Status, s.Worker)
		}
	}, "memory", "sqlite", "postgres")
}

// A cancelled parent cancels its open child, also when its code does not come to it again.
// Row 18 of docs/proof/bugs.md.
func TestCancelReachesAChildThatIsNotVisitedAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		c := lambdabiz.Define("C", func(o lambdabiz.Context, _ int) (int, error) {
			return 1, lambdabiz.Sleep(o, "s", 24*time.Hour)
		})
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if err := o.Err(); err != nil {
				return 0, lambdabiz.ErrCancelled
			}
			return lambdabiz.CallChild(o, "c", c, 1)
		})
		e, stop := b.worker(d, c)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Minute)
		stop()
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		e, _ = b.worker(d, c)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if _, err := lambdabiz.Get(e, d, run.ID()).Result(ctx); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		b.settle()
		if s := b.state(e, "x~-c"); s.Status != lambdabiz.StatusCancelled {
			t.Errorf("the child is %v", s.Status)
		}
	})
}

// A child's tags are checked and copied like those of a start.
func TestTagsOfAChildAreChecked(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		c := lambdabiz.Define("C", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (bool, error) {
			_, err := lambdabiz.CallChild(o, "c", c, 1, lambdabiz.Tags(map[string]string{"": "x"}))
			return errors.Is(err, lambdabiz.ErrInvalidID), nil
		})
		e, _ := b.worker(d, c)
		if ok := result(b, start(b, e, d, "x", 0)); !ok {
			t.Error("an empty tag was taken")
		}
	})
}
