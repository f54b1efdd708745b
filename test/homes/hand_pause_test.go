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

// wantPaused expects what a caller by hand gets of an orchestration that is paused, and that Fail ends nothing with it.
func wantPaused(b *bench, o *lambdabiz.Orchestration, what string, err error) {
	b.t.Helper()
	paused, ok := errors.AsType[*lambdabiz.PausedError](err)
	if !ok || !errors.Is(err, lambdabiz.ErrWaiting) || paused.ID != o.ID() || paused.Reason != "stock is counted" {
		b.t.Errorf("%s gave %v", what, err)
		return
	}
	for _, text := range []string{o.ID(), "stock is counted", "Resume", "lambdabiz resume " + o.ID()} {
		if !strings.Contains(err.Error(), text) {
			b.t.Errorf("%s: %q says nothing of %q", what, err, text)
		}
	}
	if failed := o.Fail(err); !errors.Is(failed, err) {
		b.t.Errorf("%s: Fail gave %v", what, failed)
	}
}

// hold pauses an orchestration from another process.
func hold(b *bench, id string) {
	b.t.Helper()
	if err := b.engine(lambdabiz.Config{}).Pause(b.ctx, id, "stock is counted"); err != nil {
		b.t.Error(err)
	}
}

func letGo(b *bench, id string) {
	b.t.Helper()
	if err := b.engine(lambdabiz.Config{}).Resume(b.ctx, id); err != nil {
		b.t.Error(err)
	}
}

// counts is a step that notes that it runs.
func counts(seen *notes, id string) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { seen.add(id); return 1, nil }
}

// Row 168 of docs/proof/bugs.md.
func TestPauseStopsARunDrivenByHand(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		e := b.engine(lambdabiz.Config{})
		o := byHand(b, b.ctx, e, "x")
		if _, err := lambdabiz.Step(o, "first", counts(&seen, "first")); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(5*time.Second, func() { hold(b, "x") })
		b.well()
		began := time.Now()
		wantPaused(b, o, "a wait", lambdabiz.Sleep(o, "timer", time.Hour))
		if took := seconds(began); took < 5 || took > 7 {
			t.Errorf("it was told of the pause after %d s", took)
		}
		b.ill()
		_, err := lambdabiz.Step(o, "second", counts(&seen, "second"))
		wantPaused(b, o, "the next operation", err)
		wantPaused(b, o, "Complete", o.Complete(1))
		wantPaused(b, o, "Fail", o.Fail(errors.New("given up")))

		again := byHand(b, b.ctx, e, "x") // the same code once more
		if v, err := lambdabiz.Step(again, "first", counts(&seen, "first")); v != 1 || err != nil {
			t.Errorf("what is recorded gave %d, %v", v, err)
		}
		if err := lambdabiz.SetProgress(again, "while it is paused"); err != nil {
			t.Error(err)
		}
		_, err = lambdabiz.Go(again, "branch", func(o lambdabiz.Context) (int, error) {
			_, err := lambdabiz.Step(o, "in a branch", counts(&seen, "in a branch"))
			t.Errorf("the branch goes on with %v", err)
			return 0, nil
		}).Wait(again)
		wantPaused(b, again, "a branch", err)
		wantPaused(b, again, "the wait", lambdabiz.Sleep(again, "timer", time.Hour))
		for what, end := range map[string]func(o *lambdabiz.Orchestration) error{
			"Complete": func(o *lambdabiz.Orchestration) error { return o.Complete(1) },
			"Fail":     func(o *lambdabiz.Orchestration) error { return o.Fail(errors.New("given up")) },
			"a new step": func(o *lambdabiz.Orchestration) error {
				_, err := lambdabiz.Step(o, "new", counts(&seen, "new"))
				return err
			},
		} {
			o := byHand(b, b.ctx, e, "x")
			wantPaused(b, o, what, end(o))
		}
		time.Sleep(10 * time.Second)
		s := b.state(e, "x")
		if !s.Paused || s.PauseReason != "stock is counted" || s.Status.Ended() || len(s.Operations) != 2 || s.Progress != nil ||
			seen.String() != "first" {
			t.Errorf("what ran: %v; the state: %+v", &seen, s)
		}

		letGo(b, "x")
		began = time.Now()
		o = byHand(b, b.ctx, e, "x")
		for _, id := range []string{"first", "second"} {
			if _, err := lambdabiz.Step(o, id, counts(&seen, id)); err != nil {
				t.Errorf("after the resume %s gave %v", id, err)
			}
		}
		if took := seconds(began); !b.exact(took, 0) {
			t.Errorf("it goes on %d s after the resume: its claim was not given back", took)
		}
		if err := o.Complete(1); err != nil || seen.String() != "first, second" {
			t.Errorf("what ran: %v; %v", &seen, err)
		}
	}, keepsEnds())
}

