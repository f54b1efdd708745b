package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// writer is the only connection of a Backend that writes. Whoever holds it has taken it out of
// Backend.writing.
type writer struct {
	conn  *conn // nil after a fault: the next one who writes opens it anew
	batch int64 // the last transaction that named itself in the table of writers

	full bool // a write has found no room

	handOn bool // a test wants to see what comes of connections that are handed on whatever befell them
}

// errOpenTransaction: nothing may be written on a connection that has a transaction open, for it would be part of
// that one, and be acknowledged before it is on disk.
var errOpenTransaction = errors.New("a transaction is open on the connection, it is given up")

// tx is a transaction that writes.
type tx struct {
	*conn
	at time.Time // for what has no time of its own

	ending bool // COMMIT may have been reached

	wake    bool    // somebody may have something to claim
	witness witness // tells afterwards whether the transaction was applied; nil for its number
	undo    []func()
	rows    operationRows
	own     *head // the run that the commit writes; nil for one from outside
}

// witness reports whether a transaction was applied.
type witness func(*conn) (bool, error)

func (w *writer) close() error {
	if w.conn == nil {
		return nil
	}
	return w.conn.close()
}

// forget removes the row that names the writer's transactions, if it comes to that.
func (w *writer) forget(token int64) {
	if w.conn != nil && w.batch > 0 && w.conn.db.BusyTimeout(0) == nil {
		_ = w.conn.prepare(qForgetWriter).int(token).exec()
	}
}

// discard gives up the connection: what state it is in is not known any more.
func (w *writer) discard() {
	if w.conn != nil && !w.handOn {
		w.conn.discard()
		w.conn = nil
	}
}

func (b *Backend) lockWriter(ctx context.Context) (*writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-b.closed:
		return nil, errClosed
	default:
	}
	var late <-chan time.Time
	if b.steps.Load() > 0 { // the body of one may be who asks
		timer := time.NewTimer(b.config.BusyTimeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-b.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late:
		return nil, b.stepBusy()
	case w := <-b.writing:
		if err := b.ready(ctx, w); err != nil {
			b.writing <- w
			return nil, faultOf(ctx, "reopen", err)
		}
		return w, nil
	}
}

// ready makes sure that the writer has a connection without a transaction, and tries to make room if the last write
// found none.
func (b *Backend) ready(ctx context.Context, w *writer) error {
	for try := 1; ; try++ {
		if w.conn == nil || !w.handOn && !w.conn.isIdle() {
			w.discard()
			c, err := b.connect(ctx, false)
			if err != nil {
				return err
			}
			w.conn = c
		}
		if !w.full || try > 1 {
			return nil
		}
		w.makeRoom(nil)
	}
}

// giveBack, deferred by who has locked the writer, hands it on. Only a normal return leaves the connection as it
// is: after a panic nobody knows what it still believes, nor, here, what was done.
func (b *Backend) giveBack(w *writer, returned *bool, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("sqlite: %w: %w", lambdabiz.ErrOutcomeUnknown, newPanicError(p))
	}
	if !*returned && w.conn != nil {
		w.conn.volume.cut = true
	}
	switch {
	case !*returned || w.conn != nil && !w.conn.isIdle():
		w.discard()
	case w.conn != nil && w.conn.large:
		_ = w.conn.close() // what was written is on disk
		w.conn = nil
	default:
		w.makeRoom(*err)
	}
	b.writing <- w
}

// makeRoom copies the log back and cuts it, where the disk is small and the log has become long for it, and after
// a write that found no room, until that is done. What fails here stays in the log.
func (w *writer) makeRoom(err error) {
	w.full = w.full || isFull(err)
	if w.conn == nil || !w.full && (!w.conn.volume.tight || w.conn.volume.log < w.conn.volume.cutAt) {
		return
	}
	v, cut := w.conn.volume, false
	fault := w.conn.caught(func() (err error) { cut, err = w.conn.cutLog(); return err })
	switch {
	case fault != nil || !w.conn.isIdle():
		w.discard()
	case cut:
		w.full, v.log = false, 0
	default:
		v.cutAt = v.log + logStep // somebody reads for long
	}
}

