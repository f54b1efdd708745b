package faulty_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/test/faulty"
)

func store(t *testing.T) lambdabiz.Backend {
	t.Helper()
	b := memory.New()
	return b
}

// Without faults the decorator is a backend like the one that it wraps.
func TestWrapWithoutFaultsIsTheBackend(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Config{
		Open: func(t *testing.T) lambdabiz.Backend {
			t.Helper()
			return faulty.Wrap(store(t), faulty.New(rand.New(rand.NewPCG(1, 1)), 0, time.Second))
		},
		Reopen: func(_ *testing.T, b lambdabiz.Backend) lambdabiz.Backend { return b },
	})
}

// Every kind strikes, about as often as was asked for, and what an error says of the outcome is true.
func TestErrorsTellTheTruth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := store(t)
		f := faulty.New(rand.New(rand.NewPCG(1, 1)), 50, time.Second)
		b := faulty.Wrap(inner, f)
		if _, wakes := b.(lambdabiz.Waker); !wakes {
			t.Error("it wakes nobody")
		}
		ctx := t.Context()
		unknown, applied := 0, 0
		for range 2000 {
			before := len(workers(t, inner))
			_, err := b.Join(ctx, lambdabiz.WorkerInfo{})
			switch joined := len(workers(t, inner)) > before; {
			case err == nil && !joined:
				t.Fatal("acknowledged, and not done")
			case errors.Is(err, lambdabiz.ErrOutcomeUnknown):
				unknown++
				if joined {
					applied++
				}
			case err != nil && joined:
				t.Fatalf("done, with an error that says it was not: %v", err)
			}
		}
		if unknown < 200 || applied == 0 || applied == unknown {
			t.Errorf("of %d unknown outcomes %d were applied", unknown, applied)
		}
		for range 100 {
			if _, err := b.Claim(ctx, lambdabiz.ClaimRequest{Worker: 1}); err != nil {
				continue
			}
		}
		for k := faulty.Refused; k <= faulty.Again; k++ {
			if f.Struck(k) == 0 {
				t.Errorf("no call was %s", k)
			}
		}
		if n := f.Total(); n < f.Calls()*4/10 || n > f.Calls()*6/10 || f.Met("Join") == 0 {
			t.Errorf("%d of %d calls went wrong, %d of Join", n, f.Calls(), f.Met("Join"))
		}
		f.Heal()
		for range 100 {
			if _, err := b.Join(ctx, lambdabiz.WorkerInfo{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A commit that ends its claim has a known outcome where that is wanted, and other commits have not.
func TestEndsOfKnownOutcome(t *testing.T) {
	t.Parallel()
	run := &lambdabiz.RunRef{ID: "x", RunID: "r", Fence: 1}
	for name, c := range map[string]struct {
		every  bool // every commit ends its claim
		commit lambdabiz.Commit
		known  bool
	}{
		"close":                     {false, lambdabiz.Commit{Run: run, Close: &lambdabiz.Close{}}, true},
		"release":                   {false, lambdabiz.Commit{Run: run, Release: &lambdabiz.Release{}}, true},
		"operations":                {false, lambdabiz.Commit{Run: run}, false},
		"operations that end it":    {true, lambdabiz.Commit{Run: run}, true},
		"of no run, but of clients": {true, lambdabiz.Commit{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner, err := memory.NewWith(memory.Config{CommitEndsClaim: c.every})
				if err != nil {
					t.Fatal(err)
				}
				f := faulty.New(rand.New(rand.NewPCG(1, 1)), 50, time.Millisecond)
				f.KnowEnds()
				b := faulty.Wrap(inner, f)
				unknown, failed := 0, 0
				for range 500 {
					commit := c.commit
					if _, err := b.Commit(t.Context(), []*lambdabiz.Commit{&commit}); errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
						unknown++
					} else if err != nil {
						failed++
					}
				}
				if unknown > 0 == c.known || failed == 0 {
					t.Errorf("%d of 500 outcomes are unknown, %d have failed", unknown, failed)
				}
			})
		})
	}
}

func workers(t *testing.T, b lambdabiz.Backend) []lambdabiz.WorkerRecord {
	t.Helper()
	list, err := b.Workers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return list
}
