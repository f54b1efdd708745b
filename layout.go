package lambdabiz

import (
	"cmp"
	"slices"
)

func (c *record) laidOut() *layout {
	if c.layout != nil {
		return c.layout
	}
	l := &layout{ops: map[string][]*op{}, inside: map[string][]string{"": nil}}
	c.layout = l
	for _, o := range c.ops {
		if o.loaded {
			scope := parentOf(o.path())
			l.ops[scope] = append(l.ops[scope], o)
		}
	}
	for scope := range c.places {
		l.enter(scope)
	}
	for _, list := range l.ops {
		slices.SortFunc(list, byNumber)
	}
	return l
}

func byNumber(a, b *op) int { return cmp.Compare(a.Number, b.Number) }

// enter notes a scope in the one around it.
func (l *layout) enter(scope string) {
	if _, known := l.inside[scope]; known {
		return
	}
	around := parentOf(scope)
	l.enter(around)
	l.inside[around] = append(l.inside[around], scope)
	delete(l.ahead, around)
	l.inside[scope] = nil
}

// move gives a scope another path, with the scopes in it.
func (l *layout) move(c *record, was, path string) {
	inner, known := l.inside[was]
	if !known {
		return
	}
	if p := c.places[was]; p != nil && p.lost {
		c.lose(c.placeAt(path))
	}
	l.enter(path)
	stay := l.ops[was][:0:0]
	for _, o := range l.ops[was] {
		if c.move(o, path+o.path()[len(was):]) {
			l.ops[path] = append(l.ops[path], o)
		} else {
			stay = append(stay, o)
		}
	}
	l.ops[was] = stay
	slices.SortFunc(l.ops[path], byNumber)
	for _, scope := range slices.Clone(inner) {
		l.move(c, scope, path+scope[len(was):])
	}
}

// likely is the recorded operation that comes next at the place where the code of a scope is, if it fits; nil if there is
// none. It lies in the scope, or in a branch of it that has not begun. If nothing is recorded of the scope, the place where
// it was begun counts instead, in the scope around it. An operation that a new one was suspected to repeat before is taken
// only if there is no other one.
func (l *layout) likely(c *record, s *scope, fits func(o *op) bool) *op {
	for reached := s.reached; s != nil; s = s.parent {
		var suspected *op
		next := l.next(c, s.path, reached, &suspected)
		switch {
		case next != nil && fits(next):
			return next
		case suspected != nil && fits(suspected):
			return suspected
		case len(l.ops[s.path]) > 0 || len(l.inside[s.path]) > 0:
			return nil
		}
		reached = s.began
	}
	return nil
}

// next is the first operation behind a number, in a scope or in branches of it that have not begun, that this pass has not
// come to. Those that a new operation was suspected to repeat are passed over; suspected is set to the first of them.
func (l *layout) next(c *record, scope string, reached int64, suspected **op) *op {
	var first *op
	earlier := func(o, than *op) bool { return o != nil && (than == nil || o.Number < than.Number) }
	list := l.ops[scope]
	from, _ := slices.BinarySearchFunc(list, reached+1, func(o *op, number int64) int { return cmp.Compare(o.Number, number) })
	for _, o := range list[from:] {
		switch {
		case o.visited || o.place.inLost():
			continue
		case !o.suspected:
			first = o
		case earlier(o, *suspected):
			*suspected = o
			continue
		}
		if first != nil {
			break
		}
	}
	for _, inner := range l.aheadIn(c, scope) {
		if o := l.next(c, inner, reached, suspected); earlier(o, first) {
			first = o
		}
	}
	return first
}

// aheadIn lists the scopes in a scope whose branches have not begun in this pass.
func (l *layout) aheadIn(c *record, scope string) []string {
	inner, known := l.ahead[scope]
	if !known {
		inner = slices.Clone(l.inside[scope])
	}
	if len(inner) > 0 || !known {
		if l.ahead == nil {
			l.ahead = map[string][]string{}
		}
		l.ahead[scope] = slices.DeleteFunc(inner, func(path string) bool {
			p := c.places[path]
			return p != nil && (p.scope != nil || p.lost)
		})
	}
	return l.ahead[scope]
}

// find looks an operation up: at its path, or else at a former place of it, which gives it this one.
func (c *record) find(scope, path string, f *former) *op {
	if o := c.get(path); o != nil || f == nil || c.loaded == 0 {
		return o
	}
	for _, was := range f.in(scope) {
		if o := c.get(was); o != nil && c.move(o, path) {
			return o
		}
	}
	return nil
}

// move gives a recorded operation another place in the code, unless this pass has been at it or the place is taken.
func (c *record) move(o *op, path string) bool {
	if !o.loaded || o.visited || c.get(path) != nil {
		return false
	}
	if c.moves.ops == nil {
		c.moves.ops = map[string]*op{}
	}
	delete(c.moves.ops, o.moved)
	o.moved = path
	c.moves.ops[path] = o
	o.place.count(-1, -o.before())
	o.place.shut(o)
	o.place = c.placeAt(parentOf(path))
	o.place.expect(o)
	c.changed(o)
	return true
}

// moveScope gives a branch another place in the code, with all that is recorded inside.
func (c *record) moveScope(was, path string) {
	if c.loaded == 0 {
		return
	}
	if was = c.nowAt(was); was == path {
		return
	}
	if c.moves.scopes == nil {
		c.moves.scopes = map[string]string{}
	}
	c.moves.scopes[was] = path
	c.laidOut().move(c, was, path)
}

// nowAt is where the code has a branch that a record names.
func (c *record) nowAt(path string) string {
	for range c.moves.scopes {
		was := path
		for at := path; at != ""; at = parentOf(at) {
			if now, moved := c.moves.scopes[at]; moved {
				path = now + path[len(at):]
				break
			}
		}
		if path == was {
			break
		}
	}
	return path
}
