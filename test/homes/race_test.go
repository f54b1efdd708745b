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

// eventOrTimer races an event with a timer of a minute, in one order or the other, and tells the winner.
func eventOrTimer(eventFirst bool) *lambdabiz.Definition[int, string] {
	return lambdabiz.Define("EventOrTimer", func(o lambdabiz.Context, _ int) (string, error) {
		event := func() *lambdabiz.Future[string] {
			return lambdabiz.Go(o, "event", func(o lambdabiz.Context) (string, error) {
				return lambdabiz.WaitForEvent[string](o, "Approve")
			})
		}
		timer := func() *lambdabiz.Future[string] {
			return lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (string, error) {
				return "timer", lambdabiz.Sleep(o, "minute", time.Minute)
			})
		}
		var both []*lambdabiz.Future[string]
		if eventFirst {
			both = append(both, event(), timer())
		} else {
			both = append(both, timer(), event())
		}
		first, err := lambdabiz.Race(o, "first", both[0], both[1])
		if err != nil {
			return "", err
		}
		winner, err := both[first].Wait(o)
		if err != nil || winner != "timer" {
			return winner, err
		}
		// The event that came too late is not lost to the wait that lost.
		late, err := lambdabiz.WaitForEvent[string](o, "late", lambdabiz.Named("Approve"))
		return winner + ", then " + late, err
	})
}

// raceWhileDown lets the event arrive while no worker runs, before or after the timer is due.
func raceWhileDown(b *bench, eventFirst bool, arrives time.Duration, want string) {
	b.t.Helper()
	d := eventOrTimer(eventFirst)
	_, stop := b.worker(d)
	client := b.engine(lambdabiz.Config{}, d)
	start(b, client, d, "r", 0)
	time.Sleep(time.Second)
	stop()
	time.Sleep(arrives)
	raise(b, client, "r", "Approve", "approved")
	time.Sleep(time.Hour)
	e, _ := b.worker(d)
	if got := result(b, lambdabiz.Get(e, d, "r")); got != want {
		b.t.Errorf("event first in the code %v, arriving after %v: %q, want %q", eventFirst, arrives, got, want)
	}
}

func TestRaceIsWonByTheEventThatArrivedBeforeTheTimerWasDue(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) { raceWhileDown(b, true, 30*time.Second, "approved") },
		oneClock(onlySender))
}

// Row 34 of docs/proof/bugs.md.
func TestRaceIsWonByTheEarlierEventWhateverItsPlace(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) { raceWhileDown(b, false, 30*time.Second, "approved") },
		oneClock(onlySender))
}

func TestRaceIsWonByTheTimerThatWasDueBeforeTheEvent(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) { raceWhileDown(b, true, 2*time.Minute, "timer, then approved") }, keepsClaims(countsTime),
		oneClock(onlySender))
}

func TestRaceIsWonByTheEarlierTimerWhateverItsPlace(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) { raceWhileDown(b, false, 2*time.Minute, "timer, then approved") }, keepsClaims(countsTime),
		oneClock(onlySender))
}

// The worker looks for what other processes did every ten seconds: the timer rings before it has seen an
// event that was raised in time.
func TestRaceLooksForAnEventOfAnotherProcessBeforeTheTimerWins(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := eventOrTimer(true)
		e, _ := b.workerWith(lambdabiz.Config{PollInterval: 10 * time.Minute}, d)
		b.backend = silent{b.backend}
		other := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "r", 0)
		synctest.Wait()
		time.Sleep(59 * time.Second)
		raise(b, other, "r", "Approve", "approved")
		if got := result(b, lambdabiz.Get(e, d, "r")); got != "approved" {
			t.Errorf("the winner is %q", got)
		}
	})
}

// silent is a backend that wakes nobody, like that of another process.
type silent struct{ lambdabiz.Backend }

// A branch whose value the code has must not lose a race afterwards: a resumed run would get ErrCancelled where
// the first pass got the value.
// Row 45 of docs/proof/bugs.md.
func TestABranchThatWasWaitedForCannotRace(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("ReadThenRace", func(o lambdabiz.Context, _ int) (string, error) {
			a := lambdabiz.Go(o, "a", func(o lambdabiz.Context) (string, error) {
				return lambdabiz.WaitForEvent[string](o, "A")
			})
			c := lambdabiz.Go(o, "c", func(o lambdabiz.Context) (string, error) {
				return "c", lambdabiz.Sleep(o, "hour", time.Hour)
			})
			value, err := a.Wait(o)
			if err != nil {
				return "", err
			}
			_, err = lambdabiz.Race(o, "late", c, a)
			return fmt.Sprintf("%s, then %v", value, err), nil
		})
		e, _ := b.worker(d)
		start(b, e, d, "r", 0)
		raise(b, e, "r", "A", "yes")
		want := `yes, then orchestration r, operation "late": branch "a" was waited for before the race`
		if got := result(b, lambdabiz.Get(e, d, "r")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// An event goes to a wait whose branch loses the race in the same instant: it comes back.
// Row 5 of docs/proof/bugs.md.
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
	}, "memory", "sqlite", "postgres", "memory, a commit ends the claim")
}

// A race waited for a branch whose operation had ended, and that waited for its commit: where commits end claims,
// that waited for the race to be blocked.
func TestARaceLetsABranchCommitThatHasEndedEarlier(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			slow := lambdabiz.Go(o, "slow", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
					time.Sleep(50 * time.Millisecond)
					return 1, nil
				})
			})
			raises := lambdabiz.Go(o, "raises", func(o lambdabiz.Context) (int, error) {
				return 2, lambdabiz.RaiseEvent(o, "raise", o.ID(), "e", 1)
			})
			return lambdabiz.Race(o, "first", slow, raises)
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		if _, err := run.Result(ctx); err != nil {
			t.Errorf("%v; %+v", err, b.state(e, "x"))
		}
		time.Sleep(time.Second) // the slow one ends
	})
}

