package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// volume is the file system of one connection: the one that Config.VFS names, and three things more.
//
// It knows a full disk when it sees one. The driver takes the error of package os for any error of a disk, and
// then nobody knows whether what was written counts.
//
// It leaves room to copy the log back: what is in the log has to go into the database before the log can be cut,
// and a disk that a log has filled up could not be helped any more.
//
// And it can be cut off: what a panic of the driver has left of a connection writes nothing any more.
type volume struct {
	inner vfs.VFS
	name  string // under which the driver finds it
	files []*file
	cut   bool
	log   int64 // where the log ends, as far as this connection has written it
	note  *note // says that the file is locked; nil for a connection that only reads

	// What follows counts on a disk that has not much room.
	tight    bool
	pages    int64 // of the database, with what is in the log; 0 if nobody has asked
	pageSize int64
	cutAt    int64 // the length at which the log is copied back
}

// volumes makes the names of volumes unique.
var volumes atomic.Int64

func newVolume(name string) (*volume, error) {
	inner := vfs.Find(name)
	if inner == nil {
		return nil, fmt.Errorf("no file system %q is registered with the driver", name)
	}
	v := &volume{inner: inner, name: "lambdabiz-" + strconv.FormatInt(volumes.Add(1), 10)}
	vfs.Register(v.name, v)
	return v, nil
}

// release gives back what the connection has left open, and all that belongs to it.
func (v *volume) release() error {
	v.cut = true
	vfs.Unregister(v.name)
	var errs []error
	for len(v.files) > 0 {
		errs = append(errs, caught(v.files[0].Close))
	}
	return errors.Join(errs...)
}

// errCut is what SQLite is told when it would write to a volume that was cut off.
const errCut = sqlite3.IOERR_WRITE

// Open opens a file without the driver's parameters.
func (v *volume) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if v.cut {
		return nil, flags, sqlite3.CANTOPEN
	}
	inner, flags, err := vfsutil.WrapOpen(v.inner, name, flags)
	return v.opened(inner, name, flags, err)
}

// OpenFilename opens a file.
func (v *volume) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if v.cut {
		return nil, flags, sqlite3.CANTOPEN
	}
	inner, flags, err := vfsutil.WrapOpenFilename(v.inner, name, flags)
	return v.opened(inner, name.String(), flags, err)
}

func (v *volume) opened(inner vfs.File, path string, flags vfs.OpenFlag, err error) (vfs.File, vfs.OpenFlag, error) {
	if err != nil {
		return nil, flags, orFull(err)
	}
	f := &file{File: inner, volume: v, path: path, isLog: flags&vfs.OPEN_WAL != 0, isDatabase: flags&vfs.OPEN_MAIN_DB != 0}
	v.files = append(v.files, f)
	return f, flags, nil
}

// Delete removes a file.
func (v *volume) Delete(path string, syncDir bool) error {
	if v.cut {
		return sqlite3.IOERR_DELETE
	}
	return v.inner.Delete(path, syncDir)
}

// Access looks whether there is a file.
func (v *volume) Access(path string, flags vfs.AccessFlag) (bool, error) {
	return v.inner.Access(path, flags)
}

// FullPathname is the name without links.
func (v *volume) FullPathname(path string) (string, error) { return v.inner.FullPathname(path) }

// file is an open file of a volume.
type file struct {
	vfs.File
	volume            *volume
	path              string
	isLog, isDatabase bool

	sure   int64 // how far the log may grow without another look at the room
	closed bool
}

// Close closes the file, once.
func (f *file) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	for i, other := range f.volume.files {
		if other == f {
			f.volume.files = append(f.volume.files[:i], f.volume.files[i+1:]...)
			break
		}
	}
	if f.volume.cut {
		// SQLite may have left the index of the log mapped, and as long as it is, closing gives no lock back.
		if index, ok := f.SharedMemory().(interface{ Fd() uintptr }); ok {
			unlock(index.Fd())
		}
	}
	return f.File.Close()
}

// WriteAt writes.
func (f *file) WriteAt(p []byte, offset int64) (int, error) {
	if f.volume.cut {
		return 0, errCut
	}
	if f.isLog {
		if f.volume.note != nil {
			f.volume.note.begin()
		}
		if err := f.reserve(p, offset); err != nil {
			return 0, err
		}
	}
	n, err := f.File.WriteAt(p, offset)
	return n, orFull(err)
}

const (
	logStep     = 256 << 10 // the log grows by that much from one look at the room to the next
	roomyDisk   = 256 << 20 // a disk with less than that has not much room
	tightLog    = 1 << 20   // then the log is copied back at that length, or earlier
	spareBytes  = 256 << 10 // then the database leaves that to the log: what removes something is written there, too
	frameHeader = 24        // before each page in the log; it begins with the number of the page
)

