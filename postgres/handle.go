package postgres

import (
	"sync/atomic"

	"github.com/lambdabiz/lambdabiz"
)

// handle is what a holder has of its run: which row it is, and what need not be looked up to write it. It stands in
// [lambdabiz.RunRef].Handle of what was claimed or started here. Other references have the number alone.
type handle struct {
	no     int64
	worker int64             // that holds it; 0 for one who drives it by hand
	parent *lambdabiz.Parent // nil for none that waits
	// stored is at least the number of each operation that is stored. It may lag while an outcome is not known.
	stored atomic.Int64
}

// numberOf is the number of the row that a reference means.
func numberOf(ref *lambdabiz.RunRef) (int64, bool) {
	switch h := ref.Handle.(type) {
	case *handle:
		return h.no, true
	case int64:
		return h, true
	}
	return 0, false
}

// held is a reference for who holds the run from now on.
func (s *stored) held() lambdabiz.RunRef {
	h := &handle{no: s.no, worker: s.head.Worker}
	if p := s.head.Parent; p != nil && !p.Detached {
		h.parent = p
	}
	h.note(s.record.Operations)
	ref := s.ref()
	ref.Handle = h
	return ref
}

// note notes that operations are stored.
func (h *handle) note(operations []lambdabiz.Operation) {
	highest := int64(0)
	for i := range operations {
		highest = max(highest, operations[i].Number)
	}
	for {
		before := h.stored.Load()
		if highest <= before || h.stored.CompareAndSwap(before, highest) {
			return
		}
	}
}

// noteStored notes what an applied commit has stored.
func noteStored(c *lambdabiz.Commit) {
	if c.Run == nil {
		return
	}
	if h, ok := c.Run.Handle.(*handle); ok {
		h.note(c.Operations)
	}
}
