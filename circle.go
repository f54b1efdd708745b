package lambdabiz

import (
	"slices"
	"strings"
	"time"
)

// circle is scopes that wait for each other, as far as is known.
type circle struct {
	mark
	waiting []*scope
}

// add adds a scope and all that it waits for. It reports whether all of them only wait.
func (c *circle) add(s *scope) bool {
	if s.met == &c.mark {
		return true
	}
	if !s.onlyWaits() {
		return false
	}
	s.met = &c.mark
	c.waiting = append(c.waiting, s)
	for _, f := range s.awaits {
		if !c.add(f.s) {
			return false
		}
	}
	return true
}

// isInside reports whether something in the circle is in the branch.
func (c *circle) isInside(f *future) bool {
	return slices.ContainsFunc(c.waiting, func(s *scope) bool {
		for ; s != nil; s = s.parent {
			if s.branch == f {
				return true
			}
		}
		return false
	})
}

// addRaces adds the scopes that race something in the circle against something else: if that wins, what is in the
// circle ends. It reports whether all of them only wait.
func (c *circle) addRaces(places map[string]*place) bool {
	for more := true; more; {
		more = false
		for _, p := range places {
			s := p.scope
			if s == nil || s.racing == nil || s.isClosed() || s.branch.ended || s.met == &c.mark {
				continue
			}
			if !slices.ContainsFunc(s.racing, c.isInside) {
				continue
			}
			if !c.add(s) {
				return false
			}
			more = true
		}
	}
	return true
}

// blockedBy says who waits for whom, where the function waits for a circle without being in it.
func blockedBy(root *scope) Blocked {
	at := root
	for seen := map[*scope]bool{}; !seen[at]; at = at.awaits[0].s {
		seen[at] = true
	}
	c := &circle{}
	c.add(at)
	var waits []string
	for _, s := range c.waiting {
		waits = append(waits, s.waitText())
	}
	b := Blocked{Operation: at.path, Reason: "branches wait for each other: " + strings.Join(waits, ", ")}
	if len(waits) == 1 {
		b.Reason = "a branch waits for itself: " + waits[0]
	}
	if at.busy != nil {
		b.Source = at.busy.String()
	}
	return b
}

// trail is a chain of scopes, from the orchestration's function to one that does something else than wait; each waits for the
// next. As long as there is such a chain, the function does not wait for a circle. It is kept from one search to the next:
// else a search would cost as much as there are branches that wait for each other in a row. run.mu guards it.
type trail struct{ scopes []*scope }

// search looks for a circle: it returns all that waits, if the function and all that it waits for only wait.
func (t *trail) search(root *scope) *circle {
	if len(t.scopes) == 0 {
		t.push(root)
	}
	for s := t.scopes[len(t.scopes)-1]; s.onlyWaits(); {
		next := s.awaits[0].s
		if t.has(next) {
			c := &circle{}
			if c.add(root) {
				return c
			}
			// One of them waits for the first of several branches, of which another one does something else.
			t.cut(root)
			return nil
		}
		t.push(next)
		s = next
	}
	return nil
}

func (t *trail) push(s *scope) {
	t.scopes = append(t.scopes, s)
	s.step = len(t.scopes)
}

func (t *trail) has(s *scope) bool {
	return 0 < s.step && s.step <= len(t.scopes) && t.scopes[s.step-1] == s
}

// cut must be called when a scope that has waited goes on: the trail ends with that scope then. From its wake-up until the
// call the trail may be longer, which does no harm: its first part leads to a scope that does not wait.
func (t *trail) cut(s *scope) {
	if t.has(s) {
		clear(t.scopes[s.step:])
		t.scopes = t.scopes[:s.step]
	}
}

// raceGrace is how long a race waits at most for the code of a branch that knows of something earlier, and is
// about to end with it or to go on: it may as well compute, or be blocked by itself.
const raceGrace = time.Second
