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

// The end of the caller's context is charged to the attempt and recorded as its failure.
func TestByHandTheEndOfTheContextIsNoFailure(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		failed := 0
		for i := range 200 {
			id := fmt.Sprint("h", i)
			ctx, cancel := context.WithCancel(b.ctx)
			o, err := e.Create(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Start(1); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Second, cancel)
			_, err = lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
			if !errors.Is(err, lambdabiz.ErrWaiting) {
				failed++
			}
			cancel()
			synctest.Wait()
			if s := b.state(e, id); len(s.Operations) > 0 && s.Operations[0].Status == lambdabiz.StatusFailed {
				failed++
			}
		}
		if failed > 0 {
			t.Errorf("%d attempts were charged or returned something else than ErrWaiting", failed)
		}
	}, "memory")
}

// lanes is a backend that takes several commits at a time.
type lanes struct{ lambdabiz.Backend }

func (l *lanes) Describe() lambdabiz.Description {
	d := l.Backend.Describe()
	d.Lanes = 4
	return d
}

// slow makes commits of runs take a time, from now on.
func slow(b *bench, d *atomic.Int64) {
	inner := b.backend
	b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		if wait := time.Duration(d.Load()); wait > 0 && batch[0].Run != nil {
			v, err := inner.Commit(ctx, batch)
			time.Sleep(wait)
			return v, err
		}
		return inner.Commit(ctx, batch)
	}}
}

// A branch blocks while the flush of something else is on its way: then nobody arms, polls or parks.
func TestByHandPollsAfterACommitOnItsWay(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		e, other := b.engine(lambdabiz.Config{}), b.engine(lambdabiz.Config{})
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		o, err := e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		if _, err := lambdabiz.WaitForEvent[int](o, "go"); !errors.Is(err, lambdabiz.ErrWaiting) {
			t.Fatal(err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(b.ctx, time.Hour)
		defer cancel()
		if o, err = e.Create(ctx, "h"); err != nil {
			t.Fatal(err)
		}
		d.Store(int64(20 * time.Millisecond))
		if err := lambdabiz.SetProgress(o, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // the flush is on its way
		time.AfterFunc(time.Minute, func() {
			if err := other.RaiseEvent(b.ctx, "h", "go", 7); err != nil {
				t.Error(err)
			}
		})
		if v, err := lambdabiz.WaitForEvent[int](o, "go"); v != 7 || err != nil {
			t.Errorf("the event was not seen: %v, %v", v, err)
		}
	}, "memory")
}

func TestByHandIsTalkedToDuringACommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		b.backend = &lanes{b.backend}
		e := b.engine(lambdabiz.Config{PollInterval: -1})
		ctx, cancel := context.WithTimeout(b.ctx, time.Hour)
		defer cancel()
		o, err := e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		d.Store(int64(time.Second))
		time.AfterFunc(500*time.Millisecond, func() {
			if err := e.RaiseEvent(b.ctx, "h", "go", 7); err != nil {
				t.Error(err)
			}
		})
		if v, err := lambdabiz.WaitForEvent[int](o, "go"); v != 7 || err != nil {
			t.Errorf("the event was not seen: %v, %v", v, err)
		}
	}, "memory")
}

func TestParksAfterACommitOnItsWay(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		release := make(chan struct{})
		def := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			f := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "go") })
			time.Sleep(time.Second)
			_ = lambdabiz.SetProgress(o, 1)
			time.Sleep(10 * time.Millisecond)
			return f.Wait(o)
		})
		_ = release
		e, _ := b.worker(def)
		d.Store(int64(20 * time.Millisecond))
		start(b, e, def, "x", 0)
		time.Sleep(10 * time.Minute)
		if s := b.state(e, "x"); s.Worker != 0 {
			t.Errorf("the run is in memory still after 10 minutes of waiting")
		}
	}, "memory", "sqlite")
}

