package idle

import (
	"container/list"
	"sync"
	"time"
)

// Limits are when things are let go.
type Limits struct {
	After  time.Duration // how long one may be idle
	Budget int64         // the bytes that all of them may take together
}

// WakesSoon is how near its next time must be for a thing to stay, though it has been idle for long or the budget is
// exceeded.
const WakesSoon = 10 * time.Second

// List is the things that are idle. Its methods may be called under any lock of the caller's.
type List[K comparable] struct {
	limits Limits
	letGo  func(key K)

	mu     sync.Mutex
	order  *list.List      // of *entry, the longest idle first
	soon   *list.List      // those that were found to wake soon: they are not looked at again
	place  map[K]*entry[K] // all that are in order or soon
	bytes  int64           // of all of them
	wanted int             // so many more are to be let go, once they are idle
	timer  *time.Timer     // nil while it is not set
}

type entry[K comparable] struct {
	key   K
	since time.Time
	next  time.Time // when it is due by time
	bytes int64
	in    *list.List
	el    *list.Element
}

// New makes a list that calls letGo on a goroutine of its own for each thing that is to be let go. It is not in the list
// any more then.
func New[K comparable](limits Limits, letGo func(key K)) *List[K] {
	return &List[K]{limits: limits, letGo: letGo, order: list.New(), soon: list.New(), place: map[K]*entry[K]{}}
}

// Add notes that a thing is idle from now on, takes so many bytes, and is due by time at next; zero for never. One that
// is idle already begins again.
func (l *List[K]) Add(key K, next time.Time, bytes int64) {
	e := &entry[K]{key: key, since: time.Now(), next: next, bytes: bytes, in: l.order}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(key)
	l.place[key] = e
	e.el = l.order.PushBack(e)
	l.bytes += e.bytes
	l.makeRoomLocked()
	l.relieveLocked(e.since)
	l.armLocked()
}

// Resize notes that an idle thing takes other bytes by now. One that is not idle is left alone.
func (l *List[K]) Resize(key K, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.place[key]; e != nil {
		l.bytes += bytes - e.bytes
		e.bytes = bytes
		l.relieveLocked(time.Now())
	}
}

// Remove notes that a thing is idle no more.
func (l *List[K]) Remove(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(key)
}

func (l *List[K]) removeLocked(key K) {
	if e := l.place[key]; e != nil {
		e.in.Remove(e.el)
		l.bytes -= e.bytes
		delete(l.place, key)
	}
}

// MakeRoom lets so many things go, those that have been idle for longest first, whenever they wake. What is not idle yet
// is let go when it is, unless less is wanted by then.
func (l *List[K]) MakeRoom(wanted int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = wanted
	l.makeRoomLocked()
}

func (l *List[K]) makeRoomLocked() {
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

func (l *List[K]) letGoLocked(el *list.Element) {
	e, _ := el.Value.(*entry[K])
	l.removeLocked(e.key)
	go l.letGo(e.key)
}

func (l *List[K]) armLocked() {
	front := l.order.Front()
	if l.timer != nil || front == nil {
		return
	}
	e, _ := front.Value.(*entry[K])
	wait := time.Until(e.since.Add(l.limits.After))
	l.timer = time.AfterFunc(max(wait, time.Second), l.tick)
}

func (l *List[K]) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	l.parkLocked(time.Now(), false)
	l.armLocked()
}

// relieveLocked lets go as much as is over the budget.
func (l *List[K]) relieveLocked(t time.Time) {
	if l.bytes > l.limits.Budget {
		l.parkLocked(t, true)
	}
}

// parkLocked lets go what has been idle for long, and, if pressed, as much as is over the budget, but not what wakes
// soon: that goes to a list of its own, so that it is found once and not each time.
func (l *List[K]) parkLocked(t time.Time, pressed bool) {
	for el := l.order.Front(); el != nil; el = l.order.Front() {
		e, _ := el.Value.(*entry[K])
		old := t.Sub(e.since) >= l.limits.After
		if !old && !(pressed && l.bytes > l.limits.Budget) {
			return
		}
		if !e.next.IsZero() && time.Until(e.next) < WakesSoon {
			l.order.Remove(el)
			e.in, e.el = l.soon, l.soon.PushBack(e)
			continue
		}
		l.letGoLocked(el)
	}
}
