package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// collect waits for n events of one name, one after the other.
var collect = lambdabiz.Define("Collect", func(o lambdabiz.Context, n int) ([]string, error) {
	var got []string
	for i := range n {
		v, err := lambdabiz.WaitForEvent[string](o, fmt.Sprint("wait-", i), lambdabiz.Named("E"))
		if err != nil {
			return got, err
		}
		got = append(got, v)
	}
	return got, nil
})

func raise(b *bench, e *lambdabiz.Engine, id, event string, payload any, opts ...lambdabiz.RaiseOption) {
	b.t.Helper()
	if err := e.RaiseEvent(b.ctx, id, event, payload, opts...); err != nil {
		b.t.Fatal(err)
	}
}

func TestEventsOfOneNameAreServedInTheOrderOfTheirArrival(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, stop := b.worker(collect)
		run := start(b, e, collect, "c", 6)
		raise(b, e, "c", "E", "1")
		raise(b, e, "c", "E", "2")
		synctest.Wait()
		raise(b, e, "c", "E", "3")
		synctest.Wait()
		stop()
		e = b.engine(lambdabiz.Config{}, collect)
		raise(b, e, "c", "E", "4")
		raise(b, e, "c", "other", "x")
		raise(b, e, "c", "E", "5")
		e, _ = b.worker(collect)
		raise(b, e, "c", "E", "6")
		if got := strings.Join(result(b, lambdabiz.Get(e, collect, run.ID())), ""); got != "123456" {
			t.Errorf("events came as %s", got)
		}
	})
}

func TestWaitsOfOneNameAreServedInTheOrderInWhichTheyWereRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Two", func(o lambdabiz.Context, _ int) (string, error) {
			wait := func(o lambdabiz.Context) (string, error) { return lambdabiz.WaitForEvent[string](o, "E") }
			late := lambdabiz.Go(o, "late", func(o lambdabiz.Context) (string, error) {
				// On a resume this branch comes to its wait first; the other one was recorded first.
				if err := lambdabiz.Sleep(o, "let the other be first", time.Second); err != nil {
					return "", err
				}
				return wait(o)
			})
			early := lambdabiz.Go(o, "early", wait)
			x, err := early.Wait(o)
			y, err2 := late.Wait(o)
			return x + y, errors.Join(err, err2)
		})
		e, stop := b.worker(d)
		run := start(b, e, d, "t", 0)
		time.Sleep(time.Minute)
		stop()
		e = b.engine(lambdabiz.Config{}, d)
		raise(b, e, "t", "E", "1")
		raise(b, e, "t", "E", "2")
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, run.ID())); got != "12" {
			t.Errorf("the waits got %s", got)
		}
	})
}

func TestEventTimesOut(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Timeout", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.WaitForEvent[string](o, "E", lambdabiz.Timeout(time.Minute))
		})
		e, _ := b.worker(d)
		_, err := start(b, e, d, "t", 0).Result(b.ctx)
		var late *lambdabiz.EventTimeoutError
		if !errors.As(err, &late) || late.Event != "E" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		if o := operation(t, b.state(e, "t"), "E"); o.Status != lambdabiz.StatusTimeout {
			t.Errorf("the wait is %v", o.Status)
		}
	})
}

func TestEventThatArrivedByTheDeadlineWinsOverTheTimeout(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Timeout", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.WaitForEvent[string](o, "E", lambdabiz.Timeout(time.Minute))
		})
		b.well()
		e, stop := b.worker(d)
		start(b, e, d, "in time", 0)
		start(b, e, d, "too late", 0)
		synctest.Wait()
		stop()
		b.ill()
		e = b.engine(lambdabiz.Config{}, d)
		time.Sleep(59 * time.Second)
		raise(b, e, "in time", "E", "here")
		time.Sleep(2 * time.Second)
		raise(b, e, "too late", "E", "here")
		time.Sleep(time.Hour)
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "in time")); got != "here" {
			t.Errorf("result is %q", got)
		}
		if _, err := lambdabiz.Get(e, d, "too late").Result(b.ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an event after the deadline gave %v", err)
		}
		if s := b.state(e, "too late"); len(s.Events) != 1 {
			t.Errorf("the late event is not there any more: %+v", s.Events)
		}
	}, oneClock(onlySender))
}

