package homes_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// changes runs n orchestrations of the code before until they wait for Go, and then the code after; it raises Go
// in all of them. The orchestrations' ids are x0, x1, ...
func changes(b *bench, n int, before, after lambdabiz.Registrable, also ...lambdabiz.Registrable) (e *lambdabiz.Engine, back func()) {
	b.t.Helper()
	b.well() // what is to be found again is recorded
	e, stop := b.workerWith(lambdabiz.Config{Version: "1"}, append(also, before)...)
	for i := range n {
		_, err := e.StartByName(b.ctx, "Changing", fmt.Sprintf("x%d", i), i)
		if err != nil {
			b.t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	stop()
	b.ill()
	e, stop = b.workerWith(lambdabiz.Config{Version: "2"}, append(also, after)...)
	for i := range n {
		if err := e.RaiseEvent(b.ctx, fmt.Sprintf("x%d", i), "Go", true); err != nil {
			b.t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	b.settle()
	return e, stop
}

// changing is code that does something and waits for Go.
func changing(f func(o lambdabiz.Context, in int) error, opts ...lambdabiz.DefineOption) *lambdabiz.Definition[int, string] {
	return lambdabiz.Define("Changing", func(o lambdabiz.Context, in int) (string, error) {
		if err := f(o, in); err != nil {
			return "", err
		}
		_, err := lambdabiz.WaitForEvent[bool](o, "Go")
		return "done", err
	}, opts...)
}

// succeeds waits for all to end.
func succeed(b *bench, e *lambdabiz.Engine, n int) {
	b.t.Helper()
	for i := range n {
		id := fmt.Sprintf("x%d", i)
		if s := b.state(e, id); s.Status != lambdabiz.StatusSucceeded {
			b.t.Errorf("%s is %v, blocked %+v, error %+v", id, s.Status, s.Blocked, s.Error)
		}
	}
}

var sourceLine = regexp.MustCompile(`_test\.go:\d+$`)

func blockedBefore(b *bench, e *lambdabiz.Engine, id, op, recorded, remedy string) {
	b.t.Helper()
	s := b.state(e, id)
	if s.Status != lambdabiz.StatusStarted || s.Blocked == nil {
		b.t.Fatalf("%s is not blocked: %+v", id, s.RunInfo)
	}
	for _, part := range []string{fmt.Sprintf("%q", op), fmt.Sprintf("%q", recorded), remedy, "NotRenamed()"} {
		if !strings.Contains(s.Blocked.Reason, part) {
			b.t.Errorf("the reason does not name %s: %s", part, s.Blocked.Reason)
		}
	}
	if s.Blocked.Operation != op || !sourceLine.MatchString(s.Blocked.Source) {
		b.t.Errorf("it is blocked at %q, %q", s.Blocked.Operation, s.Blocked.Source)
	}
}

// A charging id was renamed while 20 orders waited: each customer was charged twice, and nothing said so.
// Row 107 of docs/proof/bugs.md.
func TestARenamedChargeWasMadeAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var charged atomic.Int32
		charge := lambdabiz.NewTask("Charge", func(context.Context, int) (string, error) {
			charged.Add(1)
			return "payment", nil
		})
		code := func(id string, opts ...lambdabiz.CallOption) *lambdabiz.Definition[int, string] {
			return changing(func(o lambdabiz.Context, in int) error {
				_, err := lambdabiz.Call(o, id, charge, in, opts...)
				return err
			})
		}
		const n = 20
		e, stop := changes(b, n, code("charge"), code("charge-card"), charge)
		for i := range n {
			blockedBefore(b, e, fmt.Sprintf("x%d", i), "charge-card", "charge", `Formerly("charge")`)
		}
		if got := charged.Load(); got != n {
			t.Errorf("charged %d times, want %d", got, n)
		}
		stop()
		e, _ = b.workerWith(lambdabiz.Config{Version: "3"}, charge, code("charge-card", lambdabiz.Formerly("charge")))
		time.Sleep(10 * time.Minute)
		succeed(b, e, n)
		if got := charged.Load(); got != n {
			t.Errorf("charged %d times with Formerly, want %d", got, n)
		}
		s := b.state(e, "x0")
		if len(s.Orphans) > 0 || operation(t, s, "charge").Status != lambdabiz.StatusSucceeded {
			t.Errorf("orphans %q in %+v", s.Orphans, s.Operations)
		}
	})
}

// effects are the kinds that the guard looks at, each under an id.
func effects(b *bench) (lambdabiz.Registrables, map[string]func(o lambdabiz.Context, id string, former bool) error) {
	task := lambdabiz.NewTask("T", func(_ context.Context, in int) (int, error) { return in, nil })
	child := lambdabiz.Define("C", func(_ lambdabiz.Context, in int) (int, error) { return in, nil })
	sink := lambdabiz.Define("Sink", func(o lambdabiz.Context, _ int) (bool, error) {
		return lambdabiz.WaitForEvent[bool](o, "End")
	})
	start(b, b.engine(lambdabiz.Config{}, sink), sink, "sink", 0)
	return lambdabiz.Registrables{task, child, sink}, map[string]func(o lambdabiz.Context, id string, former bool) error{
		"TASK": func(o lambdabiz.Context, id string, former bool) error {
			var opts []lambdabiz.CallOption
			if former {
				opts = append(opts, lambdabiz.Formerly("old"))
			}
			_, err := lambdabiz.CallTask[int](o, id, "T", 7, opts...)
			return err
		},
		"CHILD": func(o lambdabiz.Context, id string, former bool) error {
			var opts []lambdabiz.ChildOption
			if former {
				opts = append(opts, lambdabiz.Formerly("old"))
			}
			_, err := lambdabiz.CallChild(o, id, child, 7, opts...)
			return err
		},
		"START": func(o lambdabiz.Context, id string, former bool) error {
			var opts []lambdabiz.ChildOption
			if former {
				opts = append(opts, lambdabiz.Formerly("old"))
			}
			_, err := lambdabiz.StartChild(o, id, child, 7, opts...)
			return err
		},
		"RAISE": func(o lambdabiz.Context, id string, former bool) error {
			var opts []lambdabiz.RaiseFromOption
			if former {
				opts = append(opts, lambdabiz.Formerly("old"))
			}
			return lambdabiz.RaiseEvent(o, id, "sink", "Aside", 7, opts...)
		},
	}
}

func TestEveryRenamedEffectIsBlockedAndGoesOnWithFormerly(t *testing.T) {
	for _, kind := range []string{"TASK", "CHILD", "START", "RAISE"} {
		t.Run(kind, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				items, all := effects(b)
				do := all[kind]
				code := func(id string, former bool) *lambdabiz.Definition[int, string] {
					return changing(func(o lambdabiz.Context, _ int) error { return do(o, id, former) })
				}
				e, stop := changes(b, 1, code("old", false), code("new", false), items)
				blockedBefore(b, e, "x0", "new", "old", `Formerly("old")`)
				stop()
				e, _ = b.workerWith(lambdabiz.Config{Version: "3"}, items, code("new", true))
				time.Sleep(10 * time.Minute)
				succeed(b, e, 1)
				if s := b.state(e, "x0"); len(s.Operations) != 2 || len(s.Orphans) > 0 {
					t.Errorf("recorded are %+v, orphans %q", s.Operations, s.Orphans)
				}
			})
		})
	}
}

