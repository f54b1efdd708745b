package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func TestContinueAsNewIsOneCommit(t *testing.T) {
	for name, applied := range map[string]bool{"died before": false, "died after": true} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				var seen notes
				d := lambdabiz.Define("D", func(o lambdabiz.Context, round int) (int, error) {
					err := lambdabiz.Do(o, "s", func(context.Context) error { seen.add(round); return nil })
					if round < 2 && err == nil {
						err = lambdabiz.ContinueAsNew(o, round+1)
					}
					return round, err
				})
				// The first commit that ends a run and begins the next is the last that its process makes.
				inner := b.backend
				var once sync.Once
				crashed := make(chan struct{})
				b.backend = &proxy{Backend: inner, commit: func(
					ctx context.Context, batch []*lambdabiz.Commit,
				) ([]lambdabiz.Verdict, error) {
					dead := false
					for _, c := range batch {
						if c.Close != nil && c.Close.Next != nil {
							once.Do(func() { dead = true; close(crashed) })
						}
					}
					if dead {
						if applied {
							if _, err := inner.Commit(ctx, batch); err != nil {
								t.Error(err)
							}
						}
						return nil, errDead
					}
					select {
					case <-crashed:
						return nil, errDead
					default:
						return inner.Commit(ctx, batch)
					}
				}}
				e, kill := b.killable(d)
				b.backend = inner
				start(b, e, d, "x", 0)
				<-crashed
				kill()
				client := b.engine(lambdabiz.Config{})
				if s := b.state(client, "x"); (string(s.Input) == "1") != applied || s.Status.Ended() {
					t.Errorf("after the crash the latest run has the input %s and is %v", s.Input, s.Status)
				}
				e, _ = b.worker(d)
				want := "0, 1, 2"
				if !applied { // the step's result lay in the same commit
					want = "0, 0, 1, 2"
				}
				if got := result(b, lambdabiz.Get(e, d, "x")); got != 2 || seen.String() != want {
					t.Errorf("result is %d, rounds were %v", got, &seen)
				}
			}, notOnSWF("the next run is claimed before the process is dead"), calmOnly(breaksItself))
		})
	}
}

func TestContinueAsNewMovesUnconsumedEventsAndKeysInOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, got []string) ([]string, error) {
			// An open wait of a branch goes away with the run, and takes no event along.
			lambdabiz.Go(o, "open", func(o lambdabiz.Context) (string, error) {
				return lambdabiz.WaitForEvent[string](o, "other")
			})
			v, err := lambdabiz.WaitForEvent[string](o, "E")
			if got = append(got, v); err != nil || len(got) == 5 {
				return got, err
			}
			if err := lambdabiz.Sleep(o, "so that events come meanwhile", 5*time.Second); err != nil {
				return got, err
			}
			return nil, lambdabiz.ContinueAsNew(o, got)
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", []string{})
		for _, v := range []string{"1", "2", "3"} {
			raise(b, e, "x", "E", v, lambdabiz.Key(v))
		}
		time.Sleep(7 * time.Second) // into the second run
		for _, v := range []string{"1", "2", "3", "4"} {
			raise(b, e, "x", "E", v, lambdabiz.Key(v))
		}
		time.Sleep(40 * time.Second)
		raise(b, e, "x", "other", "unread")
		raise(b, e, "x", "E", "5")
		if got := strings.Join(result(b, run), ""); got != "12345" {
			t.Errorf("events came as %s", got)
		}
		raise(b, e, "x", "E", "again", lambdabiz.Key("1")) // acknowledged, although the chain has ended
		first, err := e.StateOf(b.ctx, "x", run.RunID())
		if err != nil {
			t.Fatal(err)
		}
		if o := operation(t, first, "open/other"); o.Status != lambdabiz.StatusCancelled {
			t.Errorf("the open wait is %v", o.Status)
		}
		if len(first.Events) != 0 || string(operation(t, first, "E").Result) != `"1"` {
			t.Errorf("the first run has events %+v", first.Events)
		}
	})
}

func TestContinueAsNewMovesACancellation(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, round int) (int, error) {
			if round == 0 {
				_ = lambdabiz.Sleep(o, "long", time.Hour) // it ignores the cancellation
				return 0, lambdabiz.ContinueAsNew(o, 1)
			}
			return 0, lambdabiz.Sleep(o, "long", time.Hour)
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		synctest.Wait()
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		if err := failure(b, run); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("error is %v", err)
		}
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusCancelled || !s.CancelRequested || string(s.Input) != "1" {
			t.Errorf("the last run is %+v", s.RunInfo)
		}
	})
}

