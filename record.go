package lambdabiz

import (
	"slices"
	"strings"
)

// record is the operations of a run in memory. What is asked of them again and again is kept as they change, so
// that no question costs more the more there are: what is open in a branch, what this pass has not come to, which
// child a message is for, how much memory all that takes. It knows nothing of goroutines or commits; run.mu guards it.
type record struct {
	ops      map[string]*op    // by path
	last     int64             // the highest number
	bytes    int64             // of operations, by estimate
	root     place             // of the orchestration's function
	places   map[string]*place // of branches, by path: of those that this pass has begun, and of recorded ones
	children map[int64]*op     // that are recorded and have not ended, by number
	anyLost  bool              // some branch has lost its race
	loaded   int               // operations that were recorded before this pass
	unmet    int               // those of them with effects that this pass has not come to
	marked   bool              // they tell where code was told to stop: see cancel.go
	moves    moves
	layout   *layout // nil until it is asked for
	some     [4]*op  // room for the first open operations of the function
}

// reset makes an empty record, with room for so many operations.
func (c *record) reset(operations int) {
	*c = record{ops: make(map[string]*op, max(8, operations))}
	c.root.open = c.some[:0]
}

// get looks up what is recorded, or about to be, at a path of the code. What was renamed is found at both.
func (c *record) get(path string) *op {
	if o := c.ops[path]; o != nil {
		return o
	}
	return c.moves.ops[path]
}

// parentOf is the path of the scope that a path lies in; "" for the function itself.
func parentOf(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 0)]
}

// lastOf is the last id of a path, as paths have it.
func lastOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// placeAt finds the place of a path, or makes it.
func (c *record) placeAt(path string) *place {
	if path == "" {
		return &c.root
	}
	p := c.places[path]
	if p == nil {
		if c.places == nil {
			c.places = map[string]*place{}
		}
		p = &place{above: c.placeAt(parentOf(path))}
		c.places[path] = p
		c.bytes += placeBytes
	}
	return p
}

// load takes a recorded operation in.
func (c *record) load(o *op) {
	c.last = max(c.last, o.Number)
	c.add(o, c.placeAt(parentOf(o.ID)))
	o.place.expect(o)
	c.marked = c.marked || o.LastBeforeStop || o.AfterStop
	c.loaded++
	if o.Kind.affects() {
		c.unmet++
	}
	if o.Kind == KindChild {
		c.expectChild(o)
	}
}

// add takes an operation in.
func (c *record) add(o *op, at *place) {
	o.place = at
	c.ops[o.ID] = o
	c.changed(o)
}

// remove takes an operation out that is not recorded.
func (c *record) remove(o *op) {
	if c.ops[o.ID] != o {
		return
	}
	delete(c.ops, o.ID)
	c.bytes -= o.bytes
	o.bytes = 0
	o.place.shut(o)
}

// visit notes that this pass has come to an operation.
func (c *record) visit(o *op) {
	if o.loaded && !o.visited {
		o.place.count(-1, -o.before())
		if o.Kind.affects() {
			c.unmet--
		}
	}
	o.visited = true
}

// number gives an operation its place in the order of recording.
func (c *record) number(o *op) {
	c.last++
	o.Number = c.last
	if o.Kind == KindChild {
		c.expectChild(o)
	}
}

func (c *record) expectChild(o *op) {
	if o.Status.Ended() {
		return
	}
	if c.children == nil {
		c.children = map[int64]*op{}
	}
	c.children[o.Number] = o
}

// changed must be called after every change of an operation's status, payloads or event.
func (c *record) changed(o *op) {
	now := o.size()
	c.bytes += now - o.bytes
	o.bytes = now
	switch ended := o.Status.Ended(); {
	case !ended || o.message != nil:
		if o.index == 0 {
			o.place.open = append(o.place.open, o)
			o.index = len(o.place.open)
			o.place.settle()
		}
	default:
		o.place.shut(o)
	}
	if o.Kind == KindChild && o.Status.Ended() {
		delete(c.children, o.Number)
	}
}

// shut takes an operation out of those that are open.
func (p *place) shut(o *op) {
	if o.index == 0 {
		return
	}
	last := len(p.open) - 1
	moved := p.open[last]
	p.open[o.index-1] = moved
	moved.index = o.index
	p.open[last] = nil
	p.open = p.open[:last]
	o.index = 0
	p.settle()
}

// isBusy reports whether something is open in the place.
func (p *place) isBusy() bool {
	return len(p.open) > 0 || len(p.busy) > 0 || p.inOpenBranch(false)
}

