package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// double is a task that counts its calls.
func double(calls *atomic.Int64) *lambdabiz.Task[int, int] {
	return lambdabiz.NewTask("Double", func(_ context.Context, n int) (int, error) {
		calls.Add(1)
		return 2 * n, nil
	})
}

func TestBranchRunsAgainOverItsRecordedOperations(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls, entered atomic.Int64
		task := double(&calls)
		d := lambdabiz.Define("Branches", func(o lambdabiz.Context, n int) (int, error) {
			left := lambdabiz.Go(o, "left", func(o lambdabiz.Context) (int, error) {
				entered.Add(1)
				return lambdabiz.Call(o, "double", task, n)
			})
			right := lambdabiz.Go(o, "right", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Call(o, "double", task, n+1)
			})
			if _, err := lambdabiz.WaitForEvent[bool](o, "go"); err != nil {
				return 0, err
			}
			x, err := left.Wait(o)
			y, err2 := right.Wait(o)
			return x + y, errors.Join(err, err2)
		})
		_, stop := b.worker(d, task)
		e := b.engine(lambdabiz.Config{}, d)
		b.well() // each claim makes the branch run once
		run := start(b, e, d, "b", 1)
		synctest.Wait()
		b.ill()
		b.settle()
		stop()
		if calls.Load() != 2 {
			t.Fatalf("the task ran %d times before the stop", calls.Load())
		}
		b.well()
		b.worker(d, task)
		if err := e.RaiseEvent(b.ctx, "b", "go", true); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != 6 {
			t.Errorf("result is %d, not 6", got)
		}
		b.ill()
		if calls.Load() != 2 || entered.Load() != 2 {
			t.Errorf("the task ran %d times (not 2), the branch %d times (not 2)", calls.Load(), entered.Load())
		}
		s := b.state(e, "b")
		operation(t, s, "left/double")
		operation(t, s, "right/double")
	}, keepsClaims(countsBodies))
}

func TestMapKeysItemsByKeyNotByPosition(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int64
		task := double(&calls)
		var items atomic.Value
		items.Store([]int{1, 2, 3})
		d := lambdabiz.Define("Map", func(o lambdabiz.Context, _ int) ([]int, error) {
			list, _ := items.Load().([]int)
			out, err := lambdabiz.Map(o, "items", list, func(n int) string { return fmt.Sprint("n", n) },
				func(o lambdabiz.Context, n int) (int, error) { return lambdabiz.Call(o, "double", task, n) })
			if err != nil {
				return nil, err
			}
			_, err = lambdabiz.WaitForEvent[bool](o, "go")
			return out, err
		})
		e, stop := b.worker(d, task)
		run := start(b, e, d, "m", 0)
		b.settle()
		stop()
		items.Store([]int{3, 2, 1, 4})
		e, _ = b.worker(d, task)
		if err := e.RaiseEvent(b.ctx, "m", "go", true); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(result(b, lambdabiz.Get(e, d, run.ID()))); got != "[6 4 2 8]" {
			t.Errorf("results are %s", got)
		}
		if calls.Load() != 4 {
			t.Errorf("the task ran %d times, not 4", calls.Load())
		}
	}, keepsClaims(countsBodies))
}

func TestMapWorksOnSoManyItemsAtATime(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var now, most, total atomic.Int64
		d := lambdabiz.Define("Map", func(o lambdabiz.Context, n int) (int, error) {
			out, err := lambdabiz.Map(o, "items", make([]struct{}, n), keys(),
				func(o lambdabiz.Context, _ struct{}) (int, error) {
					most.Store(max(most.Load(), now.Add(1)))
					defer now.Add(-1)
					total.Add(1)
					return 1, lambdabiz.Sleep(o, "sleep", time.Second)
				}, lambdabiz.Concurrency(3))
			return len(out), err
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "m", 20)); got != 20 {
			t.Errorf("%d results", got)
		}
		if !b.exact(int(most.Load()), 3) || !b.exact(int(total.Load()), 20) {
			t.Errorf("%d items of %d at a time, not 3 of 20", most.Load(), total.Load())
		}
	})
}

// keys makes a key function that numbers the items.
func keys() func(struct{}) string {
	var mu sync.Mutex
	n := 0
	return func(struct{}) string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprint(n)
	}
}

