package lambdabiz

import (
	"container/list"
	"sync"
	"time"
)

// idleList is the runs that only wait, the longest idle first. It parks them when they have been idle
// for long, or when together they are over the memory budget.
type idleList struct {
	e *Engine

	mu    sync.Mutex
	order *list.List
	place map[*run]*list.Element
	bytes int64
	timer *time.Timer
}

type idleEntry struct {
	r     *run
	since time.Time
	next  time.Time // when it is due by time
	bytes int64
}

// wakesSoon is how near a wake-up must be for a run to stay in memory.
const wakesSoon = 10 * time.Second

// runBytes is the estimated memory of a waiting run beside its payloads: stacks and maps.
const runBytes = 12 << 10

func newIdleList(e *Engine) *idleList {
	return &idleList{e: e, order: list.New(), place: map[*run]*list.Element{}}
}

// add is called with r.mu held.
func (l *idleList) add(r *run) {
	if r.hand {
		return
	}
	entry := &idleEntry{r: r, since: time.Now(), next: r.nextDueLocked(), bytes: r.sizeLocked()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(r)
	l.place[r] = l.order.PushBack(entry)
	l.bytes += entry.bytes
	if l.bytes > l.e.config.MemoryBudget {
		l.parkLocked(entry.since, true)
	}
	l.armLocked()
}

// remove is called with r.mu held.
func (l *idleList) remove(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(r)
}

func (l *idleList) removeLocked(r *run) {
	if el := l.place[r]; el != nil {
		entry, _ := l.order.Remove(el).(*idleEntry)
		l.bytes -= entry.bytes
		delete(l.place, r)
	}
}

func (l *idleList) armLocked() {
	front := l.order.Front()
	if l.timer != nil || front == nil {
		return
	}
	entry, _ := front.Value.(*idleEntry)
	wait := time.Until(entry.since.Add(l.e.config.ParkAfter))
	l.timer = time.AfterFunc(max(wait, time.Second), l.tick)
}

func (l *idleList) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	l.parkLocked(time.Now(), false)
	l.armLocked()
}

// parkLocked parks what has been idle for long, and, if pressed, as much as is over the budget.
func (l *idleList) parkLocked(t time.Time, pressed bool) {
	for el := l.order.Front(); el != nil; {
		entry, _ := el.Value.(*idleEntry)
		el = el.Next()
		old := t.Sub(entry.since) >= l.e.config.ParkAfter
		if !old && !(pressed && l.bytes > l.e.config.MemoryBudget) {
			return
		}
		if !entry.next.IsZero() && time.Until(entry.next) < wakesSoon {
			continue
		}
		l.removeLocked(entry.r)
		go entry.r.park()
	}
}

// park releases the run if it is idle still.
func (r *run) park() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parkLocked()
}

func (r *run) sizeLocked() int64 {
	return int64(runBytes+len(r.info.Input)) + r.record.bytes + r.inbox.bytes
}
