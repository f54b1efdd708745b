package lambdabiz

import (
	"fmt"
)

// begin looks an operation up by its id, or makes a new one. Without an error it returns with run.mu
// held. An error is either bad input, of which nothing is recorded, or the end of the run.
func (c *call) begin() (*op, error) {
	r := c.run()
	if err := c.check(&r.env.payloads); err != nil {
		return nil, c.fault(err)
	}
	s := c.scope()
	site := here(s)
	r.mu.Lock()
	r.lookLocked()
	r.spareLocked()
	if left, err := c.mayBeginLocked(site); left {
		return nil, err
	}
	path := joinPath(s.path, c.id)
	c.aware = !r.cancel.settle(s) && s.told
	refuse := func(cause error) (*op, error) {
		s.busy = nil
		r.unlock()
		return nil, c.fault(cause)
	}
	if err := r.visitLocked(s, c.id, path, site); err != nil {
		return nil, err
	}
	o := r.cancel.find(s, path, c.former)
	if r.mode == driveBeforePause && (o == nil || !o.Status.Ended()) {
		r.evictLocked(r.paused)
		return nil, r.leaveLocked(s)
	}
	if o == nil && r.record.unmet > 0 && c.kind.affects() {
		if left, err := c.guardLocked(path, site); left {
			return nil, err
		}
	}
	switch {
	case o == nil && r.replays(), o != nil && r.replays() && !o.Status.Ended():
		return refuse(ErrClosed)
	case o == nil && r.cancel.cause != nil && !c.o.detached():
		s.visitedLocked(c.id, site)
		return refuse(r.cancel.cause)
	}
	if r.env.interceptor != nil && !r.replays() {
		if passed, err := c.interceptLocked(o, path, site); err != nil || passed != nil {
			return passed, err
		}
	}
	if o == nil {
		o = c.addLocked(path, site)
		s.busy, s.current = &o.site, o
		r.stirred.Broadcast() // a race may wait for what this branch does
		return o, nil
	}
	s.busy, s.current = &o.site, o
	err := c.meetLocked(o, site)
	r.stirred.Broadcast()
	return o, err
}

// mayBeginLocked looks whether the scope's code may begin an operation. It reports whether the calling code must leave,
// with what it must return; else mu is held.
func (c *call) mayBeginLocked(site callSite) (left bool, err error) {
	r := c.run()
	s := c.scope()
	if r.closing != nil && r.isLive(s) {
		r.unlock()
		return true, c.fault(ErrClosed)
	}
	if !r.goesOn(s) {
		return true, r.leaveAtBeginLocked(s)
	}
	if s.busy != nil {
		r.blockLocked(Blocked{Operation: joinPath(s.path, c.id), Source: site.String(), Reason: fmt.Sprintf(
			"a context is used by two goroutines at once: the operation at %s has not ended", s.busy)})
		return true, r.leaveLocked(s)
	}
	return false, nil
}

// meetLocked compares a recorded operation with what the code asks for.
func (c *call) meetLocked(o *op, site callSite) error {
	r := c.run()
	s := c.scope()
	r.cancel.visit(s, o)
	o.site = site
	if o.loaded {
		r.held.met(s, o)
	}
	if o.Kind != c.kind || o.Name != c.name {
		r.blockLocked(Blocked{Operation: o.ID, Source: site.String(), Reason: fmt.Sprintf(
			"recorded as %s %q, the code has %s %q now", o.Kind, o.Name, c.kind, c.name)})
		return r.leaveLocked(s)
	}
	ended := o.Status.Ended()
	other := c.isOtherInputLocked(o, &o.site)
	if !r.goesOn(s) { // while the inputs were read
		return r.leaveLocked(s)
	}
	if other {
		if ended && r.def != nil && r.def.strict {
			r.blockLocked(Blocked{Operation: o.ID, Source: site.String(), Reason: "its input differs from the recorded one"})
			return r.leaveLocked(s)
		}
		r.log().Warn("input differs from the recorded one, which is kept", "operation", o.ID, "source", site.String())
	}
	if o.Status.Ended() {
		r.env.hooks.operation(r.event(StatusStarted), &o.Operation, true)
		return nil
	}
	if r.cancel.cause != nil && !c.o.detached() {
		r.cancelOp(o, r.cancel.cause)
	}
	if o.wait != nil {
		r.inbox.visit(o.wait)
		r.match(false)
	}
	return nil
}

