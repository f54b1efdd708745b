package lambdabiz

import (
	"container/list"
	"sync"
)

// slots bounds how many bodies this process performs at the same time. Whoever comes first is served first, whatever
// orchestration it belongs to.
type slots struct {
	mu    sync.Mutex
	free  int
	queue list.List // of *turn, the first to come at the front; empty while a slot is free
}

// turn is a place in the queue.
type turn struct {
	ready chan struct{} // closed when it is over, by a slot or without one
	place *list.Element // nil when it is over
	holds bool          // it got a slot; read after ready
}

// newSlots returns nil for no limit.
func newSlots(n int) *slots {
	if n <= 0 {
		return nil
	}
	return &slots{free: n}
}

// take takes a slot, or a place in the queue: then it returns the turn.
func (s *slots) take() *turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return nil
	}
	t := &turn{ready: make(chan struct{})}
	t.place = s.queue.PushBack(t)
	return t
}

// give gives a slot back: to the first in the queue, if there is one.
func (s *slots) give() {
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
	t, _ := first.Value.(*turn)
	t.holds = true
	s.endLocked(t)
}

// leave ends a turn without a slot, if it has not got one already.
func (s *slots) leave(t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(t)
}

func (s *slots) endLocked(t *turn) {
	if t.place != nil {
		s.queue.Remove(t.place)
		t.place = nil
		close(t.ready)
	}
}

// slotLocked waits for a slot, as long as code in the scope may go on and is not cancelled. It reports whether it has
// got one, for the caller to give back. mu is given up meanwhile. The branch waits as one does that flushes: it is not
// idle, so the run is not parked, and commits go on without it.
func (r *run) slotLocked(c *call) bool {
	if r.e.slots == nil {
		return true
	}
	if r.stopCause != nil && !c.o.detached() {
		return false // the cancellation has ended the turns that there were
	}
	t := r.e.slots.take()
	if t == nil {
		return true
	}
	if r.turns == nil {
		r.turns = map[*turn]*call{}
	}
	r.turns[t], c.scope().turn = c, t
	r.flushers++
	r.target = max(r.target, r.changed)
	r.judgeHeldLocked()
	if r.ends() {
		r.moved.Broadcast()
		r.idleLocked()
	}
	r.mu.Unlock()
	<-t.ready
	r.mu.Lock()
	r.flushers--
	delete(r.turns, t)
	c.scope().turn = nil
	return t.holds
}

// endTurnsLocked lets branches that wait for a slot go on without one: those of which which is true.
func (r *run) endTurnsLocked(which func(c *call) bool) {
	for t, c := range r.turns {
		if which(c) {
			r.e.slots.leave(t)
		}
	}
}
