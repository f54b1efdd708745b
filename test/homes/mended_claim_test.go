package homes_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// The verdict on a start comes after the worker was declared dead, began anew and claimed the run.
func TestStartVerdictAfterANewClaim(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		var once sync.Once
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if len(batch[0].Starts) > 0 {
				once.Do(func() {
					if err := inner.Leave(ctx, batch[0].Worker, -1); err != nil {
						t.Error(err)
					}
					time.Sleep(20 * time.Second)
				})
			}
			return v, err
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if err := lambdabiz.Sleep(o, "s", time.Minute); err != nil {
				return 0, err
			}
			return lambdabiz.Step(o, "x", one)
		})
		b.backend = &lanes{b.backend}
		e, _ := b.worker(d)
		run := start(b, e, d, "a", 1)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if _, err := run.Result(ctx); err != nil {
			t.Errorf("%v; %+v", err, b.state(e, "a"))
		}
	}, "memory", "sqlite")
}

// Messages that the claim loop hands on late, after the run has consumed them and has parked, are kept for
// the run's next stay.
func TestALateArrivalIsNotDeliveredTwice(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			if len(c.Arrived) > 0 {
				time.Sleep(5 * time.Second)
			}
			return c, err
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if _, err := lambdabiz.WaitForEvent[int](o, "one", lambdabiz.Named("e")); err != nil {
				return 0, err
			}
			if err := lambdabiz.Sleep(o, "s", 30*time.Second); err != nil {
				return 0, err
			}
			return lambdabiz.WaitForEvent[int](o, "two", lambdabiz.Named("e"))
		})
		e, _ := b.workerWith(lambdabiz.Config{ParkAfter: time.Second}, d)
		run := start(b, e, d, "a", 1)
		time.Sleep(500 * time.Millisecond)
		if err := e.RaiseEvent(b.ctx, "a", "e", 1); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Hour, func() { _ = e.RaiseEvent(b.ctx, "a", "e", 2) })
		ctx, cancel := within(b, 2*time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 2 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
	}, "memory", "sqlite")
}

// Copies whose run another worker has taken over, while they wait for a claim, stay in memory for ever.
func TestCopiesThatAnotherWorkerHasTakenOver(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			for i := range 10 {
				if _, err := lambdabiz.Step(o, fmt.Sprint("s", i), func(context.Context) (int, error) {
					time.Sleep(10 * time.Millisecond)
					return 1, nil
				}); err != nil {
					return 0, err
				}
			}
			return 1, nil
		})
		e, _ := b.workerWith(lambdabiz.Config{MaxResident: 4}, d)
		b.workerWith(lambdabiz.Config{MaxResident: 4}, d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		var runs []*lambdabiz.Run[int]
		for i := range 40 {
			runs = append(runs, start(b, e, d, fmt.Sprint("r", i), 1))
		}
		for i, run := range runs {
			if _, err := run.Result(ctx); err != nil {
				t.Errorf("%d: %v %+v", i, err, b.state(e, fmt.Sprint("r", i)))
				return
			}
		}
	}, "memory, a commit ends the claim")
}

// A worker that stops while a commit which ends the claim is on its way has nothing to wait for.
func TestDrainDuringACommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		def := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if err := lambdabiz.Sleep(o, "s", 10*time.Second); err != nil {
				return 0, err
			}
			return 1, lambdabiz.Sleep(o, "t", time.Hour)
		})
		e, stop := b.worker(def)
		start(b, e, def, "a", 1)
		time.Sleep(time.Second)
		d.Store(int64(time.Second))
		time.Sleep(9*time.Second + 500*time.Millisecond)
		at := time.Now()
		stop()
		if took := time.Since(at); took > 3*time.Second {
			t.Errorf("the drain took %v", took)
		}
	}, "memory, a commit ends the claim", "memory")
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
	}, "memory", "sqlite", "memory, a commit ends the claim")
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

// An event goes to a wait whose branch loses the race in the same instant.
func TestALosersEventComesBack(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner} // no Waker: both events come with one poll
		wait := func(name string) func(o lambdabiz.Context) (int, error) {
			return func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, name) }
		}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			i, err := lambdabiz.Race(o, "r", lambdabiz.Go(o, "A", wait("a")), lambdabiz.Go(o, "B", wait("b")))
			if err != nil {
				return 0, err
			}
			return lambdabiz.WaitForEvent[int](o, "other", lambdabiz.Named([]string{"b", "a"}[i]))
		})
		e, _ := b.worker(d)
		client := b.engine(lambdabiz.Config{})
		run := start(b, e, d, "x", 1)
		time.Sleep(3500 * time.Millisecond)
		for _, name := range []string{"a", "b"} {
			if err := client.RaiseEvent(b.ctx, "x", name, 1); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if _, err := run.Result(ctx); err != nil {
			t.Errorf("the loser's event is lost: %v", err)
		}
	}, "memory", "sqlite", "memory, a commit ends the claim")
}

// A run that kills its worker within milliseconds of a step is a crash loop, whatever else it waits for.
func TestCrashLoopBesideATimer(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var calls atomic.Int64
		inner := b.backend
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			lambdabiz.Go(o, "guard", func(o lambdabiz.Context) (int, error) {
				return 0, lambdabiz.Sleep(o, "limit", 30*24*time.Hour)
			})
			if err := lambdabiz.Sleep(o, "z", time.Second); err != nil {
				return 0, err
			}
			return lambdabiz.Step(o, "kills", func(ctx context.Context) (int, error) {
				if calls.Add(1) > 50 {
					return 1, nil
				}
				workers, err := inner.Workers(context.Background())
				if err != nil {
					return 0, err
				}
				for _, w := range workers { // as if the process had died
					if err := inner.Leave(context.Background(), w.Number, -1); err != nil {
						return 0, err
					}
				}
				<-ctx.Done()
				return 0, ctx.Err()
			})
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 1)
		time.Sleep(10 * time.Minute)
		if n := calls.Load(); n > 20 {
			t.Errorf("the body has killed %d workers, blocked: %+v", n, b.state(e, "x").Blocked)
		}
	}, "memory")
}

// The answer to a claim comes twice, and both copies were made: the one that nobody knew of stayed in memory for
// ever, with its goroutines.
func TestAClaimThatIsAnsweredTwiceHasOneCopy(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			for range len(c.Runs) {
				c.Runs = append(c.Runs, c.Runs[0], c.Runs[0], c.Runs[0])
				c.Runs = c.Runs[1:]
			}
			return c, err
		}}
		d := lambdabiz.Define("Twice", func(o lambdabiz.Context, n int) (int, error) {
			if err := lambdabiz.Sleep(o, "hour", time.Hour); err != nil {
				return 0, err
			}
			return lambdabiz.Step(o, "count", func(context.Context) (int, error) { return n, nil })
		})
		client := b.engine(lambdabiz.Config{}, d)
		const orders = 50
		for i := range orders {
			start(b, client, d, fmt.Sprint("r", i), i)
		}
		_, stop := b.worker(d)
		time.Sleep(time.Minute)
		stop() // in between: whoever is not among the residents is not stopped
		e, _ := b.worker(d)
		for i := range orders {
			if got := result(b, lambdabiz.Get(e, d, fmt.Sprint("r", i))); got != i {
				t.Errorf("r%d ended with %d", i, got)
			}
		}
	}, "memory, a commit ends the claim")
}
