package homes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// byHand takes an orchestration over and starts it.
func byHand(b *bench, ctx context.Context, e *lambdabiz.Engine, id string) *lambdabiz.Orchestration { //nolint:revive // t first
	b.t.Helper()
	o, err := e.Create(ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := o.Start("Workflow Started"); err != nil {
		b.t.Fatal(err)
	}
	return o
}

var errInterrupted = errors.New("interrupted")

// original is the original's own program, driven by hand. It is interrupted after so many operations.
func original(b *bench, e *lambdabiz.Engine, after int) (operationResult, error) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var zero operationResult
	o, err := e.Create(ctx, "Sequence3")
	if err != nil {
		return zero, err
	}
	if err := o.Start("Workflow Started"); err != nil {
		return zero, err
	}
	// durable is called after every operation: the caller may answer its user at any line.
	durable := func(id string, err error) error {
		if err != nil {
			return err
		}
		s, err := b.engine(lambdabiz.Config{}).State(b.ctx, o.ID())
		if err != nil {
			return err
		}
		if op := operation(b.t, s, id); op.Status != lambdabiz.StatusSucceeded || op.Attempts != 1 {
			b.t.Errorf("when %s has returned it is %+v", id, op)
		}
		if after--; after == 0 {
			return errInterrupted
		}
		return nil
	}
	in := numbers{15, 5}
	if after == 0 {
		return zero, errInterrupted
	}
	a, err := lambdabiz.CallTask[numbers](o, "Operation1", "Number", in)
	if err := durable("Operation1", err); err != nil {
		return zero, err
	}
	_, err = lambdabiz.CallTask[operationResult](o, "Operation2", "Sum", a)
	if err := durable("Operation2", err); err != nil {
		return zero, err
	}
	result, err := lambdabiz.CallTask[operationResult](o, "Operation5", "Quotient", a)
	if err := durable("Operation5", err); err != nil {
		return zero, err
	}
	if err := durable("30SecTimer", lambdabiz.Sleep(o, "30SecTimer", 30*time.Second)); err != nil {
		return zero, err
	}
	approved, err := lambdabiz.WaitForEvent[bool](o, "Approve")
	if err := durable("Approve", err); err != nil {
		return zero, err
	}
	if !approved {
		return zero, o.Fail(errors.New("not approved"))
	}
	return result, o.Complete(result)
}

func TestByHandTheOriginalsProgramIsInterruptedAfterEveryOperation(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls notes
		counted := func(name string, f func(a, b float64) float64) *lambdabiz.Task[numbers, operationResult] {
			return lambdabiz.NewTask(name, func(_ context.Context, n numbers) (operationResult, error) {
				calls.add(name)
				return operationResult{n.Number1, n.Number2, f(float64(n.Number1), float64(n.Number2))}, nil
			})
		}
		tasks := []lambdabiz.Registrable{
			number, counted("Sum", func(a, b float64) float64 { return a + b }),
			counted("Quotient", func(a, b float64) float64 { return a / b }),
		}
		var began time.Time
		for after := range 6 {
			if after == 3 { // what comes now has the timer
				b.well()
				began = time.Now()
			}
			if after == 5 {
				raise(b, b.engine(lambdabiz.Config{}), "Sequence3", "Approve", true)
			}
			if _, err := original(b, b.engine(lambdabiz.Config{}, tasks...), after); !errors.Is(err, errInterrupted) {
				t.Fatalf("interrupted after %d operations it gave %v", after, err)
			}
		}
		e := b.engine(lambdabiz.Config{}, tasks...)
		got, err := original(b, e, -1)
		if err != nil || got != (operationResult{15, 5, 3}) || calls.String() != "Sum, Quotient" {
			t.Errorf("result is %+v, %v; what ran: %v", got, err, &calls)
		}
		s := b.state(e, "Sequence3")
		if s.Status != lambdabiz.StatusSucceeded || string(s.Result) != `{"Number1":15,"Number2":5,"Result":3}` ||
			s.Mode != lambdabiz.ModeHand || string(s.Input) != `"Workflow Started"` {
			t.Errorf("state is %+v", s.RunInfo)
		}
		if took := s.EndedAt.Sub(began); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("it took %v with a timer of 30 s", took)
		}
		if _, err := original(b, e, -1); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("called after its end it gave %v", err)
		}
	}, keepsEnds())
}

