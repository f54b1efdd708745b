package lambdabiz

import "slices"

// judgeHeldLocked lets an operation go on that guardLocked holds, if no branch is on its way to what it would
// repeat: one of them, it may move others.
func (r *run) judgeHeldLocked() {
	if len(r.held) > 0 && r.restLocked(0) {
		r.letHeldLocked(1)
	}
}

// letHeldLocked lets so many operations look again at what they would repeat.
func (r *run) letHeldLocked(most int) {
	for most > 0 && len(r.held) > 0 {
		h := r.held[0]
		r.held = r.held[1:]
		h.by.holding--
		if !h.woken { // its branch has not ended meanwhile
			r.wakeLocked(h.waiter)
			most--
		}
	}
}

// metLocked notes that the code has come to something recorded before this pass.
func (r *run) metLocked(s *scope, o *op) {
	s.reached = max(s.reached, o.Number)
	if !o.Kind.affects() || r.repeats == nil {
		return
	}
	var steps *alike
	if o.Kind == KindStep && o.hasBegun() {
		if steps = r.repeats.steps[lastOf(o.ID)]; steps != nil {
			steps.left--
		}
	}
	if len(r.held) == 0 || o.holding == 0 && (steps == nil || steps.left > 0) {
		return
	}
	r.held = slices.DeleteFunc(r.held, func(h heldOp) bool { // it may be what they wait for
		met := h.by == o
		if h.steps != nil {
			met = h.steps == steps && steps.left == 0
		}
		if met {
			h.by.holding--
			r.wakeLocked(h.waiter)
		}
		return met
	})
}

func (r *run) repeatsLocked() *repeats {
	if r.repeats != nil {
		return r.repeats
	}
	r.repeats = &repeats{ops: map[repeatKey][]*op{}, alikes: map[alikesKey]*alikes{}, steps: map[string]*alike{}}
	for _, o := range r.record.ops {
		r.repeats.stop.add(o)
		switch {
		case !o.loaded || o.visited || !o.Kind.affects() || !o.hasBegun():
		case o.Kind == KindStep:
			r.repeats.addStep(o)
		default:
			key := o.repeatKey()
			r.repeats.ops[key] = append(r.repeats.ops[key], o)
		}
	}
	for _, at := range r.repeats.steps {
		at.sort()
	}
	return r.repeats
}

// missesLocked reports whether the code should have come to a recorded operation: not in a branch that has lost,
// and not where the end of its contexts may have sent it another way: it may have come at another point than before.
func (r *run) missesLocked(o *op) bool {
	return !o.place.inLost() && (r.stopCause == nil || r.repeatsLocked().stop.before(o))
}
