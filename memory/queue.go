package memory

import (
	"container/heap"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// Runs that are due wait in Backend.ready, runs that sleep in Backend.wakes. Neither is the truth:
// run.dueAt is, and entries that it denies are dropped when they are met.

// schedule enters the run where a claim will find it. It is called after every change that can make
// a run due.
func (b *Backend) schedule(r *run) {
	switch due := r.head.Due; {
	case !r.head.Claimable(), due.IsZero():
	case rules.IsAtOnce(due):
		b.enqueue(r)
	case !due.Equal(r.inWakes):
		r.inWakes = due
		heap.Push(&b.wakes, wakeEntry{due, r})
	}
}

// dueAt is the truth.
func (r *run) dueAt(now time.Time) bool { return r.head.Claimable() && r.head.IsDue(now) }

func (b *Backend) enqueue(r *run) {
	if !r.inReady {
		r.inReady = true
		b.ready = append(b.ready, r)
	}
}

// take removes up to limit due runs that match from the queue, the longest waiting first, and says
// whether more are due.
func (b *Backend) take(now time.Time, limit int, match func(*run) bool) (taken []*run, more bool) {
	for len(b.wakes) > 0 && !b.wakes[0].at.After(now) {
		e := b.popWake()
		if e.run.dueAt(now) {
			b.enqueue(e.run)
		}
	}
	rest := b.ready[:0]
	for i, r := range b.ready {
		if more {
			rest = append(rest, b.ready[i:]...) // nobody has asked for them
			break
		}
		switch {
		case !r.dueAt(now):
			r.inReady = false
			b.schedule(r) // the caller's clock may have gone back since a sleeper was queued
		case !match(r):
			rest = append(rest, r)
		case len(taken) == limit:
			more = true
			rest = append(rest, r)
		default:
			r.inReady = false
			taken = append(taken, r)
		}
	}
	clear(b.ready[len(rest):])
	b.ready = rest
	return taken, more
}

// nextWake returns when the next sleeper is due, or zero.
func (b *Backend) nextWake() time.Time {
	for len(b.wakes) > 0 {
		e := b.wakes[0]
		if e.run.head.Claimable() && e.run.head.Due.Equal(e.at) {
			return e.at
		}
		b.popWake()
	}
	return time.Time{}
}

func (b *Backend) popWake() wakeEntry {
	e := heap.Pop(&b.wakes).(wakeEntry) //nolint:forcetypeassert // nothing else is in it
	if e.run.inWakes.Equal(e.at) {
		e.run.inWakes = time.Time{}
	}
	return e
}

type wakeEntry struct {
	at  time.Time
	run *run
}

type wakeHeap []wakeEntry

func (h wakeHeap) Len() int           { return len(h) }
func (h wakeHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h wakeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *wakeHeap) Push(x any) { *h = append(*h, x.(wakeEntry)) } //nolint:forcetypeassert // nothing else is pushed

// Pop implements heap.Interface.
func (h *wakeHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = wakeEntry{}
	*h = old[:len(old)-1]
	return last
}
