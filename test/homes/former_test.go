package homes_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// code is what an orchestration does before it waits for Go.
type code func(o lambdabiz.Context, tick *lambdabiz.Task[int, int]) error

// counted is a task that counts its calls.
func counted(name string, calls *atomic.Int32) *lambdabiz.Task[int, int] {
	return lambdabiz.NewTask(name, func(_ context.Context, in int) (int, error) {
		calls.Add(1)
		return in, nil
	})
}

// renamed runs the code before until it waits for Go, and the code after until its end: nothing is recorded under
// a new path, and nothing is left over.
func renamed(t *testing.T, before, after code) {
	t.Helper()
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		of := func(f code) *lambdabiz.Definition[int, string] {
			return changing(func(o lambdabiz.Context, _ int) error { return f(o, tick) })
		}
		b.well()
		e, stop := b.worker(of(before), tick)
		start(b, e, of(before), "x0", 0)
		time.Sleep(time.Minute)
		had, was := calls.Load(), b.state(e, "x0")
		stop()
		b.ill()
		e, _ = b.worker(of(after), tick)
		raise(b, e, "x0", "Go", true)
		time.Sleep(time.Hour)
		succeed(b, e, 1)
		s := b.state(e, "x0")
		if len(s.Orphans) > 0 || len(s.Operations) != len(was.Operations) || calls.Load() != had {
			t.Errorf("%d calls, before %d; orphans %q; recorded\n%+v\nbefore\n%+v",
				calls.Load(), had, s.Orphans, s.Operations, was.Operations)
		}
	})
}

func TestFormerlyOfWaits(t *testing.T) {
	renamed(t, func(o lambdabiz.Context, _ *lambdabiz.Task[int, int]) error {
		_, err := lambdabiz.WaitForEvent[int](o, "answer", lambdabiz.Timeout(time.Second))
		return errors.Join(ignoreLate(err), lambdabiz.Sleep(o, "nap", time.Second),
			lambdabiz.SleepUntil(o, "until", time.Now().Add(time.Second)))
	}, func(o lambdabiz.Context, _ *lambdabiz.Task[int, int]) error {
		_, err := lambdabiz.WaitForEvent[int](o, "reply",
			lambdabiz.Named("answer"), lambdabiz.Timeout(time.Second), lambdabiz.Formerly("answer"))
		return errors.Join(ignoreLate(err), lambdabiz.Sleep(o, "rest", time.Second, lambdabiz.Formerly("nap")),
			lambdabiz.SleepUntil(o, "tomorrow", time.Now().Add(time.Second), lambdabiz.Formerly("until")))
	})
}

func TestFormerlyOfAWaitForAnyOfSeveralEvents(t *testing.T) {
	wait := func(id string, opts ...lambdabiz.WaitOption) code {
		return func(o lambdabiz.Context, _ *lambdabiz.Task[int, int]) error {
			if err := lambdabiz.RaiseEvent(o, "raise", o.ID(), "A/1", 1); err != nil {
				return err
			}
			_, _, err := lambdabiz.WaitForAnyEvent[int](o, id, []string{"A/1", "B"}, opts...)
			return err
		}
	}
	t.Run("id", func(t *testing.T) { renamed(t, wait("decision"), wait("choice", lambdabiz.Formerly("decision"))) })
	t.Run("path", func(t *testing.T) { renamed(t, wait("decision"), wait("choice", lambdabiz.FormerlyAt("decision"))) })
}

func ignoreLate(err error) error {
	if late := (*lambdabiz.EventTimeoutError)(nil); errors.As(err, &late) {
		return nil
	}
	return err
}

// step calls a step with options.
func stepWith(o lambdabiz.Context, id string, opts ...lambdabiz.CallOption) error {
	return lambdabiz.Do(o, id, func(context.Context) error { return nil }, opts...)
}

func TestFormerlyOfSteps(t *testing.T) {
	renamed(t, func(o lambdabiz.Context, _ *lambdabiz.Task[int, int]) error {
		return stepWith(o, "audit")
	}, func(o lambdabiz.Context, _ *lambdabiz.Task[int, int]) error {
		return stepWith(o, "log", lambdabiz.Formerly("audit"))
	})
}

// inBranch runs f in a branch.
func inBranch(o lambdabiz.Context, id string, f func(o lambdabiz.Context) error, opts ...lambdabiz.BranchOption) error {
	_, err := lambdabiz.Go(o, id, func(o lambdabiz.Context) (int, error) { return 0, f(o) }, opts...).Wait(o)
	return err
}