// settle keeps the lists of busy places true after something in this one has changed.
func (p *place) settle() {
	for ; p.above != nil && p.isBusy() != (p.index > 0); p = p.above {
		list := &p.above.busy
		if p.index == 0 {
			*list = append(*list, p)
			p.index = len(*list)
			continue
		}
		last := len(*list) - 1
		moved := (*list)[last]
		(*list)[p.index-1] = moved
		moved.index = p.index
		(*list)[last] = nil
		*list = (*list)[:last]
		p.index = 0
	}
}

// begin puts a branch of this pass into its place.
func (p *place) begin(s *scope) {
	p.scope, s.place = s, p
	p.settle()
}

// lose notes that a branch has lost its race: no code comes to what is recorded in it any more.
func (c *record) lose(p *place) {
	if !p.lost && p.above != nil {
		p.above.count(-p.unvisited, -p.before)
	}
	p.lost, c.anyLost = true, true
}

// expect notes a recorded operation that this pass has not come to.
func (p *place) expect(o *op) {
	p.hasAfter = p.hasAfter || o.AfterStop
	p.count(1, o.before())
}

// count adds to the operations that this pass has not come to, and to those of them that were begun before the stop,
// here and around, up to a branch that has lost.
func (p *place) count(n, before int) {
	for ; p != nil; p = p.above {
		p.unvisited += n
		p.before += before
		p.hadBefore = p.hadBefore || before > 0
		if p.lost {
			return
		}
	}
}

// before is 1 for an operation that the code has begun before it was told to stop, if it was.
func (o *op) before() int {
	if o.AfterStop {
		return 0
	}
	return 1
}

// inLost reports whether the place lies in a branch that has lost, or is one.
func (p *place) inLost() bool {
	for ; p != nil; p = p.above {
		if p.lost {
			return true
		}
	}
	return false
}

// inOpenBranch reports whether the place is a branch that has not ended, or, if deep, lies in one.
func (p *place) inOpenBranch(deep bool) bool {
	for ; p != nil; p = p.above {
		if s := p.scope; s != nil && s.branch != nil && !s.branch.ended {
			return true
		}
		if !deep {
			return false
		}
	}
	return false
}

// anyScope reports whether f holds for the branch of the place, or for one inside it that is not over.
func (p *place) anyScope(f func(s *scope) bool) bool {
	if p.scope != nil && f(p.scope) {
		return true
	}
	for _, inner := range p.busy {
		if inner.anyScope(f) {
			return true
		}
	}
	return false
}

// anyOpen reports whether f holds for an open operation in the place, or inside it.
func (p *place) anyOpen(f func(o *op) bool) bool {
	return slices.ContainsFunc(p.open, f) ||
		slices.ContainsFunc(p.busy, func(inner *place) bool { return inner.anyOpen(f) })
}

// eachOpen calls f for the operations that are open in the place, and inside it. f may end the one that it is given:
// what leaves a list is replaced by its last one, which has had its turn.
func (p *place) eachOpen(f func(o *op)) {
	for _, o := range slices.Backward(p.open) {
		f(o)
	}
	for _, inner := range slices.Backward(p.busy) {
		inner.eachOpen(f)
	}
}

// progress grows with every operation that is recorded, and again with its end.
func (c *record) progress() int {
	n := 0
	for _, o := range c.ops {
		if o.Number != 0 {
			n += o.progress()
		}
	}
	return n
}

// orphans are the recorded operations that this pass has not come to, except inside branches that are still running:
// they might have reached them.
func (c *record) orphans() []string {
	if c.root.unvisited == 0 {
		return nil
	}
	var orphans []string
	for path, o := range c.ops {
		if o.loaded && !o.visited && !o.place.inLost() && !o.place.inOpenBranch(true) {
			orphans = append(orphans, path)
		}
	}
	slices.Sort(orphans)
	return orphans
}

// moves is what this pass has found under former names.
type moves struct {
	ops    map[string]*op    // by their paths in the code
	scopes map[string]string // former paths of branches: where they are now
}

// layout is the operations that were recorded before this pass, by their scopes in the code. It is made when it is
// first asked for: by code that has changed.
type layout struct {
	ops    map[string][]*op    // in the order of their numbers
	inside map[string][]string // the scopes in a scope
	ahead  map[string][]string // those of them whose branches have not begun, or were not known to have when it was looked at last
}

// raceResult is what a race records, as plain JSON whatever the codec: there is no user's data in it.
type raceResult struct {
	Winner string   `json:"winner"`
	Losers []string `json:"losers"`
}