// records is what is stored of the operations of a run.
func records(b *bench, id string) string {
	b.t.Helper()
	rec, err := b.backend.Load(b.ctx, id, "")
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := json.Marshal([]any{rec.Status, rec.Operations, rec.Messages})
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func TestByHandAWaitReturnsErrWaitingAndRecordsNothing(t *testing.T) {
	waits := map[string]func(o lambdabiz.Context) error{
		"timer": func(o lambdabiz.Context) error { return lambdabiz.Sleep(o, "w", 20*time.Second) },
		"event": func(o lambdabiz.Context) error { _, err := lambdabiz.WaitForEvent[bool](o, "w"); return err },
		"backoff": func(o lambdabiz.Context) error {
			return lambdabiz.Do(o, "w", func(ctx context.Context) error {
				if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt == 1 {
					return errFlaky
				}
				return nil
			}, attempts(2, 20*time.Second))
		},
		"branch": func(o lambdabiz.Context) error {
			_, err := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (bool, error) { return lambdabiz.WaitForEvent[bool](o, "w") }).Wait(o)
			return err
		},
		"child": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChildByName[string](o, "w", "Ends", "wait", lambdabiz.ChildID("the child"))
			return err
		},
	}
	everywhere(t, func(t *testing.T, b *bench) {
		b.worker(lambdabiz.Define("Ends", func(o lambdabiz.Context, _ string) (string, error) {
			return "", lambdabiz.Sleep(o, "s", 20*time.Second)
		}))
		e := b.engine(lambdabiz.Config{})
		for name, wait := range waits {
			before := ""
			b.well()
			for round := range 2 { // the first time it is recorded that it waits
				ctx, cancel := within(b, 5*time.Second)
				o := byHand(b, ctx, e, name)
				began := time.Now()
				err := wait(o)
				if !errors.Is(err, lambdabiz.ErrWaiting) || seconds(began) != 5 {
					t.Errorf("%s: the wait gave %v after %d s", name, err, seconds(began))
				}
				if _, err := lambdabiz.Step(o, "next", one); !errors.Is(err, lambdabiz.ErrWaiting) {
					t.Errorf("%s: the next operation gave %v", name, err)
				}
				if err := o.Fail(err); !errors.Is(err, lambdabiz.ErrWaiting) {
					t.Errorf("%s: Fail gave %v", name, err)
				}
				synctest.Wait()
				now := records(b, name)
				if round == 1 && now != before {
					t.Errorf("%s: recorded were %s, now %s", name, before, now)
				}
				before = now
				cancel()
				b.ill()
			}
			if name == "event" || name == "branch" {
				raise(b, e, name, "w", true)
			}
			o := byHand(b, b.ctx, e, name)
			if err := wait(o); err != nil {
				t.Errorf("%s: called again it gave %v", name, err)
			}
			if err := o.Complete(name); err != nil {
				t.Error(err)
			}
		}
	}, keepsEnds())
}

func TestByHandAnOlderCallerIsFenced(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		older := byHand(b, b.ctx, b.engine(lambdabiz.Config{}), "x")
		newer := byHand(b, b.ctx, b.engine(lambdabiz.Config{}), "x")
		if _, err := lambdabiz.Step(newer, "s", one); err != nil {
			t.Fatal(err)
		}
		var ran atomic.Bool
		effect := func(context.Context) (int, error) { ran.Store(true); return 2, nil }
		if _, err := lambdabiz.Step(older, "other", effect); !errors.Is(err, lambdabiz.ErrFenced) {
			t.Errorf("the older caller's step gave %v", err)
		}
		if err := lambdabiz.Sleep(older, "timer", time.Second); !errors.Is(err, lambdabiz.ErrFenced) {
			t.Errorf("the older caller's timer gave %v", err)
		}
		if err := older.Complete(2); !errors.Is(err, lambdabiz.ErrFenced) {
			t.Errorf("the older caller's Complete gave %v", err)
		}
		if s := b.state(b.engine(lambdabiz.Config{}), "x"); s.Status.Ended() || len(s.Operations) != 1 {
			t.Errorf("state is %+v", s)
		}
		if err := newer.Complete(1); err != nil {
			t.Error(err)
		}
	}, keepsEnds())
}

