package lambdabiz

import (
	"container/heap"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/slots"
)

// waiters is which branches of a run are blocked, and until when. It knows nothing of commits, claims or goroutines;
// run.mu guards it.
type waiters struct {
	active   int                  // branches that are not blocked; those in flushers and in bodies are active too
	flushers int                  // active branches that wait for a commit, or for a slot
	bodies   int                  // active branches whose body runs
	waiting  map[*waiter]struct{} // branches that are blocked
	dues     dueHeap              // those of them with a time, and woken ones that have not come up
	turns    map[*slots.Turn]bool // branches that wait for a slot, and whether they are detached; flushers count them
	target   uint64               // the most that a flusher has waited for
}

// rest reports whether all branches, but so many of the active ones, have ended, wait, or are in a body or before one.
func (b *waiters) rest(but int) bool { return b.active-but <= b.bodies+len(b.turns) }

// block counts a branch as blocked until wake is called with the same waiter.
func (b *waiters) block(w *waiter) {
	w.ready = make(chan struct{})
	w.woken = false
	if !w.due.IsZero() {
		heap.Push(&b.dues, w)
		b.tidy()
	}
	if b.waiting == nil {
		b.waiting = map[*waiter]struct{}{}
	}
	b.waiting[w] = struct{}{}
	b.active--
}

// wake lets a blocked branch go on, and counts it as active. It reports false for nil, and for one that is woken.
func (b *waiters) wake(w *waiter) bool {
	if w == nil || w.woken {
		return false
	}
	w.woken = true
	delete(b.waiting, w)
	b.active++
	close(w.ready)
	return true
}

// tidy drops the waiters that were woken before their time, once they are the most.
func (b *waiters) tidy() {
	if len(b.dues) > 64+2*len(b.waiting) {
		b.dues = slices.DeleteFunc(b.dues, func(w *waiter) bool { return w.woken })
		heap.Init(&b.dues)
	}
}

// nextDue is the earliest time of a blocked branch; zero for none.
func (b *waiters) nextDue() time.Time {
	for len(b.dues) > 0 && b.dues[0].woken {
		heap.Pop(&b.dues)
	}
	if len(b.dues) == 0 {
		return time.Time{}
	}
	return b.dues[0].due
}

// takeDue takes the blocked branch whose time came first out of those with a time, if it is not after t; nil for none.
// It is blocked still.
func (b *waiters) takeDue(t time.Time) *waiter {
	if next := b.nextDue(); next.IsZero() || next.After(t) {
		return nil
	}
	w, _ := heap.Pop(&b.dues).(*waiter)
	return w
}

// dueHeap is waiters with a time, the earliest first. Woken ones are dropped when they come up.
type dueHeap []*waiter

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(w any)        { *h = append(*h, w.(*waiter)) } //nolint:forcetypeassert // its own
func (h *dueHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return w
}
