package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// keepAlive renews the worker while it owns runs, and watches the others.
func (w *worker) keepAlive(stop <-chan struct{}) {
	e := w.e
	beat := e.config.Lease / 3
	var beaten time.Time
	for {
		wait, look := beat, min(beat, time.Second)
		switch {
		case e.config.PollInterval >= 0 || w.others():
			wait = look
		case !w.owning(stop):
			return
		default:
			look = 0 // nobody else uses the store
		}
		timer := time.NewTimer(wait)
		select {
		case <-stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), e.config.Lease)
		if time.Since(beaten) >= beat-look {
			fault.Point("worker.renew")
			if err := e.backend.Renew(ctx, e.worker.Load()); err != nil {
				e.log.Error("renew the worker's lease", "error", err)
				e.kick() // if it was declared dead, the next claim says so
			}
			beaten = time.Now()
		}
		if look > 0 {
			if err := w.watch(ctx); err != nil {
				e.log.Error("watch other workers", "error", err)
			}
		}
		cancel()
	}
}

// others reports whether other workers are registered. On a store that only this process uses, those are its own
// earlier lives whose Leave failed.
func (w *worker) others() bool {
	w.watching <- struct{}{}
	defer func() { <-w.watching }()
	return len(w.peers) > 0
}

// owning blocks until the worker owns a run, or sees another one. It reports false when the worker stops.
func (w *worker) owning(stop <-chan struct{}) bool {
	for len(w.e.allResidents()) == 0 && !w.others() {
		select {
		case <-stop:
			return false
		case <-w.e.busy:
		}
	}
	return true
}

// watch takes over from workers that are gone, among them what this one has been, or whose heartbeat has not moved
// for a lease on this process's own clock, watched without a gap.
func (w *worker) watch(ctx context.Context) error {
	w.watching <- struct{}{}
	defer func() { <-w.watching }()
	e := w.e
	workers, err := e.backend.Workers(ctx)
	if err != nil {
		return fmt.Errorf("list workers: %w", err)
	}
	at := time.Now()
	seen := map[int64]*peer{}
	for _, other := range workers {
		if other.Number == e.worker.Load() {
			continue
		}
		p := w.peers[other.Number]
		if p == nil || p.beat != other.Beat || at.Sub(p.looked) > e.config.Lease/2 {
			p = &peer{beat: other.Beat, since: at}
		}
		p.looked = at
		seen[other.Number] = p
		gone := other.Gone || w.former[other.Number]
		// It beats as often as its own lease needs: the longer one counts.
		if !gone && at.Sub(p.since) < max(e.config.Lease, other.Lease) {
			continue
		}
		beat := other.Beat
		if w.former[other.Number] {
			beat = -1 // it has not died: it could not leave
		}
		err := e.backend.Leave(ctx, other.Number, beat)
		if err != nil && !errors.Is(err, ErrStale) {
			return fmt.Errorf("take over from worker %d: %w", other.Number, err)
		}
		if err == nil {
			e.log.Warn("took over from a worker", "worker", other.Number, "host", other.Host, "pid", other.PID, "gone", gone)
			e.kick()
		}
	}
	w.peers = seen
	maps.DeleteFunc(w.former, func(number int64, _ bool) bool { return seen[number] == nil })
	return nil
}