func TestByHandAndByWorkersDoNotMix(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(ends, lambdabiz.Define("by hand", func(lambdabiz.Context, string) (int, error) {
			t.Error("a worker runs what is driven by hand")
			return 0, nil
		}))
		for _, state := range []string{"STARTED", "SUCCEEDED"} {
			bring(b, e, state, state)
			if _, err := e.Create(b.ctx, state); !errors.Is(err, lambdabiz.ErrMode) {
				t.Errorf("Create of a worker's run that is %s gave %v", state, err)
			}
		}
		o := byHand(b, b.ctx, e, "by hand")
		time.Sleep(10 * time.Second)
		if _, err := e.StartByName(b.ctx, "by hand", "by hand", "x"); !errors.Is(err, lambdabiz.ErrMode) {
			t.Errorf("a start of a run that is driven by hand gave %v", err)
		}
		if err := o.Complete(1); err != nil {
			t.Error(err)
		}
	}, keepsEnds())
}

func TestByHandAfterItsEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		o := byHand(b, b.ctx, e, "x")
		if _, err := lambdabiz.Step(o, "s", one); err != nil {
			t.Fatal(err)
		}
		if err := o.Complete("the result"); err != nil {
			t.Fatal(err)
		}
		before := records(b, "x")
		again, err := e.Create(b.ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Start("other"); !errors.Is(err, lambdabiz.ErrClosed) || !strings.Contains(err.Error(), "SUCCEEDED") {
			t.Errorf("Start gave %v", err)
		}
		got, err := lambdabiz.Step(again, "s", func(context.Context) (int, error) { t.Error("it runs again"); return 2, nil })
		if got != 1 || err != nil {
			t.Errorf("a recorded step gave %d, %v", got, err)
		}
		if _, err := lambdabiz.Step(again, "new", one); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("a new step gave %v", err)
		}
		if _, err := lambdabiz.Go(again, "branch", func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "new", one)
		}).Wait(again); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("a new step in a branch gave %v", err)
		}
		if err := errors.Join(again.Complete("another"), again.Fail(errors.New("late")), o.Complete("third")); err != nil {
			t.Errorf("Complete and Fail gave %v", err)
		}
		s, err := again.State()
		if err != nil || records(b, "x") != before || string(s.Result) != `"the result"` || s.Status != lambdabiz.StatusSucceeded {
			t.Errorf("state is %+v, %v", s, err)
		}
	}, keepsEnds())
}

func TestByHandBeforeItsStart(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		o, err := b.engine(lambdabiz.Config{}).Create(b.ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		_, step := lambdabiz.Step(o, "s", one)
		_, state := o.State()
		for what, err := range map[string]error{"a step": step, "State": state, "Complete": o.Complete(1)} {
			if !errors.Is(err, lambdabiz.ErrNotFound) {
				t.Errorf("%s before Start gave %v", what, err)
			}
		}
	})
}

func TestByHandAMistakeIsABlockedErrorWithItsLine(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		mistakes := map[string]func(o lambdabiz.Context) error{
			"the same id twice": func(o lambdabiz.Context) error { _, err := lambdabiz.Step(o, "first", one); return err },
			"NoSuchTask": func(o lambdabiz.Context) error {
				_, err := lambdabiz.CallTask[int](o, "call", "NoSuchTask", 1)
				return err
			},
			"out of order": func(o lambdabiz.Context) error {
				_, err := lambdabiz.Go(o, "b", func(lambdabiz.Context) (int, error) { panic("out of order") }).Wait(o)
				return err
			},
		}
		for reason, mistake := range mistakes {
			o := byHand(b, b.ctx, e, reason)
			if _, err := lambdabiz.Step(o, "first", one); err != nil {
				t.Fatal(err)
			}
			err := mistake(o)
			var blocked *lambdabiz.BlockedError
			if !errors.As(err, &blocked) || blocked.ID != reason || !strings.Contains(blocked.Blocked.Reason, reason) ||
				!regexp.MustCompile(`hand_test\.go:\d+$`).MatchString(blocked.Blocked.Source) {
				t.Errorf("%s: error is %v", reason, err)
			}
			if failed := o.Fail(err); !errors.As(failed, &blocked) {
				t.Errorf("%s: Fail gave %v", reason, failed)
			}
			s := b.state(e, reason)
			if s.Status.Ended() || len(s.Operations) != 1 {
				t.Errorf("%s: recorded are %+v", reason, s.Operations)
			}
			fixed := byHand(b, b.ctx, e, reason)
			_, err = lambdabiz.Step(fixed, "first", func(context.Context) (int, error) { t.Error("it ran again"); return 0, nil })
			if err := errors.Join(err, fixed.Complete(1)); err != nil {
				t.Errorf("%s: fixed it gave %v", reason, err)
			}
		}
	}, notOnSWF("a name that is not registered is a Lambda function there"), keepsEnds())
}

func TestByHandFailEndsTheRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		o := byHand(b, b.ctx, e, "failed")
		if err := o.Fail(errors.New("not approved")); err != nil {
			t.Fatal(err)
		}
		if s := b.state(e, "failed"); s.Status != lambdabiz.StatusFailed || s.Error.Message != "not approved" {
			t.Errorf("state is %+v", s.RunInfo)
		}
		o = byHand(b, b.ctx, e, "cancelled")
		time.AfterFunc(5*time.Second, func() { _ = e.Cancel(b.ctx, "cancelled", "") })
		_, err := never(o)
		if !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("the wait gave %v", err)
		}
		if err := lambdabiz.Do(lambdabiz.Detached(o), "clean", func(ctx context.Context) error { return ctx.Err() }); err != nil {
			t.Errorf("the clean-up gave %v", err)
		}
		if err := o.Fail(err); err != nil {
			t.Fatal(err)
		}
		if s := b.state(e, "cancelled"); s.Status != lambdabiz.StatusCancelled {
			t.Errorf("state is %+v", s.RunInfo)
		}
	}, keepsEnds())
}

func TestByHandBranchesRacesAndMaps(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int64
		task := double(&calls)
		drive := func(ctx context.Context) (int, error) {
			o := byHand(b, ctx, b.engine(lambdabiz.Config{}, task), "x")
			doubled, err := lambdabiz.Map(o, "m", []int{1, 2, 3}, func(n int) string { return fmt.Sprint(n) },
				func(o lambdabiz.Context, n int) (int, error) { return lambdabiz.Call(o, "double", task, n) })
			if err != nil {
				return 0, err
			}
			event := lambdabiz.Go(o, "event", func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "E") })
			timer := lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (int, error) {
				return 100, lambdabiz.Sleep(o, "t", 20*time.Second)
			})
			first, err := lambdabiz.Race(o, "race", event, timer)
			if err != nil {
				return 0, err
			}
			v, err := []*lambdabiz.Future[int]{event, timer}[first].Wait(o)
			if err != nil {
				return 0, err
			}
			v += doubled[0] + doubled[1] + doubled[2]
			return v, o.Complete(v)
		}
		ctx, cancel := within(b, 5*time.Second)
		defer cancel()
		if _, err := drive(ctx); !errors.Is(err, lambdabiz.ErrWaiting) {
			t.Errorf("it gave %v", err)
		}
		if got, err := drive(b.ctx); got != 112 || err != nil || calls.Load() != 3 {
			t.Errorf("it gave %d, %v after %d calls", got, err, calls.Load())
		}
		s := b.state(b.engine(lambdabiz.Config{}), "x")
		if o := operation(t, s, "event/E"); o.Status != lambdabiz.StatusCancelled || s.Status != lambdabiz.StatusSucceeded {
			t.Errorf("the losing wait is %v, the run %v", o.Status, s.Status)
		}
	}, keepsEnds())
}

func TestByHandTheCallersGoroutineIsNeverUnwound(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		for name, interrupt := range map[string]func(cancel func()){
			"the context ends": func(cancel func()) { cancel(); synctest.Wait() },
			"fenced":           func(func()) { byHand(b, b.ctx, b.engine(lambdabiz.Config{}), "fenced") },
			"terminated":       func(func()) { _ = e.Terminate(b.ctx, "terminated", "") },
		} {
			var seen notes
			func() {
				defer seen.add("deferred")
				ctx, cancel := context.WithCancel(b.ctx)
				defer cancel()
				o := byHand(b, ctx, e, name)
				_, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) { interrupt(cancel); return 1, nil })
				seen.add(err != nil)
				err = lambdabiz.Sleep(o, "t", time.Second)
				seen.add(err != nil)
				_, err = lambdabiz.Go(o, "b", never).Wait(o)
				seen.add(err != nil)
				seen.add(o.Complete(1) != nil)
			}()
			if seen.String() != "true, true, true, true, deferred" {
				t.Errorf("%s: %v", name, &seen)
			}
		}
	})
}

func TestByHandWorksOrIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		e := b.engine(lambdabiz.Config{})
		o, err := e.Create(ctx, "x")
		if _, refused := errors.AsType[*lambdabiz.UnsupportedError](err); refused {
			return
		}
		if err := errors.Join(err, o.Start(1)); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"a", "b"} {
			if _, err := lambdabiz.Step(o, id, one); err != nil {
				t.Errorf("step %s gave %v", id, err)
			}
		}
		if err := o.Complete(1); err != nil {
			t.Error(err)
		}
	}, keepsEnds())
}
