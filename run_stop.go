package lambdabiz

import "time"

// A cancellation, or the deadline, is known to a resumed run before its code runs. What is recorded happened without it:
// code that looks at its context must find it as it was then, until it has passed what is recorded. So a scope's context
// ends when the record has nothing more for it, or when its code comes to where the record stops: to an operation that
// is new, or open, or was recorded as cancelled by what ends the run. Whoever waits for a branch that has come there is
// past that too.

// findLocked looks an operation up. One that is new, or open, is where the record of the scope stops.
func (r *run) findLocked(s *scope, path string, f *former) *op {
	o := r.record.find(s.path, path, f)
	if o == nil || !o.Status.Ended() {
		r.isPastLocked(s)
	}
	return o
}

// isPastLocked notes that the code of the scope has passed what is recorded of it.
func (r *run) isPastLocked(s *scope) {
	s.past = true
	s.heed(r.stopCause)
}

// visitOpLocked notes that the code of a scope has come to a recorded operation.
func (r *run) visitOpLocked(s *scope, o *op) {
	r.record.visit(o)
	if o.endedByStop() {
		s.past = true
	}
	if r.stopCause != nil {
		s.heed(r.stopCause)
		r.heedFromLocked(o.place)
	}
}

// heedFromLocked ends the contexts of the scope of a place, and of those around it, as far as their code has passed
// what is recorded.
func (r *run) heedFromLocked(p *place) {
	for ; p != nil && r.stopCause != nil; p = p.above {
		switch {
		case p.above == nil:
			r.root.heed(r.stopCause)
		case p.scope != nil:
			p.scope.heed(r.stopCause)
		}
	}
}

// tellLocked ends the contexts of all scopes whose code has passed what is recorded, and reports whether these are all.
func (r *run) tellLocked() (all bool) {
	r.root.heed(r.stopCause)
	all = r.root.hasHeard()
	for _, p := range r.record.places {
		if s := p.scope; s != nil {
			s.heed(r.stopCause)
			all = all && s.hasHeard()
		}
	}
	return all
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