func TestMapJoinsTheErrorsOfItsItems(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		bad := errors.New("bad item")
		d := lambdabiz.Define("Map", func(o lambdabiz.Context, n []int) ([]int, error) {
			return lambdabiz.Map(o, "items", n, func(n int) string { return fmt.Sprint("n", n) },
				func(o lambdabiz.Context, n int) (int, error) {
					return lambdabiz.Step(o, "step", func(context.Context) (int, error) {
						if n == 2 {
							return 0, bad
						}
						return n, nil
					})
				})
		})
		e, _ := b.worker(d, lambdabiz.ErrorValue("bad", bad))
		_, err := start(b, e, d, "m", []int{1, 2, 3}).Result(b.ctx)
		var failed *lambdabiz.TaskError
		if !errors.Is(err, bad) || !errors.As(err, &failed) || failed.OperationID != "items/n2/step" {
			t.Errorf("error is %v", err)
		}
	})
}

// race is a definition in which an event races with a timer.
func race(after func(o lambdabiz.Context) error) *lambdabiz.Definition[time.Duration, string] {
	return lambdabiz.Define("Race", func(o lambdabiz.Context, limit time.Duration) (string, error) {
		approval := lambdabiz.Go(o, "approval", func(o lambdabiz.Context) (string, error) {
			return lambdabiz.WaitForEvent[string](o, "Approve")
		})
		timeout := lambdabiz.Go(o, "timeout", func(o lambdabiz.Context) (string, error) {
			return "too late", lambdabiz.Sleep(o, "limit", limit)
		})
		first, err := lambdabiz.Race(o, "first", approval, timeout)
		if err != nil {
			return "", err
		}
		if after != nil {
			if err := after(o); err != nil {
				return "", err
			}
		}
		if first == 0 {
			return approval.Wait(o)
		}
		return timeout.Wait(o)
	})
}

func TestRaceIsWonByTheEvent(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := race(nil)
		e, _ := b.worker(d)
		run := start(b, e, d, "r", time.Hour)
		time.Sleep(time.Minute)
		if err := e.RaiseEvent(b.ctx, "r", "Approve", "yes"); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != "yes" {
			t.Errorf("result is %q", got)
		}
		s := b.state(e, "r")
		if o := operation(t, s, "timeout/limit"); o.Status != lambdabiz.StatusCancelled {
			t.Errorf("the losing timer is %v", o.Status)
		} else if o.Error == nil || o.Error.Message != "lost race first to approval" ||
			len(o.Error.Causes) != 1 || o.Error.Causes[0].Code != "cancelled" {
			t.Errorf("the losing timer's error is %+v", o.Error)
		}
	})
}

func TestRaceWithdrawsTheWaitsOfItsLosers(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := race(func(o lambdabiz.Context) error {
			_, err := lambdabiz.WaitForEvent[string](o, "second", lambdabiz.Named("Approve"))
			return err
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "r", time.Minute)
		time.Sleep(2 * time.Minute)
		s := b.state(e, "r")
		if o := operation(t, s, "approval/Approve"); o.Status != lambdabiz.StatusCancelled {
			t.Fatalf("the losing wait is %v", o.Status)
		}
		if err := e.RaiseEvent(b.ctx, "r", "Approve", "for the second wait"); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != "too late" {
			t.Errorf("result is %q", got)
		}
		if o := operation(t, b.state(e, "r"), "second"); !strings.Contains(string(o.Result), "for the second") {
			t.Errorf("the second wait got %s", o.Result)
		}
	})
}

