package sqlite

import (
	"bytes"
	"context"
	"errors"
	"reflect"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
	"github.com/lambdabiz/lambdabiz/internal/row"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// commitSingle commits what is one row by one statement, without a transaction around it: that is half
// the work. It reports false for what it leaves to the general way.
func (b *Backend) commitSingle(ctx context.Context, c *lambdabiz.Commit) (lambdabiz.Verdict, bool, error) {
	switch {
	case isOperation(c):
		v, err := b.commitOperation(ctx, c)
		return v, true, err
	case isStart(c):
		return b.commitStart(ctx, c)
	}
	return lambdabiz.Verdict{}, false, nil
}

func isOperation(c *lambdabiz.Commit) bool {
	if c.Run == nil || c.Run.Fence == 0 || len(c.Operations) != 1 {
		return false
	}
	_, known := c.Run.Handle.(int64)
	return known && isPlain(c) && len(c.Starts) == 0
}

func isStart(c *lambdabiz.Commit) bool {
	return c.Run == nil && len(c.Starts) == 1 && isPlain(c) && len(c.Operations) == 0
}

// isPlain reports whether a commit has nothing but operations and starts.
func isPlain(c *lambdabiz.Commit) bool {
	return !c.Conditional && !c.Started && len(c.Consumed) == 0 && c.Progress == nil &&
		c.Release == nil && c.Close == nil && len(c.Raises) == 0 && len(c.Controls) == 0
}

// commitOperation writes one operation under the fence.
func (b *Backend) commitOperation(ctx context.Context, c *lambdabiz.Commit) (lambdabiz.Verdict, error) {
	no, op := c.Run.Handle.(int64), &c.Operations[0] //nolint:forcetypeassert // isOperation has looked
	var v lambdabiz.Verdict
	err := b.writeOne(ctx, func(conn *conn) error {
		fault.Point("single.operation")
		if err := conn.prepare(qGuardedOperation).bindOperation(no, op).int(c.Run.Fence).exec(); err != nil {
			return err
		}
		fault.Point("single.operation.written")
		if conn.db.Changes() == 0 {
			v.Err = lambdabiz.ErrFenced
		}
		return nil
	}, func(conn *conn) (bool, error) { return conn.hasOperation(no, op) }, func(conn *conn) error {
		if !c.Fetch || v.Err != nil {
			return nil //nolint:nilerr // a verdict is no fault of the store
		}
		var err error
		v.Messages, err = conn.prepare(qNewerMessages).int(no).int(c.Seen).messages()
		return err
	})
	return v, err
}

// hasOperation reports whether the row says what op says. Then it does not matter who wrote it: the
// statement would have changed nothing else.
func (c *conn) hasOperation(no int64, op *lambdabiz.Operation) (bool, error) {
	s := c.prepare(qOperation).int(no).int(op.Number)
	if !s.next() {
		return false, s.done()
	}
	have := s.operation()
	if err := s.done(); err != nil {
		return false, err
	}
	same := bytes.Equal(have.Input, op.Input) && bytes.Equal(have.Result, op.Result) &&
		bytes.Equal(have.Details, op.Details) && reflect.DeepEqual(have.Error, op.Error)
	return same && have.AfterStop == op.AfterStop && have.LastBeforeStop == op.LastBeforeStop && have.Status == op.Status &&
		have.Attempts == op.Attempts && have.ID == op.ID &&
		row.Micros(have.EndedAt) == row.Micros(op.EndedAt) && row.Micros(have.DueAt) == row.Micros(op.DueAt), nil
}

// commitStart inserts a run whose id is new, and reports false if it is not, or if events were kept
// for it.
func (b *Backend) commitStart(ctx context.Context, c *lambdabiz.Commit) (lambdabiz.Verdict, bool, error) {
	s := &c.Starts[0]
	started := &head{Head: rules.New(s, c.Worker)}
	applied := func(conn *conn) (bool, error) {
		h, err := conn.findHead(s.ID, s.RunID)
		if h != nil {
			started.no = h.no
		}
		return h != nil, err
	}
	err := b.writeOne(ctx, func(conn *conn) error {
		started.no = 0
		fault.Point("single.start")
		if err := conn.prepare(qGuardedStart).bindStart(c, s, started, nil).exec(); err != nil {
			return err
		}
		fault.Point("single.start.written")
		if conn.db.Changes() > 0 {
			started.no = conn.db.LastInsertRowID()
		}
		return nil
	}, applied, nil)
	if err != nil || started.no == 0 {
		return lambdabiz.Verdict{}, false, err
	}
	if !started.Held {
		b.wakeAll()
	}
	return lambdabiz.Verdict{Starts: []lambdabiz.StartVerdict{{Created: true, Run: started.ref()}}}, true, nil
}

// writeOne runs a statement that is a transaction by itself, and then what is to be read after it.
func (b *Backend) writeOne(
	ctx context.Context, do func(*conn) error, applied witness, after func(*conn) error,
) (err error) {
	w, err := b.lockWriter(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer b.giveBack(w, &returned, &err)
	if err = w.conn.mayWrite(); err == nil {
		err = b.single(ctx, w, do, applied)
		b.note.end()
	}
	if err == nil {
		err = w.conn.written()
	}
	if err == nil && after != nil {
		// The write is done: only a fault of the connection can still come between.
		if err = w.readAfter(after); err != nil {
			w.discard()
			err = errors.Join(lambdabiz.ErrOutcomeUnknown, err)
		}
	}
	returned = true
	return faultOf(ctx, "commit", b.explainBusy(ctx, err))
}

func (b *Backend) single(ctx context.Context, w *writer, do func(*conn) error, applied witness) error {
	err := w.once(ctx, b, do)
	if err == nil {
		return nil
	}
	if isRefusal(err) {
		w.discardUnless(isBusy(err) || errors.Is(err, sqlite3.INTERRUPT))
		return err
	}
	return b.resolve(ctx, w, applied, err)
}

// once runs the statement. It would be part of a transaction that is open: then it is not run.
func (w *writer) once(ctx context.Context, b *Backend, do func(*conn) error) (err error) {
	defer w.conn.recovered(&err)
	defer w.conn.under(ctx)()
	return retryBusy(ctx, b.config.BusyTimeout, func() error {
		if !w.conn.db.GetAutocommit() && !w.handOn {
			return errOpenTransaction
		}
		if err := w.conn.measure(); err != nil {
			return err
		}
		return do(w.conn)
	})
}

func (w *writer) readAfter(after func(*conn) error) (err error) {
	defer w.conn.recovered(&err)
	return after(w.conn)
}

func (w *writer) discardUnless(whole bool) {
	if !whole {
		w.discard()
	}
}

// isRefusal reports whether an error came before anything was written.
func isRefusal(err error) bool {
	if !isFault(err) || errors.Is(err, errOpenTransaction) {
		return true
	}
	for _, code := range []sqlite3.ErrorCode{
		sqlite3.BUSY, sqlite3.INTERRUPT, sqlite3.CONSTRAINT, sqlite3.TOOBIG, sqlite3.MISMATCH, sqlite3.READONLY,
		sqlite3.RANGE, sqlite3.MISUSE, sqlite3.ERROR,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}