func TestResultFollowsTheChainOfRuns(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, round int) (string, error) {
			if err := lambdabiz.Sleep(o, "s", time.Second); err != nil || round == 3 {
				return o.RunID(), err
			}
			return "not a result", lambdabiz.ContinueAsNew(o, round+1)
		})
		e, _ := b.worker(d)
		first := start(b, e, d, "x", 0)
		latest := lambdabiz.Get(e, d, "x")
		client := lambdabiz.Get(b.engine(lambdabiz.Config{}), d, "x")
		last := result(b, first)
		if result(b, latest) != last || result(b, client) != last || last == first.RunID() {
			t.Errorf("the handles do not agree on %s", last)
		}
		seen := map[string]bool{}
		previous := ""
		for id := first.RunID(); id != ""; {
			s, err := e.StateOf(b.ctx, "x", id)
			if err != nil {
				t.Fatal(err)
			}
			if s.Previous != previous || seen[id] || s.Status != lambdabiz.StatusSucceeded {
				t.Errorf("run %s follows on %q and is %v", id, s.Previous, s.Status)
			}
			seen[id] = true
			previous, id = id, s.ContinuedAs
		}
		if len(seen) != 4 || previous != last {
			t.Errorf("the chain has %d runs and ends with %s", len(seen), previous)
		}
		page, err := e.List(b.ctx, lambdabiz.Filter{AllRuns: true})
		if err != nil || len(page.Runs) != 4 {
			t.Errorf("all runs are %+v, %v", page.Runs, err)
		}
		if page, err = e.List(b.ctx, lambdabiz.Filter{}); err != nil || len(page.Runs) != 1 || page.Runs[0].RunID != last {
			t.Errorf("the latest runs are %+v, %v", page.Runs, err)
		}
	}, notOnSWF("a store has the latest run of an id alone"))
}

func TestThousandContinuationsKeepTheHistoryShort(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		n := 1000
		if b.backend.Describe().Name == "sqlite" {
			n = 100 // each waits for the disk
		}
		d := lambdabiz.Define("Loop", func(o lambdabiz.Context, round int) (int, error) {
			v, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) { return round + 1, nil })
			if err != nil || v > n {
				return v, err
			}
			return 0, lambdabiz.ContinueAsNew(o, v)
		})
		// Two runs at most are in memory at a time: with more the loop would not go on.
		e, _ := b.workerWith(lambdabiz.Config{MaxResident: 2}, d)
		if got := result(b, start(b, e, d, "x", 0)); got != n+1 {
			t.Errorf("result is %d", got)
		}
		if s := b.state(e, "x"); len(s.Operations) != 1 {
			t.Errorf("the last run has %d operations", len(s.Operations))
		}
	})
}

func TestContinueAsNewKeepsTagsDeadlineAndParent(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		loop := lambdabiz.Define("Loop", func(o lambdabiz.Context, round int) (int, error) {
			if err := lambdabiz.Sleep(o, "s", 8*time.Second); err != nil {
				return round, err
			}
			return 0, lambdabiz.ContinueAsNew(o, round+1)
		})
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.CallChild(o, "c", loop, 0, lambdabiz.Deadline(30*time.Second),
				lambdabiz.Tags(map[string]string{"k": "v"}))
		})
		e, _ := b.worker(d, loop)
		began := time.Now()
		run := start(b, e, d, "x", 0)
		err := failure(b, run)
		var child *lambdabiz.OrchestrationError
		if !errors.As(errors.Unwrap(err), &child) || child.ID != "x~-c" || child.Status != lambdabiz.StatusTimeout {
			t.Errorf("error is %v", err)
		}
		b.settle() // where the state is a copy it may lag
		s := b.state(e, "x~-c")
		if took := s.EndedAt.Sub(began); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("the deadline came after %v", took)
		}
		if fmt.Sprint(s.Tags) != "map[k:v]" || s.Parent == nil || s.Parent.ID != "x" || s.Previous == "" || string(s.Input) == "0" {
			t.Errorf("the last run is %+v", s.RunInfo)
		}
	}, keepsClaims(countsTime))
}

func TestInputOfTheNextRunThatCannotBeEncodedFailsTheRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.ContinueAsNew(o, make(chan int)) })
		e, _ := b.worker(d)
		if err := failure(b, start(b, e, d, "x", 0)); !errors.Is(err, lambdabiz.ErrInvalidPayload) {
			t.Error(err)
		}
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusFailed || s.ContinuedAs != "" {
			t.Errorf("the run is %+v", s.RunInfo)
		}
	})
}

func TestPurgeOfALongChainLeavesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		if b.backend.Describe().Name == "sqlite" {
			t.Skip("each of the runs waits for the disk")
		}
		d := lambdabiz.Define("Loop", func(o lambdabiz.Context, round int) (int, error) {
			if round == 1000 {
				return round, nil
			}
			return 0, lambdabiz.ContinueAsNew(o, round+1)
		})
		e, _ := b.worker(d)
		result(b, start(b, e, d, "x", 0))
		if err := e.Purge(b.ctx, "x"); err != nil {
			t.Fatal(err)
		}
		page, err := e.List(b.ctx, lambdabiz.Filter{AllRuns: true})
		if err != nil || len(page.Runs) != 0 {
			t.Errorf("after the purge %d runs are there, %v", len(page.Runs), err)
		}
	}, notOnSWF("a store has the latest run of an id alone"))
}

// A loop that calls a child in each of its runs.
func TestChildInEveryRunOfALoop(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		c := lambdabiz.Define("C", func(_ lambdabiz.Context, n int) (int, error) { return n, nil })
		d := lambdabiz.Define("D", func(o lambdabiz.Context, n int) (int, error) {
			if v, err := lambdabiz.CallChild(o, "c", c, n); err != nil || v == 3 {
				return v, err
			}
			return 0, lambdabiz.ContinueAsNew(o, n+1)
		})
		e, _ := b.worker(d, c)
		if v, err := start(b, e, d, "x", 0).Result(b.ctx); v != 3 || err != nil {
			t.Error(v, err)
		}
	})
}

// Row 152 of docs/proof/bugs.md.
func TestAChainThatIgnoresItsEndIsSlow(t *testing.T) {
	for name, pass := range map[string]func(o lambdabiz.Context){
		"sleep": func(o lambdabiz.Context) { _ = lambdabiz.Sleep(o, "s", time.Hour) },
		"event": func(o lambdabiz.Context) { _, _ = never(o) },
		"clean up": func(o lambdabiz.Context) {
			_ = lambdabiz.Sleep(o, "s", time.Hour)
			_ = lambdabiz.Do(lambdabiz.Detached(o), "d", func(context.Context) error { return nil })
		},
		"branch": func(o lambdabiz.Context) { _, _ = lambdabiz.Go(o, "b", never).Wait(o) },
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				var rounds atomic.Int64
				d := stubborn(&rounds, pass)
				e, _ := b.worker(d)
				start(b, e, d, "cancelled", 0)
				b.settle()
				if err := e.Cancel(b.ctx, "cancelled", ""); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if n := rounds.Load(); n > 65 {
					t.Errorf("%d rounds in a minute after the cancellation", n)
				}
				_ = e.Terminate(b.ctx, "cancelled", "enough")
				rounds.Store(0)
				start(b, e, d, "overdue", 0, lambdabiz.Deadline(time.Second))
				time.Sleep(time.Minute)
				if n := rounds.Load(); n > 65 {
					t.Errorf("%d rounds in a minute after the deadline", n)
				}
				_ = e.Terminate(b.ctx, "overdue", "enough")
			}, keepsClaims(countsBodies), notOnSWF("a decision is held for the second"))
		})
	}
}

func TestAChainThatDoesNothingIsSlow(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var rounds atomic.Int64
		d := stubborn(&rounds, func(lambdabiz.Context) {})
		e, stop := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Minute)
		if n := rounds.Load(); n < 30 || n > 65 {
			t.Errorf("%d rounds in a minute", n)
		}
		b.settle()
		b.well()
		began := time.Now()
		stop() // a worker that drains does not wait for it
		if took := seconds(began); took > 1 {
			t.Errorf("it stopped after %d s", took)
		}
	}, keepsClaims(countsBodies))
}

func TestAChainThatWorksIsNotSlowedDown(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Works", func(o lambdabiz.Context, n int) (int, error) {
			if n == 100 {
				return n, nil
			}
			if err := lambdabiz.Do(o, "step", func(context.Context) error { return nil }); err != nil {
				return 0, err
			}
			return 0, lambdabiz.ContinueAsNew(o, n+1)
		})
		e, _ := b.worker(d)
		began := time.Now()
		result(b, start(b, e, d, "x", 0))
		if took := seconds(began); b.faults == nil && took > 10 {
			t.Errorf("100 runs took %d s", took)
		}
	})
}

// stubborn ignores what ends it.
func stubborn(rounds *atomic.Int64, pass func(o lambdabiz.Context)) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Stubborn", func(o lambdabiz.Context, n int) (int, error) {
		rounds.Add(1)
		pass(o)
		return 0, lambdabiz.ContinueAsNew(o, n+1)
	})
}
