package lambdabiz

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// pump commits what is in the book of a run, and takes in what comes for it. What its next step is a [standing] says. It
// knows nothing of code: branches, which are goroutines of others, come by when they have something to commit, wait for a
// commit, or block.
//
// mu guards all of it, the book too, and is never held over I/O or author's code. Whoever has it gives it up by unlock, or
// by one of the methods that wait. Lock order: mu, then the locks of the engine.
type pump struct {
	mu    sync.Mutex
	moved sync.Cond // durable, claimed, committing or phase has changed

	// stirred: a branch has begun or ended something, or moved. Races wait for it: if all who wait for a commit
	// were woken whenever anything begins, a fan-out would cost the square of its width.
	stirred sync.Cond

	book
	hold
	barrier   barrier
	submitter submitter
	parking   bool
	forced    bool // a stopping run is released although bodies go on
	started   bool // its code runs in this process

	letters letterbox
	seen    int64         // the number of the last message
	arrived []Message     // during a commit
	ahead   earlyMessages // of a claim to come, where commits end claims

	// What the engine knows of the run: see arm.
	alarm   time.Time // what its alarm is set to
	flushes time.Time // the change that its queue of late changes has; zero for none
	rests   bool      // its list of idle runs has it
	looks   bool      // it looks, after a while, whether code that is to stop comes any further
	counted bool      // residents.active counts it

	trail   trail // of what the function waits for
	doubted bool  // it is looked again soon whether branches wait for each other

	base    context.Context //nolint:containedctx // ends when the run leaves this process
	endBase context.CancelCauseFunc
	left    atomic.Bool // the run is dead: its code logs nothing any more
}

// open makes the pump of a claimed run.
func (p *pump) open(ctx context.Context, e *env, c *Claimed) {
	p.moved.L, p.stirred.L, p.barrier.begun.L = &p.mu, &p.mu, &p.mu
	p.submitter.env, p.submitter.child = e, c.Parent != nil
	p.submitter.done, p.submitter.abandoned = make(chan struct{}), make(chan struct{})
	if p.takeClaim(c); e.endsClaim {
		p.tenure = tenureOfACommit
	}
	p.base, p.endBase = context.WithCancelCause(ctx)
	p.book.open(e, c)
	p.root = newScope(p.base, nil, "", false)
	p.root.place, p.cancel.root = &p.record.root, p.root
}

// unlock gives mu up.
func (p *pump) unlock() {
	p.arm()
	p.mu.Unlock()
}

// await waits until something has moved; mu is given up meanwhile.
func (p *pump) await(c *sync.Cond) {
	p.arm()
	c.Wait()
}

// arm tells the engine what has become of the run while mu was held: that it does not rest any more, that it is active, or is not
// any more, that a change is to be committed soon, when it has something to do by time. What is done for it then takes mu again.
func (p *pump) arm() {
	if p.stirs {
		p.stirs = false
		p.stirred.Broadcast()
	}
	if p.rests && (p.active > 0 || p.phase != phaseLive) {
		p.rests = false
		p.env.idle.Remove(p)
	}
	if busy := p.active > 0 && p.phase != phaseDead; busy != p.counted && !p.commitEndsClaim() && !p.isByHand() {
		p.counted = busy
		p.env.owner.countActive(busy)
	}
	if p.phase == phaseDead {
		return
	}
	if p.cancel.watched && !p.looks {
		p.looks = true
		time.AfterFunc(p.stillFor(), p.lookAgain)
	}
	switch {
	case p.committing:
		return // whoever commits comes by again
	case p.commitEndsClaim(), p.isReadOnly():
		return // the next commit ends the claim, and the backend claims the run when it is due
	}
	if !p.since.Equal(p.flushes) {
		if p.flushes = p.since; !p.since.IsZero() {
			p.env.flushes.Add(p, p.since)
		}
	}
	if p.phase != phaseLive {
		return
	}
	if next := p.dueNext(); !next.IsZero() && (p.alarm.IsZero() || next.Before(p.alarm)) || p.rests && !next.Equal(p.alarm) {
		p.alarm = next
		p.env.alarms.Set(p, next)
	}
}

