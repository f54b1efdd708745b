package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// vigil is what a worker knows of others, and takes over from those that are gone. It has a place instead of a lock: who
// looks is at I/O meanwhile, and a lock would stop virtual time.
type vigil struct {
	e     *Engine
	place chan struct{} // full while somebody has the fields below
	peers map[int64]*peer
	owed  map[int64]int64 // workers whose Leave did not end well, with the beat to name: it is called again
	wide  int             // how many of the next workers are asked for

	beaten time.Time // the last beat that was not part of a look; who keeps has it

	life   context.Context //nolint:containedctx // of take-overs; it ends when the worker stops
	taking chan struct{}   // full while take-overs are on their way: they take long, and beats must go on
	again  chan struct{}   // full when there may be more to be seen
	ending sync.WaitGroup  // take-overs
}

// peer is another worker, as this one has seen it.
type peer struct {
	beat   int64
	since  time.Time // when the beat was first seen
	looked time.Time
	moved  bool // the beat before it was seen, too
}

// leaver is a worker that is to be removed.
type leaver struct {
	number, beat int64
	record       *WorkerRecord // nil for one that is owed
}

// atLeast is how many living workers each one watches.
const atLeast = 2

// takeOverPatience is how long the runs of a worker may take to be freed. If they are not by then, the rest is next.
const takeOverPatience = time.Minute

func newVigil(e *Engine) *vigil {
	return &vigil{
		e: e, place: make(chan struct{}, 1), peers: map[int64]*peer{}, owed: map[int64]int64{}, wide: atLeast,
		taking: make(chan struct{}, 1), again: make(chan struct{}, 1),
	}
}

// keep renews the worker while it owns runs, and watches others.
func (v *vigil) keep(stop <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	v.life = ctx
	defer v.ending.Wait()
	defer cancel()
	for wait := v.every(); ; {
		alone := v.e.config.PollInterval < 0 && !v.others()
		switch {
		case !alone:
		case v.owning(stop):
			wait = v.e.config.Lease / 3 // nobody else uses the store
		default:
			return
		}
		if !v.rest(wait, stop) {
			return
		}
		wait = v.tend(ctx, alone)
	}
}

// every is how often the worker looks: with each beat, where that tells who comes next. Elsewhere more often, for what a home
// knows of processes that are gone comes by that.
func (v *vigil) every() time.Duration {
	if v.e.watcher != nil {
		return v.e.config.Lease / 3
	}
	return min(v.e.config.Lease/3, time.Second)
}

// rest waits until it is time to look, and reports false when the worker stops.
func (v *vigil) rest(wait time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-stop:
		return false
	case <-v.again:
	case <-timer.C:
	}
	return true
}

// tend beats, looks, and begins to take over from who is gone. It returns when it is time again: earlier when a lease ends.
//
// While it cannot beat, it does not look either: others may be alive, and as little heard. A lease is not watched then.
func (v *vigil) tend(ctx context.Context, alone bool) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, v.e.config.Lease)
	defer cancel()
	every := v.every()
	if alone || v.e.watcher == nil && time.Since(v.beaten) >= v.e.config.Lease/3-every {
		fault.Point("worker.renew")
		v.beaten = time.Now()
		if err := v.e.backend.Renew(ctx, v.e.worker.Load()); err != nil {
			v.e.log.Error("renew the worker's lease", "error", err)
			v.e.kick() // if it was declared dead, the next claim says so
			v.beaten = time.Time{}
			return min(every, time.Second)
		}
	}
	if alone {
		return every
	}
	gone, next, err := v.look(ctx)
	if err != nil {
		v.e.log.Error("watch other workers", "error", err)
		return min(every, time.Second)
	}
	v.begin(gone)
	return min(every, next)
}

// others reports whether other workers are known. On a store that only this process uses, those are its own earlier lives
// whose Leave did not end well.
func (v *vigil) others() bool {
	v.place <- struct{}{}
	defer func() { <-v.place }()
	return len(v.peers)+len(v.owed) > 0
}

// owning blocks until the worker owns a run, or sees another one. It reports false when the worker stops.
func (v *vigil) owning(stop <-chan struct{}) bool {
	for len(v.e.allResidents()) == 0 && !v.others() {
		select {
		case <-stop:
			return false
		case <-v.e.busy:
		}
	}
	return true
}

// owe notes that a worker is to be removed that could not be.
func (v *vigil) owe(number, beat int64) {
	v.place <- struct{}{}
	defer func() { <-v.place }()
	v.owed[number] = beat
}

// takeOver is for a worker that begins: it takes over at once what processes that are gone have left.
func (v *vigil) takeOver(ctx context.Context) error {
	for {
		gone, _, err := v.look(ctx)
		if err != nil {
			return err
		}
		if len(gone) == 0 {
			return nil
		}
		if err := v.remove(ctx, gone); err != nil {
			return err
		}
	}
}

