package lambdabiz

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

// before reports whether the stop came before the code began the operation. Within a scope one operation follows
// another. Elsewhere it takes both: a later number, since what is recorded first has begun first, and a later time.
func (s *recordedStop) before(o *op) bool {
	if n, known := s.inScope[o.place]; known && n < o.Number {
		return true
	}
	return s.first != nil && s.first.Number < o.Number && !o.ScheduledAt.Before(s.first.EndedAt)
}
