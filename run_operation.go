package lambdabiz

import (
	"context"
	"errors"
	"fmt"
)

// call is one operation as the author's code asks for it.
type call struct {
	o     Context
	id    string
	kind  Kind
	name  string
	input any
	take  func(Payload) error // decodes the result for the author

	target   string // of a raised event
	hasInput bool
	encoded  Payload
	given    any  // the input as the code gives it, if input is its payload
	taken    bool // take has been called

	unresolved error // why no body is known, if a resolver has panicked

	renaming

	tested *tested // nil without an interceptor
}

func (c *call) scope() *scope { return c.o.scope() }

func (c *call) run() *run { return c.o.run() }

// fault names the orchestration and the operation in an error that the author gets back.
func (c *call) fault(err error) error {
	return fmt.Errorf("orchestration %s, operation %q: %w", c.o.ID(), c.id, err)
}

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
	if left, err := c.mayBeginLocked(site); left {
		return nil, err
	}
	path := joinPath(s.path, c.id)
	refuse := func(cause error) (*op, error) {
		s.busy = nil
		r.mu.Unlock()
		return nil, c.fault(cause)
	}
	if err := r.visitLocked(s, c.id, path, site); err != nil {
		return nil, err
	}
	o := r.findLocked(s, path, c.former)
	if r.paused != nil && (o == nil || !o.Status.Ended()) {
		r.evictLocked(r.paused)
		return nil, r.leaveLocked(s)
	}
	if o == nil && r.record.unmet > 0 && c.kind.affects() {
		if left, err := c.guardLocked(path, site); left {
			return nil, err
		}
	}
	switch {
	case o == nil && r.ended, o != nil && r.ended && !o.Status.Ended():
		return refuse(ErrClosed)
	case o == nil && r.stopCause != nil && !c.o.detached():
		s.visitedLocked(c.id, site)
		return refuse(r.stopCause)
	}
	if r.env.interceptor != nil && !r.ended {
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
	if r.closing != nil && r.liveLocked(s) {
		r.mu.Unlock()
		return true, c.fault(ErrClosed)
	}
	if !r.liveLocked(s) && !r.ended {
		return true, r.leaveLocked(s)
	}
	if s.busy != nil {
		r.blockLocked(Blocked{Operation: joinPath(s.path, c.id), Source: site.String(), Reason: fmt.Sprintf(
			"a context is used by two goroutines at once: the operation at %s has not ended", s.busy)})
		return true, r.leaveLocked(s)
	}
	return false, nil
}

// check looks at what the author has given, and encodes the input.
func (c *call) check(p *payloads) (err error) {
	if err := errors.Join(checkID("operation id", c.id), checkName(c.name), c.former.check()); err != nil {
		return err
	}
	if c.hasInput {
		c.encoded, err = p.encodeOf(c.kind, "input", c.input)
	}
	return err
}

// refuseLocked takes back an operation that was begun and is not recorded, and gives mu up. Its id stays used:
// a resumed run would find here what is recorded under it later.
func (c *call) refuseLocked(o *op, err error) error {
	r := c.run()
	r.record.remove(o)
	s := c.scope()
	s.visitedLocked(c.id, o.site)
	s.busy, s.current = nil, nil
	r.mu.Unlock()
	return c.fault(err)
}

func checkName(name string) error {
	if name == "" {
		return nil
	}
	return checkID("name", name)
}

// visitLocked blocks the run if this pass has come to the id before.
func (r *run) visitLocked(s *scope, id, path string, site callSite) error {
	first, twice := s.visited[id]
	o := r.record.get(path)
	if o != nil && o.visited {
		first, twice = o.site, true
	}
	if o != nil && o.path() != path {
		r.blockLocked(Blocked{Operation: path, Source: site.String(), Reason: fmt.Sprintf(
			"operation %q is recorded, and was taken for %q, which names it as its former id: give this one another id",
			path, o.path())})
		return r.leaveLocked(s)
	}
	if twice {
		r.blockLocked(Blocked{Operation: path, Source: site.String(), Reason: fmt.Sprintf(
			"the same id twice: operation %q is also at %s", path, first)})
		return r.leaveLocked(s)
	}
	return nil
}

// addLocked makes a new operation. It is recorded when its kind says so.
func (c *call) addLocked(path string, site callSite) *op {
	r := c.run()
	o := &op{site: site, visited: true, Operation: Operation{
		ID: path, Kind: c.kind, Name: c.name, Status: StatusScheduled, Input: c.encoded, ScheduledAt: now(),
	}}
	r.record.add(o, c.scope().place)
	return o
}

