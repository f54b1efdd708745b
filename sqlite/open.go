package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// Config is for what [Open] decides by itself. The zero value works.
type Config struct {
	// Path of the database file. It is created, readable by its owner only, if it does not exist;
	// its directory must exist.
	Path string

	// BusyTimeout is how long a call waits for other processes that write. Default: 30 seconds.
	BusyTimeout time.Duration

	// VFS is the name of a file system that was registered with the driver's vfs package. It must keep
	// its files where Path says, for the lock files stand beside them. Default: the operating system's.
	VFS string
}

// Open opens the database file at path, or creates it. See [OpenConfig].
func Open(path string) (*Backend, error) {
	return OpenConfig(context.Background(), Config{Path: path})
}

// OpenConfig opens a database file, or creates it, and brings its schema up to date. Any number of
// processes may do so at the same time. It refuses a file that is not ours, one that was written by a
// newer version, and one that cannot be written, and leaves such a file as it is.
func OpenConfig(ctx context.Context, c Config) (*Backend, error) {
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 30 * time.Second
	}
	file, err := openFile(c.Path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", c.Path, err)
	}
	b := &Backend{
		config:  c,
		file:    file,
		token:   rand.Int64(),
		inside:  insideCost,
		writing: make(chan *writer, 1),
		reading: make(chan struct{}, maxReaders),
		watches: make(chan *watch, 1),
		closed:  make(chan struct{}),
		locks:   map[int64]*workerLock{},
		doubts:  map[int64][]doubt{},
	}
	b.note = &note{file: file, token: b.token}
	w := &writer{}
	err = retryBusy(ctx, c.BusyTimeout, func() error {
		conn, err := b.dial(ctx, false)
		if err != nil {
			return err
		}
		err = conn.caught(func() error {
			if err := b.setUp(ctx, conn); err != nil {
				return err
			}
			if err := b.protect(); err != nil {
				return err
			}
			return conn.takeLog()
		})
		if err != nil {
			conn.discard()
			return err
		}
		if !conn.isIdle() {
			conn.discard()
			return errOpenTransaction
		}
		w.conn = conn
		return nil
	})
	if err != nil {
		err = b.explainBusy(ctx, err)
		_ = file.close() // the fault is the answer
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("open %s: %w", c.Path, explain(err))
	}
	b.writing <- w
	b.watches <- &watch{seen: map[int64]*sighting{}}
	return b, nil
}

// protect gives the index of the log, which the driver creates for everybody to read, the rights of
// the database. It has no payloads in it, but locks.
func (b *Backend) protect() error {
	info, err := os.Stat(b.file.path)
	if err != nil {
		return err
	}
	err = os.Chmod(b.file.shm, info.Mode().Perm())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // another file system, or the file is another user's
	}
	return err
}

// connect opens a connection to the file that was opened first.
func (b *Backend) connect(ctx context.Context, reader bool) (*conn, error) {
	c, err := b.dial(ctx, reader)
	if err != nil {
		return nil, err
	}
	err = c.caught(func() error {
		defer c.under(ctx)()
		return retryBusy(ctx, b.config.BusyTimeout, c.takeLog)
	})
	if err != nil {
		c.discard()
		return nil, err
	}
	return c, nil
}

// dial opens a connection whose settings are verified.
func (b *Backend) dial(ctx context.Context, reader bool) (*conn, error) {
	if err := b.file.mayOpen(); err != nil {
		return nil, err
	}
	v, err := newVolume(b.config.VFS)
	if err != nil {
		return nil, err
	}
	if !reader {
		v.note = b.note
	}
	c := &conn{volume: v, file: b.file}
	err = c.caught(func() error {
		if c.db, err = b.openConn(ctx, v); err != nil {
			return err
		}
		return b.configure(ctx, c, reader)
	})
	if err != nil {
		c.discard()
		return nil, err
	}
	return c, nil
}

// maxMemory is how much memory the driver may use for one connection: a row is in it twice while it is written. It
// is address space, and memory only as far as it is needed. A machine of 32 bits has no such space.
const maxMemory = 1 << 30

func (b *Backend) openConn(ctx context.Context, v *volume) (*sqlite3.Conn, error) {
	ctx = context.WithoutCancel(ctx) // nothing here waits
	if strconv.IntSize >= 64 {
		ctx = sqlite3.WithMaxMemory(ctx, maxMemory)
	}
	uri := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(b.file.path)}
	query := url.Values{
		"vfs":    {v.name},
		"mode":   {"rw"},
		"modeof": {b.file.path}, // the log has the rights of the database
	}
	uri.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // SQLite reads a plus as a plus
	return sqlite3.OpenContext(ctx, uri.String())
}