// A call of the same task with the same input may be inserted before the recorded one: the code says so.
func TestNotRenamedLetsWhatIsInsertedGoOn(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		code := func(define []lambdabiz.DefineOption, inserted bool, opts ...lambdabiz.CallOption) *lambdabiz.Definition[int, string] {
			return changing(func(o lambdabiz.Context, _ int) error {
				if inserted {
					if _, err := lambdabiz.Call(o, "inserted", tick, 7, opts...); err != nil {
						return err
					}
				}
				_, err := lambdabiz.Call(o, "recorded", tick, 7)
				return err
			}, define...)
		}
		e, stop := changes(b, 1, code(nil, false), code(nil, true), tick)
		blockedBefore(b, e, "x0", "inserted", "recorded", `Formerly("recorded")`)
		stop()
		e, stop = b.workerWith(lambdabiz.Config{Version: "3"}, tick, code(nil, true, lambdabiz.NotRenamed()))
		time.Sleep(10 * time.Minute)
		succeed(b, e, 1)
		stop()
		if s := b.state(e, "x0"); calls.Load() != 2 || len(s.Orphans) > 0 || len(s.Operations) != 3 {
			t.Errorf("%d calls, orphans %q, recorded %+v", calls.Load(), s.Orphans, s.Operations)
		}
		if err := e.Purge(b.ctx, "x0"); err != nil {
			t.Fatal(err)
		}
		e, _ = changes(b, 1, code(nil, false), code([]lambdabiz.DefineOption{lambdabiz.NotRenamed()}, true), tick)
		succeed(b, e, 1)
	}, notOnSWF("it purges at once"))
}

