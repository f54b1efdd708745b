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
	if s.awaits == nil || !s.isBlocked() {
		return false // its code runs, or is about to
	}
	s.met = &c.mark
	c.waiting = append(c.waiting, s)
	for _, f := range s.awaits {
		if f.ended || !f.begun || f.s == nil || !c.add(f.s) {
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
