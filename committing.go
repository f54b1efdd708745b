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
func (p *pump) commitLocked() {
	t := p.takeLocked()
	p.committing = true
	p.unlock()
	fault.Point("run.commit")
	v := p.commit(t)
	p.mu.Lock()
	p.committing = false
	if p.phase == phaseDead {
		return
	}
	fault.Point("run.settle")
	p.settleLocked(t, v)
	committedLocked(p)
}

// committedLocked goes on after a commit of a run, whatever its verdict.
func committedLocked(p *pump) {
	if arrived := p.arrived; len(arrived) > 0 {
		p.arrived = nil
		if p.claimed { // else they are in the next claim, after what has come before them
			p.acceptLocked(arrived)
		}
	}
	p.barrier.open(p.durable, p.claimed)
	p.moved.Broadcast()
	p.stirs = true
}

// commit makes changes durable, and does with the verdict what needs no lock.
func (p *pump) commit(t taken) Verdict {
	v := p.submitter.commit(t.commit)
	if errors.Is(v.Err, ErrStale) {
		v.Err = ErrStale
	}
	if v.Err == nil {
		refuseAll(t.commit, v)
		fault.Point("run.adopt")
		p.env.owner.adoptStarts(t.commit, v) // before this run leaves, or a worker that drains would not wait for them
	}
	if t.granted > 0 {
		p.env.owner.countStarts(-t.granted)
	}
	return v
}

// takeLocked makes a commit of all that is pending.
func (p *pump) takeLocked() taken {
	t := p.take(&p.record, p.env.failures, now(), p.phase == phaseLive)
	clear(p.inbox.taken)
	c := t.commit
	*c.Run, c.Worker, c.Seen = p.ref, p.writer(), p.seen
	for _, raise := range c.Raises {
		c.Fetch = c.Fetch || raise.ID == p.info.ID
	}
	switch {
	case p.closing != nil:
		closing := *p.closing
		c.Close, c.Conditional = &closing, true
	case p.phase == phaseStopping && (p.bodies == 0 || p.forced):
		release := *p.release
		if release.Blocked != nil {
			b := *release.Blocked
			b.Recorded, release.Blocked = p.record.progress(), &b
		}
		c.Release, c.Conditional = &release, true
	case p.parking:
		c.Release, c.Conditional = &Release{WakeAt: p.dueNext(), Version: p.env.version}, true
	}
	if c.Close != nil || c.Release != nil {
		for i := range c.Starts {
			c.Starts[i].Claim = false // if the answer is lost, nobody would run them
		}
	}
	t.granted = grantStarts(p.env.owner, c.Starts)
	if p.commitEndsClaim() {
		c.Conditional, c.WakeAt = true, p.dueNext()
		// What the verdict may end wakes code, which needs a claim to go on.
		c.Again = p.flushers > 0 || len(t.timeouts) > 0 || len(p.pending.timeouts) > 0 ||
			len(c.Starts) > 0 && !p.env.desc.performs(KindChild) || len(c.Raises) > 0 && !p.env.desc.performs(KindRaise)
		c.Keep = !p.renew
	}
	if c.Fetch {
		p.looked = time.Now()
	}
	return t
}

// grantStarts lets so many of the starts claim as the worker has room for, and returns how many.
func grantStarts(o owner, starts []RunStart) (granted int) {
	wanted := 0
	for i := range starts {
		if starts[i].Claim {
			wanted++
		}
	}
	if wanted > 0 {
		granted = o.grant(wanted)
	}
	left := granted
	for i := range starts {
		if starts[i].Claim = starts[i].Claim && left > 0; starts[i].Claim {
			left--
		}
	}
	return granted
}

// settleLocked takes the verdict on a commit.
func (p *pump) settleLocked(t taken, v Verdict) {
	c := t.commit
	switch {
	case v.Err == ErrStale: //nolint:errorlint // see commit: the store's errors are not asked under the lock
		p.putBack(t)
		p.note()
		p.claimEndsLocked(v)
		p.acceptLocked(v.Messages)
		return
	case v.Err != nil:
		p.evictLocked(v.Err)
		return
	}
	p.settled(t)
	p.applied = c.Run.Fence
	if c.Close != nil {
		p.outcome = c.Close
		p.env.hooks.runEnded(p.event(p.outcome.Status))
	}
	p.settleOperations(c)
	if c.Close != nil || c.Release != nil {
		p.evictLocked(p.leftBecause(c))
		return
	}
	p.claimEndsLocked(v)
	p.acceptLocked(v.Messages)
}