// What is moved into a branch has another path: that is a new id, too.
func TestAnEffectThatMovedIntoABranchIsBlocked(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		call := func(o lambdabiz.Context) error {
			_, err := lambdabiz.Call(o, "tick", tick, 7)
			return err
		}
		before := changing(func(o lambdabiz.Context, _ int) error { return call(o) })
		after := changing(func(o lambdabiz.Context, _ int) error { return inBranch(o, "b", call) })
		e, stop := changes(b, 1, before, after, tick)
		blockedBefore(b, e, "x0", "b/tick", "tick", `FormerlyAt("tick")`)
		stop()
		if calls.Load() != 1 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

// Another branch may be in a body for hours. It cannot come to what is recorded, so the guard does not wait for it.
func TestTheGuardDoesNotWaitForBodies(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		slow := lambdabiz.NewTask("Slow", func(ctx context.Context, _ int) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(10 * time.Hour):
				return 1, nil
			}
		})
		code := func(id string) *lambdabiz.Definition[int, string] {
			return changing(func(o lambdabiz.Context, _ int) error {
				other := lambdabiz.Go(o, "other", func(o lambdabiz.Context) (int, error) {
					return lambdabiz.Call(o, "slow", slow, 1)
				})
				_, err := lambdabiz.Call(o, id, tick, 7)
				if err == nil {
					_, err = lambdabiz.WaitForEvent[bool](o, "first")
				}
				_, fault := other.Wait(o)
				return errors.Join(err, fault)
			})
		}
		e, stop := b.workerWith(lambdabiz.Config{DrainTimeout: time.Second}, code("old"), tick, slow)
		start(b, e, code("old"), "x0", 0)
		time.Sleep(time.Minute)
		stop()
		e, _ = b.workerWith(lambdabiz.Config{DrainTimeout: time.Second}, code("new"), tick, slow)
		time.Sleep(time.Minute)
		if !b.logged("orchestration is blocked") || calls.Load() != 1 {
			t.Errorf("it is not blocked: %d calls, %+v", calls.Load(), b.state(e, "x0").RunInfo)
		}
	}, keepsClaims(countsBodies))
}

// A step has no name and no input: the guard cannot tell a renamed one from one that was inserted. It warns.
func TestARenamedStepIsWarnedOf(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		before := changing(func(o lambdabiz.Context, _ int) error { return stepWith(o, "charge") })
		after := changing(func(o lambdabiz.Context, _ int) error { return stepWith(o, "charge-card") })
		e, _ := changes(b, 1, before, after)
		succeed(b, e, 1)
		if !b.logged(`operation=charge-card`) || !b.logged(`recorded=charge`) {
			t.Error("nothing was logged of the renamed step")
		}
		if !b.logged("the code has ended without operations that are recorded") || !b.logged("orphans=[charge]") {
			t.Error("nothing was logged of the orphan")
		}
	})
}