// lookAgain tells the code to stop, at last, that has come no further.
func (p *pump) lookAgain() {
	p.mu.Lock()
	defer p.unlock()
	p.looks = false
	p.cancel.lookAgain()
}

// post leaves messages for the run. It does not wait for mu.
func (p *pump) post(a Arrival) { p.letters.post(a, p.takeMail) }

func (p *pump) takeMail() {
	p.mu.Lock()
	defer p.unlock()
	p.takeMailLocked()
}

// evict ends the run in this process at once.
func (p *pump) evict(cause error) {
	p.mu.Lock()
	defer p.unlock()
	p.evictLocked(cause)
}

// evictLocked ends the run in this process at once. What is pending is dropped: it was never
// acknowledged, or somebody else owns the run.
func (p *pump) evictLocked(cause error) {
	if p.phase == phaseDead {
		return
	}
	if p.phase == phaseLive {
		p.cause = cause
	}
	p.phase = phaseDead
	p.left.Store(true)
	p.endBase(cause)
	p.wakeAllLocked()
	close(p.submitter.done) // before others are told that it has left
	p.env.owner.forget(p, &p.info)
	if p.unwatch != nil {
		p.unwatch()
	}
}

func (p *pump) wakeAllLocked() {
	p.endTurns(true)
	for w := range p.waiting {
		p.wake(w)
	}
	p.moved.Broadcast()
	p.stirred.Broadcast()
}

// standingLocked is how the run stands.
func (p *pump) standingLocked() standing {
	return standing{
		phase: p.phase, closing: p.closing != nil, claimed: p.claimed, committing: p.committing, perCommit: p.commitEndsClaim(),
		hand: p.isByHand(), pending: !p.pending.empty(), timeouts: len(p.pending.timeouts) > 0,
		active: p.active, flushers: p.flushers, durable: p.durable, target: p.target,
	}
}

// idleLocked is called when a branch has blocked or ended, and by others who leave nobody behind that commits.
func (p *pump) idleLocked() {
	p.held.judge()
	p.judgeCircleLocked()
	for {
		if s := p.standingLocked(); s.active == 0 && s.idle() != stepNone && p.match(true) {
			return // a branch that got an event goes on
		}
		switch s := p.standingLocked(); s.idle() {
		case stepFire:
			if p.fire(now()); p.active == s.active {
				p.commitLocked()
			}
		case stepCommit:
			p.commitLocked()
		case stepRest:
			p.restingLocked()
			return
		default:
			return
		}
	}
}

// judgeCircleLocked is called when a branch has blocked or ended. It blocks the run if nothing can end what its function
// waits for: branches wait for each other, or a branch waits for itself. A wait is for the first of several branches to
// end, and it ends too when the branch that waits, or one around it, loses a race. So the function waits in vain if all
// code that could end its wait in one of these ways only waits itself. Code that is not in an operation may be about to
// race, so the verdict is put off for raceGrace while there is such code.
func (p *pump) judgeCircleLocked() {
	if p.root.awaits == nil || p.doubted && !p.rest(0) {
		return
	}
	switch c := p.trail.search(p.root); {
	case c == nil:
	case p.rest(0):
		p.blockCircleLocked(c)
	default:
		p.doubted = true
		time.AfterFunc(raceGrace, func() {
			p.mu.Lock()
			defer p.unlock()
			p.doubted = false
			if c := (&circle{}); c.add(p.root) {
				p.blockCircleLocked(c)
			}
		})
	}
}

// blockCircleLocked blocks the run if no race ends any of the waits.
func (p *pump) blockCircleLocked(c *circle) {
	if p.isOpen() && c.addRaces(p.record.places) {
		p.blockLocked(blockedBy(p.root))
	}
}

// restingLocked is called when all code of a run waits for something to come. Nobody tells a run that is driven by hand that
// something has: it asks again and again.
func (p *pump) restingLocked() {
	switch poll := p.env.config.PollInterval; {
	case p.rested():
	case !p.isByHand():
		p.rests = true
		p.env.idle.Add(p, p.dueNext(), p.size())
	case !p.commitEndsClaim() && poll >= 0 && !p.polling:
		p.polling = true
		time.AfterFunc(poll, func() {
			p.mu.Lock()
			p.polling = false
			idle := p.phase == phaseLive && p.active == 0
			p.unlock()
			if idle {
				p.refresh()
			}
		})
	}
}

