package lambdabiz

import (
	"container/list"
	"sync"
	"time"
)

// idleList is the runs that only wait, the longest idle first. It parks them when they have been idle
// for long, when together they are over the memory budget, and when others that are due find the engine full.
type idleList struct {
	e *Engine

	mu     sync.Mutex
	order  *list.List // of *idleEntry, the longest idle first
	soon   *list.List // those of them that were found to wake soon: they are not looked at again
	place  map[*run]*idleEntry
	bytes  int64
	wanted int // so many more are to be parked, once they are idle, for others that are due
	timer  *time.Timer
}

type idleEntry struct {
	r     *run
	since time.Time
	next  time.Time // when it is due by time
	bytes int64
	in    *list.List
	el    *list.Element
}

// wakesSoon is how near a wake-up must be for a run to stay in memory.
const wakesSoon = 10 * time.Second

// runBytes is the estimated memory of a waiting run beside its payloads: stacks and maps.
const runBytes = 12 << 10

func newIdleList(e *Engine) *idleList {
	return &idleList{e: e, order: list.New(), soon: list.New(), place: map[*run]*idleEntry{}}
}

// add is called with r.mu held.
func (l *idleList) add(r *run) {
	if r.hand {
		return
	}
	entry := &idleEntry{r: r, since: time.Now(), next: r.nextDueLocked(), bytes: r.sizeLocked(), in: l.order}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(r)
	l.place[r] = entry
	entry.el = l.order.PushBack(entry)
	l.bytes += entry.bytes
	l.makeRoomLocked()
	l.relieveLocked(entry.since)
	l.armLocked()
}

// resize is called with r.mu held when an idle run may have grown: by events that nobody waits for.
func (l *idleList) resize(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if entry := l.place[r]; entry != nil {
		size := r.sizeLocked()
		l.bytes += size - entry.bytes
		entry.bytes = size
		l.relieveLocked(time.Now())
	}
}

// remove is called with r.mu held.
func (l *idleList) remove(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(r)
}

func (l *idleList) removeLocked(r *run) {
	if entry := l.place[r]; entry != nil {
		entry.in.Remove(entry.el)
		l.bytes -= entry.bytes
		delete(l.place, r)
	}
}

// makeRoom parks so many runs, those that have been idle for longest first, whenever they wake: others are due, and
// the engine is full. What is not idle yet is parked when it is, unless less is wanted by then.
func (l *idleList) makeRoom(wanted int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = wanted
	l.makeRoomLocked()
}

func (l *idleList) makeRoomLocked() {
	for l.wanted > 0 {
		el := l.order.Front()
		if el == nil {
			el = l.soon.Front()
		}
		if el == nil {
			return
		}
		l.wanted--
		l.letGoLocked(el)
	}
}

func (l *idleList) letGoLocked(el *list.Element) {
	entry, _ := el.Value.(*idleEntry)
	l.removeLocked(entry.r)
	go entry.r.park()
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

// relieveLocked parks as much as is over the memory budget.
func (l *idleList) relieveLocked(t time.Time) {
	if l.bytes > l.e.config.MemoryBudget {
		l.parkLocked(t, true)
	}
}

// parkLocked parks what has been idle for long, and, if pressed, as much as is over the budget, but not what wakes
// soon: that goes to a list of its own, so that it is found once and not each time.
func (l *idleList) parkLocked(t time.Time, pressed bool) {
	for el := l.order.Front(); el != nil; el = l.order.Front() {
		entry, _ := el.Value.(*idleEntry)
		old := t.Sub(entry.since) >= l.e.config.ParkAfter
		if !old && !(pressed && l.bytes > l.e.config.MemoryBudget) {
			return
		}
		if !entry.next.IsZero() && time.Until(entry.next) < wakesSoon {
			l.order.Remove(el)
			entry.in, entry.el = l.soon, l.soon.PushBack(entry)
			continue
		}
		l.letGoLocked(el)
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
