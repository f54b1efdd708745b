package lambdabiz

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/meaning"
)

// guardLocked compares a new operation, before it is made, with recorded ones that this pass has not come to. It blocks the
// run if the new one would repeat such an effect, and logs a warning if that is only likely. Another branch may be about to
// come to the recorded one, and then nothing is repeated: so the operation waits until all other branches have ended, wait,
// or are in a body. It reports whether the calling branch must leave, with what it must return; else mu is held.
//
// Code that has not changed is never blocked, and waits for a moment at most: each scope comes to all that it has recorded
// before it comes to anything new, and recorded results are given at once.
func (c *call) guardLocked(path string, site callSite) (left bool, err error) {
	r := c.run()
	s := c.scope()
	if r.replays() || r.cancel.cause != nil && !c.o.detached() || c.notRenamed || r.def != nil && r.def.notRenamed {
		return false, nil
	}
	s.busy = &site
	x := c.seekLocked(&site)
	for r.isLive(s) {
		o := c.repeatedLocked(x, path, &site)
		likely := o == nil
		if likely {
			o = c.likelyLocked()
		}
		switch {
		case o == nil || !r.isLive(s): // while inputs were read
		case !r.rest(1):
			w := &waiter{}
			r.held.ops = append(r.held.ops, heldOp{w, x.steps(), o})
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
	if !r.isLive(s) {
		return true, r.leaveLocked(s)
	}
	return false, nil
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
		return o.Kind == c.kind && o.Name == c.name && o.hasBegun() && r.held.misses(o)
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

// seekLocked finds what a new operation may repeat. It gives mu up while payloads are read.
func (c *call) seekLocked(site *callSite) *sought {
	r := c.run()
	all := r.held.all()
	if c.kind == KindStep {
		return &sought{alike: all.steps[escaper.Replace(c.id)], step: true}
	}
	x := &sought{}
	key := repeatKey{c.kind, c.name, c.target}
	ops := all.ops[key]
	if len(ops) == 0 {
		return x
	}
	of := alikesKey{key, reflect.TypeOf(c.sample())}
	known := all.alikes[of]
	first := known == nil
	if first {
		known = &alikes{ready: make(chan struct{}), byInput: map[[sha256.Size]byte]*alike{}}
		all.alikes[of] = known
	}
	r.askedAsideLocked(c.scope(), site, func() {
		x.sum = c.sumOf(c.encoded)
		if first {
			c.read(ops, known)
		}
		<-known.ready
	})
	x.alike = known.byInput[x.sum.Loose]
	return x
}

// read reads the inputs of operations. Nothing changes them, nor the list.
func (c *call) read(ops []*op, into *alikes) {
	defer close(into.ready) // whatever the codec does
	for _, o := range ops {
		sum := c.sumOf(o.Input)
		at := into.byInput[sum.Loose]
		if at == nil {
			at = &alike{}
			into.byInput[sum.Loose] = at
		}
		at.ops = append(at.ops, read{o, sum})
	}
	for _, at := range into.byInput {
		at.sort()
	}
}

// sumOf is what an input of a call means. What panics has the meaning of what cannot be read.
func (c *call) sumOf(p Payload) meaning.Sum {
	r := c.run()
	v, fault := guard(func() (any, error) { return r.env.meanings().Of(p, c.sample()), nil })
	if fault != nil {
		r.log().Warn("an input cannot be compared with recorded ones", "operation", c.id, "error", fault)
	}
	sum, _ := v.(meaning.Sum)
	return sum
}

// repeatedLocked is the first recorded operation that the sought one would repeat; nil if there is none. It may give mu up.
func (c *call) repeatedLocked(x *sought, path string, site *callSite) *op {
	r := c.run()
	if x.alike == nil {
		return nil
	}
	for x.from < len(x.ops) && x.ops[x.from].visited {
		x.from++
	}
	for _, o := range x.ops[x.from:] {
		if o.visited || !r.held.misses(o.op) || c.scope().hasTwinOf(o.op, path) {
			continue
		}
		if c.isRepeatedLocked(x, o, site) && !o.visited {
			return o.op
		}
	}
	return nil
}

// isRepeatedLocked compares a recorded operation with the sought one. It gives mu up if it takes the values of both.
func (c *call) isRepeatedLocked(x *sought, o read, site *callSite) bool {
	r := c.run()
	if x.step || x.sum.Known && o.sum.Known && x.sum.Exact == o.sum.Exact {
		return true
	}
	same, known := x.judged[o.op]
	if known {
		return same
	}
	r.askedAsideLocked(c.scope(), site, func() { same = c.meansTheSame(o.Input) })
	if x.judged == nil {
		x.judged = map[*op]bool{}
	}
	x.judged[o.op] = same
	return same
}
