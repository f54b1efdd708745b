package lambdabiz

import (
	"cmp"
	"crypto/sha256"
	"reflect"
	"slices"

	"github.com/lambdabiz/lambdabiz/internal/meaning"
)

// alikes finds recorded operations by what their inputs mean. They are read once for each type of an input, by the branch
// that is the first to ask.
type alikes struct {
	ready   chan struct{} // closed when they are read
	byInput map[[sha256.Size]byte]*alike
}

type alikesKey struct {
	repeatKey
	of reflect.Type
}

// alike is operations whose inputs mean the same, or may do so, in the order of their numbers.
type alike struct {
	ops  []read
	from int // those before it this pass has come to; guarded by run.mu
	left int // steps that this pass has not come to; guarded by run.mu
}

func (a *alike) sort() {
	slices.SortFunc(a.ops, func(a, b read) int { return cmp.Compare(a.Number, b.Number) })
}

// addStep takes in a step that was recorded before this pass.
func (all *repeats) addStep(o *op) {
	id := lastOf(o.ID)
	at := all.steps[id]
	if at == nil {
		at = &alike{}
		all.steps[id] = at
	}
	at.ops = append(at.ops, read{op: o})
	at.left++
}

// read is a recorded operation whose input was read.
type read struct {
	*op
	sum meaning.Sum
}

// sought is a new operation, and those that it may repeat.
type sought struct {
	*alike // nil if there are none
	step   bool
	sum    meaning.Sum
	judged map[*op]bool // those that were compared by their values
}

// steps is what a step may repeat; nil for anything else.
func (x *sought) steps() *alike {
	if x.step {
		return x.alike
	}
	return nil
}

// seekLocked finds what a new operation may repeat. It gives mu up while payloads are read.
func (c *call) seekLocked(site *callSite) *sought {
	r := c.run()
	all := r.repeatsLocked()
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
		if o.visited || !r.missesLocked(o.op) || c.scope().hasTwinOf(o.op, path) {
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
