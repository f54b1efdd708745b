package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

const home = "sqlite"

// Queries is what the body of [Tx] writes with, and what [StartTx] and [RaiseTx] write with: a *sql.Tx has it.
type Queries interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx runs a step whose writes to this file happen exactly once: what fn writes with tx to tables of the application's in the file of
// the orchestrations, and that the step has ended with its result, are committed together. It is [lambdabiz.Step] in all else:
// fn is called again after a failure as the options say, and after a crash; a recorded result is returned from the record ever
// after. A worker that was replaced while fn ran commits nothing.
//
// SQLite has one writer: as long as fn runs, nothing else is written to the file, by no process, heartbeats of workers
// included. So fn must be done within milliseconds, and wait for nothing. What it asks the engine to write, by
// [lambdabiz.Engine.RaiseEvent] for example, fails with ErrBusy: at once if it gives its own context, else after
// Config.BusyTimeout. [StartTx] and [RaiseTx] with tx are the way. A time-out ends fn's context, and no more: the file is locked
// until fn returns, and Close waits for that.
//
// If fn returns an error or panics, its writes are rolled back. Savepoints are fine; COMMIT and ROLLBACK by a statement fail the
// attempt for good, and nothing stays. Rows that fn has left open are closed. Foreign keys are checked. Functions and
// collations that the application has registered with its own driver are not there.
//
// On another home than SQLite it returns [*lambdabiz.UnsupportedError]. A test in memory stubs the step by its id.
func Tx[T any](
	o lambdabiz.Context, id string, fn func(ctx context.Context, tx Queries) (T, error), opts ...lambdabiz.CallOption,
) (T, error) {
	within := lambdabiz.Within{Home: home}
	return lambdabiz.StepWithin(o, id, within, func(ctx context.Context, t lambdabiz.Transaction) (T, error) {
		s, ok := t.(interface{ queries() Queries })
		if !ok {
			var none T
			return none, lambdabiz.NonRetryable(fmt.Errorf("the transaction is a %T, and none of package sqlite", t))
		}
		return fn(ctx, s.queries())
	}, opts...)
}

var (
	errEndsItself = errors.New("sqlite: the transaction of a step ends with the step: return an error to roll it back")
	errEnded      = lambdabiz.NonRetryable(errors.New("sqlite: the step has ended its transaction itself: nothing of it stays"))
)

// userTx is what the body of a step is given of its transaction: no way to end it.
type userTx struct{ Queries }

// userStep is the transaction of a step. It has the writer of the backend, and a connection of its own: what the body sets there
// goes with it.
type userStep struct {
	b       *Backend
	w       *writer
	conn    *conn
	db      *sql.DB
	users   *sql.Conn
	commits bool // the COMMIT is the step's
	undone  bool // a ROLLBACK was the body's, or SQLite's own
	over    bool
	witness witness // tells whether the COMMIT was applied
	cause   error   // why that is not known
}

func (s *userStep) queries() Queries { return userTx{s.users} }

// Begin begins the transaction of a step; see [lambdabiz.Transactor].
func (b *Backend) Begin(ctx context.Context, _ any) (lambdabiz.Transaction, error) {
	b.steps.Add(1)
	w, err := b.lockWriter(ctx)
	if err != nil {
		b.steps.Add(-1)
		return nil, err
	}
	s := &userStep{b: b, w: w}
	if err := s.begin(ctx); err != nil {
		s.end(err)
		return nil, faultOf(ctx, "begin the transaction of a step", b.explainBusy(ctx, err))
	}
	return s, nil
}

func (s *userStep) begin(ctx context.Context) (err error) {
	if s.conn, err = s.b.connect(ctx, false); err != nil {
		return err
	}
	defer s.conn.recovered(&err)
	if _, err := s.conn.pragma("PRAGMA foreign_keys=ON"); err != nil {
		return err
	}
	if err := s.conn.mayWrite(); err != nil {
		return err
	}
	if err := begin(ctx, s.conn, s.b.config.BusyTimeout); err != nil {
		return err
	}
	s.b.note.begin()
	if err := s.conn.measure(); err != nil {
		return err
	}
	s.conn.db.CommitHook(func() bool { return s.commits })
	s.conn.db.RollbackHook(func() { s.undone = true })
	s.db = sql.OpenDB(&usersConn{c: s.conn})
	s.users, err = s.db.Conn(ctx)
	return err
}

