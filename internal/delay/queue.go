package delay

import (
	"sync"
	"time"
)

// Queue hands on what was added, each after the same delay. So things come up in the order in which they were added, and
// one timer is enough.
type Queue[T any] struct {
	delay time.Duration
	hand  func(v T, since time.Time)

	mu    sync.Mutex
	queue []item[T] // the first to come up is at the front
	timer *time.Timer
	armed bool // timer is set
}

type item[T any] struct {
	v     T
	since time.Time
}

// New makes a queue that calls hand for each thing, one after the other and without a lock, when its delay is over. It
// must not block.
func New[T any](delay time.Duration, hand func(v T, since time.Time)) *Queue[T] {
	return &Queue[T]{delay: delay, hand: hand}
}

// Add takes a thing in whose delay counts from since. It comes up behind those that were added before, and so up to a
// delay late if its since is long over. Add may be called under any lock of the caller's.
func (q *Queue[T]) Add(v T, since time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, item[T]{v, since})
	q.armLocked(q.delay)
}

func (q *Queue[T]) armLocked(wait time.Duration) {
	switch {
	case q.armed:
		return
	case q.timer == nil:
		q.timer = time.AfterFunc(wait, q.ring)
	default:
		q.timer.Reset(wait)
	}
	q.armed = true
}

func (q *Queue[T]) ring() {
	for _, i := range q.due() {
		q.hand(i.v, i.since)
	}
}

// due takes what has come up.
func (q *Queue[T]) due() []item[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.queue) && time.Since(q.queue[n].since) >= q.delay {
		n++
	}
	due := q.queue[:n:n]
	q.queue = q.queue[n:]
	if q.armed = false; len(q.queue) == 0 {
		q.queue = nil
	} else {
		q.armLocked(max(q.delay-time.Since(q.queue[0].since), time.Millisecond))
	}
	return due
}
