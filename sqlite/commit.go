package sqlite

import (
	"context"
	"slices"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// Commit makes each commit durable in one transaction with one fsync; see [lambdabiz.Backend]. A
// commit that is a few operations or one start is a single statement, guarded by its own condition.
//
// What a commit may not do, or cannot read, gets its verdict; a fault of SQLite's rolls all of the batch back.
func (b *Backend) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	fault.Point("commit.begin")
	if len(batch) == 1 {
		if verdict, done, err := b.commitSingle(ctx, batch[0]); done || err != nil {
			return []lambdabiz.Verdict{verdict}, err
		}
	}
	verdicts, err := b.commitAll(ctx, batch)
	fault.Point("commit.end")
	return verdicts, err
}

// commitAll commits a batch. A commit that meets what cannot be read fails alone: the others go without it.
func (b *Backend) commitAll(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	failed := map[int]error{}
	for {
		verdicts, at := make([]lambdabiz.Verdict, len(batch)), 0
		err := b.write(ctx, "commit", func(t *tx) error {
			for i, c := range batch {
				if at = i; failed[i] != nil {
					verdicts[i].Err = failed[i]
					continue
				}
				if err := t.apply(c, &verdicts[i]); err != nil {
					return err
				}
			}
			fault.Point("commit.rows")
			return t.rows.flush(t.conn)
		})
		switch {
		case isUnreadable(err) && failed[at] == nil:
			failed[at] = err
		case err != nil:
			return nil, err
		default:
			return verdicts, nil
		}
	}
}

// apply applies one commit, or says in the verdict why it may not be applied. Rows of operations are
// only collected: nothing in a transaction reads them.
func (t *tx) apply(c *lambdabiz.Commit, v *lambdabiz.Verdict) error {
	t.at = c.At
	var h *head
	if c.Run != nil {
		var err error
		if h, err = t.guard(c, v); err != nil || v.Err != nil {
			return err
		}
	}
	t.own = h
	if rules.ClaimsAny(c) {
		if known, err := t.prepare(qFindWorker).int(c.Worker).found(); err != nil || !known {
			v.Err = lambdabiz.ErrFenced
			return err
		}
	}
	if err := t.applyMessages(c, v); err != nil {
		return err
	}
	if h != nil {
		if err := t.applyRun(c, h, v); err != nil {
			return err
		}
	}
	return nil
}

// guard checks the fence and the condition of a commit.
func (t *tx) guard(c *lambdabiz.Commit, v *lambdabiz.Verdict) (*head, error) {
	h, err := t.headOf(c.Run)
	if err != nil {
		return nil, err
	}
	if !ruled(h).Writable(c.Run.Fence) {
		v.Err = lambdabiz.ErrFenced
		return nil, nil
	}
	fault.Point("commit.guarded")
	if !c.Conditional {
		return h, nil
	}
	v.Messages, err = t.prepare(qNewerMessages).int(h.no).int(c.Seen).messages()
	if len(v.Messages) > 0 {
		v.Err = lambdabiz.ErrStale
	}
	return h, err
}

func (t *tx) headOf(ref *lambdabiz.RunRef) (*head, error) {
	if no, ok := ref.Handle.(int64); ok {
		return t.prepare(qRunHead).int(no).head()
	}
	return t.findHead(ref.ID, ref.RunID)
}

// applyMessages does what goes to other runs. A refusal marks the operation that asked for it.
func (t *tx) applyMessages(c *lambdabiz.Commit, v *lambdabiz.Verdict) error {
	for i := range c.Starts {
		verdict, err := t.start(c, &c.Starts[i])
		if err != nil {
			return err
		}
		v.Starts = append(v.Starts, verdict)
		t.refuse(c, c.Starts[i].Operation, verdict.Err)
	}
	for i := range c.Raises {
		verdict, err := t.raise(c, &c.Raises[i])
		if err != nil {
			return err
		}
		v.Raises = append(v.Raises, verdict)
		t.refuse(c, c.Raises[i].Operation, verdict.Err)
	}
	for i := range c.Controls {
		refusal, err := t.control(c, &c.Controls[i])
		if err != nil {
			return err
		}
		v.Controls = append(v.Controls, refusal)
		t.refuse(c, c.Controls[i].Operation, refusal)
	}
	return nil
}

