package lambdabiz

import (
	"fmt"
	"time"
)

// readLocked decodes the event that is offered to the calling branch, and takes it if it is still offered then. One
// that cannot be read stays where it is, and blocks the run. The author's codec is called without mu.
func (c *call) readLocked(o *op) {
	r, w := c.run(), o.wait
	m := w.mail
	late := r.readsTooLongLocked(o, m)
	r.unlock()
	err := c.take(m.Payload)
	r.mu.Lock()
	late()
	switch {
	case w.mail != m: // it was dropped, or an earlier event has come back
	case r.phase != phaseLive || r.closing != nil:
		r.inbox.unpair(w)
	case err != nil:
		r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: fmt.Sprintf(
			"event %d (%q) cannot be read by the code that waits for it, drop it or register code that reads it: %v",
			m.Number, m.Name, err)})
	default:
		c.taken = true
		r.takeEvent(w)
	}
	r.stirred.Broadcast() // a race may wait for what the branch has read
}

// readsTooLongLocked blocks the run when the code takes too long to read an event. A race that the event may decide waits for
// that, as may all other code, and nothing else would say why the run stands still. Where a claim ends by itself, the run is
// blocked before that: else it would be claimed, and the event read, again and again.
func (r *run) readsTooLongLocked(o *op, m *mail) (stop func() bool) {
	limit, why := readsFor, "than "+readsFor.String()
	if left := time.Until(r.until) - lateMargin; !r.until.IsZero() && left < limit {
		limit, why = max(0, left), "than its home lets a worker hold the orchestration"
	}
	fence, w := r.ref.Fence, o.wait
	t := time.AfterFunc(limit, func() {
		r.mu.Lock()
		defer r.unlock()
		if r.ref.Fence != fence || !r.claimed || w.mail != m {
			return // the wait may be over, and its operation have none any more
		}
		r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: fmt.Sprintf(
			"reading event %d (%q) takes longer %s: drop it, or register code that reads it faster", m.Number, m.Name, why)})
	})
	return t.Stop
}

// readsFor is how long the code may take to read an event.
const readsFor = time.Minute

// lateMargin is kept of a claim's time for the commit that blocks its run.
const lateMargin = 2 * time.Second