// write runs do in one transaction. When it returns nil, what was written is on disk. Any error means
// that nothing was applied, except one that wraps ErrOutcomeUnknown.
func (b *Backend) write(ctx context.Context, verb string, do func(*tx) error) (err error) {
	w, err := b.lockWriter(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer b.giveBack(w, &returned, &err)
	t, err := b.transact(ctx, w, do)
	if err == nil && t.wake {
		b.wakeAll()
	}
	if err != nil {
		for _, undo := range t.undo {
			undo()
		}
		err = b.explainBusy(ctx, err)
		if isFault(err) || isNoRoom(err) || errors.Is(err, ErrMoved) {
			err = faultOf(ctx, verb, err)
		}
	}
	returned = true
	return err
}

func (b *Backend) transact(ctx context.Context, w *writer, do func(*tx) error) (*tx, error) {
	t := &tx{conn: w.conn, at: time.Now()}
	defer b.note.end()
	err := b.perform(ctx, w, t, do)
	if err != nil && t.ending {
		err = b.resolve(ctx, w, t.witness, err)
	}
	switch {
	case err == nil && t.ending:
		return t, w.conn.written()
	case err == nil:
		return t, w.conn.inPlace() // refusals are answers, too
	case t.ending:
	case !isFault(err):
		// Our own refusals leave the connection whole.
		if usable := false; w.conn.caught(func() error { usable = w.conn.rollback(); return nil }) != nil || !usable {
			w.discard()
		}
	case !isBusy(err) && !errors.Is(err, sqlite3.INTERRUPT) || !w.conn.isIdle():
		w.discard()
	}
	return t, err
}

// perform goes through a transaction. What it returns before t.ending is set was not applied, and never will be:
// nothing that was written is kept.
func (b *Backend) perform(ctx context.Context, w *writer, t *tx, do func(*tx) error) (err error) {
	defer w.conn.recovered(&err)
	if !w.conn.db.GetAutocommit() && !w.handOn {
		return errOpenTransaction
	}
	if err := w.conn.mayWrite(); err != nil {
		return err
	}
	fault.Point("tx.begin")
	if err := begin(ctx, w.conn, b.config.BusyTimeout); err != nil {
		return err
	}
	b.note.begin()
	fault.Point("tx.begun")
	if err := w.conn.measure(); err != nil {
		return err
	}
	before := w.conn.db.TotalChanges()
	err = do(t)
	fault.Point("tx.written")
	if err == nil && w.conn.db.TotalChanges() == before && w.conn.rollback() {
		return nil // refusals only: there is nothing to wait for the disk for
	}
	if err == nil {
		err = b.name(w, t)
	}
	if err == nil && w.conn.db.GetAutocommit() {
		err = fmt.Errorf("commit: SQLite has rolled the transaction back: %w", sqlite3.ABORT)
	}
	if err != nil {
		return err
	}
	fault.Point("tx.commit")
	t.ending = true
	if err := w.conn.exec(qCommit); err != nil {
		return err
	}
	if !w.conn.db.GetAutocommit() {
		return errOpenTransaction
	}
	fault.Point("tx.committed")
	return nil
}

// begin takes the write lock first, so that no statement within finds out later that it has to wait.
func begin(ctx context.Context, c *conn, patience time.Duration) error {
	defer c.under(ctx)()
	return retryBusy(ctx, patience, func() error { return c.exec(qBeginImmediate) })
}

// name writes the number of the transaction, if nothing in it tells as well whether it was applied.
func (b *Backend) name(w *writer, t *tx) error {
	if t.witness != nil {
		return nil
	}
	w.batch++
	if w.batch == 1 {
		// Rows of processes that died: a failed COMMIT is looked up within seconds.
		old := t.at.Add(-24 * time.Hour)
		if err := t.prepare(qForgetWriters).time(old).exec(); err != nil {
			return err
		}
	}
	number := w.batch
	t.witness = func(c *conn) (bool, error) {
		return c.prepare(qFindBatch).int(b.token).int(number).found()
	}
	fault.Point("tx.name")
	return t.prepare(qBatch).int(b.token).int(number).time(t.at).exec()
}

// resolve finds out what became of a transaction whose end failed. It returns nil if the transaction
// was applied, the cause if it was not and never will be, and ErrOutcomeUnknown if that is not to be
// found out.
//
// A new connection looks for the witness. Then it writes: if the frames of the failed commit are still
// in the log, beyond its valid end, this overwrites them. Without that they could come back to life
// when the log is recovered after a crash.
func (b *Backend) resolve(ctx context.Context, w *writer, applied witness, cause error) (result error) {
	w.discard()
	defer func() {
		if p := recover(); p != nil {
			if w.conn != nil {
				w.conn.volume.cut = true
			}
			w.discard()
			result = fmt.Errorf("%w: %w (read back: %w)", lambdabiz.ErrOutcomeUnknown, cause, newPanicError(p))
		}
	}()
	unknown := func(err error) error {
		w.discard()
		return fmt.Errorf("%w: %w (read back: %w)", lambdabiz.ErrOutcomeUnknown, cause, err)
	}
	ctx = context.WithoutCancel(ctx)
	c, err := b.connect(ctx, false)
	if err != nil {
		return unknown(err)
	}
	w.conn = c
	if err := begin(ctx, c, b.config.BusyTimeout); err != nil {
		return unknown(err)
	}
	found, err := applied(c)
	if err != nil {
		return unknown(err)
	}
	w.batch++
	err = c.prepare(qBatch).int(b.token).int(w.batch).int(time.Now().UnixMicro()).exec()
	if err == nil {
		err = c.exec(qCommit)
	}
	switch {
	case err != nil && errors.Is(cause, sqlite3.FULL) && !found:
		w.discard() // there was no room for the frame that ends a transaction
		return cause
	case err != nil:
		return unknown(err)
	case found:
		return nil
	}
	return cause
}