// begin takes over from workers on a goroutine of its own, unless that is under way.
func (v *vigil) begin(gone []leaver) {
	if len(gone) == 0 {
		return
	}
	select {
	case v.taking <- struct{}{}:
	default:
		return // what is still there is seen again
	}
	v.ending.Go(func() {
		defer func() { <-v.taking }()
		ctx, cancel := context.WithTimeout(v.life, takeOverPatience)
		defer cancel()
		if err := v.remove(ctx, gone); err != nil {
			v.e.log.Error("watch other workers", "error", err)
			return
		}
		select {
		case v.again <- struct{}{}: // who comes after those is to be seen
		default:
		}
	})
}

// remove removes workers that are gone. The call may have ended in the middle for one that it fails for: it is made again,
// for that worker may be registered no more, and own runs all the same.
func (v *vigil) remove(ctx context.Context, gone []leaver) error {
	for _, g := range gone {
		err := v.e.backend.Leave(ctx, g.number, g.beat)
		v.place <- struct{}{}
		if err == nil || errors.Is(err, ErrStale) {
			delete(v.owed, g.number)
		} else {
			v.owed[g.number] = g.beat
		}
		delete(v.peers, g.number)
		<-v.place
		switch {
		case err == nil:
			if r := g.record; r != nil {
				v.e.log.Warn("took over from a worker", "worker", r.Number, "host", r.Host, "pid", r.PID, "gone", r.Gone)
			}
			v.e.kick()
		case !errors.Is(err, ErrStale):
			return fmt.Errorf("take over from worker %d: %w", g.number, err)
		}
	}
	return nil
}

// look finds workers that are gone: those of which the backend knows it, and those whose heartbeat has not moved for a lease
// on this process's own clock, watched without a gap. It returns when the next lease ends of one that is silent.
//
// Of a home that has many workers it sees those that come next by number: as many as it takes for two that live. Others are
// watched by those.
func (v *vigil) look(ctx context.Context) (gone []leaver, next time.Duration, err error) {
	v.place <- struct{}{}
	defer func() { <-v.place }()
	for {
		all, work, err := v.next(ctx)
		if err != nil {
			return nil, 0, err
		}
		if work {
			v.e.kick()
		}
		gone, next, enough := v.judge(all)
		if v.e.watcher == nil || enough || len(all) < v.wide {
			return gone, next, nil
		}
		v.wide *= 4
	}
}

// judge says which of the workers that it sees are gone, and whether as many live as are to be watched.
func (v *vigil) judge(all []WorkerRecord) (gone []leaver, next time.Duration, enough bool) {
	lease, at := v.e.config.Lease, time.Now()
	seen, living := map[int64]*peer{}, 0
	for number, beat := range v.owed {
		gone = append(gone, leaver{number: number, beat: beat})
	}
	next = lease
	for i := range all {
		other := &all[i]
		if _, owed := v.owed[other.Number]; owed {
			continue
		}
		p := v.peers[other.Number]
		switch {
		case p == nil || at.Sub(p.looked) > lease/2:
			p = &peer{beat: other.Beat, since: at}
		case p.beat != other.Beat:
			p = &peer{beat: other.Beat, since: at, moved: true}
		}
		p.looked = at
		seen[other.Number] = p
		// It beats as often as its own lease needs: the longer one counts.
		left := max(lease, other.Lease) - at.Sub(p.since)
		if left <= 0 || other.Gone {
			gone = append(gone, leaver{other.Number, other.Beat, other})
			continue
		}
		next = min(next, left)
		if p.moved && at.Sub(p.since) < max(lease, other.Lease)/3 { // else it may have missed a beat
			if living++; living == atLeast {
				v.wide = i + 1
				enough = true
			}
		}
	}
	v.peers = seen
	return gone, next, enough
}

// next beats, where that tells who comes next, and returns other workers: so many, or all of them. It reports whether there
// may be work, too.
func (v *vigil) next(ctx context.Context) (all []WorkerRecord, work bool, err error) {
	e := v.e
	own := e.worker.Load()
	if e.watcher != nil {
		watch, err := e.watcher.Watch(ctx, own, v.wide)
		if err != nil {
			e.kick() // if it was declared dead, the next claim says so
			return nil, false, fmt.Errorf("renew the worker's lease: %w", err)
		}
		return watch.Next, watch.Work, nil
	}
	all, err = e.backend.Workers(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("list workers: %w", err)
	}
	return slices.DeleteFunc(all, func(r WorkerRecord) bool { return r.Number == own }), false, nil
}
