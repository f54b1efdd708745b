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

// keepsRuns is an exception: earlier runs do not go there by a purge.
var keepsRuns = notOnSWF("histories stay there for their retention")

// tenSeconds is an orchestration of five runs, each of which lasts ten seconds. Its result has its input.
var tenSeconds = lambdabiz.Define("TenSeconds", func(o lambdabiz.Context, in string) (string, error) {
	if err := lambdabiz.Sleep(o, "s", 10*time.Second); err != nil || strings.Count(in, ".") == 4 {
		return in, err
	}
	return "", lambdabiz.ContinueAsNew(o, in+".")
})

// purgeEnded removes all runs that have ended.
func purgeEnded(b *bench, e *lambdabiz.Engine) {
	b.t.Helper()
	if _, err := e.PurgeEnded(b.ctx, time.Now().Add(time.Hour), 0); err != nil {
		b.t.Fatal(err)
	}
}

// isGone expects that a run is not in the store any more.
func isGone(b *bench, e *lambdabiz.Engine, id, runID string) {
	b.t.Helper()
	if _, err := e.StateOf(b.ctx, id, runID); !errors.Is(err, lambdabiz.ErrNotFound) {
		b.t.Fatalf("run %s is still there: %v", runID, err)
	}
}

// outcomes waits for the results of handles beside the test.
func outcomes(b *bench, runs ...*lambdabiz.Run[string]) (say func() string) {
	said := make([]chan string, len(runs))
	for i, run := range runs {
		said[i] = make(chan string, 1)
		go func() {
			out, err := run.Result(b.ctx)
			switch {
			case errors.Is(err, lambdabiz.ErrNotFound):
				out = "not found"
			case err != nil:
				out = err.Error()
			}
			said[i] <- out
		}()
	}
	return func() string {
		var all []string
		for _, c := range said {
			all = append(all, <-c)
		}
		return strings.Join(all, ", ")
	}
}

// Row 169 of docs/proof/bugs.md.
func TestResultFollowsAChainWhoseEarlierRunsWerePurged(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(tenSeconds)
		client := b.engine(lambdabiz.Config{})
		mine := start(b, e, tenSeconds, "x", "in")
		found := start(b, client, tenSeconds, "x", "")
		before := outcomes(b, mine, found, lambdabiz.Get(client, tenSeconds, "x"))
		time.Sleep(15 * time.Second)
		second := b.state(client, "x").RunID
		time.Sleep(20 * time.Second)
		purgeEnded(b, client)
		isGone(b, client, "x", mine.RunID())
		isGone(b, client, "x", second)
		while := outcomes(b, mine, found, lambdabiz.Get(client, tenSeconds, "x"))
		if got := before(); got != "in...., in...., in...." {
			t.Errorf("who waited since before the purge got %s", got)
		}
		if got := while(); got != "in...., in...., in...." {
			t.Errorf("who waited since the purge got %s", got)
		}
		if got := outcomes(b, mine, found)(); got != "in...., in...." {
			t.Errorf("who asked after the end got %s", got)
		}
	}, keepsRuns, keepsClaims(countsTime))
}

// Between two looks of a client the run that it knows continues, ends and is purged, again and again.
func TestResultFollowsAChainThatIsPurgedBetweenItsLooks(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(tenSeconds)
		inner := b.backend
		var looks atomic.Int64
		b.backend = &looker{Backend: inner, look: func(runID string) {
			if runID == "" || looks.Add(1)%2 != 0 {
				return
			}
			time.Sleep(11 * time.Second)
			if !b.state(e, "x").Status.Ended() {
				purgeEnded(b, e)
			}
		}}
		client := b.engine(lambdabiz.Config{})
		b.backend = inner
		run := start(b, client, tenSeconds, "x", "in")
		if got := outcomes(b, run)(); got != "in...." || looks.Load() < 4 {
			t.Errorf("after %d looks the result is %s", looks.Load(), got)
		}
	}, keepsRuns)
}

// looker is a backend that tells of each look at a run, before it.
type looker struct {
	lambdabiz.Backend
	look func(runID string)
}

func (l *looker) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	l.look(runID)
	return l.Backend.Load(ctx, id, runID)
}

