package homes_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// onHomes runs a test on some homes only.
func onHomes(t *testing.T, f func(t *testing.T, b *bench), names ...string) {
	t.Helper()
	t.Parallel()
	for _, h := range homes {
		for _, name := range names {
			if h.name != name {
				continue
			}
			t.Run(h.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &bench{t: t, backend: h.open(t), logs: &logBuffer{}, ctx: t.Context()}
					defer func() {
						b.stop()
						if err := b.backend.Close(); err != nil {
							t.Error(err)
						}
					}()
					f(t, b)
				})
			})
		}
	}
}

// proxy lets a test come between the engine and its backend.
type proxy struct {
	lambdabiz.Backend
	commit func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error)
	claim  func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error)
}

func (p *proxy) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if p.commit != nil {
		return p.commit(ctx, batch)
	}
	return p.Backend.Commit(ctx, batch)
}

func (p *proxy) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if p.claim != nil {
		return p.claim(ctx, r)
	}
	return p.Backend.Claim(ctx, r)
}

func within(b *bench, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, d)
}

func one(context.Context) (int, error) { return 1, nil }

// After a cancellation a refused operation leaves its context busy, so clean-up is taken for misuse.
func TestCleanUpAfterARefusedOperation(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			err := lambdabiz.Sleep(o, "long", time.Hour)
			_, err2 := lambdabiz.Step(o, "refused", one)
			if !errors.Is(err2, lambdabiz.ErrCancelled) {
				return 0, errors.New("not refused")
			}
			if _, err := lambdabiz.Step(lambdabiz.Detached(o), "undo", one); err != nil {
				return 0, err
			}
			return 0, err
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		_, err := run.Result(ctx)
		if !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("result: %v, blocked: %+v", err, b.state(e, "x").Blocked)
		}
	})
}

// An ended run driven by hand answers the first unrecorded operation with ErrClosed, the second as misuse.
func TestRunEndedByHandAnswersTwice(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		o, err := e.Create(b.ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		if _, err := lambdabiz.Step(o, "s", one); err != nil {
			t.Fatal(err)
		}
		if err := o.Complete(1); err != nil {
			t.Fatal(err)
		}
		o, err = e.Create(b.ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if _, err := lambdabiz.Step(o, fmt.Sprint("new", i), one); !errors.Is(err, lambdabiz.ErrClosed) {
				t.Errorf("operation %d: %v", i, err)
			}
		}
		if v, err := lambdabiz.Step(o, "s", one); v != 1 || err != nil {
			t.Errorf("recorded operation: %v, %v", v, err)
		}
	}, "memory", "sqlite")
}

// A timed-out wait or a refused child wakes its branch with the claim gone, and nobody asks for it again.
func TestEffectAfterATimedOutWait(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			_, err := lambdabiz.WaitForEvent[int](o, "never", lambdabiz.Timeout(time.Minute))
			if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); !late {
				return 0, errors.New("no time-out")
			}
			return lambdabiz.Step(o, "s", one)
		})
		e, _ := b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := start(b, e, d, "x", 0).Result(ctx); v != 1 || err != nil {
			t.Errorf("result: %v, %v; %+v", v, err, b.state(e, "x"))
		}
	})
}

// The same, by a child that is refused.
func TestEffectAfterARefusedChild(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		c := lambdabiz.Define("C", func(o lambdabiz.Context, _ int) (int, error) {
			return 0, lambdabiz.Sleep(o, "s", time.Hour)
		})
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			_, err := lambdabiz.CallChild(o, "c", c, 1, lambdabiz.ChildID("used"))
			if !errors.Is(err, lambdabiz.ErrExists) {
				return 0, errors.New("not refused")
			}
			return lambdabiz.Step(o, "s", one)
		})
		e, _ := b.worker(d, c)
		start(b, e, c, "used", 0)
		ctx, cancel := within(b, 30*time.Minute)
		defer cancel()
		if v, err := start(b, e, d, "x", 0).Result(ctx); v != 1 || err != nil {
			t.Errorf("result: %v, %v; %+v", v, err, b.state(e, "x"))
		}
	})
}

