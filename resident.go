package lambdabiz

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// adopt makes a claimed run resident, or goes on with the copy that is. What has come early is for a run that
// its start has claimed, or where commits end claims: else nothing comes between a claim and its answer.
//
// A claim of another worker than the one that this process is by now is not taken: its worker has left, or was declared
// dead, and others may have gone on with the run. It is nil then.
func (e *Engine) adopt(c *Claimed, worker int64, started bool) *run {
	for e.takesClaimsOf(worker) {
		var ahead []Message
		if old := e.resident(c.RunID); old != nil {
			if old.follows(c) {
				return old // the answer to an earlier claim is late
			}
			if e.endsClaim && old.resume(c) {
				return old
			}
			ahead = old.evictFor(c.Ref)
		}
		fault.Point("worker.adopt")
		if r := e.admit(c, worker, started, ahead); r != nil {
			return r
		}
	}
	return nil
}

func (e *Engine) takesClaimsOf(worker int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return worker == e.claimer
}

// admit makes a claimed run resident. It returns nil when another claim of the run was quicker: where commits end
// claims several answers may be on their way at once, and a copy that nobody knows would never end.
func (e *Engine) admit(c *Claimed, worker int64, started bool, ahead []Message) *run {
	r := newRun(context.Background(), &e.env, c)
	r.def = e.registry.definition(c.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending.started = c.StartedAt.IsZero()
	r.acceptLocked(c.Messages) // before others can be delivered
	r.started = true
	entered, accepting, early := e.enter(r, worker)
	if !entered {
		r.evictLocked(ErrFenced)
		return nil
	}
	if started || e.endsClaim {
		r.acceptLocked(ahead)
		r.acceptLocked(early)
	}
	if accepting {
		go r.start(c)
	} else {
		r.stopLocked(Release{WakeAt: now()}, ErrStopped)
		late := time.AfterFunc(e.config.DrainTimeout+stopGrace, r.abandon) // the drain may not have seen it
		context.AfterFunc(r.base, func() { late.Stop() })
	}
	return r
}

// enter puts a run among the residents, if there is no other copy of it, and returns what has come for it. The
// worker may drain: then it is not accepted.
func (e *Engine) enter(r *run, worker int64) (entered, accepting bool, early []Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if worker != e.claimer || e.residents[r.info.RunID] != nil {
		return false, false, nil
	}
	e.residents[r.info.RunID], e.byID[r.info.ID] = r, r
	if len(e.residents) == 1 {
		select {
		case e.busy <- struct{}{}:
		default:
		}
	}
	kept := e.early[r.info.RunID]
	delete(e.early, r.info.RunID)
	return true, e.accepting, kept.of(r.ref)
}

// start runs the code of a claimed run.
func (r *run) start(c *Claimed) {
	r.mu.Lock()
	r.fireLocked(now()) // the deadline may have passed
	r.armLocked()
	switch {
	case crashLoop(c):
		r.blockLocked(Blocked{Crashes: c.Crashes, Reason: fmt.Sprintf(
			"%d workers in a row died while they ran it, without a new record", c.Crashes)})
	case r.def == nil:
		why := fmt.Errorf("no definition with the name %q is registered", r.info.Name)
		if r.endsUnbegunLocked() {
			r.closing = r.closeUnbegun(why)
			r.finishLocked()
			break
		}
		r.blockLocked(Blocked{Reason: why.Error()})
	}
	live := r.phase == phaseLive
	r.mu.Unlock()
	if live {
		r.env.hooks.runStarted(r.event(StatusStarted))
		r.main()
	}
}

// crashLoop reports whether the run kills its workers: five in a row, or one more after it was blocked
// for that and has recorded nothing since. A run that only waited while its workers died has not done it.
func crashLoop(c *Claimed) bool {
	limit := maxCrashes
	if b := c.Blocked; b != nil && b.Crashes > 0 && b.Recorded >= progressOf(c.Operations) {
		limit = 1
	}
	if c.Crashes < limit {
		return false
	}
	if limit == 1 || c.Crashes >= 2*maxCrashes {
		return true // whatever it waits for beside
	}
	waits := false
	for i := range c.Operations {
		o := &c.Operations[i]
		if o.Status.Ended() {
			continue
		}
		if o.Status == StatusStarted && (o.Kind == KindTask || o.Kind == KindStep || o.Kind == KindService) {
			return true
		}
		waits = true
	}
	return !waits
}

func progressOf(operations []Operation) int {
	n := 0
	for i := range operations {
		n += operations[i].progress()
	}
	return n
}

// follows reports whether this copy's claim is a later one than c.
func (r *run) follows(c *Claimed) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase != phaseDead && r.ref.Fence >= c.Ref.Fence
}

// evictFor ends this copy, and returns what has come ahead of the claim of the one that follows.
func (r *run) evictFor(next RunRef) []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evictLocked(ErrFenced)
	r.takeMailLocked()
	return r.ahead.of(next)
}

// resume goes on with a run that stayed in memory after a commit ended its claim. It reports false
// when the claim does not follow on that commit.
func (r *run) resume(c *Claimed) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.phase == phaseLive && r.committing && c.Follows == r.ref.Fence {
		r.moved.Wait() // the commit that ended the claim is durable, its verdict is on its way
	}
	if r.phase != phaseLive || r.claimed || c.Follows != r.applied {
		return false
	}
	r.ref, r.claimed, r.until, r.renew = c.Ref, true, c.Until, false
	r.env.idle.Remove(r)
	r.mergeLocked(c.Operations)
	r.acceptLocked(c.Messages)
	r.acceptLocked(r.ahead.of(c.Ref))
	r.fireLocked(now())
	r.openBarrierLocked()
	r.moved.Broadcast()
	if r.phase == phaseLive && r.active == 0 {
		go func() { // nobody woke: the claim must be answered all the same
			r.mu.Lock()
			defer r.mu.Unlock()
			r.idleLocked()
		}()
	}
	return true
}
