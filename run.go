package lambdabiz

import (
	"context"
	"errors"
	"sync/atomic"
)

// run is one orchestration in memory: the code of its function and of its branches, which are ordinary goroutines, on a
// [pump] that commits what they come to. Its mutex is the pump's: it is never held over I/O or author's code. Lock order:
// run.mu, then the locks of the engine.
type run struct {
	pump
	registry *registry
	def      *definitionSpec // nil if it is not registered, and by hand
	begun    atomic.Int32    // branches since the run gave way
}

// newRun makes the copy of a claimed run that is in this process.
func newRun(ctx context.Context, e *env, names *registry, c *Claimed) *run {
	r := &run{registry: names}
	r.open(ctx, e, c)
	return r
}

// stop releases a run for other workers: at once, or when what it waits for has happened.
func (r *run) stop(cause error) {
	r.mu.Lock()
	defer r.unlock()
	release := Release{WakeAt: now()}
	if r.active == 0 && r.bodies == 0 && !r.committing && r.closing == nil && r.pending.empty() {
		release.WakeAt = r.dueNext()
	}
	r.stopLocked(release, cause)
}

// forceRelease releases a stopping run whose bodies do not end.
func (r *run) forceRelease() {
	r.mu.Lock()
	defer r.unlock()
	r.forced = true
	r.finishLocked()
}

// abandon gives a run up whose store does not answer.
func (r *run) abandon() {
	r.submitter.giveUp()
	r.evict(ErrStopped)
}

// onCallerGone ends a run driven by hand in this process when its caller's context has ended. Where claims end by
// commits, one that is held is given back, or the next caller would have to wait for its end.
func (r *run) onCallerGone() {
	r.mu.Lock()
	defer r.unlock()
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
