package lambdabiz

import "github.com/lambdabiz/lambdabiz/internal/slots"

// slotLocked waits for a slot, as long as code in the scope may go on and is not cancelled. It reports whether it has
// got one, which the caller must give back. mu is given up meanwhile. The branch counts as a flusher, not as blocked: the
// run is not parked, and commits do not wait for it.
func (c *call) slotLocked() bool {
	r := c.run()
	if r.env.slots == nil {
		return true
	}
	if r.cancel.cause != nil && !c.o.detached() {
		return false // the cancellation has ended the turns of those that waited already
	}
	t := r.env.slots.Take()
	if t == nil {
		return true
	}
	if r.turns == nil {
		r.turns = map[*slots.Turn]bool{}
	}
	r.turns[t], c.scope().turn = c.o.detached(), t
	r.flushers++
	r.target = max(r.target, r.changed)
	r.held.judge()
	if r.commitEndsClaim() {
		r.moved.Broadcast()
		r.idleLocked()
	}
	r.unlock()
	<-t.Ready()
	r.mu.Lock()
	r.flushers--
	delete(r.turns, t)
	c.scope().turn = nil
	return t.Holds()
}