// A commit that the backend refuses for good is replaced by one that blocks; the engine takes the
// verdict on that one for the verdict on the first.
func TestRefusedCommitIsNotTakenForDurable(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			for _, c := range batch {
				if c.Close != nil {
					v := make([]lambdabiz.Verdict, len(batch))
					for i := range v {
						v[i].Err = errors.New("poison")
					}
					return v, nil
				}
			}
			return inner.Commit(ctx, batch)
		}}
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		e, _ := b.worker(d)
		ctx, cancel := within(b, 3*time.Minute)
		defer cancel()
		v, err := start(b, e, d, "x", 0).Result(ctx)
		if s := b.state(e, "x"); err == nil && !s.Status.Ended() {
			t.Errorf("Result returned %v, but the run is %v, blocked %+v", v, s.Status, s.Blocked)
		}
	}, "memory")
}

// An effect began after a commit was refused, so what it rested on was not recorded.
func TestNoEffectAfterARefusedCommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			for _, c := range batch {
				for _, o := range c.Operations {
					if o.ID == "a" {
						return []lambdabiz.Verdict{{Err: errors.New("poison")}}, nil
					}
				}
			}
			return inner.Commit(ctx, batch)
		}}
		var effects atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if _, err := lambdabiz.Step(o, "a", one); err != nil {
				return 0, err
			}
			return lambdabiz.Step(o, "b", func(context.Context) (int, error) { return int(effects.Add(1)), nil })
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(3 * time.Minute)
		if effects.Load() != 0 {
			t.Errorf("the effect after the result that could not be stored ran %d times", effects.Load())
		}
	}, "memory")
}

type brittleError struct{ msg string }

func (e *brittleError) Error() string { return e.msg }

// A typed nil error (or any error whose Error panics) leaves run.mu locked for ever.
func TestErrorWhoseMethodPanics(t *testing.T) {
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
			var e *brittleError
			return 0, e
		})
	})
	blocksInRealTime(t, d)
}

// blocksInRealTime runs without virtual time, since a mutex that is held stops that.
func blocksInRealTime(t *testing.T, d *lambdabiz.Definition[int, int]) {
	t.Helper()
	b := &bench{t: t, backend: homes[0].open(t), logs: &logBuffer{}, ctx: t.Context()}
	e := b.engine(lambdabiz.Config{PollInterval: 10 * time.Millisecond}, d)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	go func() { _ = e.Run(ctx) }()
	time.Sleep(50 * time.Millisecond)
	start(b, e, d, "x", 0)
	for range 6000 {
		time.Sleep(10 * time.Millisecond)
		if s := b.state(e, "x"); s.Status.Ended() || s.Blocked != nil {
			return
		}
	}
	t.Errorf("the run is neither blocked nor ended after a minute")
}

// A body that fails because its context was cancelled, with an error of its own, is not tried again; but
// the backoff is waited for all the same.
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

// A branch that lost one race is declared the winner of the next; a resumed run does not find it.
func TestRaceWithALostBranch(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		type outcome struct {
			Index int
			Err   string
		}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (outcome, error) {
			sleeper := func(d time.Duration) func(o lambdabiz.Context) (int, error) {
				return func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "s", d) }
			}
			a := lambdabiz.Go(o, "a", sleeper(time.Second))
			l := lambdabiz.Go(o, "l", sleeper(time.Hour))
			c := lambdabiz.Go(o, "c", sleeper(2*time.Second))
			if _, err := lambdabiz.Race(o, "r1", a, l); err != nil {
				return outcome{}, err
			}
			var out outcome
			i, err := lambdabiz.Race(o, "r2", l, c)
			out.Index = i
			if err != nil {
				out.Err = err.Error()
			}
			_, err = lambdabiz.WaitForEvent[int](o, "go")
			return out, err
		})
		e, stop := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Minute)
		stop()
		e, _ = b.worker(d)
		if err := e.RaiseEvent(b.ctx, "x", "go", 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		got, err := lambdabiz.Get(e, d, run.ID()).Result(ctx)
		if err != nil {
			t.Errorf("result: %v, %v; %+v", got, err, b.state(e, "x").Blocked)
		}
	}, bears(20, countsTime))
}

