package lambdabiz

import (
	"sync"
	"time"
)

// flushDelay is how long a pending change that nobody waits for may stay in memory.
const flushDelay = 5 * time.Millisecond

// flushQueue commits what has been pending for the delay. All wait equally long, so they come up in the order
// in which they were added, and one timer is enough.
type flushQueue struct {
	mu    sync.Mutex
	queue []flush
	timer *time.Timer
	armed bool
}

// flush is a run with changes that are pending since a time.
type flush struct {
	r     *run
	since time.Time
}

// add is called with r.mu held.
func (q *flushQueue) add(r *run, since time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, flush{r, since})
	q.armLocked(flushDelay)
}

func (q *flushQueue) armLocked(wait time.Duration) {
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

// ring flushes what is due. Most of it has been committed meanwhile.
func (q *flushQueue) ring() {
	q.mu.Lock()
	due := 0
	for due < len(q.queue) && time.Since(q.queue[due].since) >= flushDelay {
		due++
	}
	late := q.queue[:due:due]
	q.queue = q.queue[due:]
	if q.armed = false; len(q.queue) == 0 {
		q.queue = nil
	} else {
		q.armLocked(max(flushDelay-time.Since(q.queue[0].since), time.Millisecond))
	}
	q.mu.Unlock()
	for _, f := range late {
		if f.r.mayBeLate(f.since) {
			go f.r.flushLate(f.since)
		}
	}
}

// mayBeLate reports whether what was pending since then still is, as far as that is known without waiting for
// the lock.
func (r *run) mayBeLate(since time.Time) bool {
	if !r.mu.TryLock() {
		return true
	}
	defer r.mu.Unlock()
	return r.isLateLocked(since)
}
