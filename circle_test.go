package lambdabiz_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Branches that wait for each other, or a branch for itself, stood still for ever without a reason.
func TestBranchesThatWaitForEachOtherBlockTheRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		futures := func(o lambdabiz.Context, wait func(o lambdabiz.Context, own, other *lambdabiz.Future[int]) error) error {
			var x, y *lambdabiz.Future[int]
			ready := make(chan struct{})
			x = lambdabiz.Go(o, "x", func(o lambdabiz.Context) (int, error) { <-ready; return 0, wait(o, x, y) })
			y = lambdabiz.Go(o, "y", func(o lambdabiz.Context) (int, error) { <-ready; return 0, wait(o, y, x) })
			close(ready)
			_, err := x.Wait(o)
			return err
		}
		for name, wait := range map[string]func(o lambdabiz.Context, own, other *lambdabiz.Future[int]) error{
			"each other": func(o lambdabiz.Context, _, other *lambdabiz.Future[int]) error {
				_, err := other.Wait(o)
				return err
			},
			"itself": func(o lambdabiz.Context, own, _ *lambdabiz.Future[int]) error {
				_, err := own.Wait(o)
				return err
			},
			"each other in races": func(o lambdabiz.Context, own, other *lambdabiz.Future[int]) error {
				_, err := lambdabiz.Race(o, "r", other, own)
				return err
			},
			"each other after work": func(o lambdabiz.Context, _, other *lambdabiz.Future[int]) error {
				if err := lambdabiz.Sleep(o, "s", time.Second); err != nil {
					return err
				}
				_, err := lambdabiz.Go(o, "in", func(o lambdabiz.Context) (int, error) { return other.Wait(o) }).Wait(o)
				return err
			},
		} {
			d := lambdabiz.Define("Circle "+name, func(o lambdabiz.Context, _ int) (int, error) { return 0, futures(o, wait) })
			e, stop := b.worker(d)
			start(b, e, d, name, 0)
			time.Sleep(30 * time.Second)
			blocked := b.state(e, name).Blocked
			if blocked == nil || strings.Count(blocked.Reason, "circle_test.go:") < 1 ||
				name != "itself" && strings.Count(blocked.Reason, "circle_test.go:") < 2 || blocked.Source == "" {
				t.Errorf("%s: blocked is %+v", name, blocked)
			}
			stop()
		}
	})
}

// Waits that end are none of that: in a diamond, and in a race that something else can end.
func TestBranchesThatWaitInAChainAreNotBlocked(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			slow := lambdabiz.Go(o, "slow", func(o lambdabiz.Context) (int, error) {
				return 1, lambdabiz.Sleep(o, "s", time.Second)
			})
			left := lambdabiz.Go(o, "left", func(o lambdabiz.Context) (int, error) { return slow.Wait(o) })
			right := lambdabiz.Go(o, "right", func(o lambdabiz.Context) (int, error) {
				if _, err := lambdabiz.Race(o, "r", left, slow); err != nil {
					return 0, err
				}
				return 1, nil
			})
			return right.Wait(o)
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "x", 0)); got != 1 {
			t.Errorf("result is %d", got)
		}
	})
}

// A Map that had lost, or was cancelled, began its further items all the same.
func TestAMapThatIsOverBeginsNoFurtherItems(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		items := make([]int, 128)
		for i := range items {
			items[i] = i
		}
		var begun sync.Map // the items, not how often: a worker that has lost its claim begins the code again
		many := func(o lambdabiz.Context) error {
			_, err := lambdabiz.Map(o, "m", items, func(i int) string { return fmt.Sprint(i) },
				func(o lambdabiz.Context, i int) (int, error) {
					begun.Store(i, true)
					return lambdabiz.WaitForEvent[int](o, "never")
				}, lambdabiz.Concurrency(2))
			return err
		}
		loses := lambdabiz.Define("Loses", func(o lambdabiz.Context, _ int) (int, error) {
			long := lambdabiz.Go(o, "long", func(o lambdabiz.Context) (int, error) { return 0, many(o) })
			short := lambdabiz.Go(o, "short", func(o lambdabiz.Context) (int, error) {
				return 0, lambdabiz.Sleep(o, "s", time.Second)
			})
			return lambdabiz.Race(o, "r", long, short)
		})
		cancelled := lambdabiz.Define("Cancelled", func(o lambdabiz.Context, _ int) (int, error) { return 0, many(o) })
		e, _ := b.worker(loses, cancelled)
		result(b, start(b, e, loses, "loses", 0))
		wantTwo := func(whose string) {
			t.Helper()
			n := 0
			begun.Range(func(any, any) bool { n++; return true })
			if n != 2 {
				t.Errorf("%d items of %s have begun", n, whose)
			}
			begun.Clear()
		}
		wantTwo("the loser")
		run := start(b, e, cancelled, "cancelled", 0)
		b.settle()
		if err := e.Cancel(b.ctx, "cancelled", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := run.Result(context.WithoutCancel(b.ctx)); err == nil {
			t.Error("it has succeeded")
		}
		wantTwo("the cancelled one")
	})
}

// A resumed run that is cancelled tells each branch by itself. A Map heard last, of the item that came last to what is
// recorded, and began the items without a record in the place of those that had ended before.
func TestAMapOfAResumedRunThatIsCancelledBeginsNoFurtherItems(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var resumed atomic.Bool
		var begun notes
		d := define(func(o lambdabiz.Context) (int, error) {
			_, err := lambdabiz.Map(o, "m", []string{"first", "slow", "third", "fourth"}, func(item string) string { return item },
				func(o lambdabiz.Context, item string) (int, error) {
					if resumed.Load() {
						begun.add(item)
						if item == "slow" {
							time.Sleep(time.Second) // before it comes to what is recorded
						}
					}
					return lambdabiz.WaitForEvent[int](o, "never")
				}, lambdabiz.Concurrency(2))
			return 0, err
		})
		e, stop := b.worker(d)
		start(b, e, d, "x", 0)
		b.settle()
		stop()
		b.cancel("x")
		resumed.Store(true)
		b.well() // else the code may run more than once
		b.resumed(d, "x")
		b.ill()
		if got := begun.String(); got != "first, slow" && got != "slow, first" {
			t.Errorf("the items that have begun are %s", got)
		}
	})
}
