package lambdabiz

import (
	"fmt"
	"slices"
	"time"
)

// repeats finds the recorded operation that a new one would repeat: one with the same kind, name and input that
// this pass has not come to. Of steps, which have neither a name nor an input, it is one with the same id in another
// scope. It has what was recorded before this pass only, and is made when a resumed pass has something new while there
// is something that it has not come to: a first pass never has one.
type repeats struct {
	ops    map[repeatKey][]*op
	alikes map[alikesKey]*alikes
	steps  map[string]*alike // by the last id of their paths
	stop   recordedStop
}

type repeatKey struct {
	kind   Kind
	name   string
	target string // of a raised event
}

func (o *op) repeatKey() repeatKey {
	key := repeatKey{kind: o.Kind, name: o.Name}
	if o.Kind == KindRaise {
		key.target = o.Target
	}
	return key
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

// guardLocked looks at a new operation before it is made, where something is recorded that this pass has not come
// to, and blocks the run if the operation would repeat that, or warns if that is only likely. It reports whether the
// calling branch must leave, with what it must return; else mu is held. Branches run side by side: one of them may be
// about to come to that, and then it is not repeated. So the operation waits until all others have ended, or wait, or
// are in a body.
//
// In code that has not changed that is soon: what a scope has recorded it comes to before anything that is new,
// through results that are recorded. It never blocks such a run.
func (c *call) guardLocked(path string, site callSite) (left bool, err error) {
	r := c.run()
	s := c.scope()
	if r.ended || r.stopCause != nil && !c.o.detached() || c.notRenamed || r.def != nil && r.def.notRenamed {
		return false, nil
	}
	s.busy = &site
	x := c.seekLocked(&site)
	for r.liveLocked(s) {
		o := c.repeatedLocked(x, path, &site)
		likely := o == nil
		if likely {
			o = c.likelyLocked()
		}
		switch {
		case o == nil || !r.liveLocked(s): // while inputs were read
		case !r.restLocked(1):
			w := &waiter{}
			r.held = append(r.held, heldOp{w, x.steps(), o})
			o.holding++
			r.waitLocked(s, w)
			continue
		case likely:
			c.suspectLocked(path, site, o)
		default:
			reason := repeatReason(o, path)
			if !c.mayRepeatLocked(path, site, o, reason) {
				r.blockLocked(Blocked{Operation: path, Source: site.String(), Reason: reason})
			}
		}
		break
	}
	s.busy = nil
	if !r.liveLocked(s) {
		return true, r.leaveLocked(s)
	}
	return false, nil
}

// heldOp is a new operation that waits until it is sure that it repeats nothing.
type heldOp struct {
	*waiter
	steps *alike // those that a step may repeat: it need not look before this pass has come to all of them, or rests
	by    *op    // what it may repeat; the others need not look before this pass has come to that, or rests
}

// judgeHeldLocked lets an operation go on that guardLocked holds, if no branch is on its way to what it would
// repeat: one of them, it may move others.
func (r *run) judgeHeldLocked() {
	if len(r.held) > 0 && r.restLocked(0) {
		r.letHeldLocked(1)
	}
}

// restLocked reports whether all branches, but so many of the active ones, have ended, wait, or are in a body or
// before one.
func (r *run) restLocked(but int) bool { return r.active-but <= r.bodies+len(r.turns) }

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

// repeatReason says why a run is blocked before an operation that would have its effect twice.
func repeatReason(o *op, path string) string {
	what, same := fmt.Sprintf("%s %q", o.Kind, o.Name), "the same input"
	if o.Kind == KindStep {
		what, same = o.Kind.String(), "the same id in another scope"
	}
	return fmt.Sprintf(
		"new operation %q would repeat %q: recorded as %s with %s (%s, %s), and this code has not come "+
			"to it. If it was renamed, add %s to the call; if both are meant, add NotRenamed()",
		path, o.ID, what, same, o.Status, o.ScheduledAt.Format(time.RFC3339), formerCall(o, path))
}

// formerCall is how the code says that the operation at a path was recorded as o.
func formerCall(o *op, path string) string {
	was, scope := o.path(), parentOf(path)
	if parentOf(was) == scope && o.moved == "" {
		return fmt.Sprintf("Formerly(%q)", unescaper.Replace(lastOf(was)))
	}
	return fmt.Sprintf("FormerlyAt(%q)", o.ID)
}

// likelyLocked is the recorded operation that a new one may repeat for all that can be told: one of the same kind and
// name that is recorded where the new one stands in the code, and that this pass has not come to. It may have
// been renamed, and moved, and changed in its input; or else the new one was inserted before it. nil if there is none.
func (c *call) likelyLocked() *op {
	r := c.run()
	if r.record.unmet == 0 {
		return nil
	}
	return r.record.laidOut().likely(&r.record, c.scope(), func(o *op) bool {
		return o.Kind == c.kind && o.Name == c.name && o.hasBegun() && r.missesLocked(o)
	})
}

// suspectLocked warns of a new operation at the place of a recorded one.
func (c *call) suspectLocked(path string, site callSite, o *op) {
	r := c.run()
	o.suspected = true
	c.mayRepeatLocked(path, site, o, "")
	r.log().Warn("new operation at the place of a recorded one: if it was renamed, it needs Formerly",
		"operation", path, "source", site.String(), "recorded", o.ID)
}