// The alarm rings during a commit: the next one is not set.
func TestTimersAfterAnAlarmDuringACommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		begun := time.Now()
		var rang atomic.Int64
		def := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			lambdabiz.Go(o, "a", func(o lambdabiz.Context) (int, error) {
				if err := lambdabiz.Sleep(o, "s", time.Second); err != nil {
					return 0, err
				}
				return lambdabiz.WaitForEvent[int](o, "never")
			})
			lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) {
				err := lambdabiz.Sleep(o, "s", 2*time.Second)
				rang.Store(int64(time.Since(begun)))
				return 0, err
			})
			c := lambdabiz.Go(o, "c", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) { time.Sleep(time.Hour); return 1, nil })
			})
			time.Sleep(994 * time.Millisecond)
			_ = lambdabiz.SetProgress(o, 1) // flushed at 999 ms, until 1,009 ms
			return c.Wait(o)
		})
		e, _ := b.worker(def)
		run := start(b, e, def, "x", 0)
		d.Store(int64(10 * time.Millisecond))
		result(b, run)
		if late := time.Duration(rang.Load()); late == 0 || late > 3*time.Second {
			t.Errorf("the timer of 2 s rang after %v", late)
		}
	}, "memory")
}

// A claim or a start that was made, but whose answer got lost, leaves a run that nobody runs.
func TestClaimWhoseAnswerIsLost(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{Backend: inner, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			if err == nil && len(c.Runs) > 0 && lose {
				lose = false
				return lambdabiz.Claims{}, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return c, err
		}}
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		client := b.engine(lambdabiz.Config{})
		run := start(b, client, d, "x", 0)
		b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; held by worker %d", v, err, b.state(client, "x").Worker)
		}
	}, "memory", "sqlite")
}

func TestStartWhoseAnswerIsLost(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if err == nil && len(batch[0].Starts) > 0 && lose {
				lose = false
				return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return v, err
		}}
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		if !run.Created() || lambdabiz.Get(e, d, "x").Created() {
			t.Error("the start that made the run says that it found it, or a handle that it made it")
		}
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; held by worker %d", v, err, b.state(e, "x").Worker)
		}
	}, "memory", "sqlite")
}

// The same for a child, started in a commit of its parent.
func TestChildStartWhoseAnswerIsLost(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if err == nil && len(batch[0].Starts) > 0 && batch[0].Run != nil && lose {
				lose = false
				return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return v, err
		}}
		c := lambdabiz.Define("C", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallChild(o, "c", c, 1)
		})
		e, _ := b.worker(d, c)
		run := start(b, e, d, "x", 0)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; child held by worker %d", v, err, b.state(e, "x~-c").Worker)
		}
	}, "memory", "sqlite")
}

// A worker without runs does not renew, so the others bury it again and again.
func TestIdleWorkersAreNotDeclaredDead(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		b.worker(d)
		b.worker(d)
		time.Sleep(10 * time.Minute)
		if b.logs.has("declared dead") || b.logs.has("took over") {
			t.Error("an idle worker was declared dead")
		}
	}, "memory", "sqlite")
}

// A worker that has just been buried starts a run and claims it in the name of the dead: nobody frees it.
func TestStartByAWorkerThatWasRemoved(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if err := lambdabiz.Sleep(o, "s", time.Minute); err != nil {
				return 0, err
			}
			return 1, nil
		})
		e, _ := b.workerWith(lambdabiz.Config{PollInterval: 10 * time.Second}, d)
		workers, err := b.backend.Workers(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.backend.Leave(b.ctx, workers[0].Number, -1); err != nil {
			t.Fatal(err)
		}
		run := start(b, e, d, "x", 0)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; held by worker %d", v, err, b.state(e, "x").Worker)
		}
	}, "memory", "sqlite")
}

// The run dies in memory while its commit starts a child and claims it: the child is held and not run.
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
	}, "memory", "sqlite")
}