// Whoever uses the id next is no part of the chain, nor are the runs that continue his.
func TestResultIsNeverThatOfAnotherChain(t *testing.T) {
	restart := lambdabiz.OnUsedID(lambdabiz.RestartEnded)
	// stranger uses the id again, and comes to his third run.
	stranger := func(b *bench, e *lambdabiz.Engine) {
		start(b, e, tenSeconds, "x", "his", restart)
		time.Sleep(25 * time.Second)
	}
	for name, c := range map[string]struct {
		purge func(b *bench, e *lambdabiz.Engine)
		want  string
	}{
		"the whole chain was purged":           {purgeEnded, "not found"},
		"the id was purged":                    {func(b *bench, e *lambdabiz.Engine) { purgeID(b, e, "x") }, "not found"},
		"the chain was purged, and used again": {func(b *bench, e *lambdabiz.Engine) { purgeEnded(b, e); stranger(b, e) }, "not found"},
		"it was used again, and purged":        {func(b *bench, e *lambdabiz.Engine) { stranger(b, e); purgeEnded(b, e) }, "not found"},
		"it was used again":                    {stranger, "in...."},
		"the last run is left": {func(b *bench, e *lambdabiz.Engine) {
			if n, err := e.PurgeEnded(b.ctx, time.Now().Add(time.Hour), 4); n != 4 || err != nil {
				b.t.Errorf("%d runs were purged: %v", n, err)
			}
		}, "in...."},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				e, _ := b.worker(tenSeconds)
				client := b.engine(lambdabiz.Config{})
				b.well()
				run := start(b, client, tenSeconds, "x", "in")
				time.Sleep(time.Minute)
				c.purge(b, client)
				b.ill()
				if got := outcomes(b, run, start(b, e, tenSeconds, "y", "other"))(); got != c.want+", other...." {
					t.Errorf("the results are %s", got)
				}
			}, keepsRuns, keepsClaims(countsTime))
		})
	}
}

func purgeID(b *bench, e *lambdabiz.Engine, id string) {
	b.t.Helper()
	if err := e.Purge(b.ctx, id); err != nil {
		b.t.Fatal(err)
	}
}

// A handle from Get waits for the run that was the latest when it was asked, and for those that continue it.
// Row 170 of docs/proof/bugs.md.
func TestResultOfAHandleFromGetIsNotThatOfARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(tenSeconds)
		client := b.engine(lambdabiz.Config{})
		start(b, e, tenSeconds, "x", "in")
		time.Sleep(15 * time.Second)
		got := outcomes(b, lambdabiz.Get(client, tenSeconds, "x"))
		synctest.Wait()
		if err := e.Terminate(b.ctx, "x", "enough"); err != nil {
			t.Fatal(err)
		}
		start(b, e, tenSeconds, "x", "his", lambdabiz.OnUsedID(lambdabiz.RestartEnded))
		if got := got(); !strings.Contains(got, "TERMINATED") {
			t.Errorf("the result is %s", got)
		}
	})
}

// A chain whose runs have ids of their own, as all had once, goes on with ids that tell the chain.
func TestRunsOfAChainHaveItsId(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(tenSeconds)
		run := start(b, e, tenSeconds, "x", "in")
		var seen, want []string
		time.Sleep(5 * time.Second)
		for i := range 5 {
			s := b.state(e, "x")
			seen, want = append(seen, s.RunID), append(want, run.RunID())
			if i > 0 {
				want[i] += fmt.Sprint("-", i+1)
				if !s.Continues(run.RunID()) || s.Previous != want[i-1] {
					t.Errorf("run %s after %s is of another chain than %s", s.RunID, s.Previous, run.RunID())
				}
			}
			time.Sleep(10 * time.Second)
		}
		if fmt.Sprint(seen) != fmt.Sprint(want) {
			t.Errorf("the runs are %v, not %v", seen, want)
		}
	}, keepsClaims(countsTime))
}

// Who waits where the run was started learns that another process has terminated it, though a body goes on.
func TestResultOfARunThatAnotherProcessHasTerminated(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "x", func(ctx context.Context) (int, error) {
				select {
				case <-time.After(10 * time.Hour):
				case <-ctx.Done():
				}
				return 1, nil
			})
		})
		e, _ := b.worker(d)
		client := b.engine(lambdabiz.Config{})
		run := start(b, e, d, "a", 1)
		time.Sleep(time.Second)
		if err := client.Terminate(b.ctx, "a", "x"); err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		ctx, cancel := within(b, 9*time.Hour)
		defer cancel()
		_, err := run.Result(ctx)
		if took := time.Since(at); took > 10*time.Minute {
			t.Errorf("Result took %v: %v", took, err)
		}
		ctx, cancel = within(b, time.Minute)
		defer cancel()
		if _, err := lambdabiz.Get(e, d, "a").Result(ctx); err == nil {
			t.Error("no error")
		} else {
			t.Log(err)
		}
	}, "memory", "sqlite", "postgres")
}

// Who started a run in this process hears of its termination at once.
func TestResultOfATerminatedRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { time.Sleep(10 * time.Minute); return 1, nil })
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Terminate(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(b, time.Minute)
		if _, err := run.Result(ctx); !errors.Is(err, lambdabiz.ErrTerminated) {
			t.Error(err)
		}
		cancel()
		time.Sleep(20 * time.Minute)
	})
}