// Who drives a run by hand may have other work between two operations, and nobody told of the pause then.
func TestPauseBetweenTwoOperationsByHand(t *testing.T) {
	operations := map[string]func(o *lambdabiz.Orchestration, seen *notes) error{
		"step": func(o *lambdabiz.Orchestration, seen *notes) error {
			_, err := lambdabiz.Step(o, "next", counts(seen, "next"))
			return err
		},
		"in a branch": func(o *lambdabiz.Orchestration, seen *notes) error {
			_, err := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "next", counts(seen, "next"))
			}).Wait(o)
			return err
		},
		"event": func(o *lambdabiz.Orchestration, _ *notes) error {
			return lambdabiz.RaiseEvent(o, "next", o.ID(), "e", 1)
		},
		"end": func(o *lambdabiz.Orchestration, _ *notes) error { return o.Complete(1) },
	}
	everywhere(t, func(t *testing.T, b *bench) {
		for id, operation := range operations {
			var seen notes
			e := b.engine(lambdabiz.Config{})
			o := byHand(b, b.ctx, e, id)
			if _, err := lambdabiz.Step(o, "first", one); err != nil {
				t.Fatal(err)
			}
			hold(b, id)
			time.Sleep(time.Second) // as often as workers ask
			wantPaused(b, o, id, operation(o, &seen))
			if s := b.state(e, id); s.Status.Ended() || len(s.Operations) != 1 || seen.String() != "" {
				t.Errorf("%s: what ran: %v; the state: %+v", id, &seen, s)
			}
		}
	}, keepsEnds(), notOnSWF(atDecisions), exception{"memory, a commit ends the claim", atDecisions},
		exception{"memory, and performs timers", atDecisions})
}

const atDecisions = "a run learns of a pause when a claim of it ends"

func TestPauseWhileABodyRunsByHandRecordsIt(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		long := func(id string) func(context.Context, int) (int, error) {
			return func(ctx context.Context, _ int) (int, error) {
				seen.add(id)
				hold(b, id)
				time.Sleep(40 * time.Second) // longer than a worker that stops would wait
				return 7, ctx.Err()
			}
		}
		task := lambdabiz.NewTask("task", long("task"))
		for id, body := range map[string]func(o lambdabiz.Context) (int, error){
			"task": func(o lambdabiz.Context) (int, error) { return lambdabiz.Call(o, "body", task, 1) },
			"step": func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "body", func(ctx context.Context) (int, error) { return long("step")(ctx, 1) })
			},
		} {
			e := b.engine(lambdabiz.Config{}, task)
			o := byHand(b, b.ctx, e, id)
			if _, err := body(o); err != nil { // it may have ended before it was told
				wantPaused(b, o, id, err)
			}
			wantPaused(b, o, "what follows on the "+id, lambdabiz.Sleep(o, "timer", time.Second))
			time.Sleep(time.Minute)
			s := b.state(e, id)
			if op := operation(t, s, "body"); !s.Paused || op.Status != lambdabiz.StatusSucceeded || op.Attempts != 1 {
				t.Errorf("%s: the body's operation is %+v", id, op)
			}
			again := byHand(b, b.ctx, e, id)
			if v, err := body(again); v != 7 || err != nil {
				t.Errorf("%s: while it is paused its recorded result is %d, %v", id, v, err)
			}
			letGo(b, id)
			o = byHand(b, b.ctx, e, id)
			v, err := body(o)
			if err := errors.Join(err, o.Complete(v)); v != 7 || err != nil {
				t.Errorf("%s: after the resume it is %d, %v", id, v, err)
			}
		}
		if got := seen.String(); got != "task, step" && got != "step, task" {
			t.Errorf("what ran: %s", got)
		}
	}, keepsEnds())
}

// No further attempt of a step begins after a pause that came during the one before.
func TestNoAttemptByHandBeginsAfterAPause(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		bodies := 0
		e := b.engine(lambdabiz.Config{PollInterval: 200 * time.Millisecond})
		o := byHand(b, b.ctx, e, "x")
		_, err := lambdabiz.Step(o, "body", func(context.Context) (int, error) {
			if bodies++; bodies == 1 {
				hold(b, "x")
			}
			time.Sleep(700 * time.Millisecond)
			return 0, errors.New("not now")
		}, lambdabiz.Retry(lambdabiz.Backoff{Initial: 20 * time.Millisecond, Factor: 1, Jitter: -1, Attempts: 6}))
		wantPaused(b, o, "the step", err)
		if bodies != 1 {
			t.Errorf("%d attempts were made", bodies)
		}
	}, keepsEnds())
}

