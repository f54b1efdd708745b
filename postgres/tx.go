package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
)

const (
	// lockTimeout is how long a write waits for a row that somebody else holds: it holds rows itself, for which others wait.
	lockTimeout = time.Second
	// commitTimeout is how long a COMMIT may take. It is never cancelled: behind a synchronous standby the server would then
	// commit all the same, and say so to nobody.
	commitTimeout = 30 * time.Second
	// readBackTimeout is how long what became of a commit is looked for.
	readBackTimeout = 30 * time.Second
	retryPause      = 100 * time.Millisecond
	// answerTimeout is how long a call waits for the server in all, but for the COMMIT: a machine that is gone without a word
	// leaves connections that nobody answers on.
	answerTimeout = 30 * time.Second
	// idleTimeout is how long the server waits for the next statement of a transaction: one whose process is frozen holds rows
	// for which others wait, and its lane, without which nobody can take over from it.
	idleTimeout = 5 * time.Second
)

// tx is a transaction on a connection of its own.
type tx struct {
	b       *Backend
	conn    *pgx.Conn
	lane    int
	workers []int64 // whose lanes it holds
	stopped []int64 // of which it holds all lanes, if they have any
	lost    bool    // the answer to COMMIT
}

// has reports whether the transaction holds the lane of a worker, which therefore is registered until it ends.
func (t *tx) has(worker int64) bool { return slices.Contains(t.workers, worker) }

// isLost reports whether a connection has ended without a word of the server.
func isLost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, errConnection)
}

var errConnection = errors.New("the connection has ended")

// acquire takes a connection of the pool, on which nothing has happened. It leads to the newest primary.
func (b *Backend) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for left := b.pool.Config().MaxConns; ; left-- {
		if b.isClosed() {
			return nil, errClosed
		}
		c, err := b.pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		if err = b.trust(ctx, c.Conn()); err == nil {
			return c, nil
		}
		_ = c.Conn().Close(ctx)
		c.Release()
		if left <= 0 || !errors.Is(err, errOldPrimary) {
			return nil, err
		}
	}
}

// connect makes a connection beside the pool, as the pool makes its own.
func (b *Backend) connect(ctx context.Context) (*pgx.Conn, error) {
	config := b.pool.Config() // a copy
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil || config.AfterConnect == nil {
		return conn, err
	}
	if err := config.AfterConnect(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // the fault is the answer
		return nil, err
	}
	return conn, nil
}

// limit bounds a call.
func (b *Backend) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.answerTimeout)
}

// read runs do on a connection, outside of a transaction. It is run again as that of transact is.
func (b *Backend) read(ctx context.Context, do func(*tx) error) error {
	return b.retry(ctx, func() error {
		return b.on(ctx, func(conn *pgx.Conn) error { return do(&tx{b: b, conn: conn}) })
	})
}

func (b *Backend) on(ctx context.Context, do func(*pgx.Conn) error) error {
	c, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	err = do(c.Conn())
	if err != nil && c.Conn().IsClosed() {
		return fmt.Errorf("%w: %w", errConnection, err)
	}
	if isOfTheServer(err) || isOutOfDate(err) { // the next connection may lead to another one, and has nothing prepared
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		_ = c.Conn().Close(closing)
	}
	return err
}

// snapshot runs do in a transaction that sees the tables as they are at one moment. It is run again as that of transact is.
func (b *Backend) snapshot(ctx context.Context, do func(*tx) error) error {
	return b.retry(ctx, func() error {
		return b.on(ctx, func(conn *pgx.Conn) error {
			t := &tx{b: b, conn: conn}
			begin := t.pipe()
			begin.add(qBeginSnapshot, nil, nil)
			begin.settle() // its statements are those of who writes, and a plan is made once
			err := begin.run(ctx)
			if err == nil {
				err = do(t)
			}
			t.rollBack(ctx)
			return err
		})
	})
}

