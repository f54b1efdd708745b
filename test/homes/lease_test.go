package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// A worker beats as often as its own lease needs. One with a shorter lease must not take it for dead.
// Row 136 of docs/proof/bugs.md.
func TestAWorkerWithAShorterLeaseBuriesNobody(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var bodies atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "long", func(context.Context) (int, error) {
				bodies.Add(1)
				time.Sleep(10 * time.Minute)
				return 1, nil
			})
		})
		patient, _ := b.workerWith(lambdabiz.Config{Lease: 2 * time.Minute}, d)
		run := start(b, patient, d, "x", 0)
		b.settle()
		b.workerWith(lambdabiz.Config{Lease: 2 * time.Second}, d)
		if got := result(b, run); got != 1 {
			t.Errorf("result is %d", got)
		}
		if n := bodies.Load(); n != 1 {
			t.Errorf("the body ran %d times", n)
		}
		workers, err := patient.Workers(b.ctx)
		if err != nil || len(workers) != 2 || workers[0].Lease != 2*time.Minute || workers[1].Lease != 2*time.Second {
			t.Errorf("workers: %+v, %v", workers, err)
		}
	}, "memory", "sqlite", "postgres")
}

func TestALeaseThatIsTooShortIsRefused(t *testing.T) {
	t.Parallel()
	for lease, fine := range map[time.Duration]bool{
		0: true, time.Second: true, time.Second - 1: false, time.Nanosecond: false, -time.Second: false,
	} {
		_, err := lambdabiz.New(memory.New(), lambdabiz.Config{Lease: lease})
		if (err == nil) != fine || err != nil && !strings.Contains(err.Error(), "Lease") {
			t.Errorf("a lease of %v: %v", lease, err)
		}
	}
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

// A worker that takes long to take over from a dead one is not taken for dead itself.
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
		if b.logged("has lost its orchestrations") {
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
		if b.logged("has lost its orchestrations") {
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
	}, "memory", "sqlite", "postgres")
}

// A worker alone on its store, whose claim was lost and who could not leave, never took over from what it had been.
// Nor did it do so before a lease was over, though it asked for work meanwhile.
// Rows 61 and 190 of docs/proof/bugs.md.
func TestAWorkerAloneTakesOverFromWhatItHasBeen(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		var left atomic.Int64
		store := &leaver{Backend: inner, leave: func(ctx context.Context, worker, beat int64) error {
			if left.Add(1) == 1 {
				return errors.New("the store is busy")
			}
			return inner.Leave(ctx, worker, beat)
		}}
		b.backend = &proxy{Backend: store, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			if err == nil && len(c.Runs) > 0 && lose {
				lose = false
				return lambdabiz.Claims{}, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return c, err
		}}
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		client := b.engine(lambdabiz.Config{})
		run := start(b, client, d, "x", 0)
		began := time.Now()
		b.workerWith(lambdabiz.Config{PollInterval: -1}, d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; held by worker %d", v, err, b.state(client, "x").Worker)
		}
		if took := seconds(began); took > 1 {
			t.Errorf("it waited %d s for the lease of what it had been", took)
		}
	}, "memory", "sqlite", "postgres")
}

// A worker without runs renews its lease too. The others buried it again and again.
// Row 10 of docs/proof/bugs.md.
func TestIdleWorkersAreNotDeclaredDead(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		b.worker(d)
		b.worker(d)
		time.Sleep(10 * time.Minute)
		if b.logged("declared dead") || b.logged("took over") {
			t.Error("an idle worker was declared dead")
		}
	}, "memory", "sqlite", "postgres")
}

// A worker that has just been buried starts a run and claims it in the name of the dead: it is freed all the same.
// Row 9 of docs/proof/bugs.md.
func TestStartByAWorkerThatWasRemoved(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if err := lambdabiz.Sleep(o, "s", time.Minute); err != nil {
				return 0, err
			}
			return 1, nil
		})
		e, _ := b.workerWith(lambdabiz.Config{PollInterval: 10 * time.Second}, d)
		workers, err := b.backend.Workers(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := removeDead(b.ctx, b.backend, workers[0].Number); err != nil {
			t.Fatal(err)
		}
		run := start(b, e, d, "x", 0)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; held by worker %d", v, err, b.state(e, "x").Worker)
		}
	}, "memory", "sqlite", "postgres")
}
