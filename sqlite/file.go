package sqlite

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// What can be wrong with the file of a database, apart from what is in it.
var (
	// ErrLinked: the database file has more than one name: hard links, or the file alone is mounted in another
	// place too. SQLite keeps a log for each name, so that what is written by one of them is lost for the others.
	// Nothing was written. Symbolic links, and a mount of the whole directory, are no further names.
	ErrLinked = errors.New("the database file has more than one name")

	// ErrMoved: the database file, or its log, is not what was opened any more: it was moved, removed or
	// replaced. Nothing is acknowledged until it is back, or the file is opened anew; together with
	// [lambdabiz.ErrOutcomeUnknown], the write is in the file that is not in its place.
	ErrMoved = errors.New("the database file was moved, removed or replaced")
)

// anchor is the open file of a database. Its path, and that of every connection, must lead to it.
type anchor struct {
	path string // absolute, without symbolic links
	file *os.File
	info fs.FileInfo
	log  string // paths of the log and of its index
	shm  string
	seen struct{ path, log, shm sight }

	mu    sync.Mutex
	users int      // connections that have the log open
	files logFiles // which log that is
}

// openFile opens the file, or creates it with rights for its owner only; SQLite gives the files beside it the
// same ones.
func openFile(path string) (*anchor, error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("give the path of a file: state that is to survive needs one")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("the file and its directory must be writable: %w", err)
	}
	if err != nil {
		return nil, err
	}
	a := &anchor{file: f}
	if err := a.find(path); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return a, nil
}

// find looks whether SQLite may open the file by this path.
func (a *anchor) find(path string) error {
	var err error
	// Lock files are found by name: every process must come to the same one.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	if a.path, err = filepath.Abs(path); err != nil {
		return err
	}
	a.log, a.shm = a.path+"-wal", a.path+"-shm"
	a.seen.path, a.seen.log, a.seen.shm = newSight(a.path), newSight(a.log), newSight(a.shm)
	log, logErr := os.Stat(a.log) // before the size of the file, which is written first
	if a.info, err = a.file.Stat(); err != nil {
		return err
	}
	if err := a.inPlace(); err != nil {
		return err
	}
	if !a.info.Mode().IsRegular() {
		return nil // SQLite says what is wrong with it
	}
	if a.info.Size() == 0 && logErr == nil && log.Size() > 0 {
		return fmt.Errorf("%w: it is empty, but its log %s is not: put the database back beside its log, or move the log away",
			ErrMoved, a.log)
	}
	names, err := links(a.file)
	if err != nil {
		return fmt.Errorf("count the names of the file: %w", err)
	}
	if names > 1 {
		return fmt.Errorf("%w: %d hard links lead to it: remove all but one, or make copies of them", ErrLinked, names)
	}
	return a.claimName()
}

// claimName says to all others that have the file open by which name this process has. Those who see another
// one have another log.
func (a *anchor) claimName() error {
	dir, err := os.Stat(filepath.Dir(a.path))
	if err != nil {
		return err
	}
	if !marksWork {
		return nil
	}
	alone, err := claimMark(a.file, markOf(identity(dir), filepath.Base(a.path)))
	if err != nil {
		return fmt.Errorf("lock the name of the file: %w", err)
	}
	if !alone {
		return fmt.Errorf("%w: a process has it open by another one; it was moved, or is mounted there alone", ErrLinked)
	}
	return nil
}

// markOf makes a number of what is to be compared.
func markOf(parts ...string) int64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(strconv.Itoa(len(p)) + " " + p)) // a hash returns no error
	}
	return int64(h.Sum64() & (1<<markBits - 1))
}

// markBits is how many marks there are: two different names have the same one once in 2^48 times.
const markBits = 48

// inPlace compares the path with the open file.
func (a *anchor) inPlace() error {
	info, err := os.Stat(a.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMoved, err)
	}
	if !os.SameFile(info, a.info) {
		return fmt.Errorf("%w: another file is at %s", ErrMoved, a.path)
	}
	return nil
}

func (a *anchor) close() error { return a.file.Close() }

// logFiles is the log that a connection has open, and the log's index.
type logFiles struct{ log, shm fs.FileInfo } // nil where there was none

// takeLog notes which log the connection has, as soon as it has one: that of the others of this process, if there
// are any. SQLite removes a log only when the last connection is closed.
func (c *conn) takeLog() error {
	if err := c.file.inPlace(); err != nil {
		return err
	}
	if _, err := c.pragma("SELECT COUNT(*) FROM sqlite_schema"); err != nil { // opens the log
		return err
	}
	a := c.file
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == 0 {
		files, err := a.look()
		if err != nil {
			return err
		}
		a.files = files
	} else if err := errors.Join(same(a.log, a.files.log), same(a.shm, a.files.shm)); err != nil {
		return err
	}
	if marksWork && a.files.shm != nil {
		if err := c.claimIndex(); err != nil {
			return err
		}
	}
	a.users++
	c.files = &a.files
	return nil
}

