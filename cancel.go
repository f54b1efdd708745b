package lambdabiz

import (
	"time"
)

// A cancellation, or the deadline, is known to a resumed run before its code runs. What is recorded happened without it,
// up to where the code was told: code that looks at its context must find it as it was then. So the record says where
// that was. When the code is told, the operation that goes on in each scope is marked (Operation.LastBeforeStop), or the
// one before, if its code looked between two operations; and what is begun later is marked too (Operation.AfterStop).
//
// In a resumed run a scope is told when its code comes to such a mark, or to where the record stops: to an operation that
// is new, or open, or was recorded as cancelled by what ends the run. Whoever waits for a branch that was told is told too.
// A branch without a mark had ended before: it is not told at all.
// Where nothing is marked, nobody was told before. Then all are told at once, as if the request came now: when everything
// that is recorded has been visited, in whatever branch. The same goes for a branch of which nothing was recorded before
// the stop: where its code was when it was told is not known.

// heedLocked tells the scope's code to stop, if it has come to where it was told before.
func (r *run) heedLocked(s *scope) {
	if r.stopCause != nil && !s.told && r.isToStopLocked(s) {
		s.tell(r.stopCause)
	}
}

// isToStopLocked reports whether the code of the scope has come to where it was told to stop, if it is to.
func (r *run) isToStopLocked(s *scope) bool {
	return s.past || r.record.root.before == 0 && (!r.record.marked || !s.place.hadBefore)
}

// findLocked looks an operation up. One that is new, or open, is where the record of the scope stops.
func (r *run) findLocked(s *scope, path string, f *former) *op {
	o := r.record.find(s.path, path, f)
	if o != nil && o.Status.Ended() {
		return o
	}
	unaware := !s.told
	r.isPastLocked(s)
	if o != nil && unaware && s.told && !o.AfterStop {
		o.LastBeforeStop = true // it is written with its end
	}
	return o
}

// isPastLocked notes that the code of the scope has passed what is recorded of it.
func (r *run) isPastLocked(s *scope) {
	s.past = true
	r.heedLocked(s)
}

// visitOpLocked notes that the code of a scope has come to a recorded operation.
func (r *run) visitOpLocked(s *scope, o *op) {
	left := r.record.root.before
	r.record.visit(o)
	if o.endedByStop() || o.LastBeforeStop || o.AfterStop {
		s.past = true
	}
	if left > 0 {
		r.heedAllLocked()
	}
	r.heedLocked(s)
}

// waitedLocked is called when the code has waited for a branch, and knows what that knew. A branch may have returned
// without a look at its context although it was told: then what the code has begun behind it, after it was told, says so.
func (r *run) waitedLocked(s, branch *scope) {
	if branch.past || r.record.marked && r.record.root.before == 0 && s.place.hasAfter {
		r.isPastLocked(s)
	}
}

// heedAllLocked tells all scopes, if nothing is left that was recorded before the stop.
func (r *run) heedAllLocked() {
	if r.stopCause != nil && r.record.root.before == 0 {
		r.tellLocked()
	}
}

// tellLocked tells all scopes whose code has come to where it was told before, and reports whether these are all.
func (r *run) tellLocked() (all bool) {
	all = r.tellScopeLocked(r.root)
	for _, p := range r.record.places {
		if p.scope != nil && !r.tellScopeLocked(p.scope) {
			all = false
		}
	}
	return all
}

// tellScopeLocked tells a scope wherever its code is, and marks the place. It reports whether the scope need not be told
// any more.
func (r *run) tellScopeLocked(s *scope) bool {
	switch {
	case s.told || s.isOver():
		return true
	case !r.isToStopLocked(s):
		return false
	}
	waits := s.waitsForBranch()
	s.tell(r.stopCause)
	switch {
	case s.current != nil:
		r.markLocked(s.current)
	case waits: // it is told with that branch
	case s.detached || s.asked.Load():
		r.markLocked(s.latest)
	default:
		s.unsure = s.latest
	}
	return true
}

// settleStopLocked is called when the code of a scope comes to an operation, to a branch that it begins or waits for, or to
// its end. If it was told since its operation before, that one is marked if the code has seen that. Else the code has done
// all as if it had not been told.
func (r *run) settleStopLocked(s *scope) (unaware bool) {
	o := s.unsure
	if o == nil {
		return false
	}
	s.unsure = nil
	if !s.asked.Load() {
		return true
	}
	r.markLocked(o)
	return false
}

// markLocked marks an operation in the course of which, or behind which, its code was told to stop. It is written with
// the next commit: whatever follows from that comes with it, or later. One that the home performs is written when it
// has ended, since the home may know of that before this does.
func (r *run) markLocked(o *op) {
	if o == nil || o.LastBeforeStop || o.AfterStop || o.endedByStop() || r.phase != phaseLive || r.replayOnly || r.paused != nil {
		return
	}
	o.LastBeforeStop = true
	if o.Number != 0 && o.Status.Ended() {
		r.join(&r.record, o)
	}
}

// replaceLocked takes over what a commit, or the home, has made of an operation. The mark stays.
func (r *run) replaceLocked(o *op, rec *Operation) {
	marked := o.LastBeforeStop && !rec.LastBeforeStop
	o.Operation = *rec
	if !marked {
		return
	}
	o.LastBeforeStop = true
	if o.Status.Ended() && o.Tried == nil { // else its end is still to come
		r.join(&r.record, o)
	}
}

// stillFor is how long a run whose code is to stop may come to nothing recorded before it is told all the same. Its code
// may wait for its context, to do what is recorded next; or what is recorded is not in the code any more.
// Who drives a run by hand may have other work between two operations.
const (
	stillFor       = 5 * time.Second
	stillForByHand = time.Minute
)

// watchStopLocked tells the code to stop, at last, that comes no further.
func (r *run) watchStopLocked() {
	left, still := r.record.root.unvisited, stillFor
	if r.hand {
		still = stillForByHand
	}
	time.AfterFunc(still, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.phase != phaseLive || r.closing != nil || r.tellLocked() {
			return
		}
		if r.record.root.unvisited != left {
			r.watchStopLocked()
			return
		}
		r.passAllLocked()
	})
}

// passAllLocked lets the code of all scopes go on as if it had passed what is recorded.
func (r *run) passAllLocked() {
	r.root.past = true
	for _, p := range r.record.places {
		if p.scope != nil {
			p.scope.past = true
		}
	}
	r.tellLocked()
}