func TestRaiseToOnesOwnId(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Self", func(o lambdabiz.Context, _ int) (string, error) {
			if err := lambdabiz.RaiseEvent(o, "raise", o.ID(), "E", "to myself"); err != nil {
				return "", err
			}
			return lambdabiz.WaitForEvent[string](o, "E")
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "s", 0)); got != "to myself" {
			t.Errorf("result is %q", got)
		}
	})
}

func TestRaiseInAnotherOrchestration(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Raiser", func(o lambdabiz.Context, to string) (string, error) {
			err := lambdabiz.RaiseEvent(o, "raise", to, "E", "hello")
			if errors.Is(err, lambdabiz.ErrNotFound) {
				return "nobody", nil
			}
			if errors.Is(err, lambdabiz.ErrClosed) {
				return "closed", nil
			}
			return "raised", err
		})
		e, _ := b.worker(d, collect)
		other := start(b, e, collect, "c", 1)
		for to, want := range map[string]string{"c": "raised", "unknown": "nobody"} {
			if got := result(b, start(b, e, d, "raise to "+to, to)); got != want {
				t.Errorf("a raise to %s gave %q", to, got)
			}
		}
		if got := result(b, other); got[0] != "hello" {
			t.Errorf("the other got %v", got)
		}
		if got := result(b, start(b, e, d, "again", "c")); got != "closed" {
			t.Errorf("a raise to an ended orchestration gave %q", got)
		}
		o := operation(t, b.state(e, "again"), "raise")
		if o.Status != lambdabiz.StatusFailed || o.Target != "c" {
			t.Errorf("the refused raise is %+v", o)
		}
	})
}

func TestRaiseToAFinishedOrchestrationIsClosedButAKnownKeyIsAcknowledged(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(collect)
		run := start(b, e, collect, "c", 1)
		raise(b, e, "c", "E", "once", lambdabiz.Key("k"))
		raise(b, e, "c", "E", "twice", lambdabiz.Key("k"))
		if got := result(b, run); got[0] != "once" {
			t.Errorf("it got %v", got)
		}
		raise(b, e, "c", "E", "thrice", lambdabiz.Key("k"))
		if err := e.RaiseEvent(b.ctx, "c", "E", "new"); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("a new event gave %v", err)
		}
		if err := e.Purge(b.ctx, "c"); err != nil {
			t.Fatal(err)
		}
		if err := e.RaiseEvent(b.ctx, "c", "E", "x", lambdabiz.Key("k")); !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Errorf("after the purge a known key gave %v", err)
		}
	}, notOnSWF("histories stay there for their retention"))
}

func TestEventBeforeTheStartIsKeptWhenAskedFor(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(collect)
		if err := e.RaiseEvent(b.ctx, "c", "E", "lost"); !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Errorf("an event for nobody gave %v", err)
		}
		raise(b, e, "c", "E", "expires", lambdabiz.BeforeStart(time.Minute))
		raise(b, e, "c", "E", "kept", lambdabiz.BeforeStart(time.Hour))
		time.Sleep(2 * time.Minute)
		if got := result(b, start(b, e, collect, "c", 1)); got[0] != "kept" {
			t.Errorf("it got %v", got)
		}
	})
}

// An approval that comes too late is told so, unless its sender means the next start of the id.
// Row 104 of docs/proof/bugs.md.
func TestEventForAnEndedOrchestrationIsKeptOnlyForARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(collect)
		result(b, start(b, e, collect, "c", 0))
		if err := e.RaiseEvent(b.ctx, "c", "E", "late", lambdabiz.BeforeStart(time.Hour)); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("got %v", err)
		}
		raise(b, e, "c", "E", "next", lambdabiz.BeforeRestart(time.Hour))
		next := start(b, e, collect, "c", 1, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
		if got := result(b, next); got[0] != "next" {
			t.Errorf("it got %v", got)
		}
	})
}

func TestNoWakeUpIsLostWhileParking(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.workerWith(lambdabiz.Config{ParkAfter: time.Second, MemoryBudget: 1}, collect)
		const n = 20
		var runs []*lambdabiz.Run[[]string]
		for i := range n {
			runs = append(runs, start(b, e, collect, fmt.Sprint("c", i), 3))
		}
		for round := range 3 {
			for i := range n {
				go func() {
					if err := e.RaiseEvent(b.ctx, fmt.Sprint("c", i), "E", fmt.Sprint(round)); err != nil {
						t.Error(err)
					}
				}()
			}
			synctest.Wait()
			if round == 1 {
				time.Sleep(time.Minute)
			}
		}
		for _, run := range runs {
			if got := strings.Join(result(b, run), ""); got != "012" {
				t.Errorf("%s got %s", run.ID(), got)
			}
		}
	})
}