// end gives the connection up, and the writer back.
func (s *userStep) end(err error) {
	s.release()
	s.b.note.end()
	s.b.steps.Add(-1)
	returned := true
	s.b.giveBack(s.w, &returned, &err)
	s.over = true
}

// finish ends what the body has left open, and the body's way to the connection. sql.Conn.Close would wait until it has been
// closed: for ever.
func (s *userStep) finish() error {
	if s.users == nil {
		return nil
	}
	return s.users.Raw(func(c any) error {
		return s.conn.caught(c.(*usersConn).end) //nolint:forcetypeassert // begin has made it
	})
}

// release closes the connection; what is open is rolled back.
func (s *userStep) release() {
	_ = s.finish() // the connection is closed, however that ends
	s.users = nil
	if s.db != nil {
		_ = s.db.Close() // it has nothing of its own
		s.db = nil
	}
	if s.conn != nil {
		s.conn.discard()
		s.conn = nil
	}
}

// Lost reports whether an error is the transaction's; see [lambdabiz.Transaction]. Nobody is in the way of the only writer.
func (s *userStep) Lost(error) bool { return false }

// Rollback ends the transaction, if it has not ended.
func (s *userStep) Rollback() {
	if !s.over {
		s.end(nil)
	}
}

// Commit records the end of the step and commits.
func (s *userStep) Commit(ctx context.Context, c *lambdabiz.Commit) (err error) {
	ctx = context.WithoutCancel(ctx)
	if s.over {
		return s.lookAgain(ctx)
	}
	defer func() { s.end(err) }()
	t := &tx{conn: s.conn, at: time.Now()}
	if err = s.finish(); err == nil {
		err = s.conn.caught(func() error { return s.record(t, c) })
	}
	if err != nil && t.ending {
		s.release() // or the writer waits for it
		s.cause, s.witness = err, t.witness
		err = s.b.resolve(ctx, s.w, s.witness, s.cause)
	}
	if err == nil {
		s.b.wakeAll()
		return nil
	}
	if isFault(err) || isNoRoom(err) || errors.Is(err, ErrMoved) {
		err = faultOf(ctx, "end the transaction of a step", err)
	}
	return err
}

// lookAgain looks what became of a COMMIT of which nobody knew.
func (s *userStep) lookAgain(ctx context.Context) (err error) {
	w, err := s.b.lockWriter(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", lambdabiz.ErrOutcomeUnknown, err)
	}
	returned := true
	defer func() { s.b.giveBack(w, &returned, &err) }()
	err = s.b.resolve(ctx, w, s.witness, s.cause)
	if err == nil {
		s.b.wakeAll()
	}
	return faultOf(ctx, "end the transaction of a step", err)
}

func (s *userStep) record(t *tx, c *lambdabiz.Commit) error {
	if s.undone || s.conn.db.GetAutocommit() {
		return errEnded
	}
	var v lambdabiz.Verdict
	if err := t.apply(c, &v); err != nil {
		return err
	}
	if v.Err != nil {
		return v.Err
	}
	if err := t.rows.flush(t.conn); err != nil {
		return err
	}
	if c.Worker > 0 { // it could not beat meanwhile
		if err := t.prepare(qBeat).int(c.Worker).exec(); err != nil {
			return err
		}
	}
	no, o := c.Run.Handle.(int64), &c.Operations[0] //nolint:forcetypeassert // apply has found it by that
	t.witness = func(c *conn) (bool, error) { return c.hasOperation(no, o) }
	t.ending, s.commits = true, true
	if err := s.conn.exec(qCommit); err != nil {
		return err
	}
	return s.conn.written()
}

// stepBusy is what a write comes to that has waited for the transaction of a step for too long.
func (b *Backend) stepBusy() error {
	return &temporaryError{fmt.Errorf("sqlite: %w: a step of this process is in a transaction: it may be this one", lambdabiz.ErrBusy)}
}
