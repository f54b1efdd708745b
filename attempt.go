package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// effect runs a body until it succeeds or its attempts are used up, and records what came of it. It
// starts only when every result that any branch has been given is durable.
func (c *call) effect() error {
	r, opts := c.run(), &c.opts
	if err := c.checkStep(); err != nil {
		return err
	}
	o, err := c.begin()
	if err != nil {
		return err
	}
	if o.Number == 0 && opts.deadline > 0 {
		o.ExpiresAt = roundUp(o.ScheduledAt.Add(opts.deadline))
	}
	if !c.body.isKnown() && !o.Status.Ended() && !r.env.desc.performs(c.kind) {
		reason := fmt.Sprintf("no %s with the name %q is registered", c.kind, c.name)
		if c.unresolved != nil {
			reason = c.unresolved.Error()
		}
		r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: reason})
		if o.Number == 0 {
			r.record.remove(o)
		}
		return r.leaveLocked(c.scope())
	}
	if c.body.transacts() && !o.Status.Ended() {
		if foreign := r.env.transacts(c.body.within.Within); foreign != nil {
			if o.Number == 0 {
				return c.refuseLocked(o, foreign)
			}
			r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: foreign.Error()})
			return r.leaveLocked(c.scope())
		}
	}
	if r.env.desc.performs(c.kind) {
		return c.performed(o, c.body.isKnown())
	}
	rerun := o.Status == StatusStarted
	for !o.Status.Ended() {
		if o.Status == StatusScheduled && !o.DueAt.IsZero() {
			if err := c.backoff(o); err != nil {
				return err
			}
			if o.Status.Ended() {
				break
			}
		}
		if err := c.try(o, rerun); err != nil {
			return err
		}
		rerun = false
		if !o.Status.Ended() {
			r.knowsLocked(o.change) // the next attempt begins when this one's end is durable
		}
	}
	return c.give(o)
}

// try makes one attempt, once it may begin. It returns with mu held; an error means that mu is given up and the caller
// must return it.
func (c *call) try(o *op, rerun bool) error {
	r := c.run()
	if r.isLive(c.scope()) && c.slotLocked() {
		defer r.env.slots.Give()
	}
	r.lookLocked()
	begun := c.body.transacts() && !r.env.desc.OneWriter
	if begun { // a statement of its transaction may see what is recorded of it: that does not change any more then
		c.beginAttemptLocked(o, rerun)
		r.knowsLocked(o.change)
	}
	if !r.admitLocked(c.scope(), c.opts.timeout) {
		return r.leaveLocked(c.scope())
	}
	if r.cancel.cause != nil && !c.o.detached() {
		r.cancelOp(o, r.cancel.cause)
		return nil
	}
	if !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(now()) {
		r.end(o, StatusTimeout, nil, r.taskFailure(&o.Operation, errLate))
		return nil
	}
	if !begun {
		c.beginAttemptLocked(o, rerun)
	}
	return c.attempt(o)
}

// beginAttemptLocked notes that an attempt begins; one that is made again after a crash does not count.
func (c *call) beginAttemptLocked(o *op, again bool) {
	if !again {
		o.Attempts++
	}
	o.Status, o.StartedAt, o.DueAt = StatusStarted, now(), time.Time{}
	c.run().touch(o)
}

// attempt runs the body once, without mu, and settles the operation. It returns an error when the
// calling code must leave.
func (c *call) attempt(o *op) error {
	r := c.run()
	r.bodies++
	r.held.judge()
	a := &attempt{r: r, o: o, c: c, opts: &c.opts, rec: o.Operation}
	if !o.loaded {
		a.given = c.input
	}
	if c.body.transacts() {
		a.within = &stepWithin{r: r, o: o, rec: o.Operation, body: c.body.within}
	}
	r.unlock()
	returned := false
	defer func() {
		if !returned { // the body ended the branch's goroutine
			r.mu.Lock()
			r.bodyEndedLocked()
			r.unlock()
		}
	}()
	fault.Point("effect.begin")
	a.do()
	fault.Point("effect.done")
	a.judge()
	returned = true
	r.mu.Lock()
	r.spareLocked()
	if !r.settleAttemptLocked(a) {
		r.bodyEndedLocked()
		return r.leaveLocked(c.scope())
	}
	r.bodyEndedLocked()
	if !r.isLive(c.scope()) {
		return r.leaveLocked(c.scope())
	}
	return nil
}