// A cancelled parent whose code does not come to its open child again leaves the child running.
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
		if s := b.state(e, "x~-c"); s.Status != lambdabiz.StatusCancelled {
			t.Errorf("the child is %v", s.Status)
		}
	})
}

// No attempt begins after the deadline of its call.
func TestNoAttemptAfterTheDeadlineOfTheCall(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		begun := time.Now()
		var last atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "s", func(_ context.Context) (int, error) {
				last.Store(int64(time.Since(begun)))
				if time.Since(begun) > time.Minute {
					return 1, nil
				}
				return 0, errors.New("not yet")
			}, lambdabiz.Deadline(time.Minute), lambdabiz.Retry(lambdabiz.Backoff{
				Attempts: -1, Initial: 50 * time.Second, Max: 50 * time.Second, Jitter: -1,
			}))
		})
		e, stop := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(10 * time.Second)
		stop()
		time.Sleep(time.Hour)
		e, _ = b.worker(d)
		_, err := lambdabiz.Get(e, d, run.ID()).Result(b.ctx)
		if at := time.Duration(last.Load()); at > time.Minute || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an attempt began %v after the call; %v", at, err)
		}
	}, bears(5, countsTime))
}

func TestTimerIsNotEarlyByNanoseconds(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (time.Duration, error) {
			due := time.Now().Add(time.Second + 900*time.Nanosecond)
			err := lambdabiz.SleepUntil(o, "s", due)
			return time.Until(due), err
		})
		e, _ := b.worker(d)
		if early := result(b, start(b, e, d, "x", 0)); early > 0 {
			t.Errorf("%v early", early)
		}
	}, bears(0, countsTime))
}

// Clean-up that a deferred function logs shows up each time that the run parks.
func TestParkedRunLogsNothing(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			defer o.Logger().Info("all done")
			return lambdabiz.WaitForEvent[int](o, "go")
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(10 * time.Minute)
		if b.logs.has("all done") {
			t.Error("a parked run has logged")
		}
	}, "memory")
}

// The results of a Map that a cancellation ends early are written while the caller has them.
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

// A branch inside a loser that somebody else waits for.
func TestWaitForABranchInsideALoser(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		inners := make(chan *lambdabiz.Future[int], 1)
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (bool, error) {
			outer := lambdabiz.Go(o, "outer", func(o lambdabiz.Context) (int, error) {
				inners <- lambdabiz.Go(o, "inner", func(o lambdabiz.Context) (int, error) {
					return lambdabiz.WaitForEvent[int](o, "never")
				})
				return 2, lambdabiz.Sleep(o, "s", 2*time.Second)
			})
			quick := lambdabiz.Go(o, "quick", func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "s", time.Second) })
			if _, err := lambdabiz.Race(o, "r", outer, quick); err != nil {
				return false, err
			}
			inner := <-inners // a run that is resumed would not get it: it does not enter the loser
			_, err := inner.Wait(o)
			return errors.Is(err, lambdabiz.ErrCancelled), nil
		})
		e, _ := b.worker(d)
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		if ok, err := start(b, e, d, "x", 0).Result(ctx); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
	}, bears(0, onePass))
}

// A backend that panics takes the lane with it.
func TestBackendThatPanicsLeavesTheLane(t *testing.T) {
	b := &bench{t: t, backend: homes[0].open(t), logs: &logBuffer{}, ctx: t.Context()}
	inner, once := b.backend, true
	b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		if once {
			once = false
			panic("backend")
		}
		return inner.Commit(ctx, batch)
	}}
	d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
	e := b.engine(lambdabiz.Config{})
	func() { // as an HTTP server does
		defer func() { _ = recover() }()
		_, _ = lambdabiz.Start(b.ctx, e, d, "a", 0)
	}()
	done := make(chan error, 1)
	go func() {
		_, err := lambdabiz.Start(b.ctx, e, d, "b", 0)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the next commit waits for ever")
	}
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
