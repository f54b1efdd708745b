package sqlite

import (
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
// It leaves room to copy the log back: the log never becomes longer than what is free beside it. A disk that a
// log has filled up could not be helped any more, for what is in the log has to go into the database first.
//
// And it can be cut off: what a panic of the driver has left of a connection writes nothing any more.
type volume struct {
	inner vfs.VFS
	name  string // under which the driver finds it
	files []*file
	cut   bool
	tight bool  // there is not much room: the log is copied back early
	log   int64 // where the log ends, as far as this connection has written it
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
	f := &file{File: inner, volume: v, path: path, isLog: flags&vfs.OPEN_WAL != 0}
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
	volume *volume
	path   string
	isLog  bool
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
		end := offset + int64(len(p))
		if f.volume.log = end; end > f.sure {
			if err := f.reserve(end); err != nil {
				return 0, err
			}
		}
	}
	n, err := f.File.WriteAt(p, offset)
	return n, orFull(err)
}

const (
	logStep   = 256 << 10 // the log grows by that much from one look at the room to the next
	roomyDisk = 256 << 20 // with less than that the log is copied back early
	tightLog  = 1 << 20   // and that early
)

// reserve looks whether the log may grow to end. What is in it may need as much room again in the database.
func (f *file) reserve(end int64) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	free, known := room(f.path)
	if !known {
		f.sure = end + logStep
		return nil
	}
	f.volume.tight = free < roomyDisk
	if end > size && free-(end-size) < end {
		return sqlite3.FULL
	}
	f.sure = max(size, end)
	if reach := end + logStep; free-(reach-size) >= reach {
		f.sure = max(f.sure, reach)
	}
	return nil
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