func TestFormerlyOfABranchRenamesAllInside(t *testing.T) {
	code := func(outer, inner, op string, outerWas, innerWas []lambdabiz.BranchOption, opWas ...lambdabiz.CallOption) code {
		return func(o lambdabiz.Context, tick *lambdabiz.Task[int, int]) error {
			return inBranch(o, outer, func(o lambdabiz.Context) error {
				if _, err := lambdabiz.Call(o, "first", tick, 1); err != nil {
					return err
				}
				return inBranch(o, inner, func(o lambdabiz.Context) error {
					_, err := lambdabiz.Call(o, op, tick, 2, opWas...)
					return errors.Join(err, lambdabiz.Sleep(o, "nap", time.Second))
				}, innerWas...)
			}, outerWas...)
		}
	}
	was := func(ids ...string) []lambdabiz.BranchOption {
		return []lambdabiz.BranchOption{lambdabiz.Formerly(ids...)}
	}
	t.Run("outer", func(t *testing.T) {
		renamed(t, code("a/1", "b", "c", nil, nil), code("A", "b", "c", was("a/1"), nil))
	})
	t.Run("inner", func(t *testing.T) {
		renamed(t, code("a", "b", "c", nil, nil), code("a", "B", "c", nil, was("x", "b")))
	})
	t.Run("all", func(t *testing.T) {
		renamed(t, code("a", "b", "c", nil, nil), code("A", "B", "C", was("a"), was("b"), lambdabiz.Formerly("c")))
	})
	t.Run("at", func(t *testing.T) {
		at := lambdabiz.FormerlyAt
		renamed(t, code("a", "b", "c", nil, nil), code("A", "B", "C", []lambdabiz.BranchOption{at("a")},
			[]lambdabiz.BranchOption{at("a/b")}, at("a/b/c")))
	})
}

func TestFormerlyOfAMap(t *testing.T) {
	code := func(id string, opts ...lambdabiz.MapOption) code {
		return func(o lambdabiz.Context, tick *lambdabiz.Task[int, int]) error {
			_, err := lambdabiz.Map(o, id, []int{1, 2, 3}, func(i int) string { return fmt.Sprint(i) },
				func(o lambdabiz.Context, i int) (int, error) { return lambdabiz.Call(o, "tick", tick, i) }, opts...)
			return err
		}
	}
	renamed(t, code("parcels"), code("packages", lambdabiz.Concurrency(2), lambdabiz.Formerly("parcels")))
}

func TestFormerlyAtOfWhatMovedIntoABranchAndOut(t *testing.T) {
	root := func(opts ...lambdabiz.CallOption) code {
		return func(o lambdabiz.Context, tick *lambdabiz.Task[int, int]) error {
			_, err := lambdabiz.Call(o, "tick", tick, 1, opts...)
			return err
		}
	}
	branch := func(id string, opts ...lambdabiz.CallOption) code {
		return func(o lambdabiz.Context, tick *lambdabiz.Task[int, int]) error {
			return inBranch(o, id, func(o lambdabiz.Context) error { return root(opts...)(o, tick) })
		}
	}
	t.Run("in", func(t *testing.T) { renamed(t, root(), branch("b", lambdabiz.FormerlyAt("tick"))) })
	t.Run("out", func(t *testing.T) { renamed(t, branch("b"), root(lambdabiz.FormerlyAt("b/tick"))) })
	t.Run("across", func(t *testing.T) { renamed(t, branch("b/c"), branch("d", lambdabiz.FormerlyAt("b~1c/tick"))) })
}

// racing is a race between two branches; the loser has done something before.
func racing(race, slow, fast string, opts ...lambdabiz.BranchOption) code {
	was := func(i int) []lambdabiz.BranchOption {
		if len(opts) == 0 {
			return nil
		}
		return opts[i : i+1]
	}
	return func(o lambdabiz.Context, tick *lambdabiz.Task[int, int]) error {
		a := lambdabiz.Go(o, slow, func(o lambdabiz.Context) (int, error) {
			_, err := lambdabiz.Call(o, "tick", tick, 1)
			return 1, errors.Join(err, lambdabiz.Sleep(o, "nap", 50*time.Hour))
		}, was(0)...)
		b := lambdabiz.Go(o, fast, func(o lambdabiz.Context) (int, error) {
			_, err := lambdabiz.Call(o, "tick", tick, 2)
			return 2, errors.Join(err, lambdabiz.Sleep(o, "nap", time.Second))
		}, was(1)...)
		first, err := lambdabiz.Race(o, race, a, b)
		if err != nil {
			return err
		}
		if first != 1 {
			return fmt.Errorf("branch %d won", first)
		}
		_, err = b.Wait(o)
		return err
	}
}

