package limits_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// stepName names an operation of a long history.
func stepName(n int) string { return fmt.Sprint("step-", n) }

// history records n steps that have ended, of a run that nobody holds.
func history(b *bench, id string, n int) {
	at := time.Now().UTC()
	v, err := b.backend.Commit(b.ctx, []*lambdabiz.Commit{{At: at, Starts: []lambdabiz.RunStart{{
		ID: id, RunID: "run", Name: "Long", Input: fmt.Appendf(nil, "%d", n),
	}}}})
	b.check(err)
	worker, err := b.backend.Join(b.ctx, lambdabiz.WorkerInfo{Names: []string{"Long"}})
	b.check(err)
	claims, err := b.backend.Claim(b.ctx, lambdabiz.ClaimRequest{Worker: worker, Names: []string{"Long"}, Limit: 1, Now: at})
	b.check(err)
	if len(v) != 1 || len(claims.Runs) != 1 {
		b.t.Fatalf("started %+v, claimed %+v", v, claims)
	}
	ref := claims.Runs[0].Ref
	for i := 0; i < n; i += 1000 {
		c := &lambdabiz.Commit{Run: &ref, Worker: worker, At: at, Started: true}
		for k := i; k < min(i+1000, n); k++ {
			c.Operations = append(c.Operations, lambdabiz.Operation{
				Number: int64(k + 1), ID: stepName(k), Kind: lambdabiz.KindStep, Status: lambdabiz.StatusSucceeded, Attempts: 1,
				Result: fmt.Appendf(nil, "%d", k), ScheduledAt: at, StartedAt: at, EndedAt: at,
			})
		}
		if i+1000 >= n {
			c.Release = &lambdabiz.Release{WakeAt: at}
		}
		verdicts, err := b.backend.Commit(b.ctx, []*lambdabiz.Commit{c})
		if b.check(err); err == nil {
			b.check(verdicts[0].Err)
		}
	}
	b.check(b.backend.Leave(b.ctx, worker, -1))
}

// resumeLong resumes a history of n operations. It returns how long that took, by the machine's clock.
func resumeLong(t *testing.T, h home, n int, wrap func(lambdabiz.Backend) lambdabiz.Backend) (took time.Duration, complaint string) {
	t.Helper()
	b := &bench{t: t, backend: wrap(h.open(t)), ctx: t.Context()}
	var ran atomic.Int64
	d := lambdabiz.Define("Long", func(o lambdabiz.Context, n int) (int, error) {
		sum := 0
		for i := range n + 1 {
			got, err := lambdabiz.Step(o, stepName(i), func(context.Context) (int, error) {
				ran.Add(1)
				return i, nil
			})
			if err != nil {
				return 0, err
			}
			sum += got
		}
		return sum, nil
	})
	history(b, "long", n)
	e := must(lambdabiz.New(b.backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)}))(t)
	b.check(e.Register(d))
	began := time.Now()
	b.check(e.RunWhile(b.ctx, func(ctx context.Context) error {
		b.ctx = ctx
		want(b, lambdabiz.Get(e, d, "long"), n*(n+1)/2)
		took = time.Since(began)
		return nil
	}))
	b.ctx = t.Context()
	if ran.Load() != 1 {
		b.complainf("%d bodies ran, want the last one only", ran.Load())
	}
	if s := b.state(e, "long"); len(s.Operations) != n+1 {
		b.complainf("%d operations are recorded", len(s.Operations))
	}
	b.check(b.backend.Close())
	if len(b.wrong) > 0 {
		complaint = b.wrong[0]
	}
	return took, complaint
}

// A history of 50,000 operations is resumed, and only what is not recorded runs.
func TestResumeFiftyThousandOperations(t *testing.T) {
	onHomes(t, func(t *testing.T, h home) {
		n := 50_000
		if underRace {
			n = 5_000
		}
		took, complaint := resumeLong(t, h, n, asIs)
		if complaint != "" {
			t.Error(complaint)
		}
		campaign.Report(t, "F34", []campaign.Count{{What: "operations", N: n}},
			campaign.Count{What: "resumed in ms", N: int(took.Milliseconds())})
	})
}

