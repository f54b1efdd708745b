package slots

import (
	"container/list"
	"sync"
)

// Slots is a number of slots. Its methods may be called under any lock of the caller's. A nil one has no limit.
type Slots struct {
	mu    sync.Mutex
	free  int
	queue list.List // of *Turn, the first to come at the front; empty while a slot is free
}

// Turn is a place in the queue.
type Turn struct {
	ready chan struct{} // closed when it is over, by a slot or without one
	place *list.Element // nil when it is over
	holds bool          // it got a slot; read after ready
}

// Ready is closed when the turn is over.
func (t *Turn) Ready() <-chan struct{} { return t.ready }

// Holds reports whether it ended with a slot. It is asked when Ready is closed.
func (t *Turn) Holds() bool { return t.holds }

// New makes n slots; nil, which is no limit, if n is 0 or less.
func New(n int) *Slots {
	if n <= 0 {
		return nil
	}
	return &Slots{free: n}
}

// Take takes a slot, or a place in the queue: then it returns the turn.
func (s *Slots) Take() *Turn {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return nil
	}
	t := &Turn{ready: make(chan struct{})}
	t.place = s.queue.PushBack(t)
	return t
}

// Give gives a slot back: to the first in the queue, if there is one.
func (s *Slots) Give() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.queue.Front()
	if first == nil {
		s.free++
		return
	}
	t, _ := first.Value.(*Turn)
	t.holds = true
	s.endLocked(t)
}

// Leave ends a turn without a slot, if it has not got one already.
func (s *Slots) Leave(t *Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(t)
}

func (s *Slots) endLocked(t *Turn) {
	if t.place != nil {
		s.queue.Remove(t.place)
		t.place = nil
		close(t.ready)
	}
}