// What waits on a paused orchestration ends with the caller's context, as any wait does.
func TestAWaitOnAPausedRunByHandEndsWithItsCaller(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		byHand(b, b.ctx, e, "x")
		hold(b, "x")
		ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
		defer cancel()
		o := byHand(b, ctx, e, "x")
		_, err := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) { <-o.Done(); return 0, o.Err() }).Wait(o)
		if !errors.Is(err, lambdabiz.ErrWaiting) {
			t.Errorf("the wait gave %v", err)
		}
	}, keepsEnds())
}

// A call of a paused orchestration takes nothing over: the body of the caller before is recorded.
func TestCreateOfAPausedRunLeavesItsCallerAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		o := byHand(b, b.ctx, e, "x")
		_, err := lambdabiz.Step(o, "body", func(context.Context) (int, error) {
			hold(b, "x")
			again := byHand(b, b.ctx, b.engine(lambdabiz.Config{}), "x")
			wantPaused(b, again, "the second caller", lambdabiz.Sleep(again, "timer", time.Second))
			return 1, nil
		})
		if err != nil {
			wantPaused(b, o, "the first caller", err)
		}
		time.Sleep(time.Second) // as often as workers ask
		wantPaused(b, o, "what follows", lambdabiz.Sleep(o, "timer", time.Second))
		if s := b.state(e, "x"); operation(t, s, "body").Status != lambdabiz.StatusSucceeded || !s.Paused {
			t.Errorf("recorded are %+v", s.Operations)
		}
	}, keepsEnds())
}

func TestPauseOfARunThatNobodyDrivesByHand(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		e := b.engine(lambdabiz.Config{})
		ctx, cancel := within(b, 5*time.Second)
		defer cancel()
		o := byHand(b, ctx, e, "x")
		wait := func(o lambdabiz.Context) error { _, err := lambdabiz.WaitForEvent[int](o, "e"); return err }
		if err := wait(o); !errors.Is(err, lambdabiz.ErrWaiting) {
			t.Fatal(err)
		}
		hold(b, "x")
		if err := e.Cancel(b.ctx, "x", "nobody wants it"); err != nil {
			t.Fatal(err)
		}
		raise(b, e, "x", "e", 1)
		again := byHand(b, b.ctx, e, "x")
		wantPaused(b, again, "the wait for an event that has come", wait(again))
		again = byHand(b, b.ctx, e, "x")
		_, err := lambdabiz.Step(again, "s", counts(&seen, "s"))
		wantPaused(b, again, "a step, though it was cancelled", err)
		letGo(b, "x")
		o = byHand(b, b.ctx, e, "x")
		if _, err := lambdabiz.Step(o, "s", counts(&seen, "s")); !errors.Is(err, lambdabiz.ErrCancelled) || seen.String() != "" {
			t.Errorf("after the resume it gave %v; what ran: %v", err, &seen)
		}
		if err := o.Fail(lambdabiz.ErrCancelled); err != nil || b.state(e, "x").Status != lambdabiz.StatusCancelled {
			t.Errorf("it has ended as %v, %v", b.state(e, "x").Status, err)
		}
		ended := byHandEnded(b, e, "x")
		if err := ended.Complete(1); err != nil {
			t.Errorf("Complete after the end gave %v", err)
		}
	}, keepsEnds())
}

// byHandEnded creates an orchestration that is over.
func byHandEnded(b *bench, e *lambdabiz.Engine, id string) *lambdabiz.Orchestration {
	b.t.Helper()
	o, err := e.Create(b.ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := o.Start(1); !errors.Is(err, lambdabiz.ErrClosed) {
		b.t.Errorf("Start after the end gave %v", err)
	}
	return o
}

// A pause that is over before anybody has heard of it stops nobody.
func TestResumeBeforeThePauseWasSeenByHand(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		o := byHand(b, b.ctx, e, "x")
		time.AfterFunc(2500*time.Millisecond, func() { hold(b, "x"); letGo(b, "x") })
		err := lambdabiz.Sleep(o, "timer", 5*time.Second)
		if _, told := errors.AsType[*lambdabiz.PausedError](err); told && b.backend.Describe().CommitEndsClaim { // between the two
			time.Sleep(time.Second)
			o = byHand(b, b.ctx, e, "x")
			err = lambdabiz.Sleep(o, "timer", 5*time.Second)
		}
		if err := errors.Join(err, o.Complete(1)); err != nil {
			t.Error(err)
		}
	}, keepsEnds())
}