// reserve looks whether the log may be written to that place. What is in it needs room in the database, too, for
// pages that are new there.
func (f *file) reserve(p []byte, offset int64) error {
	v, end := f.volume, offset+int64(len(p))
	if v.log = end; len(p) == frameHeader && v.pages > 0 {
		v.pages = max(v.pages, int64(binary.BigEndian.Uint32(p)))
	}
	if end <= f.sure {
		return nil
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	f.sure = max(size, end)
	free, known := room(f.path)
	if !known {
		f.sure = max(size, end+logStep)
		return nil
	}
	v.tight = free < roomyDisk
	v.cutAt = min(tightLog, free/4)
	more := max(0, end-size)
	need, err := v.growth(end)
	if err != nil {
		return err
	}
	if need > 0 {
		need += spareBytes
	}
	if more > 0 && free-more < need {
		f.sure = 0
		return sqlite3.FULL
	}
	if !v.tight {
		f.sure = max(size, end+logStep)
	}
	return nil
}

// growth returns how much longer the database becomes when a log of that length is copied back.
func (v *volume) growth(log int64) (int64, error) {
	if v.pages == 0 {
		return log, nil // all of it, as far as anybody knows
	}
	for _, f := range v.files {
		if f.isDatabase {
			size, err := f.Size()
			return max(0, v.pages*v.pageSize-size), err
		}
	}
	return log, nil
}

// Truncate cuts the file, or makes it longer.
func (f *file) Truncate(size int64) error {
	if f.volume.cut {
		return sqlite3.IOERR_TRUNCATE
	}
	if f.isLog {
		f.sure, f.volume.log = 0, min(f.volume.log, size)
	}
	return orFull(f.File.Truncate(size))
}

// Sync waits for the disk. That there was no room shows here on some file systems; but what was to be synced may
// be on disk all the same, so that this is no full disk to SQLite.
func (f *file) Sync(flags vfs.SyncFlag) error {
	if f.volume.cut {
		return sqlite3.IOERR_FSYNC
	}
	return f.File.Sync(flags)
}

// orFull tells SQLite of a full disk in its own words.
func orFull(err error) error {
	if isNoRoom(err) {
		return sqlite3.FULL
	}
	return err
}

// isNoRoom reports whether an error of the operating system's says that the disk, or what its user may have of
// it, is full.
func isNoRoom(err error) bool {
	for _, no := range noRoom {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// isFull reports whether a call has found no room on the disk.
func isFull(err error) bool { return errors.Is(err, sqlite3.FULL) || isNoRoom(err) }

// cutLog copies the log into the database and cuts it, and reports whether it is cut: not if somebody reads what
// is in it. It waits for nobody.
func (c *conn) cutLog() (bool, error) {
	patience, err := c.pragma("PRAGMA busy_timeout")
	if err != nil {
		return false, err
	}
	if err := c.db.BusyTimeout(0); err != nil {
		return false, err
	}
	busy, cutErr := c.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
	if _, err := c.pragma("PRAGMA busy_timeout=" + patience); err != nil {
		return false, err
	}
	if isBusy(cutErr) || isFull(cutErr) {
		return false, nil // what is left is copied the next time
	}
	return busy == "0", cutErr
}

// measure asks how large the database is, with what is in the log, on a disk that has not much room.
func (c *conn) measure() error {
	if !c.volume.tight {
		return nil
	}
	for _, of := range []struct {
		pragma string
		to     *int64
	}{{"PRAGMA page_size", &c.volume.pageSize}, {"PRAGMA page_count", &c.volume.pages}} {
		answer, err := c.pragma(of.pragma)
		if err != nil {
			return err
		}
		if *of.to, err = strconv.ParseInt(answer, 10, 64); err != nil {
			return err
		}
	}
	return nil
}

// What else the driver asks of a file goes to the one within.

// SharedMemory is where the index of the log is.
func (f *file) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }

// LockState says which lock is held.
func (f *file) LockState() vfs.LockLevel { return vfsutil.WrapLockState(f.File) }

// PersistWAL says whether the log stays when the last connection closes.
func (f *file) PersistWAL() bool { return vfsutil.WrapPersistWAL(f.File) }

// SetPersistWAL sets it.
func (f *file) SetPersistWAL(keep bool) { vfsutil.WrapSetPersistWAL(f.File, keep) }

// PowersafeOverwrite says whether a power loss spoils only what is written.
func (f *file) PowersafeOverwrite() bool { return vfsutil.WrapPowersafeOverwrite(f.File) }

// SetPowersafeOverwrite sets it.
func (f *file) SetPowersafeOverwrite(safe bool) { vfsutil.WrapSetPowersafeOverwrite(f.File, safe) }

// HasMoved says whether the file has another name by now.
func (f *file) HasMoved() (bool, error) { return vfsutil.WrapHasMoved(f.File) }

// CommitPhaseTwo is called when a transaction is in the log.
func (f *file) CommitPhaseTwo() error { return vfsutil.WrapCommitPhaseTwo(f.File) }

// SizeHint makes room before much is written.
func (f *file) SizeHint(size int64) error {
	if f.volume.cut {
		return sqlite3.IOERR_TRUNCATE
	}
	return orFull(vfsutil.WrapSizeHint(f.File, size))
}
