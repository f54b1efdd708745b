package lambdabiz

import "strings"

// hasTwinOf reports whether a recorded operation is what a new one at the path is in a branch that runs the same code
// beside this scope's: in another item of a Map, or in another branch that the same line has begun. While that branch
// goes on, or is still to begin, it has the recorded operation ahead of it. Items reach one place in the code in any
// order, and a Map with a lower limit does not begin all of those that it had begun in an earlier pass.
func (s *scope) hasTwinOf(o *op, path string) bool {
	p := o.place
	for p != nil && p.scope == nil {
		p = p.above
	}
	if p == nil {
		return false
	}
	for b := p.scope; b.branch != nil; b = b.parent {
		if b.branch.ended {
			return false
		}
		for a := s; a.branch != nil; a = a.parent {
			if a != b && a.parent == b.parent && a.site.pcs == b.site.pcs &&
				strings.TrimPrefix(path, a.path) == strings.TrimPrefix(o.path(), b.path) {
				return true
			}
		}
	}
	return false
}