// settleAttemptLocked records what an attempt came to. It reports false for a late result, which
// nobody wants any more.
func (r *run) settleAttemptLocked(a *attempt) bool {
	o := a.o
	if a.isRecorded() && r.phase != phaseDead {
		a.c.taken = a.taken
		return true
	}
	if r.phase == phaseDead || o.Status.Ended() {
		return false
	}
	if a.err == nil {
		a.c.taken = a.taken
		r.end(o, StatusSucceeded, a.result, nil)
		return true
	}
	if r.phase == phaseStopping && r.base.Err() != nil {
		return false // its context ended because the run leaves: the attempt is not charged
	}
	if cause := r.cancel.cause; cause != nil && !a.c.o.detached() && (a.cancelled || a.again) {
		r.cancelOp(o, cause)
		return true
	}
	next := roundUp(now().Add(a.wait))
	if a.again && (o.ExpiresAt.IsZero() || next.Before(o.ExpiresAt)) {
		o.Status, o.DueAt, o.Error = StatusScheduled, next, a.failure
		r.touch(o)
		return true
	}
	status := StatusFailed
	if a.timedOut {
		status = StatusTimeout
	}
	r.end(o, status, nil, a.final)
	return true
}

// judge asks the attempt's error what it is and what follows from it. Its methods are the author's:
// they are called without mu, and a panic of theirs is the error.
func (a *attempt) judge() {
	if a.err == nil {
		return
	}
	_, fault := guard(func() (any, error) {
		a.cancelled = isCancellation(a.err)
		a.timedOut = a.timedOut || errors.Is(a.err, context.DeadlineExceeded)
		a.wait, a.again = a.opts.retry.again(a.rec.Attempts, a.err)
		args := []any{"operation", a.rec.ID, "attempt", a.rec.Attempts, "error", a.err.Error()}
		if p := panicIn(a.err); p != nil {
			args = append(args, "stack", p.stack)
		}
		if a.r.base.Err() != nil { // settleAttemptLocked does not charge it
			a.r.log().Info("attempt cut short: its orchestration leaves this process, and it does not count", args...)
		} else {
			a.r.log().Warn("attempt failed", args...)
		}
		return nil, nil
	})
	if fault != nil {
		a.err = fmt.Errorf("an error of type %T, whose methods panic: %w", a.err, fault)
	}
	a.failure, a.final = a.r.env.failures.record(a.err), a.r.taskFailure(&a.rec, a.err)
}