// nudgeLocked commits from a goroutine of its own what no branch will: for callers that must not block, and have changed
// something when no branch is there to come by.
func (p *pump) nudgeLocked() {
	if !p.pending.empty() && !p.parking && p.standingLocked().nudged() == stepCommit {
		go func() {
			p.mu.Lock()
			defer p.unlock()
			p.idleLocked()
		}()
	}
}

// flushLocked blocks until the changes up to target are durable and the run is claimed. It reports
// whether the run is live.
func (p *pump) flushLocked(target uint64) bool {
	p.flushers++
	defer func() { p.flushers-- }()
	p.target = max(p.target, target)
	for {
		switch p.standingLocked().flush(target) {
		case stepCommit:
			p.commitLocked()
		case stepWait:
			p.await(&p.moved)
		default:
			return p.phase == phaseLive
		}
	}
}

// spareLocked blocks the calling branch, which is about to add something, while as much is pending as a commit may well have.
// What comes from outside, or together, cannot be held up: see Description.MaxCommitItems.
func (p *pump) spareLocked() {
	for p.phase == phaseLive && p.pending.isLarge(&p.env.desc) {
		p.note() // what has joined others counts as no change, and is to be written too
		if !p.flushLocked(p.changed) {
			return
		}
	}
}

// flushLate commits what has been pending since then, so that a long operation is seen running.
func (p *pump) flushLate(since time.Time) {
	p.mu.Lock()
	defer p.unlock()
	switch {
	case p.phase == phaseDead || p.closing != nil || !p.isLate(since):
	case p.committing:
		p.flushes = time.Time{} // whoever commits tells the engine again
	default:
		p.commitLocked()
		p.idleLocked()
	}
}

// flushIfLate begins flushLate if what was pending since then may still be: most of it has been committed meanwhile. It
// waits for no lock.
func (p *pump) flushIfLate(since time.Time) {
	if !p.mu.TryLock() {
		go p.flushLate(since)
		return
	}
	defer p.unlock()
	if p.isLate(since) {
		go p.flushLate(since)
	}
}

// park releases an idle run, if no newer message has come. Its branches end only after that.
func (p *pump) park() {
	p.mu.Lock()
	defer p.unlock()
	switch p.standingLocked().park() {
	case stepEvict:
		p.evictLocked(errParked)
	case stepCommit:
		p.idleLocked()
	case stepPark:
		fault.Point("run.park")
		p.parking = true
		p.commitLocked()
		fault.Point("run.parked")
		p.parking = false
		p.idleLocked()
	default:
	}
}

// refresh asks for messages that have come.
func (p *pump) refresh() {
	p.mu.Lock()
	defer p.unlock()
	for p.committing && p.phase == phaseLive {
		p.await(&p.moved)
	}
	if p.phase != phaseLive || p.closing != nil || p.commitEndsClaim() { // where commits end claims, a claim comes
		return
	}
	p.fetch = true
	p.commitLocked()
	p.idleLocked()
}

// ring is called by the engine's alarm.
func (p *pump) ring() {
	p.mu.Lock()
	defer p.unlock()
	p.alarm = time.Time{}
	if p.phase == phaseLive && p.claimed && !p.committing { // else it rings again
		p.fire(now())
		fault.Point("timer.fired")
		p.nudgeLocked()
	}
}

// deliverLocked takes messages in, or keeps them until the commit is over that is on its way.
func (p *pump) deliverLocked(messages []Message) {
	switch {
	case p.phase == phaseDead:
	case p.commitEndsClaim() && !p.claimed:
		// They came under a claim that is still on its way to this copy, with older messages in it: taken now,
		// those would count as seen. The commit that answers the claim is stale, and brings them.
	case p.committing:
		p.arrived = append(p.arrived, messages...)
	default:
		p.acceptLocked(messages)
		if p.phase == phaseLive {
			p.nudgeLocked()
		}
	}
}

