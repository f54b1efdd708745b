package lambdabiz

import (
	"sync"
	"time"
)

// barrier keeps bodies from beginning before every result is durable that the code of any branch has been given. A
// commit that leaves none behind admits all bodies that wait for it together. Until the last of these has begun, no
// code is given another result: each would find the barrier shut again, and wait for a commit of its own.
// It is guarded by run.mu.
type barrier struct {
	given    uint64 // the last change that code knows of
	waiting  int    // bodies that wait for a commit
	opened   int    // counts the times that it was opened
	admitted int    // bodies that it was opened for, and that have not begun
	begun    sync.Cond
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

// isOpenLocked reports whether all that was given is durable, under a claim.
func (r *run) isOpenLocked() bool { return r.durable >= r.barrier.given && r.claimed }

// passLocked blocks until the barrier is open. It reports whether the run is live. It is [run.flushLocked] for a target
// that moves.
func (r *run) passLocked() bool {
	b := &r.barrier
	r.flushers++
	for r.phase == phaseLive && !r.isOpenLocked() {
		r.target = max(r.target, b.given)
		if !r.committing && r.claimed && (!r.ends() || r.active == r.flushers) {
			r.commitLocked()
			continue
		}
		opened := b.opened
		b.waiting++
		r.moved.Wait()
		if b.opened == opened {
			b.waiting--
			continue
		}
		if b.admitted--; b.admitted == 0 {
			b.begun.Broadcast()
		}
	}
	r.flushers--
	return r.phase == phaseLive
}

// knowsLocked notes that code is about to be given what came about with a change. mu is given up while bodies that were
// admitted have not begun.
func (r *run) knowsLocked(change uint64) {
	for r.barrier.admitted > 0 {
		r.barrier.begun.Wait()
	}
	r.barrier.given = max(r.barrier.given, change)
}