func TestRaceEndsTheContextOfItsLosersAndDropsTheirResults(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		begun, ended := make(chan struct{}), make(chan struct{})
		var begin, end sync.Once // a body that is cut begins anew
		var after atomic.Bool
		d := lambdabiz.Define("Race", func(o lambdabiz.Context, _ int) (int, error) {
			slow := lambdabiz.Go(o, "slow", func(o lambdabiz.Context) (int, error) {
				_, err := lambdabiz.Step(o, "step", func(ctx context.Context) (int, error) {
					begin.Do(func() { close(begun) })
					<-ctx.Done()
					end.Do(func() { close(ended) })
					return 7, nil
				})
				after.Store(true)
				return 7, err
			})
			fast := lambdabiz.Go(o, "fast", func(lambdabiz.Context) (int, error) {
				<-begun
				return 1, nil
			})
			return lambdabiz.Race(o, "first", slow, fast)
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "r", 0)); got != 1 {
			t.Errorf("the winner is %d", got)
		}
		<-ended
		synctest.Wait()
		found := false
		for _, o := range b.state(e, "r").Operations {
			if found = found || o.ID == "slow/step"; o.ID == "slow/step" && (o.Status != lambdabiz.StatusCancelled || len(o.Result) > 0) {
				t.Errorf("the losing step is %v with %s", o.Status, o.Result)
			}
		}
		if !found && b.faults == nil { // code that begins anew finds that the other one has begun, and ends the race at once
			t.Error("the losing step is not recorded")
		}
		if after.Load() {
			t.Error("the losing branch went on after its step")
		}
	})
}

func TestRaceAsksTheChildrenOfItsLosersToCancel(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		child := lambdabiz.Define("Child", func(o lambdabiz.Context, _ int) (int, error) {
			return 1, lambdabiz.Sleep(o, "long", 24*time.Hour)
		})
		d := lambdabiz.Define("Race", func(o lambdabiz.Context, _ int) (int, error) {
			slow := lambdabiz.Go(o, "slow", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.CallChild(o, "child", child, 0)
			})
			fast := lambdabiz.Go(o, "fast", func(o lambdabiz.Context) (int, error) {
				return 2, lambdabiz.Sleep(o, "short", time.Minute)
			})
			return lambdabiz.Race(o, "first", slow, fast)
		})
		e, _ := b.worker(d, child)
		if got := result(b, start(b, e, d, "r", 0)); got != 1 {
			t.Errorf("the winner is %d", got)
		}
		if _, err := lambdabiz.Get(e, child, "r~-slow/child").Result(b.ctx); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("the child ended with %v", err)
		}
	})
}

func TestResumedRunDoesNotEnterALosingBranch(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var entered atomic.Int64
		d := lambdabiz.Define("Race", func(o lambdabiz.Context, _ int) (int, error) {
			loser := lambdabiz.Go(o, "loser", func(o lambdabiz.Context) (int, error) {
				entered.Add(1)
				return 0, lambdabiz.Sleep(o, "long", time.Hour)
			})
			winner := lambdabiz.Go(o, "winner", func(o lambdabiz.Context) (int, error) {
				return 0, lambdabiz.Sleep(o, "short", time.Second)
			})
			first, err := lambdabiz.Race(o, "first", loser, winner)
			if err != nil {
				return 0, err
			}
			_, err = lambdabiz.WaitForEvent[bool](o, "go")
			return first, err
		})
		b.well()
		e, stop := b.worker(d)
		run := start(b, e, d, "r", 0)
		time.Sleep(time.Minute)
		stop()
		b.ill()
		e, _ = b.worker(d)
		if err := e.RaiseEvent(b.ctx, "r", "go", true); err != nil {
			t.Fatal(err)
		}
		if got := result(b, lambdabiz.Get(e, d, run.ID())); got != 1 {
			t.Errorf("the winner is %d", got)
		}
		if entered.Load() != 1 {
			t.Errorf("the losing branch was entered %d times", entered.Load())
		}
	})
}

func TestUnfinishedBranchesEndWithTheFunction(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Open", func(o lambdabiz.Context, _ int) (string, error) {
			lambdabiz.Go(o, "wait", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.WaitForEvent[int](o, "never")
			})
			return "done", lambdabiz.Sleep(o, "short", time.Second)
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "o", 0)); got != "done" {
			t.Errorf("result is %q", got)
		}
		if o := operation(t, b.state(e, "o"), "wait/never"); o.Status != lambdabiz.StatusCancelled {
			t.Errorf("the wait is %v", o.Status)
		} else if o.Error == nil || o.Error.Message != "orchestration ended before its branch did" {
			t.Errorf("the wait's error is %+v", o.Error)
		}
	})
}

