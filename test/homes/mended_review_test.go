package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A worker with as many runs as it may hold was not told when one of them left, and claimed the next one only when
// it looked by itself.
func TestAFullWorkerClaimsWhenARunLeaves(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) { return lambdabiz.Step(o, "s", one) })
		client := b.engine(lambdabiz.Config{PollInterval: 10 * time.Millisecond}, d)
		runs := make([]*lambdabiz.Run[int], 10)
		for i := range runs {
			runs[i] = start(b, client, d, fmt.Sprint("r", i), 0)
		}
		began := time.Now()
		b.workerWith(lambdabiz.Config{MaxResident: 2, PollInterval: time.Minute}, d)
		for _, run := range runs {
			result(b, run)
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	}, "memory", "sqlite")
}

// An id whose operation was refused was free again in this pass: a second operation was recorded under it, which a
// resumed run would have found at the place of the first one.
func TestAnIDWhoseOperationWasRefusedIsUsed(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			waited := lambdabiz.Sleep(o, "long", time.Hour)
			_, err := lambdabiz.Step(o, "undo", one)
			if errors.Is(err, lambdabiz.ErrCancelled) {
				_, err = lambdabiz.Step(lambdabiz.Detached(o), "undo", one)
			}
			return 0, errors.Join(waited, err)
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		s := b.state(e, "x")
		if s.Blocked == nil || !strings.Contains(s.Blocked.Reason, `the same id twice: operation "undo"`) {
			t.Errorf("blocked: %+v, status %s", s.Blocked, s.Status)
		}
		for _, o := range s.Operations {
			if o.ID == "undo" {
				t.Errorf("recorded: %+v", o)
			}
		}
	}, bears(5, countsTime))
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
	}, fencedByHand())
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
	}, keepsClaims(countsTime), bears(20, "the race is not recorded when its worker stops"))
}

// A branch ended while a race waited for another one that had ended earlier, and a third one waited for it: the
// value that this one got was not there any more when the run was resumed.
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
			other := lambdabiz.Go(o, "other", func(o lambdabiz.Context) (string, error) { return late.Wait(o) })
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
	}, bears(20, "the race is not recorded when its worker stops"))
}

// A race waited for an item of a Map that has a record and had not begun again, because fewer items are worked on
// at a time now: it could only begin after an item that waits for an hour.
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
