package lambdabiz

import (
	"errors"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// commitLocked makes what is pending durable. It gives mu up meanwhile; committing keeps other commits
// and deliveries of the run away. If all branches blocked during the commit,
// nobody else commits what they left: callers other than branches must call idleLocked.
func (r *run) commitLocked() {
	t := r.takeLocked()
	r.committing = true
	r.mu.Unlock()
	fault.Point("run.commit")
	v := r.commit(t)
	r.mu.Lock()
	r.committing = false
	if r.phase == phaseDead {
		return
	}
	fault.Point("run.settle")
	r.settleLocked(t, v)
	if arrived := r.arrived; len(arrived) > 0 {
		r.arrived = nil
		if r.claimed { // else they are in the next claim, after what has come before them
			r.acceptLocked(arrived)
		}
	}
	if r.fireLate {
		r.fireLate = false
		r.fireLocked(now())
		r.armLocked()
	}
	if !r.since.IsZero() && !r.commitEndsClaim() && time.Since(r.since) >= flushDelay {
		r.env.flushes.Add(r, r.since) // it has come up during the commit
	}
	r.openBarrierLocked()
	r.moved.Broadcast()
	r.stirred.Broadcast()
}

// commit makes changes durable, and does with the verdict what needs no lock.
func (r *run) commit(t taken) Verdict {
	v := r.commitRun(t.commit)
	if errors.Is(v.Err, ErrStale) {
		v.Err = ErrStale
	}
	if v.Err == nil {
		refuseAll(t.commit, v)
		fault.Point("run.adopt")
		r.env.owner.adoptStarts(t.commit, v) // before this run leaves, or a worker that drains would not wait for them
	}
	return v
}

// takeLocked makes a commit of all that is pending.
func (r *run) takeLocked() taken {
	t := r.take(&r.record, &r.env.registry.errorRegistry, now(), r.phase == phaseLive)
	clear(r.inbox.taken)
	c := t.commit
	*c.Run, c.Worker, c.Seen = r.ref, r.writer(), r.seen
	for _, raise := range c.Raises {
		c.Fetch = c.Fetch || raise.ID == r.info.ID
	}
	switch {
	case r.closing != nil:
		closing := *r.closing
		c.Close, c.Conditional = &closing, true
	case r.phase == phaseStopping && (r.bodies == 0 || r.forced):
		release := *r.release
		if release.Blocked != nil {
			b := *release.Blocked
			b.Recorded, release.Blocked = r.record.progress(), &b
		}
		c.Release, c.Conditional = &release, true
	case r.parking:
		c.Release, c.Conditional = &Release{WakeAt: r.nextDueLocked(), Version: r.env.version}, true
	}
	if c.Close != nil || c.Release != nil {
		for i := range c.Starts {
			c.Starts[i].Claim = false // if the answer is lost, nobody would run them
		}
	}
	if r.env.endsClaim {
		c.Conditional, c.WakeAt = true, r.nextDueLocked()
		// What the verdict may end wakes code, which needs a claim to go on.
		c.Again = r.flushers > 0 || len(t.timeouts) > 0 || len(r.pending.timeouts) > 0 ||
			len(c.Starts) > 0 && !r.env.desc.performs(KindChild) || len(c.Raises) > 0 && !r.env.desc.performs(KindRaise)
		c.Keep = !r.renew
	}
	if c.Fetch {
		r.looked = time.Now()
	}
	return t
}

// settleLocked takes the verdict on a commit.
func (r *run) settleLocked(t taken, v Verdict) {
	c := t.commit
	switch {
	case v.Err == ErrStale: //nolint:errorlint // see commit: the store's errors are not asked under the lock
		r.putBack(t)
		r.changedLocked()
		r.claimEndsLocked(v)
		r.acceptLocked(v.Messages)
		return
	case v.Err != nil:
		r.evictLocked(v.Err)
		return
	}
	r.settled(t)
	r.applied = c.Run.Fence
	if c.Close != nil {
		r.outcome = c.Close
		r.env.hooks.runEnded(r.event(r.outcome.Status))
	}
	r.settleOperationsLocked(c)
	if c.Close != nil || c.Release != nil {
		r.evictLocked(r.leftBecause(c))
		return
	}
	r.claimEndsLocked(v)
	r.acceptLocked(v.Messages)
}

// claimEndsLocked: where commits end claims, the run waits for the next one now. If branches wait for it and
// it does not come, another worker has it.
func (r *run) claimEndsLocked(v Verdict) {
	if !r.commitEndsClaim() || v.Held {
		return
	}
	r.loseClaim()
	if r.hand {
		ref := r.ref
		ref.Fence = r.applied
		go r.env.owner.claimNext(r, &ref)
		return
	}
	if r.flushers > 0 || r.closing != nil {
		fence := r.ref.Fence
		time.AfterFunc(r.env.config.Lease, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if !r.claimed && r.ref.Fence == fence {
				r.evictLocked(ErrFenced)
			}
		})
	}
}