func TestParkedRunIsNotInMemory(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.well()
		e, _ := b.workerWith(lambdabiz.Config{ParkAfter: time.Second}, collect)
		run := start(b, e, collect, "c", 1)
		synctest.Wait()
		if s := b.state(e, "c"); s.Worker == 0 && !b.backend.Describe().CommitEndsClaim {
			t.Error("it is not held while it waits")
		}
		time.Sleep(2 * time.Minute)
		if s := b.state(e, "c"); s.Worker != 0 || len(s.WaitingFor) != 1 {
			t.Errorf("it is held by worker %d, and waits for %+v", s.Worker, s.WaitingFor)
		}
		b.ill()
		raise(b, e, "c", "E", "wake up")
		if got := result(b, run); got[0] != "wake up" {
			t.Errorf("it got %v", got)
		}
	})
}

// A time-out that is over before it begins is over, and not none at all.
func TestNegativeTimeouts(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
			_, err := lambdabiz.WaitForEvent[int](o, "e", lambdabiz.Timeout(-time.Second))
			return fmt.Sprint(errors.Is(err, context.DeadlineExceeded)), nil
		})
		e, _ := b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if got, err := start(b, e, d, "x", 0).Result(ctx); got != "true" || err != nil {
			t.Error(got, err)
		}
	})
}

// Where a commit ends the claim, a wait whose time is over when a fresh copy of the run comes to it ends in
// that claim: the next one may come to another worker, which begins afresh too.
func TestTimeOutInAFreshClaim(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			time.Sleep(10 * time.Millisecond)
			return inner.Commit(ctx, batch)
		}, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			for i := range c.Runs {
				c.Runs[i].Follows = -1 // as if another worker had had it meanwhile
			}
			return c, err
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if _, err := lambdabiz.WaitForEvent[int](o, "e", lambdabiz.Timeout(time.Second)); !errors.Is(err, context.DeadlineExceeded) {
				return 0, errors.New("no time-out")
			}
			return 1, nil
		})
		e, _ := b.worker(d)
		ctx, cancel := within(b, 30*time.Second)
		defer cancel()
		if v, err := start(b, e, d, "x", 0).Result(ctx); v != 1 || err != nil {
			t.Error(v, err, b.state(e, "x").WaitingFor)
		}
	}, "memory, a commit ends the claim")
}

// Events are consumed once and in order, whatever happens around them.
func TestEventsAreConserved(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		const n = 60
		var mu sync.Mutex
		var got []int
		d := lambdabiz.Define("D", func(o lambdabiz.Context, from int) (int, error) {
			for i := range 7 {
				if from+i >= n {
					return from + i, nil
				}
				v, err := lambdabiz.WaitForEvent[int](o, fmt.Sprint("w", i), lambdabiz.Named("e"))
				if err != nil {
					return 0, err
				}
				if _, err := lambdabiz.Step(o, fmt.Sprint("s", i), func(context.Context) (int, error) {
					mu.Lock()
					defer mu.Unlock()
					if len(got) == 0 || got[len(got)-1] != v {
						got = append(got, v)
					}
					return v, nil
				}); err != nil {
					return 0, err
				}
			}
			return 0, lambdabiz.ContinueAsNew(o, from+7)
		})
		e, stop := b.workerWith(lambdabiz.Config{ParkAfter: time.Second}, d)
		client := b.engine(lambdabiz.Config{})
		start(b, client, d, "x", 0)
		for i := range n {
			if err := client.RaiseEvent(b.ctx, "x", "e", i); err != nil {
				t.Fatal(err)
			}
			switch i % 9 {
			case 2:
				time.Sleep(time.Millisecond)
			case 5:
				stop()
				e, stop = b.workerWith(lambdabiz.Config{ParkAfter: time.Second}, d)
			case 7:
				time.Sleep(5 * time.Second)
			}
		}
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		v, err := lambdabiz.Get(e, d, "x").Result(ctx)
		if v != n || err != nil {
			t.Errorf("result %d, %v", v, err)
		}
		for i, v := range got {
			if i != v {
				t.Fatalf("events came as %v", got)
			}
		}
	})
}