// transact runs do in a transaction that writes. It is run again while others are in the way, so do begins anew with each call.
// What it does must be such that it may come twice: an answer to COMMIT that is lost is a fault.
func (b *Backend) transact(ctx context.Context, do func(*tx) error) error {
	return b.retry(ctx, func() error {
		return b.on(ctx, func(conn *pgx.Conn) error {
			t := &tx{b: b, conn: conn}
			return t.whole(ctx, func() error { return do(t) })
		})
	})
}

const (
	// attempts is how often a transaction is tried that meets others, or a connection that is dead: after a restart of the server
	// all in the pool are.
	attempts = 12
	// mostPause bounds how long it waits before it is tried again, so that those who meet do not meet again.
	mostPause = 50 * time.Millisecond
)

func (b *Backend) retry(ctx context.Context, try func() error) error {
	for n := range attempts {
		err := try()
		if !isConflict(err) && !isCutOff(err) || n == attempts-1 || ctx.Err() != nil {
			return err
		}
		if n == 0 {
			continue // most often once is enough
		}
		select {
		case <-time.After(rand.N(min(time.Millisecond<<n, mostPause))):
		case <-ctx.Done():
			return err
		}
	}
	return nil // not reached
}

// inClaimLane runs do in a transaction that holds the lane of claims, and those of workers. If the answer to COMMIT is lost, it finds what
// became of it, and runs do again if it was not applied: with a nil error the transaction was committed, with any other it was
// not, unless that wraps ErrOutcomeUnknown.
func (b *Backend) inClaimLane(ctx context.Context, workers []int64, do func(*tx) error) error {
	return b.inLanes(ctx, claimLane, workers, nil, do)
}

// inLanes is inClaimLane for any lane, and holds all lanes of the workers that others names, if it is not nil: nothing of theirs is
// on its way.
func (b *Backend) inLanes(
	ctx context.Context, lane int, workers []int64, others func(context.Context, *tx) ([]int64, error), do func(*tx) error,
) error {
	return b.retry(ctx, func() error {
		witness := b.numbers.next()
		b.pending[lane].Store(witness)
		var t *tx
		err := b.on(ctx, func(conn *pgx.Conn) error {
			t = &tx{b: b, conn: conn, lane: lane}
			err := t.whole(ctx, func() error {
				if others != nil {
					all, err := others(ctx, t)
					if err != nil {
						return err
					}
					t.stopped = all
				}
				if err := t.lock(ctx, workers); err != nil {
					return err
				}
				if err := do(t); err != nil {
					return err
				}
				p := t.pipe()
				t.testify(p, witness)
				return p.run(ctx)
			})
			if err == nil {
				b.witnesses[lane].Store(witness)
				if b.lineage.isOutdated(conn.PgConn()) { // another server has taken over: what that one has counts
					t.lost, err = true, errOldPrimary
				}
			}
			return err
		})
		if err == nil || t == nil || !t.lost {
			return err
		}
		return b.readBack(ctx, lane, witness, nil, err, nil)
	})
}

// whole runs do between BEGIN and COMMIT.
func (t *tx) whole(ctx context.Context, do func() error) error {
	begin := t.pipe()
	begin.add(qBegin, nil, nil)
	begin.settle()
	err := begin.run(ctx)
	if err == nil {
		err = do()
	}
	if err == nil {
		return t.commit(ctx)
	}
	t.rollBack(ctx)
	return err
}

// rollBack ends a transaction that has failed, if there is one.
func (t *tx) rollBack(ctx context.Context) {
	if t.conn.IsClosed() || t.conn.PgConn().TxStatus() == 'I' {
		return
	}
	rolling, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if _, failed := t.conn.Exec(rolling, "ROLLBACK"); failed != nil {
		_ = t.conn.Close(rolling) // the server rolls back
	}
}

