package lambdabiz

import (
	"cmp"
	"slices"
)

// layout is the operations that were recorded before this pass, by their scopes in the code. It is made when it is
// first asked for: by code that has changed.
type layout struct {
	ops    map[string][]*op    // in the order of their numbers
	inside map[string][]string // the scopes in a scope
}

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

// next is the recorded operation that comes after what the code of a scope has come to.
func (l *layout) next(s *scope) *op {
	list := l.ops[s.path]
	i, _ := slices.BinarySearchFunc(list, s.reached+1, func(o *op, number int64) int {
		return cmp.Compare(o.Number, number)
	})
	if i == len(list) {
		return nil
	}
	return list[i]
}