// meetLocked compares a recorded operation with what the code asks for.
func (c *call) meetLocked(o *op, site callSite) error {
	r := c.run()
	s := c.scope()
	r.visitOpLocked(s, o)
	o.site = site
	if o.loaded {
		r.metLocked(s, o)
	}
	if o.Kind != c.kind || o.Name != c.name {
		r.blockLocked(Blocked{Operation: o.ID, Source: site.String(), Reason: fmt.Sprintf(
			"recorded as %s %q, the code has %s %q now", o.Kind, o.Name, c.kind, c.name)})
		return r.leaveLocked(s)
	}
	ended := o.Status.Ended()
	other := c.isOtherInputLocked(o, &o.site)
	if !r.liveLocked(s) && !r.ended { // while the inputs were read
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
	if r.stopCause != nil && !c.o.detached() {
		r.cancelOpLocked(o, r.stopCause)
	}
	if o.wait != nil {
		r.inbox.visit(o.wait)
		r.matchLocked(false)
	}
	return nil
}

// give returns an ended operation to the author's code, and gives mu up. From now on effects of any
// branch wait until it is durable.
func (c *call) give(o *op) error {
	r := c.run()
	s := c.scope()
	if !r.liveLocked(s) && !r.ended {
		return r.leaveLocked(s)
	}
	r.knowsLocked(o.change)
	if r.hand && !r.isReadOnly() && !r.flushLocked(r.changed) || !r.liveLocked(s) && !r.ended {
		return r.leaveLocked(s)
	}
	s.busy, s.current = nil, nil
	s.knows(o.cameAbout())
	rec, taken := o.Operation, c.taken
	r.mu.Unlock()
	if rec.Status != StatusSucceeded {
		return r.env.registry.rebuild(rec.Error)
	}
	if taken || c.take == nil {
		return nil
	}
	if err := c.take(rec.Result); err != nil {
		failure, reason := r.taskFailure(&rec, NonRetryable(err)), "its record cannot be read: "+err.Error()
		r.mu.Lock()
		if r.paused != nil { // what becomes of it can be recorded later
			r.evictLocked(r.paused)
			return r.leaveLocked(s)
		}
		if r.env.desc.performs(rec.Kind) && !r.ended && r.liveLocked(s) { // the home cannot know what fits
			s.busy, s.current = &o.site, o
			o.Result = nil
			r.endLocked(o, StatusFailed, nil, failure)
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
	for !o.Status.Ended() && r.liveLocked(c.scope()) {
		if o.choosing() {
			c.readLocked(o)
			continue
		}
		if r.stopCause != nil && !c.o.detached() {
			r.cancelOpLocked(o, r.stopCause) // it came while an event was read
			break
		}
		if o.Kind == KindTimer && !o.DueAt.After(now()) && !r.env.desc.performs(KindTimer) {
			r.endLocked(o, StatusSucceeded, nil, nil)
			break
		}
		if o.Kind == KindEvent && !o.DueAt.IsZero() && !o.DueAt.After(now()) {
			r.timeOutLocked(o)
		}
		w := &waiter{op: o, detached: c.o.detached()}
		if o.Kind == KindEvent || o.Kind == KindTimer && !r.env.desc.performs(KindTimer) {
			w.due = o.DueAt
		}
		o.waiter = w
		r.waitLocked(c.scope(), w)
		o.waiter = nil
	}
	if !r.liveLocked(c.scope()) {
		return r.leaveLocked(c.scope())
	}
	return nil
}

// backoff blocks until the next attempt is due, or the operation has ended. It is like await else.
func (c *call) backoff(o *op) error {
	r := c.run()
	if r.liveLocked(c.scope()) && o.DueAt.After(now()) {
		o.waiter = &waiter{op: o, detached: c.o.detached(), due: o.DueAt}
		r.waitLocked(c.scope(), o.waiter)
		o.waiter = nil
	}
	if !r.liveLocked(c.scope()) {
		return r.leaveLocked(c.scope())
	}
	if r.stopCause != nil && !c.o.detached() && !o.Status.Ended() {
		r.cancelOpLocked(o, r.stopCause) // it came when this had been woken
	}
	return nil
}

// hookEnded tells the telemetry that an operation has ended.
func (r *run) hookEnded(o *op) { r.env.hooks.operation(r.event(StatusStarted), &o.Operation, false) }

// bodyContext is what a body gets: the scope's context, without the cancellation if detached.
func (c *call) bodyContext() context.Context {
	if c.o.detached() {
		return c.run().base
	}
	return c.scope().own
}
