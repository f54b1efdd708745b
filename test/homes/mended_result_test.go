package homes_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// The answer to the closing commit is lost, and with it the child that it started and claimed.
func TestChildOfAClosingWhoseAnswerIsLost(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		var lost atomic.Bool
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if err == nil && batch[0].Close != nil && len(batch[0].Starts) > 0 && !lost.Swap(true) {
				return nil, fmt.Errorf("the line is dead: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return v, err
		}}
		child := lambdabiz.Define("C", func(o lambdabiz.Context, _ int) (int, error) { return 1, lambdabiz.Sleep(o, "s", time.Second) })
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.CallChild(o, "c", child, 1, lambdabiz.ChildID("c"))
			})
			time.Sleep(time.Millisecond)
			return 1, nil
		})
		e, _ := b.worker(d, child)
		result(b, start(b, e, d, "a", 1))
		if !lost.Load() {
			t.Skip("the start was in another commit")
		}
		time.Sleep(time.Hour)
		if s := b.state(e, "c"); !s.Status.Ended() {
			t.Errorf("the child is run by nobody: %v", s.Status)
		}
	}, "memory", "sqlite")
}

// leaver is a backend whose Leave and Renew a test may change.
type leaver struct {
	lambdabiz.Backend
	leave func(ctx context.Context, worker, beat int64) error
	renew func(ctx context.Context, worker int64) error
}

func (l *leaver) Leave(ctx context.Context, worker, beat int64) error {
	if l.leave != nil {
		return l.leave(ctx, worker, beat)
	}
	return l.Backend.Leave(ctx, worker, beat)
}

func (l *leaver) Renew(ctx context.Context, worker int64) error {
	if l.renew != nil {
		return l.renew(ctx, worker)
	}
	return l.Backend.Renew(ctx, worker)
}

// A worker that takes long to take over from a dead one is taken for dead itself.
func TestATakeOverThatTakesLong(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "x", func(ctx context.Context) (int, error) {
				select {
				case <-time.After(2 * time.Minute):
				case <-ctx.Done():
				}
				return 1, nil
			})
		})
		inner := b.backend
		b.backend = &leaver{Backend: inner, leave: func(ctx context.Context, worker, beat int64) error {
			if beat < 0 {
				return inner.Leave(ctx, worker, beat)
			}
			time.Sleep(13 * time.Second)
			return inner.Leave(ctx, worker, beat)
		}}
		e, _ := b.worker(d)
		b.backend = inner
		start(b, e, d, "a", 1)
		time.Sleep(23 * time.Second)
		if _, err := inner.Join(b.ctx, lambdabiz.WorkerInfo{Names: []string{"Other"}}); err != nil { // it never beats
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		b.worker()
		time.Sleep(time.Minute)
		if b.logs.has("has lost its orchestrations") {
			t.Error("a living worker was declared dead")
		}
	}, "memory")
}

// A heartbeat that fails is tried again soon.
func TestHeartbeatsThatFail(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		var n atomic.Int64
		b.backend = &leaver{Backend: inner, renew: func(ctx context.Context, worker int64) error {
			if k := n.Add(1); k == 5 || k == 6 {
				return fmt.Errorf("the store is busy")
			}
			return inner.Renew(ctx, worker)
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "x", func(ctx context.Context) (int, error) {
				select {
				case <-time.After(2 * time.Minute):
				case <-ctx.Done():
				}
				return 1, nil
			})
		})
		e, _ := b.worker(d)
		b.backend = inner
		b.worker()
		start(b, e, d, "a", 1)
		time.Sleep(2 * time.Minute)
		if b.logs.has("has lost its orchestrations") {
			t.Error("a living worker was declared dead")
		}
	}, "memory")
}

// A worker that began anew claims at once what it had: nobody else kicks it.
func TestAWorkerThatBeganAnewClaims(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		var once sync.Once
		lose := &atomic.Bool{}
		b.backend = &proxy{Backend: inner, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			if err == nil && lose.Load() {
				once.Do(func() { err = fmt.Errorf("the line is dead: %w", lambdabiz.ErrOutcomeUnknown) })
			}
			return c, err
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.WaitForEvent[int](o, "e")
		})
		e, _ := b.workerWith(lambdabiz.Config{PollInterval: -1}, d)
		run := start(b, e, d, "a", 1)
		time.Sleep(time.Second)
		lose.Store(true)
		if err := e.RaiseEvent(b.ctx, "a", "e", 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if _, err := run.Result(ctx); err != nil {
			t.Errorf("%v", err)
		}
	}, "memory", "sqlite")
}
