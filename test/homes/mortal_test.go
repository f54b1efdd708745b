package homes_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var errDead = errors.New("this process is dead")

// mortal is a store as one process sees it: once that is dead, nothing of it reaches the store any more.
type mortal struct {
	lambdabiz.Backend
	dead    atomic.Bool
	mu      sync.Mutex
	workers []int64 // all that the process has been
}

func (m *mortal) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	if m.dead.Load() {
		return 0, errDead
	}
	number, err := m.Backend.Join(ctx, w)
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.workers = append(m.workers, number)
	}
	return number, err
}

func (m *mortal) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Backend.Commit(ctx, batch)
}

func (m *mortal) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if m.dead.Load() {
		return lambdabiz.Claims{}, errDead
	}
	return m.Backend.Claim(ctx, r)
}

func (m *mortal) Renew(ctx context.Context, worker int64) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Backend.Renew(ctx, worker)
}

func (m *mortal) Leave(ctx context.Context, worker, beat int64) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Backend.Leave(ctx, worker, beat)
}

// killable makes a worker whose process can die: it releases nothing, and its bodies record nothing. What
// it held is claimable when kill returns.
func (b *bench) killable(items ...lambdabiz.Registrable) (e *lambdabiz.Engine, kill func()) {
	b.t.Helper()
	inner := b.backend
	m := &mortal{Backend: inner}
	b.backend = m
	e, stop := b.workerWith(lambdabiz.Config{DrainTimeout: time.Millisecond}, items...)
	b.backend = inner
	return e, func() {
		b.t.Helper()
		m.dead.Store(true)
		stop()
		for _, number := range m.workers {
			if err := removeDead(b.ctx, inner, number); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}