func TestIdsAreScopedByBranches(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Scopes", func(o lambdabiz.Context, _ int) (string, error) {
			step := func(o lambdabiz.Context, id, value string) (string, error) {
				return lambdabiz.Step(o, id, func(context.Context) (string, error) { return value, nil })
			}
			inner := lambdabiz.Go(o, "a", func(o lambdabiz.Context) (string, error) { return step(o, "b", "scope a, id b") })
			x, err := inner.Wait(o)
			if err != nil {
				return "", err
			}
			y, err := step(o, "a/b", "id a/b")
			if err != nil {
				return "", err
			}
			z, err := step(o, "a~1b", "id a~1b")
			return x + ", " + y + ", " + z, err
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "s", 0)); got != "scope a, id b, id a/b, id a~1b" {
			t.Errorf("result is %q", got)
		}
		s := b.state(e, "s")
		operation(t, s, "a/b")
		operation(t, s, "a~1b")
		operation(t, s, "a~01b")
	})
}

// An event that a branch took was given back when the orchestration's function returned in the same commit, although the
// branch had ended and its value was in the result.
// Row 37 of docs/proof/bugs.md.
func TestEventThatAnEndedBranchTookIsNotGivenBackAtTheEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Answer", func(o lambdabiz.Context, _ int) (int, error) {
			outer := lambdabiz.Go(o, "outer", func(o lambdabiz.Context) (int, error) {
				inner := lambdabiz.Go(o, "inner", func(o lambdabiz.Context) (int, error) {
					return lambdabiz.WaitForEvent[int](o, "add")
				})
				return inner.Wait(o)
			})
			return outer.Wait(o)
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "a", 0)
		if err := e.RaiseEvent(b.ctx, "a", "add", 7); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != 7 {
			t.Errorf("the result is %d", got)
		}
		s := b.state(e, "a")
		if o := operation(t, s, "outer/inner/add"); o.Status != lambdabiz.StatusSucceeded || string(o.Result) != "7" {
			t.Errorf("the wait is %v with %s", o.Status, o.Result)
		}
		if len(s.Events) != 0 {
			t.Errorf("the event is left: %+v", s.Events)
		}
	})
}

// The same before a next run: it took the event again.
func TestEventThatAnEndedBranchTookIsNotTakenAgainByTheNextRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Sum", func(o lambdabiz.Context, sum int) (int, error) {
			add := lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.WaitForEvent[int](o, "add")
			})
			n, err := add.Wait(o)
			if err != nil || n == 0 || sum > 1000 { // it would go on for ever
				return sum, err
			}
			return 0, lambdabiz.ContinueAsNew(o, sum+n)
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "s", 0)
		for _, n := range []int{1, 10, 100, 0} {
			if err := e.RaiseEvent(b.ctx, "s", "add", n); err != nil {
				t.Fatal(err)
			}
		}
		if got := result(b, run); got != 111 {
			t.Errorf("the sum is %d, want 111", got)
		}
	})
}

// An item that cannot begin gives back its place of the concurrency.
func TestMapGoesOnAfterAnItemThatCannotBegin(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
			_, err := lambdabiz.Map(o, "m", []string{"", "b", "c"}, func(s string) string { return s },
				func(o lambdabiz.Context, _ string) (int, error) { return lambdabiz.Step(o, "s", one) },
				lambdabiz.Concurrency(1))
			return fmt.Sprint(errors.Is(err, lambdabiz.ErrInvalidID)), nil
		})
		e, _ := b.worker(d)
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		if got, err := start(b, e, d, "x", 0).Result(ctx); got != "true" || err != nil {
			t.Errorf("result %q, %v", got, err)
		}
	})
}

// The results of a Map that a cancellation ends early are the caller's: nobody writes them any more.
func TestMapResultsAreTheCallers(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			results, err := lambdabiz.Map(o, "m", []string{"a", "b"}, func(s string) string { return s },
				func(o lambdabiz.Context, _ string) (int, error) {
					return lambdabiz.Step(o, "s", func(context.Context) (int, error) { time.Sleep(time.Minute); return 7, nil })
				})
			for range 120 {
				results[0]++
				time.Sleep(time.Second)
			}
			return 0, err
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		_, _ = run.Result(b.ctx)
	}, "memory")
}
