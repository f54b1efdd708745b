package lambdabiz

import (
	"fmt"
	"time"
)

// performed is the life of a task or a service that the backend performs: it asks for attempts, and
// decides what follows from those that fail. Local attempts are made by workers of the engine.
func (c *call) performed(o *op, local bool) error {
	r, opts := c.run(), &c.opts
	if o.Number == 0 && !local {
		if err := r.env.desc.checkRemote(o.Name, opts); err != nil {
			return c.refuseLocked(o, err)
		}
	}
	if o.Number == 0 && len(opts.values) > 0 {
		return c.refuseLocked(o, &UnsupportedError{
			Backend: r.env.desc.Name, Feature: FeatureValue,
			Why: "they are not recorded, and the process that performs the operation is not given them",
		})
	}
	if local && c.kind == KindTask && !o.Status.Ended() && !r.registry.hasTask(c.kind, c.name) {
		r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: fmt.Sprintf(
			"task %q is not registered: the workers of this home find tasks by name", c.name)})
		if o.Number == 0 {
			r.record.remove(o)
		}
		return r.leaveLocked(c.scope())
	}
	for !o.Status.Ended() {
		switch {
		case o.tried:
			if !c.judgeTried(o) {
				return r.leaveLocked(c.scope())
			}
			continue
		case o.Number == 0:
			r.askAttempt(o, opts, local)
		case o.Status == StatusScheduled && !o.DueAt.IsZero():
			if err := c.backoff(o); err != nil {
				return err
			}
			if o.Status.Ended() {
				continue
			}
			r.askAttempt(o, opts, local)
		}
		if local {
			r.serveLocked()
		}
		if err := c.awaitAttempt(o); err != nil {
			return err
		}
	}
	return c.give(o)
}

// askAttempt asks the backend for the next attempt.
func (b *book) askAttempt(o *op, opts *callOptions, local bool) {
	o.Attempts++
	o.Status, o.DueAt, o.StartedAt = StatusScheduled, time.Time{}, time.Time{}
	b.touch(o)
	a := Attempt{
		Operation: o.Number, Local: local, Timeout: opts.timeout, Heartbeat: opts.heartbeat, Key: opts.key,
	}
	if a.Key == "" {
		a.Key = idempotencyKey(b.info.ID, b.info.RunID, o.ID)
	}
	if !o.ExpiresAt.IsZero() {
		left := max(time.Until(o.ExpiresAt), time.Millisecond)
		if a.Timeout <= 0 || left < a.Timeout {
			a.Timeout = left
		}
	}
	b.pending.attempts = append(b.pending.attempts, a)
}

// serveLocked lets this process perform the attempts of a run that is driven by hand, those too that a caller before has
// asked for: no worker serves its queue.
func (r *run) serveLocked() {
	if r.isByHand() && r.served == nil {
		r.served = make(chan struct{})
		go func() {
			defer close(r.served)
			r.env.owner.serveTasks(r.base, []string{r.info.Queue})
		}()
	}
}

// awaitAttempt blocks until the attempt or the operation has ended. Otherwise it is like await.
func (c *call) awaitAttempt(o *op) error {
	r := c.run()
	for !o.Status.Ended() && !o.tried && r.isLive(c.scope()) {
		if !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(now()) {
			r.end(o, StatusTimeout, nil, r.taskFailure(&o.Operation, errLate))
			break
		}
		if r.cancel.cause != nil && !c.o.detached() {
			r.cancelOp(o, r.cancel.cause) // it came when this had been woken
			break
		}
		o.waiter = &waiter{op: o, detached: c.o.detached(), due: o.ExpiresAt}
		r.waitLocked(c.scope(), o.waiter)
		o.waiter = nil
	}
	if !r.isLive(c.scope()) {
		return r.leaveLocked(c.scope())
	}
	return nil
}

// judgeTried decides what follows from a failed attempt. It gives mu up while it asks the error; false
// means that the run is not live any more.
func (c *call) judgeTried(o *op) bool {
	r := c.run()
	tried, failed, attempt := *o.Tried, o.failed, o.Attempts
	failure := o.Error
	r.unlock()
	var wait time.Duration
	var again bool
	cause := r.env.failures.rebuild(failure)
	if cause == nil {
		cause = fmt.Errorf("attempt ended with status %s", failed)
	}
	_, fault := guard(func() (any, error) {
		wait, again = c.opts.retry.again(attempt, cause)
		return nil, nil
	})
	r.log().Warn("attempt failed", "operation", o.ID, "attempt", attempt, "error", cause)
	final := r.env.failures.record(&TaskError{Task: o.Name, OperationID: o.ID, Attempt: attempt, Err: cause})
	r.mu.Lock()
	if !r.isLive(c.scope()) {
		return false
	}
	if o.Status.Ended() || !o.tried {
		return true
	}
	o.tried, o.Tried = false, nil
	if stop := r.cancel.cause; stop != nil && !c.o.detached() {
		r.cancelOp(o, stop)
		return true
	}
	if tried.NotBegun { // a worker of other code took it, or the home has no room
		o.Attempts--
		wait, again = notBegunWait, true
	}
	next := roundUp(now().Add(max(wait, tried.RetryAfter)))
	if again && fault == nil && !tried.Final && (o.ExpiresAt.IsZero() || next.Before(o.ExpiresAt)) {
		o.Status, o.DueAt, o.Error = StatusScheduled, next, failure
		r.touch(o)
		return true
	}
	if failed != StatusTimeout {
		failed = StatusFailed
	}
	r.end(o, failed, nil, final)
	return true
}

// notBegunWait is how long an attempt waits that could not begin: another worker may know its name.
const notBegunWait = 10 * time.Second

// checkStep: how long an inline step may take on this home, and an error for one that asks for more.
func (c *call) checkStep() error {
	r, opts := c.run(), &c.opts
	most := r.env.desc.StepTimeout
	if most <= 0 || c.kind != KindStep {
		return nil
	}
	if opts.timeout > most {
		return c.fault(&UnsupportedError{
			Backend: r.env.desc.Name, Feature: FeatureLongStep,
			Why: fmt.Sprintf("a step may take %v, this one asks for %v: make it a task", most, opts.timeout),
		})
	}
	if opts.timeout == 0 {
		opts.timeout = most
	}
	return nil
}

// checkWait refuses a wait beyond the longest life of a run.
func (b *book) checkWait(until time.Time) error {
	most := b.env.desc.RunTimeout
	if most <= 0 || until.IsZero() || until.Before(b.info.ScheduledAt.Add(most)) {
		return nil
	}
	return &UnsupportedError{
		Backend: b.env.desc.Name, Feature: FeatureLongWait,
		Why: fmt.Sprintf("a run lives %v at most, and this one would wait until %s", most, until.Format(time.RFC3339)),
	}
}