// The same, of an orchestration driven by hand, where every operation waits for its commit.
// Row 48 of docs/proof/bugs.md.
func TestARaceByHandLetsABranchCommitThatHasEndedEarlier(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		o, err := e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		slow := lambdabiz.Go(o, "slow", func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
				time.Sleep(50 * time.Millisecond)
				return 1, nil
			})
		})
		timer := lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (int, error) {
			return 2, lambdabiz.Sleep(o, "t", 20*time.Millisecond)
		})
		if _, err := lambdabiz.Race(o, "first", slow, timer); err != nil {
			t.Errorf("%v; %+v", err, b.state(e, "h"))
		}
		if err := o.Complete(1); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // the slow one ends
	}, keepsEnds())
}

// A race that is recorded keeps its winner, also when another branch has waited for one of its branches by the
// time that the resumed run comes to it.
func TestARecordedRaceOfABranchThatWasWaitedForIsKept(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var again atomic.Bool
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
			fast := lambdabiz.Go(o, "fast", func(o lambdabiz.Context) (string, error) {
				return "fast", lambdabiz.Sleep(o, "second", time.Second)
			})
			slow := lambdabiz.Go(o, "slow", func(o lambdabiz.Context) (string, error) {
				return "slow", lambdabiz.Sleep(o, "hour", time.Hour)
			})
			other := lambdabiz.Go(o, "other", func(o lambdabiz.Context) (string, error) { return fast.Wait(o) })
			if again.Load() { // who is faster is chance
				if _, err := other.Wait(o); err != nil {
					return "", err
				}
			}
			first, err := lambdabiz.Race(o, "race", fast, slow)
			if err != nil {
				return "", err
			}
			if err := lambdabiz.Sleep(o, "after", 10*time.Second); err != nil {
				return "", err
			}
			return fmt.Sprint(first), nil
		})
		_, stop := b.worker(d)
		client := b.engine(lambdabiz.Config{}, d)
		run := start(b, client, d, "r", 0)
		time.Sleep(5 * time.Second)
		stop()
		again.Store(true)
		b.worker(d)
		if got := result(b, run); got != "0" {
			t.Errorf("branch %s won", got)
		}
	}, keepsClaims(countsTime))
}

// A branch ended while a race waited for another one that had ended earlier, and a third one waited for it: the
// value that this one got was not there any more when the run was resumed.
// Row 49 of docs/proof/bugs.md.
func TestABranchThatIsWaitedForDuringARaceKeepsItsValue(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
			early := lambdabiz.Go(o, "early", func(o lambdabiz.Context) (string, error) {
				v, err := lambdabiz.WaitForEvent[string](o, "E")
				time.Sleep(100 * time.Millisecond) // its code is slow
				return v, err
			})
			late := lambdabiz.Go(o, "late", func(o lambdabiz.Context) (string, error) {
				return lambdabiz.WaitForEvent[string](o, "L")
			})
			other := lambdabiz.Go(o, "other", func(o lambdabiz.Context) (string, error) {
				time.Sleep(50 * time.Millisecond) // the race has begun
				return late.Wait(o)
			})
			if _, err := lambdabiz.Race(o, "race", early, late); err != nil {
				return "", err
			}
			if err := lambdabiz.Sleep(o, "after", 10*time.Second); err != nil {
				return "", err
			}
			return other.Wait(o)
		})
		client := b.engine(lambdabiz.Config{}, d)
		run := start(b, client, d, "r", 0)
		raise(b, client, "r", "E", "e")
		time.Sleep(time.Second)
		raise(b, client, "r", "L", "l")
		_, stop := b.worker(d)
		time.Sleep(5 * time.Second)
		stop()
		b.worker(d)
		if got, err := run.Result(b.ctx); got != "l" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// A race waited for an item of a Map that has a record and had not begun again, because fewer items are worked on
// at a time now: it could only begin after an item that waits for an hour.
// Row 50 of docs/proof/bugs.md.
func TestARaceDoesNotWaitForAnItemThatHasNotBegun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var limit atomic.Int64
		limit.Store(2)
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			items := lambdabiz.Go(o, "all", func(o lambdabiz.Context) ([]int, error) {
				return lambdabiz.Map(o, "items", []int{1, 2}, func(n int) string { return fmt.Sprint(n) },
					func(o lambdabiz.Context, n int) (int, error) { return n, lambdabiz.Sleep(o, "s", time.Hour) },
					lambdabiz.Concurrency(int(limit.Load())))
			})
			timer := lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (int, error) {
				return 0, lambdabiz.Sleep(o, "s", 10*time.Second)
			})
			return lambdabiz.Race(o, "race", items, timer)
		})
		_, stop := b.worker(d)
		client := b.engine(lambdabiz.Config{}, d)
		run := start(b, client, d, "r", 0)
		time.Sleep(time.Second)
		stop()
		limit.Store(1)
		b.worker(d)
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		if first, err := run.Result(ctx); first != 1 || err != nil {
			t.Errorf("branch %d won, %v", first, err)
		}
	})
}

// A branch that has lost one race does not win the next one: a resumed run would not find it.
// Row 4 of docs/proof/bugs.md.
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
	})
}

// The same the other way round: a branch that goes on does not win because the other one has lost.
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
	}, calmOnly(onePass))
}