func TestFormerlyOfBranchesThatHaveRaced(t *testing.T) {
	renamed(t, racing("race", "slow", "fast"),
		racing("race", "later", "sooner", lambdabiz.Formerly("slow"), lambdabiz.Formerly("fast")))
}

// A race has no option: its losers have lost, and so the same branch wins.
func TestARenamedRaceIsWonByTheSameBranch(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		code := func(race string) *lambdabiz.Definition[int, string] {
			return changing(func(o lambdabiz.Context, _ int) error { return racing(race, "slow", "fast")(o, tick) })
		}
		e, _ := changes(b, 1, code("race"), code("first"), tick)
		succeed(b, e, 1)
		if s := b.state(e, "x0"); len(s.Orphans) != 1 || s.Orphans[0] != "race" || calls.Load() != 2 {
			t.Errorf("orphans %q, %d calls", s.Orphans, calls.Load())
		}
	})
}

// A race that is decided after its branches were renamed is found by the code that comes after, too.
func TestARaceIsDecidedAmongRenamedBranches(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		code := func(slow, fast string, opts ...lambdabiz.BranchOption) *lambdabiz.Definition[int, string] {
			return lambdabiz.Define("Changing", func(o lambdabiz.Context, _ int) (string, error) {
				branch := func(i int, id string, wait time.Duration) *lambdabiz.Future[int] {
					return lambdabiz.Go(o, id, func(o lambdabiz.Context) (int, error) {
						if _, err := lambdabiz.Call(o, "tick", tick, i); err != nil {
							return 0, err
						}
						return i, lambdabiz.Sleep(o, "nap", wait)
					}, opts[min(i, len(opts)):min(i+1, len(opts))]...)
				}
				all := []lambdabiz.Awaitable{branch(0, slow, 40*time.Hour), branch(1, fast, time.Hour)}
				first, err := lambdabiz.Race(o, "race", all...)
				if err == nil {
					_, err = lambdabiz.WaitForEvent[bool](o, "Go")
				}
				return fmt.Sprint(first), err
			})
		}
		for i, c := range []*lambdabiz.Definition[int, string]{
			code("slow", "fast"),
			code("later", "sooner", lambdabiz.Formerly("slow"), lambdabiz.Formerly("fast")),
			code("last", "first", lambdabiz.Formerly("later", "slow"), lambdabiz.Formerly("sooner", "fast")),
		} {
			e, stop := b.worker(c, tick)
			if i == 0 {
				start(b, e, c, "x0", 0)
			}
			time.Sleep(45 * time.Minute)
			if i == 2 {
				raise(b, e, "x0", "Go", true)
				b.settle()
				succeed(b, e, 1)
				if s := b.state(e, "x0"); string(s.Result) != `"1"` || len(s.Orphans) > 0 || calls.Load() != 2 || len(s.Operations) != 6 {
					t.Errorf("result %s, orphans %q, %d calls, recorded %+v", s.Result, s.Orphans, calls.Load(), s.Operations)
				}
			}
			stop()
		}
	}, keepsClaims(countsBodies))
}

// A third name needs both earlier ones; the attempts keep the key of the recorded path.
func TestFormerlyOfAThirdName(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var keys []string
		charge := lambdabiz.NewTask("Charge", func(ctx context.Context, _ int) (int, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			keys = append(keys, info.OperationID+" "+info.IdempotencyKey)
			if info.Attempt < 3 {
				return 0, errors.New("busy")
			}
			return 1, nil
		})
		code := func(id string, opts ...lambdabiz.CallOption) *lambdabiz.Definition[int, string] {
			return changing(func(o lambdabiz.Context, in int) error {
				_, err := lambdabiz.Call(o, id, charge, in, append(opts,
					lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Hour, Max: time.Hour, Jitter: -1}))...)
				return err
			})
		}
		first := code("charge")
		for i, c := range []*lambdabiz.Definition[int, string]{
			first, code("pay", lambdabiz.Formerly("charge")), code("settle", lambdabiz.Formerly("pay", "charge")),
		} {
			e, stop := b.worker(c, charge)
			if i == 0 {
				start(b, e, c, "x0", 0)
			}
			time.Sleep(time.Minute)
			if i == 2 {
				raise(b, e, "x0", "Go", true)
				time.Sleep(time.Minute)
				succeed(b, e, 1)
			}
			time.Sleep(time.Hour)
			stop()
		}
		if len(keys) != 3 || keys[0] != keys[1] || keys[1] != keys[2] {
			t.Errorf("the attempts had the keys %q", keys)
		}
	}, keepsClaims(countsBodies))
}

