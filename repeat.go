package lambdabiz

import (
	"fmt"
	"time"
)

// repeats finds the recorded operation that a new one would repeat: one with the same kind, name and input that
// this pass has not come to. It has what was recorded before this pass only, and is made when a resumed pass has
// something new while there is something that it has not come to: a first pass never has one.
type repeats struct {
	ops    map[repeatKey][]*op
	alikes map[alikesKey]*alikes
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

// affects reports whether an operation of the kind does something that may be done twice.
func (k Kind) affects() bool {
	switch k {
	case KindTask, KindService, KindChild, KindRaise, KindStep:
		return true
	default:
		return false
	}
}

// hasBegun reports whether something was done for the operation. One that was cancelled before its first attempt
// has no effect to be repeated.
func (o *op) hasBegun() bool { return !o.Status.Ended() || o.Attempts > 0 }

func (r *run) repeatsLocked() *repeats {
	if r.repeats != nil {
		return r.repeats
	}
	r.repeats = &repeats{ops: map[repeatKey][]*op{}, alikes: map[alikesKey]*alikes{}}
	for _, o := range r.record.ops {
		r.repeats.stop.add(o)
		if !o.loaded || o.visited || o.Kind == KindStep || !o.Kind.affects() || !o.hasBegun() {
			continue
		}
		key := o.repeatKey()
		r.repeats.ops[key] = append(r.repeats.ops[key], o)
	}
	return r.repeats
}

// missesLocked reports whether the code should have come to a recorded operation: not in a branch that has lost,
// and not where the end of its contexts may have sent it another way: it may have come at another point than before.
func (r *run) missesLocked(o *op) bool {
	return !o.place.inLost() && (r.stopCause == nil || r.repeatsLocked().stop.before(o))
}

// guardLocked looks at a new operation before it is made, where something is recorded that this pass has not come
// to, and blocks the run if the operation would repeat that. It reports whether the calling branch must leave, with
// what it must return; else mu is held. Branches run side by side: one of them may be about to come to
// that, and then it is not repeated. So the operation waits until all others have ended, or wait, or are in a body.
//
// In code that has not changed that is soon: what a scope has recorded it comes to before anything that is new,
// through results that are recorded. It never blocks such a run.
func (r *run) guardLocked(c *call, path string, site callSite) (left bool, err error) {
	s := c.scope()
	if r.ended || r.stopCause != nil && !c.o.detached() || c.notRenamed || r.def != nil && r.def.notRenamed {
		return false, nil
	}
	if c.kind != KindStep {
		s.busy = &site
		x := r.seekLocked(c, &site)
		o := r.repeatedLocked(c, x, &site)
		for o != nil && r.liveLocked(s) && !r.restLocked(1) {
			w := &waiter{s: s}
			r.held = append(r.held, w)
			r.waitLocked(w)
			o = r.repeatedLocked(c, x, &site)
		}
		s.busy = nil
		if o != nil && r.liveLocked(s) {
			reason := repeatReason(o, path)
			if r.mayRepeatLocked(c, path, site, o, reason) {
				return false, nil
			}
			r.blockLocked(Blocked{Operation: path, Source: site.String(), Reason: reason})
		}
		if !r.liveLocked(s) {
			return true, r.leaveLocked(s)
		}
	}
	r.suspectLocked(c, path, site)
	return false, nil
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
	held := r.held[:min(most, len(r.held))]
	r.held = r.held[len(held):]
	for _, w := range held {
		r.wakeLocked(w)
	}
}

// metLocked notes that the code has come to something recorded before this pass.
func (r *run) metLocked(s *scope, o *op) {
	s.reached = max(s.reached, o.Number)
	if o.Kind.affects() {
		r.letHeldLocked(len(r.held)) // it may be what they wait for
	}
}

// repeatReason says why a run is blocked before an operation that would have its effect twice.
func repeatReason(o *op, path string) string {
	return fmt.Sprintf(
		"new operation %q would repeat %q: recorded as %s %q with the same input (%s, %s), and this code has not come "+
			"to it. If it was renamed, add %s to the call; if both are meant, add NotRenamed()",
		path, o.ID, o.Kind, o.Name, o.Status, o.ScheduledAt.Format(time.RFC3339), formerCall(o, path))
}

// formerCall is how the code says that the operation at a path was recorded as o.
func formerCall(o *op, path string) string {
	was, scope := o.path(), parentOf(path)
	if parentOf(was) == scope && o.moved == "" {
		id := was
		if scope != "" {
			id = was[len(scope)+1:]
		}
		return fmt.Sprintf("Formerly(%q)", unescaper.Replace(id))
	}
	return fmt.Sprintf("FormerlyAt(%q)", o.ID)
}

// suspectLocked warns of a new operation at the place of a recorded one of the same kind and name. That may be an
// operation that was inserted before another one, or one that was renamed, and changed in its input too. Of steps,
// which have neither a name nor an input, nothing more can be told.
func (r *run) suspectLocked(c *call, path string, site callSite) {
	o := r.record.laidOut().next(c.scope())
	if o == nil || o.visited || o.suspected || o.Kind != c.kind || o.Name != c.name || !o.hasBegun() || !r.missesLocked(o) {
		return
	}
	o.suspected = true
	r.mayRepeatLocked(c, path, site, o, "")
	r.log().Warn("new operation at the place of a recorded one: if it was renamed, it needs Formerly",
		"operation", path, "source", site.String(), "recorded", o.ID)
}