// waitLocked blocks the calling branch until the waiter is woken; mu is given up meanwhile. The run
// may not be live when it returns.
func (p *pump) waitLocked(s *scope, w *waiter) {
	p.block(w)
	s.blocked = w
	p.idleLocked()
	p.unlock()
	<-w.ready
	p.mu.Lock()
}

// bodyEndedLocked lets a stopping run go when its last body has ended.
func (p *pump) bodyEndedLocked() {
	p.bodies--
	switch p.standingLocked().bodyEnded(p.bodies) {
	case stepFinish:
		p.finishLocked()
	case stepCommit:
		p.commitLocked()
	default:
	}
}

// lookLocked asks for messages that have come, if nobody has for a while: a worker would have been told by now. What
// the code does next must not begin after a pause.
func (p *pump) lookLocked() {
	if p.phase != phaseLive || p.closing != nil || p.commitEndsClaim() || !p.isDue(time.Now(), p.env.config.PollInterval) {
		return // where commits end claims, one would end this
	}
	p.fetch = true // if not with this commit, then with the next one
	if !p.committing {
		p.commitLocked()
	}
}

// takeMailLocked takes in what has come, in the order in which it came.
func (p *pump) takeMailLocked() {
	for _, a := range p.letters.empty() {
		switch {
		case !p.commitEndsClaim() || a.Ref.Fence <= p.ref.Fence:
			p.deliverLocked(a.Messages)
		case p.phase != phaseDead:
			// The answer to their claim, which this copy has not got yet, has older ones.
			p.ahead.add(a)
		default:
			p.ahead.add(a) // for the copy that follows, if it looks here after this; else it is there, or they are early
			p.env.owner.forward(a, p)
		}
	}
}

// barrierLocked blocks until a body may begin in the scope: all that was given is durable, and the claim lasts for as
// long as a step may take. It reports whether the code may go on.
func (p *pump) barrierLocked(s *scope, lasts time.Duration) bool {
	for p.isLive(s) && p.passLocked() && p.lastsLocked(lasts) {
		if p.barrier.isOpen(p.durable, p.claimed) {
			return p.isLive(s)
		}
	}
	return false
}

// admitLocked is barrierLocked for a body whose begin is added to what is pending: not while that is as much as it may well be.
func (p *pump) admitLocked(s *scope, lasts time.Duration) bool {
	for p.barrierLocked(s, lasts) {
		if !p.pending.isLarge(&p.env.desc) {
			return true
		}
		p.spareLocked() // others may be given something meanwhile
	}
	return false
}

// passLocked blocks until the barrier is open. It reports whether the run is live. It is [pump.flushLocked] for a target
// that moves.
func (p *pump) passLocked() bool {
	b := &p.barrier
	p.flushers++
	defer func() { p.flushers-- }()
	for {
		p.target = max(p.target, b.given)
		switch p.standingLocked().flush(b.given) {
		case stepCommit:
			p.commitLocked()
		case stepWait:
			p.waitForBarrierLocked()
		default:
			return p.phase == phaseLive
		}
	}
}

// waitForBarrierLocked waits as flushLocked does. If the barrier was opened meanwhile, the calling body is one of those
// that were admitted together.
func (p *pump) waitForBarrierLocked() {
	b := &p.barrier
	opened := b.opened
	b.waiting++
	p.await(&p.moved)
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
func (p *pump) knowsLocked(change uint64) {
	for p.barrier.admitted > 0 {
		p.await(&p.barrier.begun)
	}
	p.barrier.given = max(p.barrier.given, change)
}

// lastsLocked makes sure that the claim goes on for as long as an inline step may take, where claims end by
// themselves. It reports false when the run is not live any more.
func (p *pump) lastsLocked(d time.Duration) bool {
	for p.phase == phaseLive && !p.lasts(d, time.Now()) {
		p.renew = true
		p.changed++
		if !p.flushLocked(p.changed) {
			return false
		}
	}
	return p.phase == phaseLive
}
