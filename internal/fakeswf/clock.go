package fakeswf

import (
	"container/heap"
	"sync"
	"time"
)

// Clock tells the time and calls back. The fake calls it with its own lock held, so AfterFunc must not call f before it returns.
type Clock interface {
	// Now returns the time of the next event.
	Now() time.Time
	// AfterFunc calls f once, when d has passed. The function that it returns prevents that if it is not too late.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// realClock is the clock of package time; inside a bubble of testing/synctest it is the bubble's.
type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// ManualClock is a Clock that moves only when it is told to. It is safe for concurrent use.
type ManualClock struct {
	advancing sync.Mutex // one Advance at a time
	mu        sync.Mutex
	now       time.Time
	alarms    alarmHeap
	count     int
}

// NewManualClock returns a clock that stands at start.
func NewManualClock(start time.Time) *ManualClock {
	return &ManualClock{now: start.UTC()}
}

// Now returns where the clock stands.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc calls f from the Advance that reaches now+d. What is due at one time runs in the order of these calls.
func (c *ManualClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	a := &manualAlarm{at: c.now.Add(d), order: c.count, f: f}
	heap.Push(&c.alarms, a)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if a.index < 0 {
			return false
		}
		heap.Remove(&c.alarms, a.index)
		return true
	}
}

// Advance moves the clock by d and returns when everything that is due until then has happened, also what became due
// because of that, each at its own time. A negative d moves nothing.
func (c *ManualClock) Advance(d time.Duration) {
	c.Set(c.Now().Add(d))
}

// Set is Advance to a time. The clock never goes back.
func (c *ManualClock) Set(t time.Time) {
	c.advancing.Lock()
	defer c.advancing.Unlock()
	for {
		f := c.next(t)
		if f == nil {
			return
		}
		f()
	}
}

// next moves to the first alarm that is due by t and returns its function; without one it moves to t and returns nil.
func (c *ManualClock) next(t time.Time) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.alarms) == 0 || c.alarms[0].at.After(t) {
		if t.After(c.now) {
			c.now = t.UTC()
		}
		return nil
	}
	a, _ := heap.Pop(&c.alarms).(*manualAlarm)
	if a.at.After(c.now) {
		c.now = a.at
	}
	return a.f
}

type manualAlarm struct {
	at    time.Time
	order int
	index int // in the heap, -1 outside
	f     func()
}

// alarmHeap implements [heap.Interface].
type alarmHeap []*manualAlarm

func (h alarmHeap) Len() int { return len(h) }

func (h alarmHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}

func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for package heap.
func (h *alarmHeap) Push(x any) {
	a, _ := x.(*manualAlarm)
	a.index = len(*h)
	*h = append(*h, a)
}

// Pop is for package heap.
func (h *alarmHeap) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	a.index = -1
	return a
}