func isCancellation(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// attempt is one call of a body.
type attempt struct {
	r    *run
	o    *op
	c    *call
	opts *callOptions
	rec  Operation // as the attempt began

	ctx   bodyContext
	given any // what rec.Input was encoded of; nil if that was in an earlier pass

	beats    chan struct{} // receives with a heartbeat; nil if the attempt's time is not limited
	beaten   time.Time     // when details were written last; guarded by the run's lock, as is late
	late     bool          // they will be written again by then
	result   Payload
	taken    bool // the code's own copy of the result has been read
	err      error
	timedOut bool

	within *stepWithin // nil for a body without a transaction of the home's

	// What judge found.
	cancelled, again bool
	wait             time.Duration
	failure, final   *Failure
}

// do calls the body: on the branch's own goroutine, or, when its time is limited, on one that may
// outlive the attempt.
func (a *attempt) do() {
	a.ctx.begin(a.opts.withValues(a.c.bodyContext()), a)
	defer a.ctx.over(context.Canceled)
	limit := a.limit()
	if limit >= 0 {
		a.beats = make(chan struct{}, 1)
	}
	ctx, hooked := a.r.env.hooks.attempt(&a.ctx, a)
	a.r.env.leaveTheDead()
	if limit < 0 {
		a.take(a.call(ctx))
	} else {
		a.limited(ctx, limit)
	}
	hooked.end(a.err)
}

// limited calls the body on a goroutine of its own, and waits for it as long as the attempt may take.
func (a *attempt) limited(ctx context.Context, limit time.Duration) {
	clock := time.NewTimer(limit)
	defer clock.Stop()
	w := bodyWatch{limit: clock, silence: a.opts.heartbeat, beats: a.beats, end: a.ctx.over}
	if a.within != nil {
		w.leave = a.within.leave
	}
	out, left := w.await(func() returned { return a.call(ctx) })
	if left != nil {
		a.err, a.timedOut = left, true
		return
	}
	a.take(out)
}

// limit is the time that the attempt may take; negative for no limit at all.
func (a *attempt) limit() time.Duration {
	limit := a.opts.timeout
	if !a.rec.ExpiresAt.IsZero() {
		left := max(time.Until(a.rec.ExpiresAt), 0)
		if limit <= 0 || left < limit {
			return left
		}
	}
	switch {
	case limit > 0:
		return limit
	case a.opts.heartbeat > 0:
		return time.Duration(1<<63 - 1)
	default:
		return -1
	}
}

// call runs the body and makes a payload of its result.
func (a *attempt) call(ctx context.Context) returned {
	if a.within != nil {
		return a.within.run(ctx)
	}
	return a.c.body.perform(ctx, &a.r.env.payloads, a.rec.Kind, a.rec.Input, a.given)
}

// take decodes the result at once, on the branch's own goroutine: a first run sees what a resumed run
// will see.
func (a *attempt) take(out returned) {
	a.result, a.err = out.result, out.err
	if a.err != nil {
		return
	}
	a.taken = true
	if a.c.to == nil {
		return
	}
	if err := a.c.takeOf(out.value, out.result); err != nil {
		a.taken = false
		if !a.isRecorded() { // else the record is read again, and says that it cannot be
			a.err = NonRetryable(err)
		}
	}
}

// isRecorded reports whether the end of the body is recorded, by its own transaction. It has ended.
func (a *attempt) isRecorded() bool { return a.within != nil && a.within.recorded }

// holdsStore reports whether the attempt has a transaction of this engine's home beside which nothing can be written.
func (a *attempt) holdsStore(v *env) bool { return a.within != nil && a.r.env == v && v.desc.OneWriter }

func (a *attempt) info() TaskInfo {
	info := TaskInfo{
		OrchestrationID: a.r.info.ID, RunID: a.r.info.RunID, OperationID: a.rec.ID, Task: a.rec.Name,
		Attempt: a.rec.Attempts, IdempotencyKey: a.opts.key, Details: a.rec.Details,
		codec: a.r.env.codec,
	}
	if info.IdempotencyKey == "" {
		info.IdempotencyKey = idempotencyKey(info.OrchestrationID, info.RunID, info.OperationID)
	}
	return info
}

// beat records the details of a heartbeat, unless the attempt is over.
func (a *attempt) beat(details any) error {
	p, err := a.r.env.encode("heartbeat details", details)
	if err != nil {
		return err
	}
	select {
	case a.beats <- struct{}{}:
	default:
	}
	a.r.mu.Lock()
	defer a.r.unlock()
	if a.isCurrentLocked() {
		a.o.Details = p
		a.keepBeatLocked()
	}
	return nil
}

// beatEvery is how often the details of heartbeats are written, when nothing else is written with them.
const beatEvery = time.Second

// isCurrentLocked reports whether the attempt is the one that its operation has now.
func (a *attempt) isCurrentLocked() bool {
	return a.r.phase != phaseDead && a.o.Status == StatusStarted && a.o.Attempts == a.rec.Attempts
}

// keepBeatLocked has the details written: within milliseconds when none were for beatEvery, else with the next
// commit of the run, or when that time is over. So the last ones are always written.
func (a *attempt) keepBeatLocked() {
	if wait := beatEvery - time.Since(a.beaten); wait > 0 {
		a.r.join(&a.r.record, a.o)
		if !a.late {
			a.late = true
			time.AfterFunc(wait, a.writeBeat)
		}
		return
	}
	a.beaten = time.Now()
	a.r.touch(a.o)
}

func (a *attempt) writeBeat() {
	a.r.mu.Lock()
	defer a.r.unlock()
	a.late = false
	if a.isCurrentLocked() && a.o.dirty {
		a.beaten = time.Now()
		a.r.touch(a.o)
	}
}