// The settings of every connection. The write-ahead log is copied back after 16 MB, which is a second
// of full load, and does not stay larger on disk than 64 MB.
var settings = []struct{ set, get, want string }{
	{"PRAGMA synchronous=FULL", "PRAGMA synchronous", "2"},
	{"PRAGMA wal_autocheckpoint=4000", "PRAGMA wal_autocheckpoint", "4000"},
	{"PRAGMA journal_size_limit=67108864", "PRAGMA journal_size_limit", "67108864"},
	{"PRAGMA trusted_schema=OFF", "PRAGMA trusted_schema", "0"},
	{"PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", "1"},
}

func (b *Backend) configure(ctx context.Context, c *conn, reader bool) error {
	defer c.under(ctx)()
	if err := c.db.BusyTimeout(b.config.BusyTimeout); err != nil {
		return err
	}
	timeout := strconv.FormatInt(b.config.BusyTimeout.Milliseconds(), 10)
	if err := c.verify("PRAGMA busy_timeout", timeout); err != nil {
		return err
	}
	for _, s := range settings {
		if _, err := c.pragma(s.set); err != nil {
			return fmt.Errorf("%s: %w", s.set, err)
		}
		if err := c.verify(s.get, s.want); err != nil {
			return err
		}
	}
	last := "PRAGMA cache_size=-16000" // a batch fits, and the inner pages of a large file do
	if reader {
		last = "PRAGMA query_only=ON"
	}
	_, err := c.pragma(last)
	return err
}

func (c *conn) verify(pragma, want string) error {
	have, err := c.pragma(pragma)
	if err != nil {
		return fmt.Errorf("%s: %w", pragma, err)
	}
	if have != want {
		return fmt.Errorf("%s: want %s, have %s", pragma, want, have)
	}
	return nil
}

// explain says in words what the common faults of opening mean.
func explain(err error) error {
	switch {
	case isFull(err), errors.Is(err, sqlite3.IOERR_SHMSIZE): // the latter for the index of the log
		return fmt.Errorf("the disk is full: %w", err)
	case errors.Is(err, sqlite3.NOTADB):
		return fmt.Errorf("it is not a SQLite database: %w", err)
	case errors.Is(err, sqlite3.READONLY), errors.Is(err, sqlite3.CANTOPEN):
		return fmt.Errorf("the file and its directory must be writable: %w", err)
	case errors.Is(err, sqlite3.CORRUPT):
		return fmt.Errorf("the database is damaged: %w", err)
	}
	return err
}

// isFault reports whether an error came from SQLite or its driver, and not from a rule of ours.
func isFault(err error) bool {
	if err == nil {
		return false
	}
	if _, is := errors.AsType[*sqlite3.Error](err); is {
		return true
	}
	if _, is := errors.AsType[sqlite3.ErrorCode](err); is {
		return true
	}
	_, panicked := errors.AsType[*panicError](err)
	return panicked || errors.Is(err, errOpenTransaction)
}

// faultOf maps an error of SQLite's at the edge: an interruption is the context's.
func faultOf(ctx context.Context, verb string, err error) error {
	if err == nil {
		return nil
	}
	fault := fmt.Errorf("sqlite: %s: %w", verb, explain(err))
	switch {
	case ctx.Err() == nil:
	case errors.Is(err, lambdabiz.ErrOutcomeUnknown):
		fault = fmt.Errorf("%w (%w)", fault, ctx.Err())
	case errors.Is(err, sqlite3.INTERRUPT), isBusy(err):
		if locked, ok := errors.AsType[*LockedError](err); ok {
			return fmt.Errorf("sqlite: %s: %w (%s)", verb, ctx.Err(), locked.Holder)
		}
		return fmt.Errorf("sqlite: %s: %w", verb, ctx.Err())
	}
	if isTemporary(err) {
		return &temporaryError{fault}
	}
	return fault
}

// temporaryError is a fault of the store, and not of what was to be written.
type temporaryError struct{ error }

// Unwrap returns the fault.
func (e *temporaryError) Unwrap() error { return e.error }

// Temporary says that the same call may succeed later.
func (e *temporaryError) Temporary() bool { return true }

// isTemporary reports whether an error has nothing to do with what was to be written: the file is locked, the disk is
// full, or fails.
func isTemporary(err error) bool {
	if isNoRoom(err) || errors.Is(err, errOpenTransaction) {
		return true
	}
	for _, code := range []sqlite3.ErrorCode{
		sqlite3.BUSY, sqlite3.LOCKED, sqlite3.FULL, sqlite3.IOERR, sqlite3.CANTOPEN, sqlite3.INTERRUPT, sqlite3.READONLY,
		sqlite3.PROTOCOL, sqlite3.PERM, sqlite3.ABORT,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// retryBusy repeats do while another connection is in the way. SQLite waits by itself in most places;
// converting a fresh file to WAL and recovering a log are not among them.
func retryBusy(ctx context.Context, patience time.Duration, do func() error) error {
	deadline := time.Now().Add(patience)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := do()
		if !isBusy(err) || !time.Now().Before(deadline) {
			return err
		}
		timer := time.NewTimer(time.Duration(rand.Int64N(int64(wait))) + wait/2)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}
