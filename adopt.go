package lambdabiz

import (
	"context"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// adopt makes a claimed run resident, or goes on with the copy that is. Messages that overtook the claim are delivered
// if the run was claimed by its own start, or where a commit ends the claim. Elsewhere none can overtake it.
//
// A claim of another worker than the one that this process is by now is not taken: its worker has left, or was declared
// dead, and others may have gone on with the run. It is nil then.
func (e *Engine) adopt(c *Claimed, worker int64, started bool) *run {
	for e.takesClaimsOf(worker) {
		var ahead []Message
		if old := e.copyOf(c.RunID); old != nil {
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

// admit makes a claimed run resident. It returns nil when another claim of the run was quicker: where commits end
// claims several answers may be on their way at once, and a copy that nobody knows would never end.
func (e *Engine) admit(c *Claimed, worker int64, started bool, ahead []Message) *run {
	r := newRun(context.Background(), &e.env, e.registry, c)
	r.def = e.registry.definition(c.Name)
	r.mu.Lock()
	defer r.unlock()
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
