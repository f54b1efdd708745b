package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Branches that wait for each other, or a branch for itself, stood still for ever without a reason.
// Row 145 of docs/proof/bugs.md.
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
			b.settle()
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

// pair begins two branches that wait for each other.
func pair(o lambdabiz.Context) (x, y *lambdabiz.Future[int]) {
	ready := make(chan struct{})
	x = lambdabiz.Go(o, "x", func(o lambdabiz.Context) (int, error) { <-ready; return y.Wait(o) })
	y = lambdabiz.Go(o, "y", func(o lambdabiz.Context) (int, error) { <-ready; return x.Wait(o) })
	close(ready)
	return x, y
}

// nap is a branch that ends by itself.
func nap(o lambdabiz.Context, id string, d time.Duration) *lambdabiz.Future[int] {
	return lambdabiz.Go(o, id, func(o lambdabiz.Context) (int, error) { return 7, lambdabiz.Sleep(o, "s", d) })
}

// The end of something else may end such waits: of a race that they are in, or of the function. The run was blocked
// before that could be.
// Row 178 of docs/proof/bugs.md.
func TestACircleThatSomethingElseEndsDoesNotBlockTheRun(t *testing.T) {
	for name, code := range map[string]func(o lambdabiz.Context) (int, error){
		"a race with a timer": func(o lambdabiz.Context) (int, error) {
			x, y := pair(o)
			first, err := lambdabiz.Race(o, "r", x, nap(o, "nap", 10*time.Second), y)
			return first, err
		},
		"a race with an event that times out": func(o lambdabiz.Context) (int, error) {
			x, _ := pair(o)
			late := lambdabiz.Go(o, "late", func(o lambdabiz.Context) (int, error) {
				_, err := lambdabiz.WaitForEvent[int](o, "never", lambdabiz.Timeout(10*time.Second))
				return 0, err
			})
			return lambdabiz.Race(o, "r", x, late)
		},
		"a race with a task": func(o lambdabiz.Context) (int, error) {
			x, _ := pair(o)
			task := lambdabiz.Go(o, "task", func(o lambdabiz.Context) (int, error) {
				if err := lambdabiz.Sleep(o, "s", time.Second); err != nil {
					return 0, err
				}
				return lambdabiz.Call(o, "double", doubleTask, 1)
			})
			return lambdabiz.Race(o, "r", x, task)
		},
		"a race around the branch that they are in": func(o lambdabiz.Context) (int, error) {
			both := lambdabiz.Go(o, "both", func(o lambdabiz.Context) (int, error) {
				x, _ := pair(o)
				return x.Wait(o)
			})
			return lambdabiz.Race(o, "r", both, nap(o, "nap", 10*time.Second))
		},
		"a race in another branch": func(o lambdabiz.Context) (int, error) {
			x, y := pair(o)
			lambdabiz.Go(o, "q", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Race(o, "r", x, nap(o, "nap", 10*time.Second))
			})
			if _, err := y.Wait(o); !errors.Is(err, lambdabiz.ErrCancelled) {
				return 0, fmt.Errorf("the other one has ended with %w", err)
			}
			return 1, nil
		},
		"a race that has not begun": func(o lambdabiz.Context) (int, error) {
			x, y := pair(o)
			lambdabiz.Go(o, "q", func(o lambdabiz.Context) (int, error) {
				later := nap(o, "nap", 5*time.Second)
				time.Sleep(time.Millisecond) // the others come to their waits
				return lambdabiz.Race(o, "r", x, later)
			})
			_, err := y.Wait(o)
			if !errors.Is(err, lambdabiz.ErrCancelled) || o.Err() != nil {
				return 0, fmt.Errorf("the other one has ended with %w", err)
			}
			return 1, nil
		},
		"a race in a race": func(o lambdabiz.Context) (int, error) {
			x, _ := pair(o)
			inner := lambdabiz.Go(o, "q", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Race(o, "r", x, lambdabiz.Go(o, "w", func(o lambdabiz.Context) (int, error) { return x.Wait(o) }))
			})
			return lambdabiz.Race(o, "r", inner, nap(o, "nap", 10*time.Second))
		},
		"a race with an item of a Map": func(o lambdabiz.Context) (int, error) {
			all := lambdabiz.Go(o, "all", func(o lambdabiz.Context) (int, error) {
				_, err := lambdabiz.Map(o, "m", []string{"a", "b"}, func(s string) string { return s },
					func(o lambdabiz.Context, _ string) (int, error) { x, _ := pair(o); return x.Wait(o) })
				return 0, err
			})
			return lambdabiz.Race(o, "r", all, nap(o, "nap", 10*time.Second))
		},
		"the end of the function": func(o lambdabiz.Context) (int, error) {
			pair(o)
			return 1, lambdabiz.Sleep(o, "s", 10*time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				d := define(code)
				e, _ := b.worker(d, doubleTask)
				start(b, e, d, "x", 0)
				time.Sleep(10 * time.Minute) // one that was blocked by mistake is tried again, but its log says so
				s := b.state(e, "x")
				if s.Status != lambdabiz.StatusSucceeded || string(s.Result) != "1" || b.logged("blocked") {
					t.Errorf("it is %v with %s, blocked is %+v", s.Status, s.Result, s.Blocked)
				}
			})
		})
	}
}