// A run that was paused while nobody drove it, and resumed, can be driven again.
func TestByHandAfterPauseAndResume(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		for i := range 100 {
			id := fmt.Sprint("h", i)
			ctx, cancel := within(b, time.Hour)
			o, err := e.Create(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Start(1); err != nil {
				t.Fatal(err)
			}
			cancel()
			synctest.Wait()
			if err := e.Pause(b.ctx, id, "x"); err != nil {
				t.Fatal(err)
			}
			if err := e.Resume(b.ctx, id); err != nil {
				t.Fatal(err)
			}
			ctx, cancel = within(b, time.Hour)
			o, err = e.Create(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lambdabiz.Step(o, "a", one); err != nil {
				t.Errorf("%d: %v", i, err)
				cancel()
				return
			}
			cancel()
		}
	}, "memory", "sqlite", "postgres", "memory, a commit ends the claim")
}

// Create of a paused run.
func TestByHandWhilePaused(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		for i := range 2000 { // it kills the process sooner or later
			id := fmt.Sprint("h", i)
			ctx, cancel := within(b, time.Hour)
			o, err := e.Create(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Start(1); err != nil {
				t.Fatal(err)
			}
			cancel()
			synctest.Wait()
			if err := e.Pause(b.ctx, id, "x"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel = within(b, time.Hour)
			if o, err = e.Create(ctx, id); err == nil {
				_, err = lambdabiz.Step(o, "a", one)
			}
			_ = err
			cancel()
		}
	}, "memory")
}

// The run's other branches stay cancelled for a caller by hand that is paused during a commit.
func TestByHandPausedDuringACommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		client := b.engine(lambdabiz.Config{})
		done := false
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			if batch[0].Run != nil && !done {
				done = true
				if err := client.Pause(ctx, "h", "x"); err != nil {
					t.Error(err)
				}
			}
			return inner.Commit(ctx, batch)
		}}
		e := b.engine(lambdabiz.Config{})
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		o, err := e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		_, err = lambdabiz.Step(o, "a", one)
		t.Log(err)
		_, err = lambdabiz.Step(o, "b", one)
		t.Log(err)
		time.Sleep(time.Minute)
		if err := client.Resume(b.ctx, "h"); err != nil {
			t.Fatal(err)
		}
		o, err = e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lambdabiz.Step(o, "a", one); err != nil {
			t.Errorf("a: %v", err)
		}
	}, "memory", "sqlite", "postgres", "memory, a commit ends the claim")
}

// A body that is given no context of the orchestration and takes it all the same, and calls an operation while the
// orchestration is paused, waited for its own end: until the caller's context ended, which was never.
func TestABodyThatCallsTheOrchestrationWhileItIsPausedIsRefused(t *testing.T) {
	waysToCall := map[string]func(o *lambdabiz.Orchestration, body func(context.Context) error) error{
		"from a step": func(o *lambdabiz.Orchestration, body func(context.Context) error) error {
			return lambdabiz.Do(o, "outside", body)
		},
		"from a step in a branch": func(o *lambdabiz.Orchestration, body func(context.Context) error) error {
			_, err := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) {
				return 0, lambdabiz.Do(o, "outside", body)
			}).Wait(o)
			return err
		},
		"from a task": func(o *lambdabiz.Orchestration, _ func(context.Context) error) error {
			_, err := lambdabiz.CallTask[int](o, "outside", "Outside", 0)
			return err
		},
	}
	for how, call := range waysToCall {
		t.Run(how, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				b.well()
				var answer atomic.Pointer[notes]
				var o *lambdabiz.Orchestration
				body := func(context.Context) error {
					hold(b, "x")
					time.Sleep(10 * time.Second) // the caller has been told
					began, seen := time.Now(), &notes{}
					_, err := lambdabiz.Step(o, "inside", func(context.Context) (int, error) { return 1, nil })
					seen.add(seconds(began), err)
					answer.Store(seen)
					return nil
				}
				outside := lambdabiz.NewTask("Outside", func(ctx context.Context, _ int) (int, error) { return 0, body(ctx) })
				ctx, cancel := context.WithTimeout(b.ctx, time.Hour)
				defer cancel()
				o = byHand(b, ctx, b.engine(lambdabiz.Config{}, outside), "x")
				began := time.Now()
				err := call(o, body)
				if _, blocked := errors.AsType[*lambdabiz.BlockedError](err); blocked { // nobody has told it of the pause yet
					if !strings.Contains(err.Error(), "two goroutines") {
						t.Errorf("the caller got %v", err)
					}
				} else {
					wantPaused(b, o, how, err)
				}
				if took := seconds(began); took > 20 {
					t.Errorf("the caller was told after %d s", took)
				}
				got := answer.Load()
				if got == nil || !strings.HasPrefix(got.String(), "0 ") || !strings.Contains(got.String(), "two goroutines") {
					t.Errorf("the body got %s", got)
				}
				letGo(b, "x")
			}, keepsEnds())
		})
	}
}
