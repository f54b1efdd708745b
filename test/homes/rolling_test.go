package homes_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// rollout is one definition of which the old code makes a mistake, and the new one takes its time.
type rollout struct {
	*bench
	old, fresh *lambdabiz.Definition[int, int]
	tries      atomic.Int64 // of the old code
	engine     *lambdabiz.Engine
	runs       []*lambdabiz.Run[int]
}

const rolledTask = 10 * time.Second

// roll begins a worker with the old code, which blocks some orchestrations.
func roll(b *bench) *rollout {
	b.t.Helper()
	x := &rollout{bench: b}
	x.old = lambdabiz.Define("Rolled", func(lambdabiz.Context, int) (int, error) {
		x.tries.Add(1)
		panic("the old code cannot do this")
	})
	x.fresh = lambdabiz.Define("Rolled", func(o lambdabiz.Context, n int) (int, error) {
		return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
			select {
			case <-time.After(rolledTask):
				return n, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
	})
	x.engine, _ = b.workerWith(lambdabiz.Config{Version: "1"}, x.old)
	for n := range 6 {
		x.runs = append(x.runs, start(b, x.engine, x.old, fmt.Sprintf("m%d", n), n))
	}
	b.settle()
	time.Sleep(5 * time.Second)
	if n := x.tries.Load(); n < int64(2*len(x.runs)) {
		b.t.Fatalf("the old code has tried %d times", n)
	}
	return x
}

// renew begins a worker with the new code, which has room for one at a time. The function that it returns lets its
// process die: others see it when its lease is over.
func (x *rollout) renew(version string) (die func()) {
	x.t.Helper()
	inner := x.backend
	m := &mortal{Backend: inner}
	x.backend = m
	_, stop := x.workerWith(lambdabiz.Config{Version: version, MaxResident: 1, DrainTimeout: time.Millisecond}, x.fresh)
	x.backend = inner
	return func() {
		m.dead.Store(true)
		stop()
	}
}

const noRollout = "SWF gives a decision to whoever asks first, and knows no workers of other processes"

// While new code was rolled out, workers with the old code took again and again what they had blocked, and the new ones
// had to wait for the backoff.
// Row 161 of docs/proof/bugs.md.
func TestOldCodeLeavesWhatItHasBlockedToTheNewCode(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		x := roll(b)
		x.renew("2")
		tried, began := x.tries.Load(), time.Now()
		for n, run := range x.runs {
			if got := result(b, run); got != n {
				t.Errorf("the result of %d is %d", n, got)
			}
		}
		if n := x.tries.Load(); !b.exact(int(n), int(tried)) {
			t.Errorf("the old code has taken %d more while the new one was there", n-tried)
		}
		if took, most := time.Since(began), time.Duration(len(x.runs)+1)*rolledTask; b.faults == nil && took > most {
			t.Errorf("the new code was done after %v, not within %v", took, most)
		}
	}, notOnSWF(noRollout))
}

// What is left to others must not wait for one that has died: the old code tries it again, as if it were alone.
func TestOldCodeTriesAgainWhenTheNewCodeHasDied(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		x := roll(b)
		die := x.renew("2")
		tried := x.tries.Load()
		time.Sleep(rolledTask / 2)
		die()
		if n := x.tries.Load(); !b.exact(int(n), int(tried)) {
			t.Errorf("the old code has taken %d more while the new one was there", n-tried)
		}
		time.Sleep(10 * time.Minute) // a lease, and the longest wait for another try
		synctest.Wait()
		if n := x.tries.Load(); n < tried+int64(2*len(x.runs)) {
			t.Errorf("the old code has tried %d times more, long after the new one's death", n-tried)
		}
		x.renew("3")
		tried = x.tries.Load()
		for n, run := range x.runs {
			if got := result(b, run); got != n {
				t.Errorf("the result of %d is %d", n, got)
			}
		}
		if n := x.tries.Load(); !b.exact(int(n), int(tried)) {
			t.Errorf("the old code has taken %d more while the newest one was there", n-tried)
		}
	}, notOnSWF(noRollout))
}
