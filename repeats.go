package lambdabiz

import (
	"cmp"
	"crypto/sha256"
	"reflect"
	"slices"

	"github.com/lambdabiz/lambdabiz/internal/meaning"
)

// repeats finds the recorded operation that a new one would repeat: one with the same kind, name and input that
// this pass has not come to. Of steps, which have neither a name nor an input, it is one with the same id in another
// scope. It has what was recorded before this pass only, and is made when a resumed pass has something new while there
// is something that it has not come to: a first pass never has one.
type repeats struct {
	ops    map[repeatKey][]*op
	alikes map[alikesKey]*alikes
	steps  map[string]*alike // by the last id of their paths
	stop   recordedStop
}

type repeatKey struct {
	kind   Kind
	name   string
	target string // of a raised event
}

func (o *op) repeatKey() repeatKey {
	key := repeatKey{kind: o.Kind, name: o.Name}
	if o.Kind == KindRaise {
		key.target = o.Target
	}
	return key
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

// recordedStop is what the record tells of the end of the code's contexts, by a cancellation or the deadline. Only the
// order of the record and the clock of the workers count: when a cancellation was asked for is known by the clock of
// who did so, and that it was asked for does not say that the code knew.
type recordedStop struct {
	inScope map[*place]int64 // the lowest number of an operation that the stop has ended there
	first   *op              // the one that it has ended first
}

// add takes in an operation that was recorded before this pass.
func (s *recordedStop) add(o *op) {
	if !o.loaded || !o.endedByStop() {
		return
	}
	if s.inScope == nil {
		s.inScope = map[*place]int64{}
	}
	if n, known := s.inScope[o.place]; !known || o.Number < n {
		s.inScope[o.place] = o.Number
	}
	if s.first == nil || o.EndedAt.Before(s.first.EndedAt) || o.EndedAt.Equal(s.first.EndedAt) && o.Number < s.first.Number {
		s.first = o
	}
}

// before reports whether the stop came before the code began the operation. The record says so since it tells where code
// was told to stop. In older ones, within a scope one operation follows another. Elsewhere it takes both: a later number,
// since what is recorded first has begun first, and a later time.
func (s *recordedStop) before(o *op) bool {
	if o.AfterStop {
		return true
	}
	if n, known := s.inScope[o.place]; known && n < o.Number {
		return true
	}
	return s.first != nil && s.first.Number < o.Number && !o.ScheduledAt.Before(s.first.EndedAt)
}

// heldOp is a new operation that waits until it is sure that it repeats nothing.
type heldOp struct {
	*waiter
	steps *alike // those that a step may repeat: it need not look before this pass has come to all of them, or rests
	by    *op    // what it may repeat; the others need not look before this pass has come to that, or rests
}
