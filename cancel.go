package lambdabiz

import "time"

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

// cancellation is whether the code of a run is to stop, and how far it was told. It knows where the code is by its scopes,
// and marks operations in the record. It calls nobody; run.mu guards it.
type cancellation struct {
	cause error // why the contexts of the code have ended or are about to: a cancellation, or the deadline; nil for not yet

	watched bool // not all code is told: it is to be looked at after a while, see [cancellation.lookAgain]
	ahead   int  // what was recorded and the code had not come to when it was looked at last

	record  *record
	changes *changes
	life    *life
	driver  *driver
	root    *scope
}

// heed tells the scope's code to stop, if it has come to where it was told before.
func (c *cancellation) heed(s *scope) {
	if c.cause != nil && !s.told && c.isToStop(s) {
		s.tell(c.cause)
	}
}

// isToStop reports whether the code of the scope has come to where it was told to stop, if it is to.
func (c *cancellation) isToStop(s *scope) bool {
	return s.past || c.record.root.before == 0 && (!c.record.marked || !s.place.hadBefore)
}

// find looks an operation up. One that is new, or open, is where the record of the scope stops.
func (c *cancellation) find(s *scope, path string, f *former) *op {
	o := c.record.find(s.path, path, f)
	if o != nil && o.Status.Ended() {
		return o
	}
	unaware := !s.told
	c.pass(s)
	if o != nil && unaware && s.told && !o.AfterStop {
		o.LastBeforeStop = true // it is written with its end
	}
	return o
}

// pass notes that the code of the scope has passed what is recorded of it.
func (c *cancellation) pass(s *scope) {
	s.past = true
	c.heed(s)
}

// visit notes that the code of a scope has come to a recorded operation.
func (c *cancellation) visit(s *scope, o *op) {
	left := c.record.root.before
	c.record.visit(o)
	if o.endedByStop() || o.LastBeforeStop || o.AfterStop {
		s.past = true
	}
	if left > 0 {
		c.heedAll()
	}
	c.heed(s)
}

// waited is called when the code has waited for a branch, and knows what that knew. A branch may have returned
// without a look at its context although it was told: then what the code has begun behind it, after it was told, says so.
func (c *cancellation) waited(s, branch *scope) {
	if branch.past || c.record.marked && c.record.root.before == 0 && s.place.hasAfter {
		c.pass(s)
	}
}

// heedAll tells all scopes, if nothing is left that was recorded before the stop.
func (c *cancellation) heedAll() {
	if c.cause != nil && c.record.root.before == 0 {
		c.tellAll()
	}
}

// tellAll tells all scopes whose code has come to where it was told before, and reports whether these are all.
func (c *cancellation) tellAll() (all bool) {
	all = c.tellScope(c.root)
	for _, p := range c.record.places {
		if p.scope != nil && !c.tellScope(p.scope) {
			all = false
		}
	}
	return all
}

// tellScope tells a scope wherever its code is, and marks the place. It reports whether the scope need not be told
// any more.
func (c *cancellation) tellScope(s *scope) bool {
	switch {
	case s.told || s.isOver():
		return true
	case !c.isToStop(s):
		return false
	}
	waits := s.waitsForBranch()
	s.tell(c.cause)
	switch {
	case s.current != nil:
		c.mark(s.current)
	case waits: // it is told with that branch
	case s.detached || s.asked.Load():
		c.mark(s.latest)
	default:
		s.unsure = s.latest
	}
	return true
}

// settle is called when the code of a scope comes to an operation, to a branch that it begins or waits for, or to
// its end. If it was told since its operation before, that one is marked if the code has seen that. Else the code has done
// all as if it had not been told.
func (c *cancellation) settle(s *scope) (unaware bool) {
	o := s.unsure
	if o == nil {
		return false
	}
	s.unsure = nil
	if !s.asked.Load() {
		return true
	}
	c.mark(o)
	return false
}

// mark marks an operation in the course of which, or behind which, its code was told to stop. It is written with
// the next commit: whatever follows from that comes with it, or later. One that the home performs is written when it
// has ended, since the home may know of that before this does.
func (c *cancellation) mark(o *op) {
	if o == nil || o.LastBeforeStop || o.AfterStop || o.endedByStop() || c.life.phase != phaseLive || c.driver.isReadOnly() {
		return
	}
	o.LastBeforeStop = true
	if o.Number != 0 && o.Status.Ended() {
		c.changes.join(c.record, o)
	}
}

// replace takes over what a commit, or the home, has made of an operation. The mark stays.
func (c *cancellation) replace(o *op, rec *Operation) {
	marked := o.LastBeforeStop && !rec.LastBeforeStop
	o.Operation = *rec
	if !marked {
		return
	}
	o.LastBeforeStop = true
	if o.Status.Ended() && o.Tried == nil { // else its end is still to come
		c.changes.join(c.record, o)
	}
}

// stillFor is how long a run whose code is to stop may come to nothing recorded before it is told all the same. Its code
// may wait for its context, to do what is recorded next; or what is recorded is not in the code any more.
// Who drives a run by hand may have other work between two operations.
const (
	stillFor       = 5 * time.Second
	stillForByHand = time.Minute
)

// stillFor is how long the run may come to nothing recorded.
func (d *driver) stillFor() time.Duration {
	if d.isByHand() {
		return stillForByHand
	}
	return stillFor
}

// begin ends the contexts of the code for a cause, as far as it has come to where it was told before.
func (c *cancellation) begin(cause error) {
	c.cause = cause
	c.watched, c.ahead = !c.tellAll(), c.record.root.unvisited
}

// lookAgain tells the code to stop, at last, that has come no further since it was looked at.
func (c *cancellation) lookAgain() {
	switch {
	case !c.life.isOpen() || c.tellAll():
		c.watched = false
	case c.record.root.unvisited != c.ahead:
		c.ahead = c.record.root.unvisited
	default:
		c.watched = false
		c.passAll()
	}
}

// passAll lets the code of all scopes go on as if it had passed what is recorded.
func (c *cancellation) passAll() {
	c.root.past = true
	for _, p := range c.record.places {
		if p.scope != nil {
			p.scope.past = true
		}
	}
	c.tellAll()
}
