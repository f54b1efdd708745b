package sqlite_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// faulty is a file system on which the log's writes and syncs fail on demand.
type faulty struct {
	vfs.VFSFilename
	name   string
	writes atomic.Int64 // until a write fails; 0 for never
	syncs  atomic.Int64 // until a sync fails
	after  atomic.Int64 // until a commit fails that is done
	sticky atomic.Bool  // every one after it fails too
	code   atomic.Int64 // sqlite3.ExtendedErrorCode; 0 for the default
	failed atomic.Int64
	synced atomic.Int64 // syncs of the log

	readOnly bool
	during   atomic.Pointer[func()] // is called once, when the log is synced next
	reads    atomic.Int64
	reading  atomic.Pointer[reading]
}

// reading is what happens at a read.
type reading struct {
	at int64
	do func() error
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	f := &faulty{VFSFilename: vfs.Find("os").(vfs.VFSFilename), name: strings.ReplaceAll(t.Name(), "/", "-")}
	vfs.Register(f.name, f)
	t.Cleanup(func() { vfs.Unregister(f.name) })
	return f
}

// onSync has do called once, when the log is synced next.
func (f *faulty) onSync(do func()) { f.during.Store(&do) }

// onRead has do called once, at the nth read from now. Its error is the read's.
func (f *faulty) onRead(n int64, do func() error) { f.reading.Store(&reading{f.reads.Load() + n, do}) }

// heal ends all faults.
func (f *faulty) heal() {
	f.sticky.Store(false)
	f.writes.Store(0)
	f.syncs.Store(0)
	f.after.Store(0)
}

func (f *faulty) hit(counter *atomic.Int64) bool {
	if counter.Load() == 0 {
		return false
	}
	left := counter.Add(-1)
	if left > 0 {
		return false
	}
	if f.sticky.Load() {
		counter.Store(1)
	}
	f.failed.Add(1)
	return true
}

func (f *faulty) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if f.readOnly {
		flags = flags&^(vfs.OPEN_READWRITE|vfs.OPEN_CREATE) | vfs.OPEN_READONLY
	}
	file, flags, err := f.VFSFilename.OpenFilename(name, flags)
	if err != nil || name == nil {
		return file, flags, err
	}
	return &faultyFile{File: file, faults: f, log: strings.HasSuffix(name.String(), "-wal")}, flags, nil
}

type faultyFile struct {
	vfs.File
	faults *faulty
	log    bool
}

func (f *faultyFile) SharedMemory() vfs.SharedMemory {
	return f.File.(vfs.FileSharedMemory).SharedMemory()
}

func (f *faultyFile) ReadAt(p []byte, offset int64) (int, error) {
	n := f.faults.reads.Add(1)
	if r := f.faults.reading.Load(); r != nil && n >= r.at && f.faults.reading.CompareAndSwap(r, nil) {
		if err := r.do(); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(p, offset)
}

func (f *faultyFile) WriteAt(p []byte, offset int64) (int, error) {
	if f.log && f.faults.hit(&f.faults.writes) {
		if code := f.faults.code.Load(); code != 0 {
			return 0, sqlite3.ExtendedErrorCode(code)
		}
		return 0, sqlite3.IOERR_WRITE
	}
	return f.File.WriteAt(p, offset)
}

func (f *faultyFile) Sync(flags vfs.SyncFlag) error {
	if f.log {
		f.faults.synced.Add(1)
		if do := f.faults.during.Swap(nil); do != nil {
			(*do)()
		}
	}
	if f.log && f.faults.hit(&f.faults.syncs) {
		return sqlite3.IOERR_FSYNC
	}
	return f.File.Sync(flags)
}

// CommitPhaseTwo is called when a transaction is in the log and its lock is given back.
func (f *faultyFile) CommitPhaseTwo() error {
	if f.faults.hit(&f.faults.after) {
		return sqlite3.IOERR
	}
	return nil
}
