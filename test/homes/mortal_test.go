package homes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
			if err := inner.Leave(b.ctx, number, -1); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// notes is what bodies have seen, in order.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(parts ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, fmt.Sprint(parts...))
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.list, ", ")
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

func (n *notes) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.list)
}

// define is a definition with the name "D" that needs no input.
func define(f func(o lambdabiz.Context) (int, error)) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) { return f(o) })
}

// failure waits for an outcome that must be none.
func failure[Out any](b *bench, run *lambdabiz.Run[Out]) error {
	b.t.Helper()
	out, err := run.Result(b.ctx)
	if err == nil {
		b.t.Fatalf("it ended with %v", out)
	}
	return err
}

// seconds is how many whole seconds have passed.
func seconds(since time.Time) int { return int(time.Since(since).Round(time.Second) / time.Second) }

func attempts(n int, initial time.Duration) lambdabiz.CallOption {
	return lambdabiz.Retry(lambdabiz.Backoff{Attempts: n, Initial: initial, Max: 24 * time.Hour, Jitter: -1})
}