// refuse marks an operation as refused, until the transaction fails: then the commit comes again.
func (t *tx) refuse(c *lambdabiz.Commit, operation int64, err error) {
	if err == nil || operation == 0 {
		return
	}
	before := slices.Clone(c.Operations)
	t.undo = append([]func(){func() { copy(c.Operations, before) }}, t.undo...)
	c.Refuse(operation, err)
}

// applyRun changes the run that the commit writes.
func (t *tx) applyRun(c *lambdabiz.Commit, h *head, v *lambdabiz.Verdict) error {
	t.rows.add(h.no, c.Operations)
	for _, number := range c.Consumed {
		fault.Point("commit.consume")
		if err := t.prepare(qConsume).int(number).int(h.no).exec(); err != nil {
			return err
		}
	}
	if now, first := rules.Started(h.Head); first && c.Started {
		fault.Point("commit.started")
		if err := t.prepare(qSetStarted).int(h.no).micros(c.At).exec(); err != nil {
			return err
		}
		h.Head = now
	}
	if c.Progress != nil {
		fault.Point("commit.progress")
		if err := t.prepare(qSetProgress).blob(c.Progress).int(h.no).exec(); err != nil {
			return err
		}
	}
	var err error
	switch {
	case c.Close != nil:
		err = t.end(c, h)
	case c.Release != nil:
		err = t.release(c, h)
	}
	if err != nil || !c.Fetch {
		return err
	}
	v.Messages, err = t.prepare(qNewerMessages).int(h.no).int(c.Seen).messages()
	return err
}

// release gives the run back.
func (t *tx) release(c *lambdabiz.Commit, h *head) error {
	if !h.Open() {
		return nil // a control in this commit terminated its own run
	}
	unseen := h.told // by the commit itself
	if !unseen && !c.Conditional {
		var err error
		if unseen, err = t.prepare(qNewerMessages).int(h.no).int(c.Seen).found(); err != nil {
			return err
		}
	}
	h.Head = rules.Release(h.Head, c.Release, unseen)
	fault.Point("release.write")
	t.wake = t.wake || !h.Due.IsZero()
	return t.writeRelease(h.no, h.Due, c.Release)
}

func (t *tx) writeRelease(no int64, due time.Time, r *lambdabiz.Release) error {
	return t.prepare(qRelease).int(no).time(due).json(r.Blocked, r.Blocked == nil).optionalText(r.Version).exec()
}

// operationRows are rows of operations that are written together.
type operationRows []operationRow

type operationRow struct {
	no int64
	op *lambdabiz.Operation
}

func (r *operationRows) add(no int64, operations []lambdabiz.Operation) {
	for i := range operations {
		*r = append(*r, operationRow{no, &operations[i]})
	}
}

// statementBytes is how much one statement writes, if it writes more than one row: all of it is in the memory of
// the driver at the same time.
const statementBytes = 1 << 20

// flush writes the rows, as many by one statement as there is a statement for and as are not too large.
func (r operationRows) flush(c *conn) error {
	for len(r) > 0 {
		rows, q := r.fitting()
		fault.Point("commit.insert")
		s := c.prepare(q)
		for _, row := range r[:rows] {
			s.bindOperation(row.no, row.op)
		}
		if err := s.exec(); err != nil {
			return err
		}
		fault.Point("commit.inserted")
		r = r[rows:]
	}
	return nil
}

// fitting returns the number of rows that the next statement writes, and which that is.
func (r operationRows) fitting() (int, query) {
	n, bytes := 0, 0
	for ; n < min(len(r), 64); n++ {
		op := r[n].op
		if bytes += len(op.Input) + len(op.Result) + len(op.Details); bytes > statementBytes {
			break
		}
	}
	switch {
	case n >= 64:
		return 64, qInsertOperations64
	case n >= 16:
		return 16, qInsertOperations16
	case n >= 4:
		return 4, qInsertOperations4
	}
	return 1, qInsertOperations1
}
