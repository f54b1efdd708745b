package lambdabiz

import (
	"context"
	"errors"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// idleLocked is called when a branch has blocked or ended, and by others who leave nobody behind that commits.
func (r *run) idleLocked() {
	r.judgeHeldLocked()
	r.judgeCircleLocked()
	for {
		if s := r.standingLocked(); s.active == 0 && s.idle() != stepNone && r.matchLocked(true) {
			return // a branch that got an event goes on
		}
		switch s := r.standingLocked(); s.idle() {
		case stepFire:
			if r.fireLocked(now()); r.active == s.active {
				r.commitLocked()
			}
		case stepCommit:
			r.commitLocked()
		case stepRest:
			r.restingLocked()
			return
		default:
			return
		}
	}
}

// restingLocked is called when all code of a run waits for something to come.
func (r *run) restingLocked() {
	switch {
	case r.restedLocked():
	case !r.hand:
		r.armLocked()
		r.env.idle.Add(r, r.nextDueLocked(), r.sizeLocked())
	default:
		if r.armLocked(); !r.commitEndsClaim() {
			r.pollLater()
		}
	}
}

// nudgeLocked commits from a goroutine of its own what no branch will: for callers that must not block.
func (r *run) nudgeLocked() {
	if r.standingLocked().nudged() == stepCommit {
		go func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.idleLocked()
		}()
	}
}

// nudgeIfPendingLocked covers a change that a delivery made while no branch is there to commit it.
func (r *run) nudgeIfPendingLocked() {
	if !r.pending.empty() && !r.parking {
		r.nudgeLocked()
	}
}

// flushLocked blocks until the changes up to target are durable and the run is claimed. It reports
// whether the run is live.
func (r *run) flushLocked(target uint64) bool {
	r.flushers++
	defer func() { r.flushers-- }()
	r.target = max(r.target, target)
	for {
		switch r.standingLocked().flush(target) {
		case stepCommit:
			r.commitLocked()
		case stepWait:
			r.moved.Wait()
		default:
			return r.phase == phaseLive
		}
	}
}

// flushLate commits what has been pending since then, so that a long operation is seen running.
func (r *run) flushLate(since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isLateLocked(since) && !r.committing { // else the commit looks when it is done
		r.commitLocked()
		r.idleLocked()
	}
}

// flushIfLate begins flushLate if what was pending since then may still be: most of it has been committed meanwhile. It
// waits for no lock.
func (r *run) flushIfLate(since time.Time) {
	if !r.mu.TryLock() {
		go r.flushLate(since)
		return
	}
	defer r.mu.Unlock()
	if r.isLateLocked(since) {
		go r.flushLate(since)
	}
}

// isLateLocked reports whether what was pending since then still is.
func (r *run) isLateLocked(since time.Time) bool {
	return r.phase != phaseDead && r.closing == nil && r.since.Equal(since)
}

// parkLocked releases an idle run, if no newer message has come. Its branches end only after that.
func (r *run) parkLocked() {
	switch r.standingLocked().park() {
	case stepEvict:
		r.evictLocked(errParked)
	case stepCommit:
		r.idleLocked()
	case stepPark:
		fault.Point("run.park")
		r.parking = true
		r.commitLocked()
		fault.Point("run.parked")
		r.parking = false
		r.idleLocked()
	default:
	}
}

// park releases the run if it is idle still.
func (r *run) park() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parkLocked()
}

// refresh asks for messages that have come.
func (r *run) refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.committing && r.phase == phaseLive {
		r.moved.Wait()
	}
	if r.phase != phaseLive || r.closing != nil || r.commitEndsClaim() { // where commits end claims, a claim comes
		return
	}
	r.fetch = true
	r.commitLocked()
	r.idleLocked()
}

// pollLater asks for messages again and again while a run driven by hand waits: no worker does it.
func (r *run) pollLater() {
	poll := r.env.config.PollInterval
	if poll < 0 || r.polling {
		return
	}
	r.polling = true
	time.AfterFunc(poll, func() {
		r.mu.Lock()
		r.polling = false
		idle := r.phase == phaseLive && r.active == 0
		r.mu.Unlock()
		if idle {
			r.refresh()
		}
	})
}

// ring is called by the engine's alarm.
func (r *run) ring() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alarm = time.Time{}
	switch {
	case r.phase != phaseLive || !r.claimed:
	case r.committing:
		r.fireLate = true
	default:
		r.fireLocked(now())
		fault.Point("timer.fired")
		r.nudgeIfPendingLocked()
		r.armLocked()
	}
}

// deliverLocked takes messages in, or keeps them until the commit is over that is on its way.
func (r *run) deliverLocked(messages []Message) {
	switch {
	case r.phase == phaseDead:
	case r.commitEndsClaim() && !r.claimed:
		// They came under a claim that is still on its way to this copy, with older messages in it: taken now,
		// those would count as seen. The commit that answers the claim is stale, and brings them.
	case r.committing:
		r.arrived = append(r.arrived, messages...)
	default:
		r.acceptLocked(messages)
		if r.phase == phaseLive {
			r.nudgeIfPendingLocked()
		}
	}
}

// waitLocked blocks the calling branch until the waiter is woken; mu is given up meanwhile. The run
// may not be live when it returns.
func (r *run) waitLocked(s *scope, w *waiter) {
	r.block(w)
	s.blocked = w
	if !w.due.IsZero() {
		r.armLocked()
	}
	r.idleLocked()
	r.mu.Unlock()
	<-w.ready
	r.mu.Lock()
}

