package lambdabiz

import (
	"container/heap"
	"sync"
	"time"
)

// maxSnooze is how long an alarm and a worker sleep at most before they look at the wall clock again: the clock that
// timers use does not count while a laptop sleeps, and the wall clock may be set.
const maxSnooze = time.Minute

// snoozed is how long to sleep of a wait at first. Whoever waits for years need not look every minute: a machine that has
// slept through all of it is late by the ten thousandth part.
func snoozed(wait time.Duration) time.Duration { return max(0, min(wait, max(maxSnooze, wait/10_000))) }

// alarms rings runs at their times, from one timer.
type alarms struct {
	mu    sync.Mutex
	heap  alarmHeap
	byRun map[*run]*alarm
	timer *time.Timer
	next  time.Time // when timer rings
}

type alarm struct {
	r     *run
	at    time.Time
	index int
}

func newAlarms() *alarms { return &alarms{byRun: map[*run]*alarm{}} }

// set rings r at a time, instead of at the one set before; zero for never.
func (a *alarms) set(r *run, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.byRun[r]
	switch {
	case known == nil && at.IsZero():
		return
	case known == nil:
		known = &alarm{r: r, at: at}
		a.byRun[r] = known
		heap.Push(&a.heap, known)
	case at.IsZero():
		heap.Remove(&a.heap, known.index)
		delete(a.byRun, r)
	default:
		known.at = at
		heap.Fix(&a.heap, known.index)
	}
	a.armLocked()
}

func (a *alarms) armLocked() {
	if len(a.heap) == 0 {
		return
	}
	first := a.heap[0].at
	if !a.next.IsZero() && !first.Before(a.next) {
		return
	}
	wait := snoozed(time.Until(first))
	a.next = time.Now().Add(wait)
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.ring)
		return
	}
	a.timer.Reset(wait)
}

// ring wakes the runs whose time has come by the wall clock.
func (a *alarms) ring() {
	a.mu.Lock()
	t := now()
	var due []*run
	for len(a.heap) > 0 && !a.heap[0].at.After(t) {
		first, _ := heap.Pop(&a.heap).(*alarm)
		delete(a.byRun, first.r)
		due = append(due, first.r)
	}
	a.next = time.Time{}
	a.armLocked()
	a.mu.Unlock()
	for _, r := range due {
		go r.ring() // a run that holds its lock for long must not keep the others
	}
}

type alarmHeap []*alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *alarmHeap) Push(x any) {
	a, _ := x.(*alarm)
	a.index = len(*h)
	*h = append(*h, a)
}

func (h *alarmHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return a
}