// claimEndsLocked: where commits end claims, the run waits for the next one now. If branches wait for it and
// it does not come, another worker has it.
func (p *pump) claimEndsLocked(v Verdict) {
	if !p.commitEndsClaim() || v.Held {
		return
	}
	p.loseClaim()
	if p.isByHand() {
		ref := p.ref
		ref.Fence = p.applied
		go p.claimNext(&ref)
		return
	}
	if p.flushers > 0 || p.closing != nil {
		fence := p.ref.Fence
		time.AfterFunc(p.env.config.Lease, func() {
			p.mu.Lock()
			defer p.unlock()
			if !p.claimed && p.ref.Fence == fence {
				p.evictLocked(ErrFenced)
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
func (p *pump) acceptLocked(messages []Message) {
	setBack(messages, p.seen)
	for i := range messages {
		m := &messages[i]
		if m.Number <= p.seen {
			continue
		}
		p.seen = m.Number
		p.mayGoOn()
		switch m.Kind {
		case MessageEvent:
			p.inbox.arrive(m)
		case MessageChild:
			p.childEnded(m)
		case MessageCancel:
			p.info.CancelRequested = true
			p.stopCode(ErrCancelled)
		case MessageDrop:
			p.dropEvent(m)
		case MessagePause:
			p.consume(m.Number)
			if p.started { // else it was resumed before it was claimed
				p.stopLocked(Release{WakeAt: now()}, pausedBy(p.info.ID, m))
			}
		}
	}
	p.match(p.active == 0)
	if p.active == 0 {
		p.env.idle.Resize(p, p.size())
	}
}

// setBack sets the time of events back that come by clocks that are ahead: whether one has come in time is for the clock
// that the wait's deadline is of. Those that come together keep their order, by which a race may be decided.
func setBack(messages []Message, seen int64) {
	t := now()
	for i := range slices.Backward(messages) {
		m := &messages[i]
		if m.Kind == MessageEvent && m.Number > seen && m.ArrivedAt.After(t) {
			m.ArrivedAt = t
			t = t.Add(-time.Microsecond)
		}
	}
}

// stopLocked makes the run leave this process: its code unwinds now, its bodies may end and are
// recorded, then it is released.
func (p *pump) stopLocked(release Release, cause error) {
	if p.phase != phaseLive {
		return
	}
	if p.active == 0 || release.Blocked != nil { // else its code may not have come to where it waits
		release.Version = p.env.version
	}
	p.phase, p.release, p.cause = phaseStopping, &release, cause
	p.wakeAllLocked()
	if !p.claimed { // a cache only, where commits end claims
		p.evictLocked(cause)
		return
	}
	if p.bodies == 0 {
		go func() {
			p.mu.Lock()
			defer p.unlock()
			p.finishLocked()
		}()
	}
}

// finishLocked commits the closing or the release, again when newer messages come between.
func (p *pump) finishLocked() {
	for {
		switch p.standingLocked().finish() {
		case stepCommit:
			p.commitLocked()
		case stepWait:
			p.await(&p.moved)
		case stepEvict:
			p.evictLocked(p.cause)
			return
		default:
			return
		}
	}
}

// blockLocked stops the run because of a mistake: it stays open, and nothing of the mistake is
// recorded but the reason.
func (p *pump) blockLocked(b Blocked) {
	if p.phase != phaseLive {
		return
	}
	b.Since, b.Version, b.Times = now(), p.env.version, 1
	if last := p.info.Blocked; last != nil {
		same := last.Reason == b.Reason && last.Operation == b.Operation
		if same || p.durable == 0 { // a commit on the way there, of its progress say, leads nowhere
			b.Times = last.Times + 1
		}
		if same {
			b.Since = last.Since
		}
	}
	b.RetryAt = now().Add(blockedBackoff.wait(b.Times))
	p.log().Error("orchestration is blocked", "reason", b.Reason, "operation", b.Operation,
		"source", b.Source, "retryAt", b.RetryAt)
	if p.isByHand() {
		p.evictLocked(&BlockedError{ID: p.info.ID, Blocked: b})
		return
	}
	p.stopLocked(Release{WakeAt: b.RetryAt, Blocked: &b}, &BlockedError{ID: p.info.ID, Blocked: b})
}

// flushDelay is how long a pending change that nobody waits for may stay in memory.
const flushDelay = 5 * time.Millisecond
