package homes_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A run that kills its worker within milliseconds of a step is a crash loop, whatever else it waits for.
// Row 15 of docs/proof/bugs.md.
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
					if err := inner.Leave(context.Background(), w.Number, w.Beat); err != nil {
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

// One death of a worker blocked a run that had been in a crash loop once, however much it had recorded since.
// Row 110 of docs/proof/bugs.md.
func TestACrashLoopIsForgottenAfterProgress(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		if b.backend.Describe().CommitEndsClaim {
			t.Skip("a worker holds nothing here between commits")
		}
		d := lambdabiz.Define("Recovers", func(o lambdabiz.Context, _ int) (int, error) {
			if n, err := step(o, "s"); err != nil {
				return n, err
			}
			return lambdabiz.WaitForEvent[int](o, "go")
		})
		e := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "m", 0)
		die := func(times int) {
			for range times {
				worker, err := b.backend.Join(b.ctx, lambdabiz.WorkerInfo{Names: []string{"Recovers"}})
				if err != nil {
					t.Fatal(err)
				}
				got, err := b.backend.Claim(b.ctx, lambdabiz.ClaimRequest{
					Worker: worker, Names: []string{"Recovers"}, Limit: 1, Now: time.Now().Add(time.Hour), // whenever it is tried again
				})
				if err != nil || len(got.Runs) != 1 {
					t.Fatalf("claimed %+v, %v", got, err)
				}
				if err := removeDead(b.ctx, b.backend, worker); err != nil {
					t.Fatal(err)
				}
			}
		}
		die(5)
		_, stop := b.worker(d)
		if s := b.state(e, "m"); s.Blocked == nil || s.Blocked.Crashes != 5 {
			t.Fatalf("blocked is %+v", s.Blocked)
		}
		stop()
		die(1)
		_, kill := b.killable(d)
		if s := b.state(e, "m"); s.Blocked == nil || len(s.Operations) != 0 {
			t.Fatalf("one more death without a new record: blocked is %+v, %+v", s.Blocked, s.Operations)
		}
		time.Sleep(10 * time.Second) // it goes on by itself
		if s := b.state(e, "m"); len(s.Operations) != 2 || s.Worker == 0 {
			t.Fatalf("it has not gone on: %+v", s)
		}
		kill()
		die(1)
		b.worker(d)
		synctest.Wait()
		if s := b.state(e, "m"); s.Blocked != nil || s.Worker == 0 {
			t.Errorf("it is blocked: %+v", s.Blocked)
		}
		raise(b, e, "m", "go", 7)
		if got := result(b, lambdabiz.Get(e, d, "m")); got != 7 {
			t.Errorf("result is %d", got)
		}
	}, "memory", "sqlite", "postgres")
}

// The answers to five claims are lost on the way to a worker that lives. It leaves each time, and begins as a new one: that
// is no death of a worker. Row 197 of docs/proof/bugs.md.
func TestLostClaimsOfALivingWorkerAreNoCrashes(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		b.well()
		client := b.engine(lambdabiz.Config{})
		d := lambdabiz.Define("D", func(o lambdabiz.Context, n int) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return n + 1, nil })
		})
		start(b, client, d, "x", 6)
		inner := b.backend
		var lost atomic.Int64
		b.backend = &proxy{Backend: inner, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			claims, err := inner.Claim(ctx, r)
			if err == nil && len(claims.Runs) > 0 && lost.Add(1) <= 5 {
				return lambdabiz.Claims{}, lambdabiz.ErrOutcomeUnknown
			}
			return claims, err
		}}
		e, _ := b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != 7 || lost.Load() < 6 {
			t.Errorf("result is %d after %d claims", got, lost.Load())
		}
		if b.logged("workers in a row died") {
			t.Error("it was blocked for deaths that never were")
		}
	}, "memory", "sqlite", "postgres")
}
