package postgres

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/row"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// What becomes of a run, for qQuickRuns.
const (
	goesOn int16 = iota
	isReleased
	isClosed
)

// plan makes the rows that the statements write.
func (q *quick) plan() error {
	q.at, q.through = make(map[int64]int, len(q.commits)), make([]bool, len(q.commits))
	q.starts, q.news, q.rotten = map[int]*run{}, map[int][]lambdabiz.Message{}, map[int]bool{}
	var states []*state
	for i, c := range q.commits {
		if c.Run == nil {
			q.planStart(i, c)
			continue
		}
		s, err := q.planRun(i, c)
		if err != nil {
			return err
		}
		if s != nil {
			states = append(states, s)
		}
	}
	// Who locks runs does so in the order of their numbers, and who inserts ids in that of the ids, so that nobody waits in a
	// circle.
	slices.SortFunc(states, func(x, y *state) int { return cmp.Compare(x.no, y.no) })
	for _, s := range states {
		q.runs.add(s.no, s.fence, s.seen, s.kind, s.status, s.started, s.ended, s.due, s.blocked, s.by, s.orphans, s.failure,
			s.version, s.result, s.progress)
	}
	for _, at := range slices.SortedFunc(maps.Keys(q.starts), func(x, y int) int {
		return cmp.Compare(q.commits[x].Starts[0].ID, q.commits[y].Starts[0].ID)
	}) {
		r := q.starts[at]
		h, info := &r.head, &r.record.RunInfo
		tags, err := asJSON(info.Tags, len(info.Tags) == 0)
		if err != nil {
			return err
		}
		q.inserts.add(r.no, micros(h.Due), h.Fence, ownerOf(h), row.Micros(info.ScheduledAt), after(info.StartedAt, info.ScheduledAt),
			after(info.Deadline, info.ScheduledAt), int16(h.Status), int16(h.Mode), text(h.ID), text(h.RunID), text(h.Name), tags,
			bytesOf(r.input))
		q.wake = q.wake || h.Claimable()
		for k, v := range r.record.Tags {
			q.tags.add(r.no, digest(k, v))
		}
	}
	return nil
}

// planStart plans a run that is there by nobody else's doing.
func (q *quick) planStart(at int, c *lambdabiz.Commit) {
	s := &c.Starts[0]
	r := freshRun(q.b.numbers.next(), s, rules.New(s, c.Worker), stamp(c.At))
	q.starts[at], q.at[r.no] = r, at
}

// state is a row of qQuickRuns.
type state struct {
	no, fence, seen                                          int64
	kind, status                                             int16
	started, ended, due                                      any
	blocked, by, orphans, failure, version, result, progress any
}

// planRun plans what a commit writes of its own run. It returns nil if the run's row stays as it is.
func (q *quick) planRun(at int, c *lambdabiz.Commit) (*state, error) {
	h := c.Run.Handle.(*handle) //nolint:forcetypeassert // isQuick has looked
	q.at[h.no] = at
	s := &state{no: h.no, fence: c.Run.Fence, seen: math.MaxInt64, progress: bytesOf(c.Progress)}
	if c.Conditional {
		s.seen = c.Seen
	}
	if c.Started {
		s.started = micros(stamp(c.At))
	}
	var err error
	switch {
	case c.Close != nil:
		err = s.close(c)
	case c.Release != nil:
		err = s.release(c)
	}
	guard := s.fence
	if q.writesRow(c) {
		guard = 0 // see guarded
	}
	if err == nil {
		err = q.planOperations(h, c, guard)
	}
	for _, n := range c.Consumed {
		q.consumed.add(h.no, n, guard)
	}
	if c.Fetch {
		q.fetched.add(h.no, c.Seen)
	}
	switch {
	case guard == 0:
		return s, err
	case len(c.Operations) == 0:
		q.held.add(h.no, guard)
	}
	return nil, err
}

// writesRow reports whether a commit writes the row of its run. A conditional one does so to have the row's lock: else a
// message might come between.
func (q *quick) writesRow(c *lambdabiz.Commit) bool {
	return c.Close != nil || c.Release != nil || c.Progress != nil || c.Started || c.Conditional
}

func (s *state) close(c *lambdabiz.Commit) (err error) {
	s.kind, s.status = isClosed, int16(c.Close.Status)
	s.ended, s.result = micros(stamp(c.At)), bytesOf(c.Close.Result)
	if s.orphans, err = asJSON(c.Close.Orphans, len(c.Close.Orphans) == 0); err == nil {
		s.failure, err = asJSON(c.Close.Error, c.Close.Error == nil)
	}
	return err
}

func (s *state) release(c *lambdabiz.Commit) (err error) {
	s.kind = isReleased
	s.due, s.version = micros(stamp(c.Release.WakeAt)), optional(c.Release.Version)
	if blocked := c.Release.Blocked; blocked != nil {
		s.blocked, err = asJSON(blocked, false)
		s.by = text(blocked.Version)
	}
	return err
}

// planOperations plans the operations of a run. Those with numbers that may be stored are replaced: that takes the server longer.
func (q *quick) planOperations(h *handle, c *lambdabiz.Commit, guard int64) error {
	stored := h.stored.Load()
	for i := range c.Operations {
		o := &c.Operations[i]
		columns, err := operationRow(h.no, o)
		switch {
		case err != nil:
			return err
		case o.Number > stored:
			q.added.add(append(columns, guard)...)
		default:
			q.replaced.add(append(columns, guard)...)
		}
	}
	return nil
}