// What could have ended a circle may be over, or come to wait for it too, and then nothing ends it.
func TestACircleThatNothingEndsAnyMoreBlocksTheRun(t *testing.T) {
	for name, code := range map[string]func(o lambdabiz.Context) (int, error){
		"the function waits at last": func(o lambdabiz.Context) (int, error) {
			x, _ := pair(o)
			if err := lambdabiz.Sleep(o, "s", 10*time.Second); err != nil {
				return 0, err
			}
			return x.Wait(o)
		},
		"the race has nothing else in it": func(o lambdabiz.Context) (int, error) {
			x, y := pair(o)
			return lambdabiz.Race(o, "r", x, y)
		},
		"the race was for others": func(o lambdabiz.Context) (int, error) {
			x, _ := pair(o)
			if _, err := lambdabiz.Race(o, "r", nap(o, "a", 2*time.Second), nap(o, "b", 3*time.Second)); err != nil {
				return 0, err
			}
			return x.Wait(o)
		},
		"the other branch of the race waits for them at last": func(o lambdabiz.Context) (int, error) {
			x, y := pair(o)
			return lambdabiz.Race(o, "r", x, lambdabiz.Go(o, "w", func(o lambdabiz.Context) (int, error) {
				if err := lambdabiz.Sleep(o, "s", 10*time.Second); err != nil {
					return 0, err
				}
				return y.Wait(o)
			}))
		},
		"the race around them has lost itself": func(o lambdabiz.Context) (int, error) {
			x, y := pair(o)
			racing := lambdabiz.Go(o, "q", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Race(o, "r", x, nap(o, "nap", time.Hour))
			})
			lambdabiz.Go(o, "p", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Race(o, "r", racing, nap(o, "nap", 10*time.Second))
			})
			return y.Wait(o)
		},
		"a branch works on beside them": func(o lambdabiz.Context) (int, error) {
			x, _ := pair(o)
			lambdabiz.Go(o, "beside", never)
			return x.Wait(o)
		},
		"a branch waits outside of operations": func(o lambdabiz.Context) (int, error) {
			x, _ := pair(o)
			lambdabiz.Go(o, "beside", func(o lambdabiz.Context) (int, error) { <-o.Done(); return 0, nil })
			return x.Wait(o)
		},
		"items of a Map and a branch": func(o lambdabiz.Context) (int, error) {
			var x, y *lambdabiz.Future[int]
			ready := make(chan struct{})
			x = lambdabiz.Go(o, "x", func(o lambdabiz.Context) (int, error) {
				<-ready
				_, err := lambdabiz.Map(o, "m", []string{"a", "b", "c"}, func(s string) string { return s },
					func(o lambdabiz.Context, _ string) (int, error) { return y.Wait(o) }, lambdabiz.Concurrency(2))
				return 0, err
			})
			y = lambdabiz.Go(o, "y", func(o lambdabiz.Context) (int, error) { <-ready; return x.Wait(o) })
			close(ready)
			return x.Wait(o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				d := define(code)
				e, _ := b.worker(d)
				start(b, e, d, "x", 0)
				time.Sleep(time.Minute)
				b.settle()
				blocked := b.state(e, "x").Blocked
				if blocked == nil {
					t.Fatal("it is not blocked")
				}
				lines := map[string]bool{}
				for _, line := range strings.FieldsFunc(blocked.Reason, func(r rune) bool { return r == ' ' || r == ',' }) {
					lines[line] = strings.Contains(line, "circle_test.go:") || lines[line]
				}
				n := 0
				for _, is := range lines {
					if is {
						n++
					}
				}
				if n < 2 || !strings.Contains(blocked.Source, "circle_test.go:") || blocked.Operation == "" {
					t.Errorf("blocked is %+v", blocked)
				}
			})
		})
	}
}

// A Map that had lost, or was cancelled, began its further items all the same.
// Row 146 of docs/proof/bugs.md.
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
// Row 176 of docs/proof/bugs.md.
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