// refuseAll marks the operations whose changes the verdict refuses, as the backend has stored them.
func refuseAll(c *Commit, v Verdict) {
	for i := range min(len(c.Starts), len(v.Starts)) {
		if err := v.Starts[i].Err; err != nil {
			c.Refuse(c.Starts[i].Operation, err)
		}
	}
	for i := range min(len(c.Raises), len(v.Raises)) {
		if err := v.Raises[i].Err; err != nil {
			c.Refuse(c.Raises[i].Operation, err)
		}
	}
}

// acceptLocked takes messages in, in the order of their numbers; what it has seen before it ignores.
func (r *run) acceptLocked(messages []Message) {
	r.setBack(messages)
	for i := range messages {
		m := &messages[i]
		if m.Number <= r.seen {
			continue
		}
		r.seen = m.Number
		if r.phase == phaseStopping && r.release.Blocked == nil {
			r.release.WakeAt = now() // it may be what the run waits for: it counts as seen
		}
		switch m.Kind {
		case MessageEvent:
			r.inbox.arrive(m)
		case MessageChild:
			r.childEndedLocked(m)
		case MessageCancel:
			r.info.CancelRequested = true
			r.stopCodeLocked(ErrCancelled)
		case MessageDrop:
			r.dropLocked(m)
		case MessagePause:
			r.consumeLocked(m.Number)
			if r.started { // else it was resumed before it was claimed
				r.stopLocked(Release{WakeAt: now()}, r.pausedBy(m))
			}
		}
	}
	r.matchLocked(r.active == 0)
	if r.active == 0 {
		r.env.idle.Resize(r, r.sizeLocked())
	}
}

// setBack sets the time of events back that come by clocks that are ahead: whether one has come in time is for the clock
// that the wait's deadline is of. Those that come together keep their order, by which a race may be decided.
func (r *run) setBack(messages []Message) {
	t := now()
	for i := range slices.Backward(messages) {
		m := &messages[i]
		if m.Kind == MessageEvent && m.Number > r.seen && m.ArrivedAt.After(t) {
			m.ArrivedAt = t
			t = t.Add(-time.Microsecond)
		}
	}
}

// stopLocked makes the run leave this process: its code unwinds now, its bodies may end and are
// recorded, then it is released.
func (r *run) stopLocked(release Release, cause error) {
	if r.phase != phaseLive {
		return
	}
	if r.active == 0 || release.Blocked != nil { // else its code may not have come to where it waits
		release.Version = r.env.version
	}
	r.phase, r.release, r.cause = phaseStopping, &release, cause
	r.wakeAllLocked()
	r.env.idle.Remove(r)
	if !r.claimed { // a cache only, where commits end claims
		r.evictLocked(cause)
		return
	}
	if r.bodies == 0 {
		go func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.finishLocked()
		}()
	}
}

// finishLocked commits the closing or the release, again when newer messages come between.
func (r *run) finishLocked() {
	for {
		switch r.standingLocked().finish() {
		case stepCommit:
			r.commitLocked()
		case stepWait:
			r.moved.Wait()
		case stepEvict:
			r.evictLocked(r.cause)
			return
		default:
			return
		}
	}
}

// blockLocked stops the run because of a mistake: it stays open, and nothing of the mistake is
// recorded but the reason.
func (r *run) blockLocked(b Blocked) {
	if r.phase != phaseLive {
		return
	}
	b.Since, b.Version, b.Times = now(), r.env.version, 1
	if last := r.info.Blocked; last != nil {
		same := last.Reason == b.Reason && last.Operation == b.Operation
		if same || r.durable == 0 { // a commit on the way there, of its progress say, leads nowhere
			b.Times = last.Times + 1
		}
		if same {
			b.Since = last.Since
		}
	}
	b.RetryAt = now().Add(blockedBackoff.wait(b.Times))
	r.log().Error("orchestration is blocked", "reason", b.Reason, "operation", b.Operation,
		"source", b.Source, "retryAt", b.RetryAt)
	if r.hand {
		r.evictLocked(&BlockedError{ID: r.info.ID, Blocked: b})
		return
	}
	r.stopLocked(Release{WakeAt: b.RetryAt, Blocked: &b}, &BlockedError{ID: r.info.ID, Blocked: b})
}

// flushDelay is how long a pending change that nobody waits for may stay in memory.
const flushDelay = 5 * time.Millisecond