// A cancelled run's context has ended from its beginning: code that looks at it goes another way when it is resumed.
func TestALoopThatEndsWithACancellationIsNotBlocked(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		code := lambdabiz.Define("Poll", func(o lambdabiz.Context, _ int) (int, error) {
			for i := 0; o.Err() == nil; i++ {
				if _, err := lambdabiz.Call(o, fmt.Sprintf("poll-%d", i), tick, 7); err != nil {
					break
				}
				if err := lambdabiz.Sleep(o, fmt.Sprintf("nap-%d", i), time.Hour); err != nil {
					break
				}
			}
			return lambdabiz.Call(lambdabiz.Detached(o), "last", tick, 7)
		})
		e, stop := b.worker(code, tick)
		run := start(b, e, code, "x0", 0)
		time.Sleep(90 * time.Minute)
		stop()
		if err := e.Cancel(b.ctx, "x0", "enough"); err != nil {
			t.Fatal(err)
		}
		b.worker(code, tick)
		if result(b, run) != 7 || !b.exact(int(calls.Load()), 3) {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

// What a branch that has lost has recorded is nobody's any more.
func TestWhatALoserHasDoneIsNotRepeatedByOthers(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int32
		tick := counted("Tick", &calls)
		code := func(again bool) *lambdabiz.Definition[int, string] {
			return changing(func(o lambdabiz.Context, _ int) error {
				if err := racing("race", "slow", "fast")(o, tick); err != nil || !again {
					return err
				}
				_, err := lambdabiz.Call(o, "again", tick, 1)
				return err
			})
		}
		e, _ := changes(b, 1, code(false), code(true), tick)
		succeed(b, e, 1)
		if !b.exact(int(calls.Load()), 3) {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

// A step that was moved into a branch, or out of one, was performed again, and check said that the code fits.
// Row 173 of docs/proof/bugs.md.
func TestAStepThatMovedToAnotherScopeIsBlocked(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, out := range []bool{false, true} {
			var charged atomic.Int32
			charge := func(opts ...lambdabiz.CallOption) func(o lambdabiz.Context) error {
				return func(o lambdabiz.Context) error {
					return lambdabiz.Do(o, "charge", func(context.Context) error {
						charged.Add(1)
						return nil
					}, opts...)
				}
			}
			flat := func(opts ...lambdabiz.CallOption) *lambdabiz.Definition[int, string] {
				return changing(func(o lambdabiz.Context, _ int) error { return charge(opts...)(o) })
			}
			deep := func(opts ...lambdabiz.CallOption) *lambdabiz.Definition[int, string] {
				return changing(func(o lambdabiz.Context, _ int) error { return inBranch(o, "pay", charge(opts...)) })
			}
			before, after, now, was := flat, deep, "pay/charge", "charge"
			if out {
				before, after, now, was = deep, flat, was, now
			}
			for name, last := range map[string]struct {
				opts []lambdabiz.CallOption
				want int32
			}{
				"FormerlyAt": {[]lambdabiz.CallOption{lambdabiz.FormerlyAt(was)}, 1},
				"NotRenamed": {[]lambdabiz.CallOption{lambdabiz.NotRenamed()}, 2},
			} {
				charged.Store(0)
				e, stop := b.workerWith(lambdabiz.Config{Version: "1"}, before())
				id := fmt.Sprintf("x-%v-%s", out, name)
				start(b, e, before(), id, 0)
				time.Sleep(time.Minute)
				stop()
				e, stop = b.workerWith(lambdabiz.Config{Version: "2"}, after())
				raise(b, e, id, "Go", true)
				time.Sleep(time.Minute)
				blockedBefore(b, e, id, now, was, fmt.Sprintf("FormerlyAt(%q)", was))
				stop()
				e, stop = b.workerWith(lambdabiz.Config{Version: "3"}, after(last.opts...))
				time.Sleep(10 * time.Minute)
				if s := b.state(e, id); s.Status != lambdabiz.StatusSucceeded || charged.Load() != last.want {
					t.Errorf("%s with %s: %v, blocked %+v, charged %d times", id, name, s.Status, s.Blocked, charged.Load())
				}
				stop()
			}
		}
	}, keepsClaims(countsBodies))
}

// A step that was moved and renamed may have been inserted as well: it is warned of, into a branch and out of one.
func TestAStepThatMovedAndWasRenamedIsWarnedOf(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		flat := changing(func(o lambdabiz.Context, _ int) error { return stepWith(o, "charge") })
		deep := changing(func(o lambdabiz.Context, _ int) error {
			return inBranch(o, "pay", func(o lambdabiz.Context) error { return stepWith(o, "charge-card") })
		})
		e, stop := changes(b, 1, flat, deep)
		succeed(b, e, 1)
		stop()
		if !b.logged("operation=pay/charge-card") || !b.logged("recorded=charge ") && !b.logged("recorded=charge\n") {
			t.Error("nothing was logged of the step that moved in")
		}
	})
}