// The same the other way round: an unfinished branch is declared the winner because the other had lost.
func TestRaceIsNotWonByABranchThatGoesOn(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
			sleeper := func(d time.Duration) func(o lambdabiz.Context) (int, error) {
				return func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "s", d) }
			}
			a := lambdabiz.Go(o, "a", sleeper(time.Second))
			l := lambdabiz.Go(o, "l", sleeper(time.Hour))
			c := lambdabiz.Go(o, "c", sleeper(time.Minute))
			f := lambdabiz.Go(o, "f", sleeper(3*time.Second))
			if _, err := lambdabiz.Race(o, "r1", a, l); err != nil {
				return "", err
			}
			i, err := lambdabiz.Race(o, "r2", c, l, f)
			return fmt.Sprint(i, err), nil
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "x", 0)); got == "0 <nil>" {
			t.Errorf("the branch that needs a minute won: %s", got)
		}
	})
}

// An item that cannot begin takes a place of the concurrency with it.
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

// After a cancellation a resumed run must see the results of the branches that it had seen before.
func TestResumeAfterCancelSeesTheBranches(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var undone atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			f := lambdabiz.Go(o, "charge", func(o lambdabiz.Context) (int, error) { return lambdabiz.Step(o, "s", one) })
			if _, err := f.Wait(o); err != nil {
				return 0, err // nothing was charged
			}
			err := lambdabiz.Sleep(o, "ship", time.Hour)
			if err == nil {
				return 1, nil
			}
			clean := lambdabiz.Detached(o)
			if err := lambdabiz.Sleep(clean, "later", 10*time.Minute); err != nil {
				return 0, err
			}
			refund := func(context.Context) (int, error) { return int(undone.Add(1)), nil }
			if _, err := lambdabiz.Step(clean, "refund", refund); err != nil {
				return 0, err
			}
			return 0, err
		})
		e, stop := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		stop()
		e, _ = b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		_, err := lambdabiz.Get(e, d, run.ID()).Result(ctx)
		if !errors.Is(err, lambdabiz.ErrCancelled) || undone.Load() != 1 {
			t.Errorf("result: %v, refunded %d times", err, undone.Load())
		}
	}, bears(5, countsTime))
}

// What was refused because of the deadline must stay refused in a resumed run.
func TestResumeAfterTheDeadline(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var late atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			_ = lambdabiz.Sleep(o, "long", time.Hour)
			_, err := lambdabiz.Step(o, "late", func(context.Context) (int, error) { return int(late.Add(1)), nil })
			if err2 := lambdabiz.Sleep(lambdabiz.Detached(o), "clean", 10*time.Minute); err2 != nil {
				return 0, err2
			}
			return 0, err
		})
		e, stop := b.worker(d)
		run := start(b, e, d, "x", 0, lambdabiz.Deadline(time.Minute))
		time.Sleep(2 * time.Minute)
		if late.Load() != 0 {
			t.Error("it ran before the restart")
		}
		stop()
		e, _ = b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		_, err := lambdabiz.Get(e, d, run.ID()).Result(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || late.Load() != 0 {
			t.Errorf("result: %v, the late step ran %d times", err, late.Load())
		}
	}, oneClock(deadlineOfStart))
}

// A result that a body gave during the drain is lost when another body does not end.
func TestDrainRecordsWhatHasEnded(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		release := make(chan struct{})
		defer close(release)
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			quick := lambdabiz.Go(o, "quick", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) { time.Sleep(5 * time.Second); return 1, nil })
			})
			stuck := lambdabiz.Go(o, "stuck", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) { <-release; return 1, nil })
			})
			_, _ = quick.Wait(o)
			return stuck.Wait(o)
		})
		e, stop := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		stop()
		if op := operation(t, b.state(e, "x"), "quick/s"); op.Status != lambdabiz.StatusSucceeded {
			t.Errorf("the step that ended 4 s after the stop is %v", op.Status)
		}
	}, "memory", "sqlite")
}
