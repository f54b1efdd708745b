package lambdabiz

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// pending is the changes of a run that no commit has taken yet.
type pending struct {
	ops      []*op // dirty, each once
	timeouts []*op // event waits whose time is over, if no event has come by then
	consumed []int64
	back     map[int64]bool // of consumed: those that were given back
	progress Payload
	started  bool
	starts   []RunStart
	raises   []Raise
	controls []Control
	attempts []Attempt
}

func (p *pending) empty() bool {
	return len(p.ops) == 0 && len(p.timeouts) == 0 && len(p.consumed) == 0 && p.progress == nil &&
		len(p.starts) == 0 && len(p.raises) == 0 && len(p.controls) == 0 && len(p.attempts) == 0
}

// giveBack withdraws that a message is consumed.
func (p *pending) giveBack(number int64) {
	if p.back == nil {
		p.back = map[int64]bool{}
	}
	p.back[number] = true
}

// consume notes that a message is consumed.
func (p *pending) consume(number int64) {
	if p.back[number] {
		delete(p.back, number)
		return
	}
	p.consumed = append(p.consumed, number)
}

// takeConsumed are the messages that are consumed and were not given back.
func (p *pending) takeConsumed() []int64 {
	if len(p.back) > 0 {
		p.consumed = slices.DeleteFunc(p.consumed, func(n int64) bool { return p.back[n] })
		p.back = nil
	}
	return p.consumed
}

// changedLocked counts a change, and makes sure that it does not stay in memory for long.
func (r *run) changedLocked() {
	r.changed++
	if r.since.IsZero() && r.phase != phaseDead {
		r.since = time.Now()
		if !r.ends() {
			r.env.flushes.Add(r, r.since)
		}
	}
}

// touchLocked puts an operation into the pending changes.
func (r *run) touchLocked(o *op) {
	r.joinLocked(o)
	r.changedLocked()
	o.change = r.changed
}

