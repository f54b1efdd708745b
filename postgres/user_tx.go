package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

const home = "postgres"

// Tx runs a step whose writes to this database happen exactly once: what fn writes with tx, and that the step has ended with
// its result, are committed together. It is [lambdabiz.Step] in all else: fn is called again after a failure as the options
// say, and after a crash; a recorded result is returned from the record ever after. A worker that was replaced while fn ran
// commits nothing: all that fn wrote is rolled back, and the worker that has taken over calls fn again.
//
// fn may take minutes: nobody waits for it, but whoever needs a row that it has locked. What it does elsewhere than with tx,
// a call of another service, say, happens at least once, as in a step. If fn returns an error or panics, its writes are rolled
// back. tx.Begin makes a savepoint; Commit and Rollback of tx itself return an error and do nothing, for the end of the
// transaction is the step's. A COMMIT by Exec is found out: then the attempt fails, for good, though what fn wrote stays.
// Settings that fn makes must be such that the tables of the orchestrations can still be written in the end, its role above
// all.
//
// The isolation is the database's default, READ COMMITTED mostly; see [TxWith]. When the transaction was in the way of another
// one (a serialization failure, a deadlock), or has lost its connection, fn is called again at once, in the same attempt, ten
// times at most.
//
// Each transaction that runs takes a connection of the backend's pool, and at least two are left for all else: give the pool
// as many as are to run at a time, and two more. Others wait.
//
// On another home than PostgreSQL it returns [*lambdabiz.UnsupportedError]. A test in memory stubs the step by its id.
func Tx[T any](
	o lambdabiz.Context, id string, fn func(ctx context.Context, tx pgx.Tx) (T, error), opts ...lambdabiz.CallOption,
) (T, error) {
	return TxWith(o, id, pgx.TxOptions{}, fn, opts...)
}

// TxWith is [Tx] with an isolation level of its own. Under REPEATABLE READ and SERIALIZABLE a transaction that conflicts with
// another one fails, mostly at its COMMIT: fn is called again then, as [Tx] says. One that can only read, or has a BeginQuery or
// CommitQuery of its own, fails: it could not record the step.
func TxWith[T any](
	o lambdabiz.Context, id string, options pgx.TxOptions, fn func(ctx context.Context, tx pgx.Tx) (T, error),
	opts ...lambdabiz.CallOption,
) (T, error) {
	within := lambdabiz.Within{Home: home, How: options}
	return lambdabiz.StepWithin(o, id, within, func(ctx context.Context, t lambdabiz.Transaction) (T, error) {
		s, ok := t.(interface{ usersTx() pgx.Tx })
		if !ok {
			var none T
			return none, lambdabiz.NonRetryable(fmt.Errorf("the transaction is a %T, and none of package postgres", t))
		}
		return fn(ctx, s.usersTx())
	}, opts...)
}

var (
	errEndsItself = errors.New("postgres: the transaction of a step ends with the step: return an error to roll it back")
	errEnded      = lambdabiz.NonRetryable(errors.New("postgres: the step has ended its transaction itself, by a statement: " +
		"what it wrote may stay without its record"))
	errAborted = errors.New("postgres: a statement of the step has failed, and it has returned no error: nothing of it stays")
)

// userTx is the transaction that the body of a step is given.
type userTx struct{ pgx.Tx }

// Commit is refused.
func (userTx) Commit(context.Context) error { return errEndsItself }

// Rollback is refused.
func (userTx) Rollback(context.Context) error { return errEndsItself }

// userStep is the transaction of a step.
type userStep struct {
	b       *Backend
	conn    *pgx.Conn
	tx      pgx.Tx
	release func()
	witness int64
	lost    error // the answer to COMMIT is; nil if it is not
}

func (s *userStep) usersTx() pgx.Tx { return userTx{s.tx} }

// beginnings are how a transaction begins. The setting is gone when somebody ends it.
var beginnings = map[pgx.TxIsoLevel]string{
	"":                 "BEGIN; SET LOCAL lambdabiz.step = 'open'",
	pgx.ReadCommitted:  "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lambdabiz.step = 'open'",
	pgx.RepeatableRead: "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL lambdabiz.step = 'open'",
	pgx.Serializable:   "BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL lambdabiz.step = 'open'",
}

