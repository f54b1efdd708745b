package alarm

import (
	"container/heap"
	"sync"
	"time"
)

// MaxSnooze is how long a clock sleeps at most before it looks at the wall clock again: the clock that timers use does
// not count while a laptop sleeps, and the wall clock may be set.
const MaxSnooze = time.Minute

// Snooze is how long to sleep of a wait at first. Whoever waits for years need not look every minute: a machine that has
// slept through all of it is late by the ten thousandth part.
func Snooze(wait time.Duration) time.Duration { return max(0, min(wait, max(MaxSnooze, wait/10_000))) }

// Clock rings keys at their times. Its methods may be called under any lock of the caller's.
type Clock[K comparable] struct {
	ring func(key K)

	mu    sync.Mutex
	due   entries[K]      // a heap
	byKey map[K]*entry[K] // all that are in due
	timer *time.Timer
	next  time.Time // when timer rings; zero while it is not set
}

type entry[K comparable] struct {
	key   K
	at    time.Time
	index int // in the heap
}

// New makes a clock that calls ring on a goroutine of its own for each key whose time has come: one that takes long
// does not keep the others.
func New[K comparable](ring func(key K)) *Clock[K] {
	return &Clock[K]{ring: ring, byKey: map[K]*entry[K]{}}
}

// Set rings a key at a time, once, instead of at the one set before; zero for never.
func (c *Clock[K]) Set(key K, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.byKey[key]
	switch {
	case known == nil && at.IsZero():
		return
	case known == nil:
		known = &entry[K]{key: key, at: at}
		c.byKey[key] = known
		heap.Push(&c.due, known)
	case at.IsZero():
		heap.Remove(&c.due, known.index)
		delete(c.byKey, key)
	default:
		known.at = at
		heap.Fix(&c.due, known.index)
	}
	c.armLocked()
}

func (c *Clock[K]) armLocked() {
	if len(c.due) == 0 {
		return
	}
	first := c.due[0].at
	if !c.next.IsZero() && !first.Before(c.next) {
		return
	}
	wait := Snooze(time.Until(first))
	c.next = time.Now().Add(wait)
	if c.timer == nil {
		c.timer = time.AfterFunc(wait, c.wake)
		return
	}
	c.timer.Reset(wait)
}

// wake rings the keys whose time has come by the wall clock.
func (c *Clock[K]) wake() {
	c.mu.Lock()
	t := time.Now().Round(0)
	var due []K
	for len(c.due) > 0 && !c.due[0].at.After(t) {
		first, _ := heap.Pop(&c.due).(*entry[K])
		delete(c.byKey, first.key)
		due = append(due, first.key)
	}
	c.next = time.Time{}
	c.armLocked()
	c.mu.Unlock()
	for _, key := range due {
		go c.ring(key)
	}
}

// entries is a heap, the earliest first.
type entries[K comparable] []*entry[K]

func (h entries[K]) Len() int           { return len(h) }
func (h entries[K]) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h entries[K]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *entries[K]) Push(x any) {
	e, _ := x.(*entry[K])
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *entries[K]) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
