package lambdabiz

import (
	"errors"
	"strings"
)

// FormerlyOption is what [Formerly] and [FormerlyAt] return: an option of everything that has an id.
type FormerlyOption struct{ former former }

// Formerly says under which ids an operation or a branch was recorded before it was renamed, in the same
// scope. What is recorded under one of them is taken as this operation's: an effect that has ended is not
// repeated, one that is open goes on. Of a branch, or of a [Map], it renames all that is inside.
//
// The record keeps the path that it has, and attempts keep the idempotency key of that path. What is new is
// recorded under the new id. So a third name needs both earlier ones, Formerly("pay", "charge"): keep them
// until the last run has ended that was recorded under them. If several are recorded, the operation's own id
// comes first, and then the first of the list. An id that is someone's former one must not be used for
// something else meanwhile. The kind and the task's name must be the same, or the run is blocked.
//
// In [Engine.RaiseEvent] it means nothing. A [Race] needs none: losers have lost, so that a renamed race is won
// by the same branch again.
func Formerly(ids ...string) FormerlyOption { return FormerlyOption{former{ids: ids}} }

// FormerlyAt is [Formerly] for what was moved into a branch, out of one, or from one to another. It takes whole
// paths as the state shows them, with the ids of the branches before: "parcels/tea/pack".
func FormerlyAt(paths ...string) FormerlyOption { return FormerlyOption{former{paths: paths}} }

func (f FormerlyOption) applyCall(c *callOptions)     { c.former = c.former.and(f.former) }
func (f FormerlyOption) applyWait(w *waitOptions)     { w.former = w.former.and(f.former) }
func (f FormerlyOption) applyRaise(r *raiseOptions)   { r.former = r.former.and(f.former) }
func (FormerlyOption) applyRaiseFrom()                {}
func (f FormerlyOption) applyChild(c *childOptions)   { c.former = c.former.and(f.former) }
func (f FormerlyOption) applyTimer(t *timerOptions)   { t.former = t.former.and(f.former) }
func (f FormerlyOption) applyBranch(b *branchOptions) { b.former = b.former.and(f.former) }
func (f FormerlyOption) applyMap(m *mapOptions)       { m.former = m.former.and(f.former) }

// NotRenamedOption is what [NotRenamed] returns.
type NotRenamedOption struct{}

// NotRenamed says that an operation is new although it looks like a recorded one under another id, and lets it
// go on. Without it a run is blocked before a new task, service call, child or raised event that has the same
// name and input as a recorded one which the code has not come to: most often that one was renamed, and would
// have its effect twice (then it needs [Formerly]). So it is before a new step with the same id as such a one in another
// scope: most often that one was moved (then it needs [FormerlyAt]). It is needed when such a call is inserted before the
// recorded one. As an option of [Define] it is said of all operations of the definition.
func NotRenamed() NotRenamedOption { return NotRenamedOption{} }

func (NotRenamedOption) applyCall(c *callOptions)      { c.notRenamed = true }
func (NotRenamedOption) applyRaise(r *raiseOptions)    { r.notRenamed = true }
func (NotRenamedOption) applyRaiseFrom()               {}
func (NotRenamedOption) applyChild(c *childOptions)    { c.notRenamed = true }
func (NotRenamedOption) applyDefine(d *definitionSpec) { d.notRenamed = true }

// notFormerly takes former names back: they are those of what is around the wait.
type notFormerly struct{}

func (notFormerly) applyWait(w *waitOptions) { w.former = nil }

// former is where something was recorded before.
type former struct {
	ids   []string // in the same scope
	paths []string
}

func (f *former) and(other former) *former {
	if f == nil {
		f = &former{}
	}
	f.ids, f.paths = append(f.ids, other.ids...), append(f.paths, other.paths...)
	return f
}

// with is the former names with something behind them.
func (f *former) with(suffix string) *former {
	if f == nil {
		return nil
	}
	longer := &former{}
	for _, id := range f.ids {
		longer.ids = append(longer.ids, id+suffix)
	}
	for _, path := range f.paths {
		longer.paths = append(longer.paths, path+escaper.Replace(suffix))
	}
	return longer
}

// check returns an error for an id that no operation can have had.
func (f *former) check() error {
	if f == nil {
		return nil
	}
	var errs []error
	for _, id := range f.ids {
		errs = append(errs, checkID("former id", id))
	}
	for _, path := range f.paths {
		for id := range strings.SplitSeq(path, "/") {
			errs = append(errs, checkID("id in a former path", id))
		}
	}
	return errors.Join(errs...)
}

// in lists the former paths of something in the scope.
func (f *former) in(scope string) []string {
	all := make([]string, 0, len(f.ids)+len(f.paths))
	for _, id := range f.ids {
		all = append(all, joinPath(scope, id))
	}
	return append(all, f.paths...)
}

// path is where the code has the operation: not where it is recorded if it was renamed.
func (o *op) path() string {
	if o.moved != "" {
		return o.moved
	}
	return o.ID
}

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