// bodyEndedLocked lets a stopping run go when its last body has ended.
func (r *run) bodyEndedLocked() {
	r.bodies--
	switch r.standingLocked().bodyEnded(r.bodies) {
	case stepFinish:
		r.finishLocked()
	case stepCommit:
		r.commitLocked()
	default:
	}
}

// stop releases a run for other workers: at once, or when what it waits for has happened.
func (r *run) stop(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	release := Release{WakeAt: now()}
	if r.active == 0 && r.bodies == 0 && !r.committing && r.closing == nil && r.pending.empty() {
		release.WakeAt = r.nextDueLocked()
	}
	r.stopLocked(release, cause)
}

// forceRelease releases a stopping run whose bodies do not end.
func (r *run) forceRelease() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forced = true
	r.finishLocked()
}

// abandon gives a run up whose store does not answer.
func (r *run) abandon() {
	r.givenUp.Do(func() { close(r.abandoned) })
	r.evict(ErrStopped)
}

// onCallerGone ends a run driven by hand in this process when its caller's context has ended. Where claims end by
// commits, one that is held is given back, or the next caller would have to wait for its end.
func (r *run) onCallerGone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := r.commitEndsClaim() && r.claimed && !r.committing && r.phase != phaseDead
	ref, seen := r.ref, r.seen
	r.evictLocked(ErrWaiting)
	if held {
		go func() {
			c := &Commit{Run: &ref, At: now(), Seen: seen, Release: &Release{WakeAt: now()}}
			v, err := r.env.committer.commit(context.Background(), c)
			if err = errors.Join(err, v.Err); err != nil {
				r.env.log.Warn("a claim was not given back, it ends by itself", "orchestration", ref.ID, "error", err)
			}
		}()
	}
}

// lookLocked asks for messages that have come, if nobody has for a while: a worker would have been told by now. What
// the code does next must not begin after a pause.
func (r *run) lookLocked() {
	if r.phase != phaseLive || r.closing != nil || r.commitEndsClaim() || !r.isDue(time.Now(), r.env.config.PollInterval) {
		return // where commits end claims, one would end this
	}
	r.fetch = true // if not with this commit, then with the next one
	if !r.committing {
		r.commitLocked()
	}
}

// takeMailLocked takes in what has come, in the order in which it came.
func (r *run) takeMailLocked() {
	b := &r.letters
	b.mu.Lock()
	arrivals := b.arrivals
	b.arrivals, b.taking = nil, false
	b.mu.Unlock()
	for _, a := range arrivals {
		switch {
		case !r.commitEndsClaim() || a.Ref.Fence <= r.ref.Fence:
			r.deliverLocked(a.Messages)
		case r.phase != phaseDead:
			// The answer to their claim, which this copy has not got yet, has older ones.
			r.ahead.add(a)
		default:
			r.ahead.add(a) // for the copy that follows, if it looks here after this; else it is there, or they are early
			r.env.owner.forward(a, r)
		}
	}
}

// post leaves messages for the run. It does not wait for run.mu.
func (r *run) post(a Arrival) {
	b := &r.letters
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrivals = append(b.arrivals, a)
	if !b.taking {
		b.taking = true
		go func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.takeMailLocked()
		}()
	}
}

// barrierLocked blocks until a body may begin in the scope: all that was given is durable, and the claim lasts for as
// long as a step may take. It reports whether the code may go on.
func (r *run) barrierLocked(s *scope, lasts time.Duration) bool {
	for r.liveLocked(s) && r.passLocked() && r.lastsLocked(lasts) {
		if r.isOpenLocked() {
			return r.liveLocked(s)
		}
	}
	return false
}

// passLocked blocks until the barrier is open. It reports whether the run is live. It is [run.flushLocked] for a target
// that moves.
func (r *run) passLocked() bool {
	b := &r.barrier
	r.flushers++
	defer func() { r.flushers-- }()
	for {
		r.target = max(r.target, b.given)
		switch r.standingLocked().flush(b.given) {
		case stepCommit:
			r.commitLocked()
		case stepWait:
			r.waitForBarrierLocked()
		default:
			return r.phase == phaseLive
		}
	}
}

// waitForBarrierLocked waits as flushLocked does. If the barrier was opened meanwhile, the calling body is one of those
// that were admitted together.
func (r *run) waitForBarrierLocked() {
	b := &r.barrier
	opened := b.opened
	b.waiting++
	r.moved.Wait()
	if b.opened == opened {
		b.waiting--
		return
	}
	if b.admitted--; b.admitted == 0 {
		b.begun.Broadcast()
	}
}

// knowsLocked notes that code is about to be given what came about with a change. mu is given up while bodies that were
// admitted have not begun.
func (r *run) knowsLocked(change uint64) {
	for r.barrier.admitted > 0 {
		r.barrier.begun.Wait()
	}
	r.barrier.given = max(r.barrier.given, change)
}

// lastsLocked makes sure that the claim goes on for as long as an inline step may take, where claims end by
// themselves. It reports false when the run is not live any more.
func (r *run) lastsLocked(d time.Duration) bool {
	for r.phase == phaseLive && !r.lasts(d, time.Now()) {
		r.renew = true
		r.changed++
		if !r.flushLocked(r.changed) {
			return false
		}
	}
	return r.phase == phaseLive
}
