package lambdabiz

import "slices"

// heldOps are new operations that wait until it is sure that they repeat nothing that is recorded. run.mu guards it.
type heldOps struct {
	ops     []heldOp
	repeats *repeats // nil until something new is looked for

	record  *record
	waiters *waiters
	cancel  *cancellation
}

// judge lets an operation go on that guardLocked holds, if no branch is on its way to what it would
// repeat: one of them, it may move others.
func (h *heldOps) judge() {
	if len(h.ops) > 0 && h.waiters.rest(0) {
		h.let(1)
	}
}

// let lets so many operations look again at what they would repeat.
func (h *heldOps) let(most int) {
	for most > 0 && len(h.ops) > 0 {
		first := h.ops[0]
		h.ops = h.ops[1:]
		first.by.holding--
		if h.waiters.wake(first.waiter) { // its branch has not ended meanwhile
			most--
		}
	}
}

// met notes that the code has come to something recorded before this pass.
func (h *heldOps) met(s *scope, o *op) {
	s.reached = max(s.reached, o.Number)
	if !o.Kind.affects() || h.repeats == nil {
		return
	}
	var steps *alike
	if o.Kind == KindStep && o.hasBegun() {
		if steps = h.repeats.steps[lastOf(o.ID)]; steps != nil {
			steps.left--
		}
	}
	if len(h.ops) == 0 || o.holding == 0 && (steps == nil || steps.left > 0) {
		return
	}
	h.ops = slices.DeleteFunc(h.ops, func(x heldOp) bool { // it may be what they wait for
		met := x.by == o
		if x.steps != nil {
			met = x.steps == steps && steps.left == 0
		}
		if met {
			x.by.holding--
			h.waiters.wake(x.waiter)
		}
		return met
	})
}

func (h *heldOps) all() *repeats {
	if h.repeats != nil {
		return h.repeats
	}
	h.repeats = &repeats{ops: map[repeatKey][]*op{}, alikes: map[alikesKey]*alikes{}, steps: map[string]*alike{}}
	for _, o := range h.record.ops {
		h.repeats.stop.add(o)
		switch {
		case !o.loaded || o.visited || !o.Kind.affects() || !o.hasBegun():
		case o.Kind == KindStep:
			h.repeats.addStep(o)
		default:
			key := o.repeatKey()
			h.repeats.ops[key] = append(h.repeats.ops[key], o)
		}
	}
	for _, at := range h.repeats.steps {
		at.sort()
	}
	return h.repeats
}

// misses reports whether the code should have come to a recorded operation: not in a branch that has lost,
// and not where the end of its contexts may have sent it another way: it may have come at another point than before.
func (h *heldOps) misses(o *op) bool {
	return !o.place.inLost() && (h.cancel.cause == nil || h.all().stop.before(o))
}