// patience are the parameters of qSettings.
func (b *Backend) patience() []any {
	return []any{millis(b.lockTimeout), millis(b.idleTimeout)}
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func (t *tx) commit(ctx context.Context) error {
	if t.b.beforeCommit != nil {
		t.b.beforeCommit(t.conn)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	said := t.conn.PgConn().CustomData()
	delete(said, warningKey)
	tag, err := t.conn.Exec(ctx, "COMMIT")
	warning, warned := said[warningKey]
	switch {
	case err == nil && warned:
		// Somebody has ended its wait for a synchronous standby: whoever reads back waits for that.
		t.lost, err = true, fmt.Errorf("%w: the server warns: %s", errConnection, warning)
	case err == nil && tag.String() != "COMMIT":
		return fmt.Errorf("the server answers COMMIT with %s", tag)
	case err != nil && !isFinal(err):
		t.lost = true
	}
	return err
}

// lock takes the lanes, always in one order. That of this process is made if it is not there: somebody removes those of
// processes that have ended.
func (t *tx) lock(ctx context.Context, workers []int64) error {
	err := t.query(ctx, qLanes, func(rows pgx.Rows) error {
		var worker int64
		var lane int
		err := rows.Scan(&worker, &lane)
		if lane == t.lane {
			t.workers = append(t.workers, worker)
		}
		return err
	}, append(slices.Clone(workers), t.b.process), t.lane, t.stopped)
	if err != nil || t.has(t.b.process) {
		return err
	}
	// In the same transaction: others need not see it before, and who looks for its witness is of this process.
	_, err = t.exec(ctx, qInsertLane, t.b.process, t.lane)
	return err
}

// testify leaves a witness of the transaction, in the place of that of the lane's last one.
func (t *tx) testify(p *pipe, witness int64) {
	if last := t.b.witnesses[t.lane].Load(); last != 0 {
		p.add(qDeleteWitness, nil, nil, last)
	}
	p.add(qInsertWitness, nil, nil, witness)
}

// readBack finds what became of a transaction whose COMMIT had no answer. Whoever has its lane knows that the server is through
// with it, or has not begun: one that was sent in one message may come later, from a server that hung, or a pooler. look, not
// nil for such a one, looks for more if it was committed, with the lanes of workers. If it was not, the witness is put there:
// a transaction that comes after that meets it at its end, and is rolled back.
func (b *Backend) readBack(
	ctx context.Context, lane int, witness int64, workers []int64, lost error, look func(context.Context, *tx) error,
) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.readBackTimeout)
	defer cancel()
	put := false
	for {
		found := false
		err := b.on(ctx, func(conn *pgx.Conn) error {
			t := &tx{b: b, conn: conn, lane: lane}
			return t.whole(ctx, func() error {
				if err := t.lock(ctx, workers); err != nil {
					return err
				}
				found = false
				err := t.query(ctx, qFindWitness, func(pgx.Rows) error { found = true; return nil }, witness)
				switch {
				case err != nil, look == nil:
					return err
				case found:
					return look(ctx, t)
				}
				put = true
				n, err := t.exec(ctx, qPutWitnesses, []int64{witness})
				if err == nil && n == 0 {
					err = errAgain // it has come since
				}
				return err
			})
		})
		switch {
		case err == nil && found:
			if !put { // else it stays, whosever it is
				b.witnesses[lane].Store(witness)
			}
			return nil
		case err == nil:
			b.witnesses[lane].CompareAndSwap(witness, 0)
			return fmt.Errorf("it was not committed: %w: %w", errConnection, lost)
		}
		select {
		case <-ctx.Done():
			b.witnesses[lane].Store(0) // it may be there, or have gone with that one
			if look != nil {
				b.doubts.note(witness)
			}
			return fmt.Errorf("%w: %w: %w", lambdabiz.ErrOutcomeUnknown, lost, err)
		case <-b.closed:
			return fmt.Errorf("%w: %w: %w", lambdabiz.ErrOutcomeUnknown, lost, errClosed)
		case <-time.After(retryPause):
		}
	}
}