// joinLocked has an operation written with the next commit, whenever that comes.
func (r *run) joinLocked(o *op) {
	if o.Number == 0 {
		r.record.number(o)
	}
	r.record.changed(o)
	if !o.dirty {
		o.dirty = true
		r.pending.ops = append(r.pending.ops, o)
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

// flushDelay is how long a pending change that nobody waits for may stay in memory.
const flushDelay = 5 * time.Millisecond

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

// flushLocked blocks until the changes up to target are durable and the run is claimed. It reports
// whether the run is live.
func (r *run) flushLocked(target uint64) bool {
	r.flushers++
	r.target = max(r.target, target)
	for r.phase == phaseLive && (r.durable < target || !r.claimed) {
		if r.committing || !r.claimed || r.ends() && r.active != r.flushers {
			r.moved.Wait()
			continue
		}
		r.commitLocked()
	}
	r.flushers--
	return r.phase == phaseLive
}

// idleLocked is called when a branch has blocked or ended. The last one commits what is pending.
func (r *run) idleLocked() {
	r.judgeHeldLocked()
	r.judgeCircleLocked()
	for r.phase == phaseLive && r.active == r.flushers && !r.committing && r.closing == nil {
		if r.active == 0 && (r.matchLocked(true) || r.phase != phaseLive) {
			return
		}
		if !r.claimed || r.active > 0 && (!r.ends() || r.durable >= r.target) {
			break // in the last case the flushers are about to go on
		}
		if !r.ends() && r.pending.empty() {
			break
		}
		if r.ends() {
			r.fireLocked(now()) // the next claim may come to another worker, which begins afresh
			if r.active != r.flushers {
				continue
			}
		}
		r.commitLocked()
	}
	if r.phase == phaseLive && r.active == 0 && !r.committing && r.closing == nil {
		if r.restedLocked() {
			return
		}
		r.armLocked()
		if r.hand {
			if !r.ends() {
				r.pollLater()
			}
			return
		}
		r.env.idle.Add(r, r.nextDueLocked(), r.sizeLocked())
	}
}

// nudgeLocked commits from a goroutine of its own what no branch will: for callers that must not block.
func (r *run) nudgeLocked() {
	if r.phase == phaseLive && r.active == 0 && r.claimed && !r.committing && r.closing == nil {
		go func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.idleLocked()
		}()
	}
}

// commitLocked makes what is pending durable. It gives mu up meanwhile; committing keeps other commits
// and deliveries of the run away. A branch that blocks meanwhile leaves the rest to the caller: one that
// is no branch calls idleLocked afterwards.
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
	if !r.since.IsZero() && !r.ends() && time.Since(r.since) >= flushDelay {
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

// nudgeIfPendingLocked covers a change that a delivery made while no branch is there to commit it.
func (r *run) nudgeIfPendingLocked() {
	if !r.pending.empty() && !r.parking {
		r.nudgeLocked()
	}
}

// taken is a commit with what it was made of.
type taken struct {
	commit   *Commit
	upTo     uint64 // the last change in it
	ops      []*op
	timeouts []*op
}

// takenCommit is a commit with room for what most have: their run and one operation.
type takenCommit struct {
	commit     Commit
	ref        RunRef
	operations [1]Operation
}

// takeLocked makes a commit of all that is pending.
func (r *run) takeLocked() taken {
	p := &r.pending
	room := &takenCommit{ref: r.ref}
	c := &room.commit
	*c = Commit{
		Run: &room.ref, Worker: r.writer(), At: now(), Seen: r.seen, Fetch: r.fetch,
		Consumed: p.takeConsumed(), Progress: p.progress, Started: p.started,
		Starts: p.starts, Raises: p.raises, Controls: p.controls, Attempts: p.attempts,
	}
	c.Operations = room.operations[:0]
	timeouts, later := r.takeOperationsLocked(c)
	if len(c.Operations) == 0 {
		c.Operations = nil
	}
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
		c.Again = r.flushers > 0 || len(p.timeouts) > 0 ||
			len(c.Starts) > 0 && !r.env.desc.performs(KindChild) || len(c.Raises) > 0 && !r.env.desc.performs(KindRaise)
		c.Keep = !r.renew
	}
	if c.Fetch {
		r.looked = time.Now()
	}
	t := taken{commit: c, upTo: r.changed, ops: p.ops, timeouts: timeouts}
	r.pending = pending{timeouts: later}
	r.since, r.fetch = time.Time{}, false
	return t
}

// takeOperationsLocked puts into a commit what has become of operations: of waits too whose time is over, but later
// of those whose code reads an event just now.
func (r *run) takeOperationsLocked(c *Commit) (timeouts, later []*op) {
	// A run that stops gives events to waits no more: one that has come in time would lose to the time-out.
	live := r.phase == phaseLive
	timesOut := func(o *op) bool { return live && o.timingOut && !o.Status.Ended() && !o.choosing() }
	for _, o := range r.pending.timeouts {
		if timesOut(o) {
			c.Operations = append(c.Operations, r.timedOut(o, c.At))
			c.Conditional = true
		}
		if o.choosing() {
			later = append(later, o)
		} else {
			timeouts = append(timeouts, o)
		}
	}
	clear(r.inbox.taken)
	for _, o := range r.pending.ops {
		o.dirty = false
		if o.message != nil {
			o.message = nil
			r.record.changed(o)
		}
		if !timesOut(o) {
			c.Operations = append(c.Operations, o.Operation)
		}
	}
	slices.SortFunc(c.Operations, func(a, b Operation) int { return cmp.Compare(a.Number, b.Number) })
	return timeouts, later
}

// writer is the worker that commits; a run driven by hand has none.
func (r *run) writer() int64 {
	if r.hand {
		return 0
	}
	return r.env.worker.Load()
}

// ends reports whether a commit of this run ends its claim, and the next one comes when something has
// happened.
func (r *run) ends() bool { return r.env.endsClaim }

// mergeLocked takes over what the backend has performed. It is durable: nothing of it is to be committed.
func (r *run) mergeLocked(operations []Operation) {
	for i := range operations {
		rec := &operations[i]
		o := r.record.get(rec.ID)
		if o == nil || o.Status.Ended() || !r.env.desc.performs(rec.Kind) || rec.Attempts != o.Attempts || o.dirty {
			continue
		}
		if !rec.Status.Ended() {
			o.Status, o.StartedAt, o.Details = rec.Status, rec.StartedAt, rec.Details
			r.record.changed(o)
			continue
		}
		o.Operation = *rec
		if o.takeTried(); !o.tried {
			if o.Tried != nil { // final, and not in the record yet
				o.Tried = nil
				r.touchLocked(o)
			}
			r.hookEnded(o)
		}
		r.record.changed(o)
		r.wakeLocked(o.waiter)
	}
}

// timedOut is the record of an event wait whose time is over. It becomes true with its commit.
func (r *run) timedOut(o *op, at time.Time) Operation {
	rec := o.Operation
	rec.Status, rec.EndedAt = StatusTimeout, at
	rec.Error = r.env.registry.record(&EventTimeoutError{Event: o.Name, OperationID: o.ID, Deadline: o.DueAt})
	return rec
}

// settleLocked takes the verdict on a commit.
func (r *run) settleLocked(t taken, v Verdict) {
	c := t.commit
	switch {
	case v.Err == ErrStale: //nolint:errorlint // see commit: the store's errors are not asked under the lock
		r.putBackLocked(t)
		r.claimEndsLocked(v)
		r.acceptLocked(v.Messages)
		return
	case v.Err != nil:
		r.evictLocked(v.Err)
		return
	}
	r.durable, r.applied = max(r.durable, t.upTo), c.Run.Fence
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
	if !r.ends() || v.Held {
		return
	}
	r.claimed = false
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

func (r *run) leftBecause(c *Commit) error {
	switch {
	case c.Close != nil:
		return ErrClosed
	case r.cause != nil:
		return r.cause
	default:
		return errParked
	}
}

var errParked = errors.New("orchestration is parked")

// settleOperationsLocked takes back what the commit made of operations: refusals and time-outs.
func (r *run) settleOperationsLocked(c *Commit) {
	for i := range c.Operations {
		rec := &c.Operations[i]
		o := r.record.get(rec.ID)
		if o == nil || o.Status == rec.Status || !rec.Status.Ended() || o.dirty {
			continue
		}
		o.Operation = *rec
		r.record.changed(o)
		r.inbox.leave(o)
		r.hookEnded(o)
		r.wakeLocked(o.waiter)
	}
}

// putBackLocked makes pending again what a refused commit took.
func (r *run) putBackLocked(t taken) {
	p, c := &r.pending, t.commit
	for _, o := range t.ops {
		if !o.dirty {
			o.dirty = true
			p.ops = append(p.ops, o)
		}
	}
	p.timeouts = append(t.timeouts, p.timeouts...)
	p.consumed = append(c.Consumed, p.consumed...)
	if p.progress == nil {
		p.progress = c.Progress
	}
	p.started = p.started || c.Started
	p.starts = append(c.Starts, p.starts...)
	p.raises = append(c.Raises, p.raises...)
	p.controls = append(c.Controls, p.controls...)
	p.attempts = append(c.Attempts, p.attempts...)
	for _, o := range t.ops {
		if o.Kind == KindChild && o.Status == StatusCancelled {
			r.withdrawStartLocked(o) // it was cancelled while its start was on its way
		}
	}
	r.fetch = r.fetch || c.Fetch
	r.changedLocked()
}

// parkLocked releases an idle run, if no newer message has come. Its branches end only after that.
func (r *run) parkLocked() {
	if r.phase != phaseLive || r.active != 0 || r.committing || r.closing != nil || r.hand {
		return
	}
	if !r.claimed { // a cache only: the backend knows all
		r.evictLocked(errParked)
		return
	}
	if len(r.pending.timeouts) > 0 { // what their commit wakes has no other time to wake
		r.idleLocked()
		return
	}
	fault.Point("run.park")
	r.parking = true
	r.commitLocked()
	fault.Point("run.parked")
	r.parking = false
	r.idleLocked()
}

// park releases the run if it is idle still.
func (r *run) park() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parkLocked()
}

// runBytes is the estimated memory of a waiting run beside its payloads: stacks and maps.
const runBytes = 12 << 10

func (r *run) sizeLocked() int64 {
	return int64(runBytes+len(r.info.Input)) + r.record.bytes + r.inbox.bytes
}