// look finds the log and its index by their paths.
func (a *anchor) look() (logFiles, error) {
	var files logFiles
	for _, f := range []struct {
		path string
		info *fs.FileInfo
	}{{a.log, &files.log}, {a.shm, &files.shm}} {
		info, err := os.Stat(f.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return files, err
		}
		if err == nil {
			*f.info = info
		}
	}
	return files, nil
}

// mayOpen looks, before SQLite does anything, whether what is in the paths is the file of this process, and the log
// of this file.
func (a *anchor) mayOpen() error {
	if err := a.inPlace(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users > 0 {
		return errors.Join(same(a.log, a.files.log), same(a.shm, a.files.shm))
	}
	return a.foreignIndex()
}

// claimIndex says to all others that have the index of the log open to which file it belongs: one with another
// file must not use it. The lock lives as long as the connection.
func (c *conn) claimIndex() error {
	f, err := os.OpenFile(c.file.shm, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("lock the index of the log: %w", err)
	}
	alone, err := claimMark(f, markOf(identity(c.file.info)))
	switch {
	case err != nil:
		err = fmt.Errorf("lock the index of the log: %w", err)
	case !alone:
		err = fmt.Errorf("%w: a process has another file open whose log is %s", ErrMoved, c.file.log)
	default:
		c.mark = f
		return nil
	}
	_ = f.Close() // the fault is the answer
	return err
}

// foreignIndex looks, before SQLite does anything, whether the log in the path is of another file that is open.
func (a *anchor) foreignIndex() error {
	if !marksWork {
		return nil
	}
	f, err := os.OpenFile(a.shm, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the file and its directory must be writable: %w", err)
	}
	alone, err := othersMark(f, markOf(identity(a.info)))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("look at the index of the log: %w", err)
	}
	if !alone {
		return fmt.Errorf("%w: a process has another file open whose log is %s", ErrMoved, a.log)
	}
	return nil
}

// inPlace compares what a connection has open with what the paths lead to: three calls of the system. It is asked
// before anything is acknowledged or answered.
func (c *conn) inPlace() error {
	err := c.glanceAround()
	c.astray = err != nil
	return err
}

// glanceAround looks at each path, and looks closer where a glance does not tell that all is well.
func (c *conn) glanceAround() error {
	a := c.file
	if !c.glance.finds(a.seen.path, a.info) {
		if err := a.inPlace(); err != nil {
			return err
		}
	}
	if c.files == nil {
		return nil
	}
	if !c.glance.finds(a.seen.log, c.files.log) {
		if err := same(a.log, c.files.log); err != nil {
			return err
		}
	}
	if !c.glance.finds(a.seen.shm, c.files.shm) {
		return same(a.shm, c.files.shm)
	}
	return nil
}

// mayWrite is asked before anything is written. That the files were in place the last time is enough: if they are
// not any more, the write is not acknowledged.
func (c *conn) mayWrite() error {
	if !c.astray {
		return nil
	}
	return c.inPlace()
}

func same(path string, opened fs.FileInfo) error {
	if opened == nil {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMoved, err)
	}
	if !os.SameFile(info, opened) {
		return fmt.Errorf("%w: another file is at %s", ErrMoved, path)
	}
	return nil
}

// written is the last look at the files before a write is said to be on disk.
func (c *conn) written() error {
	if err := c.inPlace(); err != nil {
		return fmt.Errorf("%w: %w", lambdabiz.ErrOutcomeUnknown, err)
	}
	return nil
}

// leaveLog is called after the connection was closed.
func (c *conn) leaveLog() error {
	if c.files != nil {
		c.file.mu.Lock()
		c.file.users--
		c.file.mu.Unlock()
		c.files = nil
	}
	if c.mark == nil {
		return nil
	}
	return c.mark.Close()
}

// spareOthers is called before the connection is closed. When the paths lead to the files of somebody else, SQLite
// must not remove them as if they were its own. What is in the log comes into the file all the same, unless
// somebody else can have that open with another log.
func (c *conn) spareOthers() {
	if c.inPlace() == nil {
		return
	}
	moved := c.file.inPlace() != nil
	if !moved && c.hasAnotherLog() {
		_, _ = c.db.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true) // it cannot fail for a connection that is open
		return
	}
	_, _ = c.db.FileControl("main", sqlite3.FCNTL_PERSIST_WAL, true) // a file system that cannot do so removes nothing
	if moved && marksWork {                                          // SQLite leaves the log of a file that was moved
		_, _ = c.pragma("PRAGMA wal_checkpoint") // what does not come into the file stays in the log
	}
}

// hasAnotherLog reports whether somebody has made a new log, or a new index of it, for the same file.
func (c *conn) hasAnotherLog() bool {
	for _, f := range []struct {
		path   string
		opened fs.FileInfo
	}{{c.file.log, c.files.log}, {c.file.shm, c.files.shm}} {
		if info, err := os.Stat(f.path); err == nil && !os.SameFile(info, f.opened) {
			return true
		}
	}
	return false
}
