package lambdabiz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lambdabiz/lambdabiz/internal/plain"
)

// call is one operation as the author's code asks for it.
type call struct {
	o     Context
	id    string
	kind  Kind
	name  string
	input any
	what  string // of the payload that it is given, in errors
	to    reader // takes the payload for the author; nil if he wants none

	target   string // of a raised event
	hasInput bool
	encoded  Payload
	given    any  // the input as the code gives it, if input is its payload
	taken    bool // take has been called

	aware      bool  // its code has been told to stop before it came to the operation
	unresolved error // why no body is known, if a resolver has panicked

	opts callOptions // of a task, a step or a service call
	body body
	renaming

	intercepted *intercepted // nil without an interceptor
}

func (c *call) scope() *scope { return c.o.scope() }

func (c *call) run() *run { return c.o.run() }

// fault names the orchestration and the operation in an error that the author gets back.
func (c *call) fault(err error) error {
	return fmt.Errorf("orchestration %s, operation %q: %w", c.o.ID(), c.id, err)
}

// sample is the input as the code gives it: what its payload means is known by its type.
func (c *call) sample() any {
	if c.given != nil {
		return c.given
	}
	return c.input
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

// bodyContext is what a body gets: the scope's context, without the cancellation if detached.
func (c *call) bodyContext() context.Context {
	if c.o.detached() {
		return c.run().base
	}
	return c.scope().own
}

// refuseLocked takes back an operation that was begun and is not recorded, and gives mu up. Its id stays used:
// a resumed run would find here what is recorded under it later.
func (c *call) refuseLocked(o *op, err error) error {
	r := c.run()
	r.record.remove(o)
	s := c.scope()
	s.visitedLocked(c.id, o.site)
	s.busy, s.current = nil, nil
	r.unlock()
	return c.fault(err)
}

// addLocked makes a new operation. It is recorded when its kind says so.
func (c *call) addLocked(path string, site callSite) *op {
	r := c.run()
	o := &op{site: site, visited: true, Operation: Operation{
		ID: path, Kind: c.kind, Name: c.name, Status: StatusScheduled, Input: c.encoded, ScheduledAt: now(),
	}}
	if s := c.scope(); r.cancel.cause != nil {
		o.AfterStop, o.LastBeforeStop = c.aware, !c.aware
		s.unsure = nil
	}
	r.record.add(o, c.scope().place)
	return o
}

// reader is where a payload goes.
type reader interface {
	read(p *payloads, what string, stored Payload) error
	// copy takes what read would take of a payload of v, if that is known; it reports whether it is.
	copy(p *payloads, v any) bool
}

// asking is a call whose result is an Out.
type asking[Out any] struct {
	call
	out Out
}

// read decodes into a fresh value, so that nothing of an earlier one stays.
func (a *asking[Out]) read(p *payloads, what string, stored Payload) error {
	var fresh Out
	a.out = fresh
	return p.decode(what, stored, &a.out)
}

func (a *asking[Out]) copy(p *payloads, v any) (is bool) {
	out, is := copied[Out](p, v)
	if is {
		a.out = out
		plain.Clone(&a.out) // the code may keep it for long, and not for that all that a body has read
	}
	return is
}

// ask makes a call that gives its result.
func ask[Out any](o Context, id string, kind Kind, what string) *asking[Out] {
	a := &asking[Out]{call: call{o: o, id: id, kind: kind, what: what}}
	a.to = a
	return a
}

// plainJSON is where a value of the engine's own goes: plain JSON whatever the codec.
type plainJSON struct{ v any }

func (j plainJSON) read(_ *payloads, _ string, stored Payload) error {
	return json.Unmarshal(stored, j.v)
}

func (plainJSON) copy(*payloads, any) bool { return false }

// take reads a payload for the author.
func (c *call) take(stored Payload) error { return c.to.read(&c.run().env.payloads, c.what, stored) }

// takeOf is take for a payload that was made of a value.
func (c *call) takeOf(v any, stored Payload) error {
	if c.to.copy(&c.run().env.payloads, v) {
		return nil
	}
	return c.take(stored)
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

func checkName(name string) error {
	if name == "" {
		return nil
	}
	return checkID("name", name)
}

// askedAsideLocked calls foreign code about an operation that the code of a scope has come to. It gives mu up meanwhile:
// the run may not be live afterwards.
func (r *run) askedAsideLocked(s *scope, site *callSite, f func()) {
	busy, asking := s.busy, s.asking
	s.busy, s.asking = site, true
	r.unlock()
	f()
	r.mu.Lock()
	s.busy, s.asking = busy, asking
}

// errLate is the cause that ends the context of an attempt whose time is over.
var errLate = fmt.Errorf("attempt timed out: %w", context.DeadlineExceeded)

var errSilent = fmt.Errorf("no heartbeat in time: %w", context.DeadlineExceeded)
