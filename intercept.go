package lambdabiz

import (
	"github.com/lambdabiz/lambdabiz/internal/probe"
)

// interceptLocked asks the test that stands behind the backend what becomes of an operation. It gives mu
// up while it asks. An error means that mu is given up and the caller must return it. It returns the operation if the
// code shall go past it.
func (c *call) interceptLocked(o *op, path string, site callSite) (passed *op, err error) {
	r := c.run()
	s := c.scope()
	asked := c.askedLocked(o, path, site)
	if o != nil {
		asked.Changed = c.isOtherInputLocked(o, &site)
	}
	answer := r.askTestLocked(s, asked, &site)
	for answer.Hold && !asked.Cancelled && r.isLive(s) {
		w := &waiter{}
		if r.intercepted == nil {
			r.intercepted = map[string]*waiter{}
		}
		s.busy, r.intercepted[path] = &site, w
		r.waitLocked(s, w)
		delete(r.intercepted, path)
		s.busy = nil
		if r.isLive(s) {
			answer = r.askTestLocked(s, asked, &site)
		}
	}
	if !r.isLive(s) {
		return nil, r.leaveLocked(s)
	}
	switch {
	case asked.Cancelled:
		return nil, nil //nolint:nilnil // it ends now, whatever the answer
	case o == nil && r.cancel.cause != nil && !c.o.detached(): // that came meanwhile
		s.visitedLocked(c.id, site)
		r.unlock()
		return nil, c.fault(r.cancel.cause)
	case answer.Refuse != "":
		r.blockLocked(Blocked{Operation: path, Source: site.String(), Reason: answer.Refuse})
		return nil, r.leaveLocked(s)
	case answer.Pass && o == nil:
		return c.goPastLocked(path, site, answer.Result), nil
	}
	if c.intercepted != nil {
		c.body.instead = answer.Perform
	}
	return nil, nil //nolint:nilnil // it goes on as ever
}

// askTestLocked asks once.
func (r *run) askTestLocked(s *scope, asked probe.Operation, site *callSite) probe.Answer {
	var answer probe.Answer
	r.askedAsideLocked(s, site, func() {
		r.env.hooks.settle()
		v, fault := guard(func() (any, error) { return r.env.interceptor.Intercept(asked), nil })
		answer, _ = v.(probe.Answer)
		if fault != nil {
			answer.Refuse = "the interceptor: " + fault.Error()
		}
	})
	return answer
}

// goPastLocked ends a new operation at once, and records nothing of it.
func (c *call) goPastLocked(path string, site callSite, result Payload) *op {
	r := c.run()
	o := c.addLocked(path, site)
	r.record.number(o)
	o.Status, o.Attempts, o.Result, o.EndedAt = StatusSucceeded, 1, result, o.ScheduledAt
	r.record.changed(o)
	c.scope().busy, c.scope().current = &o.site, o
	return o
}

// mayRepeatLocked tells the test what a new operation looks like, and reports whether it may go on.
func (c *call) mayRepeatLocked(path string, site callSite, o *op, reason string) bool {
	r := c.run()
	return r.env.interceptor != nil && r.env.interceptor.Repeats(c.askedLocked(nil, path, site), o.ID, reason)
}

// askedLocked is what the test is told of an operation.
func (c *call) askedLocked(o *op, path string, site callSite) probe.Operation {
	r := c.run()
	asked := probe.Operation{
		Orchestration: r.info.ID, RunID: r.info.RunID, Path: path, Kind: c.kind.String(), Name: c.name,
		Source: site.String(), Value: c.sample(), Input: c.encoded,
		NotRenamed: c.notRenamed || r.def != nil && r.def.notRenamed,
	}
	if c.intercepted != nil {
		asked.Result, asked.Registered = c.intercepted.result, c.intercepted.registered
	}
	if o != nil {
		asked.Recorded, asked.Ended, asked.RecordedInput, asked.RecordedPath = true, o.Status.Ended(), o.Input, o.ID
	}
	asked.Cancelled = asked.Recorded && !asked.Ended && r.cancel.cause != nil && !c.o.detached()
	return asked
}