// If both are recorded, the operation's own id comes first; the former one is left over.
func TestFormerlyWhenBothIdsAreRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		before := changing(func(o lambdabiz.Context, _ int) error {
			a, err := lambdabiz.Call(o, "old", tick, 1)
			c, fault := lambdabiz.Call(o, "new", tick, 2)
			return errors.Join(err, fault, wantSum(a+c, 3))
		})
		after := changing(func(o lambdabiz.Context, _ int) error {
			a, err := lambdabiz.Call(o, "new", tick, 2, lambdabiz.Formerly("old"))
			return errors.Join(err, wantSum(a, 2))
		})
		e, _ := changes(b, 1, before, after, tick)
		succeed(b, e, 1)
		if s := b.state(e, "x0"); calls.Load() != 2 || len(s.Orphans) != 1 || s.Orphans[0] != "old" {
			t.Errorf("%d calls, orphans %q", calls.Load(), s.Orphans)
		}
	})
}

func wantSum(got, want int) error {
	if got != want {
		return fmt.Errorf("got %d, want %d", got, want)
	}
	return nil
}

// An id that is another operation's former one is not free yet.
func TestAFormerIdIsNotFreeForSomethingElse(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		before := changing(func(o lambdabiz.Context, _ int) error {
			_, err := lambdabiz.Call(o, "old", tick, 1)
			return err
		})
		after := changing(func(o lambdabiz.Context, _ int) error {
			_, err := lambdabiz.Call(o, "new", tick, 1, lambdabiz.Formerly("old"))
			_, fault := lambdabiz.Call(o, "old", tick, 5)
			return errors.Join(err, fault)
		})
		e, _ := changes(b, 1, before, after, tick)
		s := b.state(e, "x0")
		if s.Blocked == nil || s.Blocked.Operation != "old" || calls.Load() != 1 {
			t.Errorf("blocked %+v, %d calls", s.Blocked, calls.Load())
		}
	})
}

// Formerly says nothing of the kind: that of the record counts.
func TestFormerlyOfAnotherKindBlocks(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		before := changing(func(o lambdabiz.Context, _ int) error { return lambdabiz.Sleep(o, "old", time.Second) })
		after := changing(func(o lambdabiz.Context, _ int) error { return stepWith(o, "new", lambdabiz.Formerly("old")) })
		e, _ := changes(b, 1, before, after)
		if s := b.state(e, "x0"); s.Blocked == nil || s.Blocked.Operation != "old" {
			t.Errorf("blocked %+v", s.Blocked)
		}
	})
}

func TestBadFormerIdsAreErrorsAndRecordNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		code := lambdabiz.Define("Bad", func(o lambdabiz.Context, _ int) (int, error) {
			for _, opt := range []lambdabiz.FormerlyOption{
				lambdabiz.Formerly(""), lambdabiz.Formerly("a", "b\n"), lambdabiz.FormerlyAt("a//b"), lambdabiz.FormerlyAt("/a"),
			} {
				if err := stepWith(o, "a", opt); !errors.Is(err, lambdabiz.ErrInvalidID) {
					return 0, fmt.Errorf("step: %w", err)
				}
				if err := inBranch(o, "b", func(lambdabiz.Context) error { return nil }, opt); !errors.Is(err, lambdabiz.ErrInvalidID) {
					return 0, fmt.Errorf("branch: %w", err)
				}
			}
			return 1, nil
		})
		e, _ := b.worker(code)
		run := start(b, e, code, "x0", 0)
		if result(b, run) != 1 || len(b.state(e, "x0").Operations) != 0 {
			t.Errorf("recorded are %+v", b.state(e, "x0").Operations)
		}
	})
}
