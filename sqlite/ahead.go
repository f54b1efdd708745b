package sqlite

import (
	"slices"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// cost is what it costs to read something, in bytes.
type cost int64

const (
	// claimCost is how much one claim reads inside of its transaction, and how much ahead of it, before it leaves the
	// rest to the next one. One run it takes whatever its size.
	claimCost cost = 4 << 20
	// insideCost is how large a run may be that is read in the transaction that takes it: everybody else who writes
	// waits for that one. Below, it costs more to read what may have changed since.
	insideCost cost = 256 << 10
	// rowCost is what reading a row costs beside its payloads.
	rowCost cost = 2 << 10
)

// size is what a run costs to read, as far as it was looked at.
type size struct{ row, operations, messages cost }

func (s size) total() cost { return rowCost + s.row + s.operations + s.messages }

// prospect is a run that is due, as it was found ahead of the transaction that takes it. Nobody writes the operations
// of a run that nobody holds, and whoever takes it moves its fence: while that is the same, they are what they were. Only
// its row and its inbox may change.
type prospect struct {
	no, fence int64
	size      size
	ahead     *ahead // what was read of one that is large; nil for nothing
}

// insideCost is what it costs to read the run in the transaction that takes it.
func (p *prospect) insideCost() cost {
	if p.ahead != nil {
		return rowCost
	}
	return p.size.total()
}

// ahead is a run that was read.
type ahead struct {
	run *stored
	err error // it cannot be read
}

// prospects are runs that are due.
type prospects struct {
	byNumber map[int64]*prospect
	cut      bool // there are more
}

// survey finds what is due, and reads what of it is large, as much as one claim takes.
func (c *conn) survey(r lambdabiz.ClaimRequest, inside cost) (prospects, error) {
	others, err := c.rivals(r.Worker)
	if err != nil {
		return prospects{}, err
	}
	due, _, err := c.due(r, &others)
	if err != nil {
		return prospects{}, err
	}
	found := prospects{byNumber: make(map[int64]*prospect, len(due))}
	var small, large cost
	for _, d := range due {
		if found.cut = small >= claimCost || large >= claimCost; found.cut {
			break
		}
		p, err := c.prospect(d.no, inside)
		if err != nil {
			return prospects{}, err
		}
		found.byNumber[d.no] = p
		if p.size.total() <= inside {
			small += p.size.total()
			continue
		}
		if p.ahead, err = c.readAhead(d.no); err != nil {
			return prospects{}, err
		}
		large += costOf(&p.ahead.run.record)
	}
	return found, nil
}

// prospect looks how large a run is, and no further than it takes to know that it is large: SQLite reads each row of
// operations that it goes by.
func (c *conn) prospect(no int64, inside cost) (*prospect, error) {
	p := &prospect{no: no}
	s := c.prepare(qSize).int(no).int(int64(rowCost)).int(int64(inside/rowCost) + 1)
	if s.next() {
		p.fence, p.size.row, p.size.messages = s.getInt(), cost(s.getInt()), cost(s.getInt())
	}
	if err := s.done(); err != nil {
		return nil, err
	}
	s = c.prepare(qOperationSizes).int(no)
	for p.size.total() <= inside && s.next() {
		bytes := s.getInt()
		s.swell(int(bytes))
		p.size.operations += rowCost + cost(bytes)
	}
	return p, s.done()
}

// readAhead reads a run that is there.
func (c *conn) readAhead(no int64) (*ahead, error) {
	run, err := c.prepare(qRun).int(no).stored()
	if err == nil {
		err = c.fill(run)
	}
	if err != nil && !isUnreadable(err) {
		return nil, err
	}
	return &ahead{run, err}, nil
}

// costOf is what it has cost to read a run.
func costOf(r *lambdabiz.Record) cost {
	bytes := len(r.Input) + len(r.Progress)
	for i := range r.Operations {
		o := &r.Operations[i]
		bytes += len(o.Input) + len(o.Result) + len(o.Details)
	}
	for i := range r.Messages {
		bytes += len(r.Messages[i].Payload)
	}
	return rowCost*cost(1+len(r.Operations)+len(r.Messages)) + cost(bytes)
}

// lastMessage is the number of the last message that was read.
func (a *ahead) lastMessage() int64 {
	if n := len(a.run.record.Messages); n > 0 {
		return a.run.record.Messages[n-1].Number
	}
	return 0
}

// hasAll reports whether the messages are there that were read: a resume withdraws what a pause had sent.
func (t *tx) hasAll(a *ahead) (bool, error) {
	if len(a.run.record.Messages) == 0 {
		return true, nil
	}
	left, err := t.prepare(qCountMessages).int(a.run.no).int(a.lastMessage()).one()
	return left == int64(len(a.run.record.Messages)), err
}

// catchUp reads what may have changed since a run was read that is taken now.
func (t *tx) catchUp(a *ahead) (*stored, error) {
	if a.err != nil {
		return nil, a.err
	}
	now, err := t.prepare(qRunInfo).int(a.run.no).stored()
	if err != nil {
		return nil, err
	}
	newer, err := t.prepare(qNewerMessages).int(a.run.no).int(a.lastMessage()).messages()
	if err != nil {
		return nil, err
	}
	was := &a.run.record
	now.record.Input, now.record.Result, now.record.Progress = was.Input, was.Result, was.Progress
	now.record.Operations, now.record.Messages = was.Operations, slices.Concat(was.Messages, newer)
	return now, nil
}
