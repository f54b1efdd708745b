package lambdabiz

import (
	"slices"
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
