package sqlite

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// LimitPages gives the disk an end for the connection that writes.
func (b *Backend) LimitPages(more int) error {
	w, err := b.lockWriter(context.Background())
	if err != nil {
		return err
	}
	defer func() { b.writing <- w }()
	pages, err := w.conn.pragma("PRAGMA page_count")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(pages)
	if err != nil {
		return err
	}
	_, err = w.conn.pragma("PRAGMA max_page_count=" + strconv.Itoa(n+more))
	return err
}

// Pragmas asks every connection that is open.
func (b *Backend) Pragmas(name string) ([]string, error) {
	w, v := <-b.writing, <-b.watches
	defer func() { b.writing <- w; b.watches <- v }()
	all := append([]*conn{w.conn, v.conn}, b.idle...)
	var answers []string
	for _, c := range all {
		answer, err := c.pragma("PRAGMA " + name)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// OnHandClaimed has f called between the claim of a large run by hand and its reading.
func (b *Backend) OnHandClaimed(f func()) { b.handClaimed = f }

// HoldReader keeps a snapshot open until release is closed.
func (b *Backend) HoldReader(ctx context.Context, held chan<- struct{}, release <-chan struct{}) error {
	return b.read(ctx, func(c *conn) error {
		_, err := c.prepare(qLastRun).one()
		held <- struct{}{}
		<-release
		return err
	})
}

// HoldWriter keeps the write lock of the file until release is closed.
func (b *Backend) HoldWriter(ctx context.Context, held chan<- struct{}, release <-chan struct{}) error {
	return b.write(ctx, "hold", func(*tx) error {
		held <- struct{}{}
		<-release
		return nil
	})
}

// Checkpoint copies the log back, as SQLite does by itself when it has become long; what fails in it fails
// in silence there, too.
func (b *Backend) Checkpoint(mode string) error {
	w := <-b.writing
	defer func() { b.writing <- w }()
	if w.conn == nil {
		return nil // the next one who writes opens a new one
	}
	err := w.conn.caught(func() error {
		_, err := w.conn.pragma("PRAGMA wal_checkpoint(" + mode + ")")
		return err
	})
	if errors.As(err, new(*panicError)) {
		w.discard()
	}
	return err
}

// HandOn lets connections be handed on whatever has befallen them.
func (b *Backend) HandOn() {
	w := <-b.writing
	w.handOn = true
	b.writing <- w
}

// DropWriter closes the connection that writes, so that the next write opens one.
func (b *Backend) DropWriter() {
	w := <-b.writing
	w.discard()
	b.writing <- w
}

// Hook lets f be called in the middle of what the open connections do, with the name of the place.
func (b *Backend) Hook(f func(place string)) error {
	w, v := <-b.writing, <-b.watches
	defer func() { b.writing <- w; b.watches <- v }()
	for _, c := range append([]*conn{w.conn, v.conn}, b.idle...) {
		if c == nil {
			continue
		}
		err := c.db.Trace(sqlite3.TRACE_STMT, func(sqlite3.TraceEvent, any, any) error { f("statement"); return nil })
		if err != nil {
			return err
		}
		c.db.UpdateHook(func(sqlite3.AuthorizerActionCode, string, string, int64) { f("row") })
		c.db.CommitHook(func() bool { f("commit"); return true })
		c.db.RollbackHook(func() { f("rollback") })
		c.db.WALHook(func(*sqlite3.Conn, string, int) error { f("logged"); return nil })
	}
	return nil
}

// LimitMemory lets the driver of the connection that writes find no more memory than that; 0 for no limit.
func (b *Backend) LimitMemory(bytes int64) error {
	w, err := b.lockWriter(context.Background())
	if err != nil {
		return err
	}
	defer func() { b.writing <- w }()
	w.conn.db.HardHeapLimit(bytes)
	return nil
}

// ReadAhead lets claims read all runs outside of the transaction that takes them, however small they are.
func (b *Backend) ReadAhead() { b.inside = 0 }

// WithdrawMessages removes the messages of a run, as a resume does with those of a pause.
func (b *Backend) WithdrawMessages(id string) error {
	return b.write(context.Background(), "withdraw", func(t *tx) error {
		h, err := t.findHead(id, "")
		if err != nil {
			return err
		}
		return t.prepare(qPurgeMessages).int(h.no).exec()
	})
}

// LeaveSteps is how many steps SQLite takes to free what a worker holds. Nothing is freed.
func (b *Backend) LeaveSteps(ctx context.Context, worker int64) (steps int, err error) {
	none := errors.New("nothing shall be freed")
	err = b.write(ctx, "leave", func(t *tx) error {
		s := t.prepare(qFree).int(worker).int(atOnce).int(1)
		s.raw.Status(sqlite3.STMTSTATUS_VM_STEP, true)
		if err := s.exec(); err != nil {
			return err
		}
		steps = s.raw.Status(sqlite3.STMTSTATUS_VM_STEP, false)
		return none
	})
	if errors.Is(err, none) {
		err = nil
	}
	return steps, err
}

// QueriesOf is what the body of a step writes with.
func QueriesOf(t lambdabiz.Transaction) Queries { return t.(*userStep).queries() }

// WithoutFence takes a protection of a step's transaction out: whoever has the run by now, the step is recorded.
func WithoutFence(t lambdabiz.Transaction, fence int64) error {
	c := t.(*userStep).conn
	text := strings.Replace(queries[qRunHead], "fence,", strconv.FormatInt(fence, 10)+",", 1)
	raw, _, err := c.db.Prepare(text)
	c.stmts[qRunHead] = &stmt{raw: raw, large: &c.large}
	return err
}

// WithoutCommitHook takes another one out: a COMMIT of the body's commits.
func WithoutCommitHook(t lambdabiz.Transaction) { t.(*userStep).conn.db.CommitHook(nil) }

// WithoutRollbackHook takes another one out: nobody notices a ROLLBACK of the body's.
func WithoutRollbackHook(t lambdabiz.Transaction) { t.(*userStep).conn.db.RollbackHook(nil) }