// Without one record of the middle, its body runs again.
func TestSabotageRecordOfALongHistoryLost(t *testing.T) {
	t.Parallel()
	_, complaint := resumeLong(t, homes[0], 2_000, func(b lambdabiz.Backend) lambdabiz.Backend {
		return recordings{b, func(r *lambdabiz.Record) {
			r.Operations = slices.DeleteFunc(r.Operations, func(o lambdabiz.Operation) bool { return o.ID == stepName(1_000) })
		}}
	})
	campaign.Red(t, "F34", "a record of a long history", complaint)
}

// chain continues as new n times with an input of 16 KiB, and returns the memory that is in use half-way
// and at the end.
func chain(t *testing.T, h home, n int, wrap func(lambdabiz.Backend) lambdabiz.Backend) (early, late uint64, complaint string) {
	t.Helper()
	complaint = bubble(t, h, 24*time.Hour, wrap, func(b *bench) {
		d := lambdabiz.Define("Chain", func(o lambdabiz.Context, in string) (int, error) {
			_, text, _ := strings.Cut(in, " ")
			var round int
			if _, err := fmt.Sscan(in, &round); err != nil {
				return 0, err
			}
			got, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) { return round + 1, nil })
			if round == n/2 || round == n {
				// In a bubble no time passes meanwhile: the timers of milliseconds of runs that have ended hold them still.
				err = errors.Join(err, lambdabiz.Sleep(o, "pause", time.Second))
			}
			switch {
			case err != nil:
				return 0, err
			case round == n/2:
				early = inUse()
			case round == n:
				late = inUse()
				return round, nil
			}
			return 0, lambdabiz.ContinueAsNew(o, fmt.Sprint(got, " ", text))
		})
		e, _ := b.worker(lambdabiz.Config{}, d)
		want(b, start(b, e, d, "chain", "0 "+strings.Repeat("x", 16<<10)), n)
		page, err := e.List(b.ctx, lambdabiz.Filter{AllRuns: true, Limit: 1000})
		if b.check(err); len(page.Runs) != min(n+1, 1000) {
			b.complainf("%d runs", len(page.Runs))
		}
	})
	if grown := int64(late) - int64(early); complaint == "" && grown > 8<<20 {
		complaint = fmt.Sprintf("memory in use grew by %d bytes in %d runs", grown, n)
	}
	return early, late, complaint
}

// inUse is the memory in use after a collection.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An orchestration continues as new again and again: every run follows, and the memory of the process stays
// where it was. It does not run beside others, whose memory would count.
func TestContinueAsNewForEver(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	n := campaign.Rounds(t, 200, 10_000)
	early, late, complaint := chain(t, homes[1], n, nil)
	if complaint != "" {
		t.Error(complaint)
	}
	campaign.Report(t, "F34", []campaign.Count{{What: "runs", N: n}},
		campaign.Count{What: "KiB early", N: int(early >> 10)}, campaign.Count{What: "KiB late", N: int(late >> 10)})
}

// hoarding keeps what is committed.
type hoarding struct {
	lambdabiz.Backend
	mu    *sync.Mutex
	hoard *[]lambdabiz.Payload
}

// Commit keeps the inputs of runs.
func (x hoarding) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	x.mu.Lock()
	for _, c := range batch {
		if c.Close != nil && c.Close.Next != nil {
			*x.hoard = append(*x.hoard, bytes.Repeat(c.Close.Next.Input, 10))
		}
	}
	x.mu.Unlock()
	return x.Backend.Commit(ctx, batch)
}

// Wake tells of changes, as the backend does.
func (x hoarding) Wake() <-chan struct{} { return x.Backend.(lambdabiz.Waker).Wake() }

// When something keeps what every run had, memory grows and is seen to grow.
func TestSabotageMemoryKept(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	var kept []lambdabiz.Payload
	_, _, complaint := chain(t, homes[1], 200, func(b lambdabiz.Backend) lambdabiz.Backend {
		return hoarding{b, &sync.Mutex{}, &kept}
	})
	runtime.KeepAlive(kept)
	campaign.Red(t, "F34", "the end of what a run had", complaint)
}