// give returns an ended operation to the author's code, and gives mu up. From now on effects of any
// branch wait until it is durable.
func (c *call) give(o *op) error {
	r := c.run()
	s := c.scope()
	if !r.goesOn(s) {
		return r.leaveLocked(s)
	}
	r.knowsLocked(o.change)
	if r.mode == driveByHand && !r.flushLocked(r.changed) || !r.goesOn(s) {
		return r.leaveLocked(s)
	}
	s.busy, s.current, s.latest = nil, nil, o
	s.knows(o.cameAbout())
	rec, taken := o.Operation, c.taken
	r.unlock()
	if rec.Status != StatusSucceeded {
		return r.env.failures.rebuild(rec.Error)
	}
	if taken || c.to == nil {
		return nil
	}
	if err := c.take(rec.Result); err != nil {
		failure, reason := r.taskFailure(&rec, NonRetryable(err)), "its record cannot be read: "+err.Error()
		r.mu.Lock()
		if r.mode == driveBeforePause { // the next caller records what becomes of it
			r.evictLocked(r.paused)
			return r.leaveLocked(s)
		}
		if r.env.desc.performs(rec.Kind) && !r.replays() && r.isLive(s) { // the home cannot know what fits
			s.busy, s.current = &o.site, o
			o.Result = nil
			r.end(o, StatusFailed, nil, failure)
			return c.give(o)
		}
		r.blockLocked(Blocked{Operation: rec.ID, Source: o.site.String(), Reason: reason})
		return r.leaveLocked(s)
	}
	return nil
}

// await blocks until the operation has ended. It is called and returns with mu held; an error means
// that mu is given up and the caller must return it.
func (c *call) await(o *op) error {
	r := c.run()
	for !o.Status.Ended() && r.isLive(c.scope()) {
		if o.choosing() {
			c.readLocked(o)
			continue
		}
		if r.cancel.cause != nil && !c.o.detached() {
			r.cancelOp(o, r.cancel.cause) // it came while an event was read
			break
		}
		if o.Kind == KindTimer && !o.DueAt.After(now()) && !r.env.desc.performs(KindTimer) {
			r.end(o, StatusSucceeded, nil, nil)
			break
		}
		if o.Kind == KindEvent && !o.DueAt.IsZero() && !o.DueAt.After(now()) {
			r.timeOut(o)
		}
		w := &waiter{op: o, detached: c.o.detached()}
		if o.Kind == KindEvent || o.Kind == KindTimer && !r.env.desc.performs(KindTimer) {
			w.due = o.DueAt
		}
		o.waiter = w
		r.waitLocked(c.scope(), w)
		o.waiter = nil
	}
	if !r.isLive(c.scope()) {
		return r.leaveLocked(c.scope())
	}
	return nil
}

// backoff blocks until the next attempt is due, or the operation has ended. Otherwise it is like await.
func (c *call) backoff(o *op) error {
	r := c.run()
	if r.isLive(c.scope()) && o.DueAt.After(now()) {
		o.waiter = &waiter{op: o, detached: c.o.detached(), due: o.DueAt}
		r.waitLocked(c.scope(), o.waiter)
		o.waiter = nil
	}
	if !r.isLive(c.scope()) {
		return r.leaveLocked(c.scope())
	}
	if r.cancel.cause != nil && !c.o.detached() && !o.Status.Ended() {
		r.cancelOp(o, r.cancel.cause) // it came when this had been woken
	}
	return nil
}
