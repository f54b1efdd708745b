package lambdabiz

// moves is what this pass has found under former names.
type moves struct {
	ops    map[string]*op    // by their paths in the code
	scopes map[string]string // former paths of branches: where they are now
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
	o.place.count(-1)
	o.place.shut(o)
	o.place = c.placeAt(parentOf(path))
	o.place.count(1)
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