// Begin begins the transaction of a step; see [lambdabiz.Transactor].
func (b *Backend) Begin(ctx context.Context, how any) (lambdabiz.Transaction, error) {
	options, ok := how.(pgx.TxOptions)
	begin := beginnings[options.IsoLevel]
	options.IsoLevel = ""
	if !ok || begin == "" || options != (pgx.TxOptions{}) {
		return nil, lambdabiz.NonRetryable(fmt.Errorf(
			"postgres: the transaction of a step cannot have the options %+v: give an isolation level", how))
	}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	if b.way.portable {
		begin = b.statements[qBegin] // one level is all that there is, and no settings
	}
	conn, release, err := b.users.conn(ctx, b)
	if err != nil {
		return nil, faultOf(ctx, "begin the transaction of a step", err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		release()
		return nil, faultOf(ctx, "begin the transaction of a step", err)
	}
	return &userStep{b: b, conn: conn, tx: tx, release: release}, nil
}

// Lost reports whether an error is the transaction's; see [lambdabiz.Transaction].
func (s *userStep) Lost(err error) bool { return isConflict(err) || isLost(err) || s.conn.IsClosed() }

// Rollback ends the transaction, if it has not ended.
func (s *userStep) Rollback() {
	if s.release == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	_ = s.tx.Rollback(ctx) // one that fails closes the connection, and then the server rolls back
	s.release()
	s.release = nil
}

// Commit records the end of the step and commits. Nobody can take the run over while it is at that: whoever does waits for the
// run's row. A worker that was replaced before finds the row under another fence.
func (s *userStep) Commit(ctx context.Context, c *lambdabiz.Commit) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if s.lost == nil {
		defer s.Rollback()
		if err := s.record(ctx, c); err != nil {
			return s.faultOf(ctx, err)
		}
		if s.b.beforeCommit != nil {
			s.b.beforeCommit(s.conn)
		}
		said := s.conn.PgConn().CustomData()
		delete(said, warningKey)
		err := s.tx.Commit(ctx)
		if warning, warned := said[warningKey]; err == nil && warned {
			err = fmt.Errorf("%w: the server warns: %s", errConnection, warning)
		}
		if err == nil && s.b.lineage.isOutdated(s.conn.PgConn()) {
			err = errOldPrimary // what the server that has taken over has counts
		}
		switch {
		case err == nil:
			s.b.users.testify(s.witness)
			noteStored(c)
			return nil
		case errors.Is(err, pgx.ErrTxCommitRollback), isFinal(err):
			return s.faultOf(ctx, err)
		}
		s.lost = err
		s.Rollback() // closed, or it holds the run's row until the server has given up waiting for it
	}
	return s.readBack(ctx, c)
}

func (s *userStep) faultOf(ctx context.Context, err error) error {
	if errors.Is(err, errEnded) || errors.Is(err, errAborted) {
		return err
	}
	return faultOf(ctx, "end the transaction of a step", err)
}

// record writes the end of the step under the fence of its run.
func (s *userStep) record(ctx context.Context, c *lambdabiz.Commit) error {
	switch s.conn.PgConn().TxStatus() {
	case 'I':
		if s.conn.IsClosed() {
			return errConnection
		}
		return errEnded
	case 'E':
		return errAborted
	}
	no, ok := numberOf(c.Run)
	if !ok {
		return fmt.Errorf("the run %s was claimed elsewhere: %w", c.Run.RunID, lambdabiz.ErrFenced)
	}
	o := &c.Operations[0]
	more, err := restOf(o)
	if err != nil {
		return err
	}
	var open, held bool
	var set string
	t := &tx{b: s.b, conn: s.conn}
	p := t.pipe()
	p.settle() // from here on its end takes moments
	if open = s.b.way.portable; !open {
		p.add(qStepSettings, nil, func(rows pgx.Rows) error { return rows.Scan(&open, &set) })
	}
	p.add(qShareRun, nil, func(pgx.Rows) error { held = true; return nil }, no, c.Run.Fence)
	p.add(qWriteStep, nil, nil, no, o.Number, micros(o.ScheduledAt), after(o.StartedAt, o.ScheduledAt), after(o.EndedAt, o.ScheduledAt),
		o.Attempts, int16(o.Kind), int16(o.Status), text(o.ID), optional(o.Name), bytesOf(o.Input), bytesOf(o.Result), bytesOf(more))
	s.witness = s.b.numbers.next()
	p.add(qInsertWitness, nil, nil, s.witness)
	if former := s.b.users.dismiss(false); former != 0 {
		p.add(qDeleteWitness, nil, nil, former)
	}
	switch err := p.run(ctx); {
	case err != nil && s.conn.IsClosed():
		return fmt.Errorf("%w: %w", errConnection, err)
	case err != nil:
		return err
	case !open:
		return errEnded
	case !held:
		return lambdabiz.ErrFenced
	}
	return nil
}

// readBack finds what became of a COMMIT without an answer. Its transaction has the run's row: whoever gets that knows that the
// server is through with it.
func (s *userStep) readBack(ctx context.Context, c *lambdabiz.Commit) error {
	no, _ := numberOf(c.Run) // record has looked
	var held, ended bool
	err := s.b.on(ctx, func(conn *pgx.Conn) error {
		t := &tx{b: s.b, conn: conn}
		return t.whole(ctx, func() error {
			held, ended = false, false
			one := func(is *bool) func(pgx.Rows) error { return func(pgx.Rows) error { *is = true; return nil } }
			if err := t.query(ctx, qLockRun, one(&held), no, c.Run.Fence); err != nil {
				return err
			}
			return t.query(ctx, qStepEnded, one(&ended), no, c.Operations[0].Number)
		})
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w (read back: %w)", lambdabiz.ErrOutcomeUnknown, s.lost, err)
	case !held:
		return lambdabiz.ErrFenced // what there is of the step counts, whoever has ended it
	case ended:
		s.b.users.testify(s.witness)
		return nil
	}
	return &faultError{"end the transaction of a step", fmt.Errorf("it was not committed: %w", s.lost), true}
}
