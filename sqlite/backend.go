package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

const (
	batchSize  = 256
	maxReaders = 4
)

// maxPayloadBytes is how large one payload may be. A row may have three, and is in the memory of the driver twice
// while it is written; on a machine of 32 bits there is little of that.
func maxPayloadBytes() int {
	if strconv.IntSize < 64 {
		return 2 << 20
	}
	return 32 << 20
}

// Backend keeps orchestrations in one SQLite file. It implements [lambdabiz.Backend], and
// [lambdabiz.Waker] for what is changed through the same value; changes by other processes, and by
// other values of this one, are found by Claim.
type Backend struct {
	config      Config
	file        *anchor
	note        *note  // of whoever holds the writer
	token       int64  // names this value in the table of writers
	handClaimed func() // called by a test between the claim of a large run by hand and its reading; nil else

	inside cost // as large may be what a claim reads while it keeps others from writing

	// Channels instead of mutexes: who waits for one inside a synctest bubble lets the time go on.
	writing chan *writer  // one place: the only connection that writes
	reading chan struct{} // as many places as there may be readers
	watches chan *watch   // one place: what Claim saw last
	closed  chan struct{} // closed by Close
	closing sync.Once
	steps   atomic.Int64 // transactions of steps that have the writer, or wait for it

	mu    sync.Mutex // guards what follows, and is never held across a wait
	idle  []*conn
	locks map[int64]*workerLock
	wakes []chan struct{}

	doubts map[int64][]doubt // by worker
}

var (
	_ lambdabiz.Backend = (*Backend)(nil)
	_ lambdabiz.Waker   = (*Backend)(nil)
	_ lambdabiz.Locked  = (*Backend)(nil)

	_ lambdabiz.Transactor = (*Backend)(nil)
)

var errClosed = errors.New("sqlite: backend is closed")

// Describe says that SQLite keeps every promise, and commits batches in one lane.
func (b *Backend) Describe() lambdabiz.Description {
	return lambdabiz.Description{
		Name: home, Lanes: 1, BatchSize: batchSize, MaxPayloadBytes: maxPayloadBytes(), OneWriter: true,
	}
}

// Wake returns a new channel that receives after changes made through this value.
func (b *Backend) Wake() <-chan struct{} {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wakes = append(b.wakes, c)
	return c
}

func (b *Backend) wakeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.wakes {
		select {
		case c <- struct{}{}:
		default: // a signal is waiting already
		}
	}
}

// Close waits for writes and reads in progress and closes the file. The workers that joined through
// this value count as gone afterwards. It may be called twice.
func (b *Backend) Close() error {
	var err error
	b.closing.Do(func() { err = b.close() })
	return err
}

func (b *Backend) close() error {
	close(b.closed)
	w := <-b.writing
	v := <-b.watches
	for range maxReaders {
		b.reading <- struct{}{}
	}
	errs := []error{v.close()}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.idle {
		errs = append(errs, c.close())
	}
	_ = caught(func() error { w.forget(b.token); return nil }) // a day later somebody else removes it
	errs = append(errs, w.close())                             // the last one, so that SQLite checkpoints and removes the log
	for _, l := range b.locks {
		errs = append(errs, l.flock.Close())
	}
	b.note.drop()
	errs = append(errs, b.file.close())
	b.idle, b.locks = nil, nil
	return errors.Join(errs...)
}

// read runs do on a connection of its own within one read transaction: what it sees is one snapshot.
func (b *Backend) read(ctx context.Context, do func(*conn) error) error {
	select {
	case <-b.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case b.reading <- struct{}{}:
	}
	defer func() { <-b.reading }()
	c, err := b.reader(ctx)
	if err != nil {
		return faultOf(ctx, "read", err)
	}
	whole := false
	defer func() {
		switch {
		case !whole:
			c.discard()
			return
		case c.large:
			_ = c.close() // it has only read
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.idle = append(b.idle, c)
	}()
	err = c.snapshot(ctx, b.config.BusyTimeout, do)
	if !isFault(err) {
		err = cmp.Or(c.inPlace(), err) // an answer of another file is none
	}
	whole = c.isWhole(err)
	if isFault(err) {
		return faultOf(ctx, "read", err)
	}
	return err
}

func (b *Backend) reader(ctx context.Context) (*conn, error) {
	b.mu.Lock()
	if n := len(b.idle); n > 0 {
		c := b.idle[n-1]
		b.idle = slices.Delete(b.idle, n-1, n)
		b.mu.Unlock()
		return c, nil
	}
	b.mu.Unlock()
	return b.connect(ctx, true)
}

// snapshot runs do in a read transaction, again while other connections are in the way. A panic is an error, and
// leaves the connection in a state that isWhole does not accept.
func (c *conn) snapshot(ctx context.Context, patience time.Duration, do func(*conn) error) (err error) {
	defer c.recovered(&err)
	defer c.under(ctx)()
	return retryBusy(ctx, patience, func() error {
		if err := c.exec(qBegin); err != nil {
			return err
		}
		err := do(c)
		c.under(context.Background())
		c.rollback() // a read has nothing to commit
		c.under(ctx)
		return err
	})
}

// isWhole reports whether a connection can be used on after err: our own refusals, and having had to
// wait too long, do not harm it.
func (c *conn) isWhole(err error) bool {
	harmless := !isFault(err) || isBusy(err) || errors.Is(err, sqlite3.INTERRUPT)
	return harmless && c.isIdle()
}
