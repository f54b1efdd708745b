package main

import (
	"context"
	"errors"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// sliceTime is how long the workload and the measuring of the limits take turns: a shared machine changes its
// speed within seconds, and a ratio of figures from the same moments does not.
const sliceTime = 60 * time.Millisecond

// gate is a backend that can be held. What the engine has in memory goes on until it needs the backend.
type gate struct {
	lambdabiz.Backend
	holding sync.RWMutex
}

var _ lambdabiz.Waker = (*gate)(nil)

// Commit waits until the gate is open.
func (g *gate) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	g.holding.RLock()
	defer g.holding.RUnlock()
	return g.Backend.Commit(ctx, batch)
}

// Claim waits until the gate is open.
func (g *gate) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	g.holding.RLock()
	defer g.holding.RUnlock()
	return g.Backend.Claim(ctx, r)
}

// Load waits until the gate is open.
func (g *gate) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	g.holding.RLock()
	defer g.holding.RUnlock()
	return g.Backend.Load(ctx, id, runID)
}

// Wake is the backend's own.
func (g *gate) Wake() <-chan struct{} {
	if w, ok := g.Backend.(lambdabiz.Waker); ok {
		return w.Wake()
	}
	return nil
}

// pace lets a workload and the limits take turns. Its clock stands still while the limits are measured.
type pace struct {
	limits limits
	gate   *gate
	off    bool // measure the limits before and after only
	usage  func() spent

	begun  time.Time
	paused atomic.Int64 // nanoseconds
	before spent        // what does not count
}

// spent is what has been computed; 0 where that cannot be asked.
type spent struct{ client, server time.Duration }

func (u spent) sub(v spent) spent { return spent{u.client - v.client, u.server - v.server} }

// span is what a workload took, without what the measuring of the limits took.
type span struct {
	time.Duration
	cpu spent
}

// addCPU says what each of n orchestrations has computed.
func (s *span) addCPU(m figures, n int) {
	m["cpu_ms_per_orch"] = millis(s.cpu.client+s.cpu.server) / float64(n)
	if s.cpu.server > 0 {
		m["server_cpu_ms_per_orch"] = millis(s.cpu.server) / float64(n)
	}
}

// now is the time that the workload has had since the pace was set.
func (p *pace) now() time.Duration { return time.Since(p.begun) - time.Duration(p.paused.Load()) }

// during runs do in turns with the limits, and returns how long do took by the workload's clock.
func (p *pace) during(do func() error) (span, error) {
	if err := p.limits.slice(2 * sliceTime); err != nil {
		return span{}, err
	}
	p.begun, p.before = time.Now(), p.usage()
	p.paused.Store(0)
	done := make(chan error, 1)
	var took span
	go func() {
		err := do()
		took.Duration = p.now()
		done <- err
	}()
	turn := time.NewTicker(2 * sliceTime)
	defer turn.Stop()
	if p.off {
		turn.Stop()
	}
	for {
		select {
		case err := <-done:
			took.cpu = p.usage().sub(p.before)
			return took, errors.Join(err, p.limits.slice(2*sliceTime))
		case <-turn.C:
			if err := p.turn(); err != nil {
				return span{}, errors.Join(err, <-done)
			}
		}
	}
}

// turn holds the workload and measures the limits for a slice.
func (p *pace) turn() error {
	p.gate.holding.Lock()
	defer p.gate.holding.Unlock()
	settle()
	begun, before := time.Now(), p.usage()
	err := p.limits.slice(sliceTime)
	p.paused.Add(int64(time.Since(begun)))
	used := p.usage().sub(before)
	p.before.client += used.client
	p.before.server += used.server
	return err
}

// settle waits until no goroutine has anything to do but this one: what a held workload still computes counts
// as its own time.
func settle() {
	busy := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}, {Name: "/sched/goroutines/running:goroutines"}}
	for begun := time.Now(); time.Since(begun) < sliceTime; time.Sleep(100 * time.Microsecond) {
		metrics.Read(busy)
		if busy[0].Value.Kind() != metrics.KindUint64 || busy[0].Value.Uint64()+busy[1].Value.Uint64() <= 1 {
			return
		}
	}
}
