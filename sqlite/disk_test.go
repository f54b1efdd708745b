package sqlite_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/lambdabiz/lambdabiz/sqlite"
)

// trouble is a kind of call that a disk can fail.
type trouble string

const (
	onOpen     trouble = "open"
	onRead     trouble = "read"
	onWrite    trouble = "write"
	onFull     trouble = "write to a full disk"
	onSync     trouble = "sync"
	onTruncate trouble = "truncate"
	onLock     trouble = "lock"
	onSize     trouble = "size"
)

// codes are what SQLite is told.
var codes = map[trouble]error{
	onOpen: sqlite3.CANTOPEN, onRead: sqlite3.IOERR_READ, onWrite: sqlite3.IOERR_WRITE, onFull: sqlite3.FULL,
	onSync: sqlite3.IOERR_FSYNC, onTruncate: sqlite3.IOERR_TRUNCATE, onLock: sqlite3.IOERR_LOCK, onSize: sqlite3.IOERR_FSTAT,
}

// disk is a file system whose nth call fails, and that knows what a power loss would leave: only what was
// synced is sure to be there. As on Linux, what a failed sync did not write is lost, and the next one says
// nothing of it.
type disk struct {
	vfs.VFSFilename
	name string

	mu       sync.Mutex
	platters map[string]*platter
	kind     trouble
	left     int  // calls of the kind until one fails; 0 for never
	sticky   bool // every one after it fails too
	struck   int
	panics   bool         // a call that fails panics
	says     error        // instead of the code of the kind
	hook     func() error // lets arm meet also what the driver calls inside of SQLite
	other    func() error // writes to the file on another connection
	liar     bool         // a sync says that it worked, and does nothing
	quiet    bool         // a failed sync is not told of
	calls    int
	at       int // the call at which the power fails; 0 for never
	outage   func()
}

// diskNumber makes the names of disks unique.
var diskNumber atomic.Int64

func newDisk(t testing.TB) *disk {
	t.Helper()
	d := &disk{
		VFSFilename: vfs.Find("os").(vfs.VFSFilename), platters: map[string]*platter{},
		name: fmt.Sprintf("disk-%d", diskNumber.Add(1)),
	}
	vfs.Register(d.name, d)
	t.Cleanup(func() { vfs.Unregister(d.name) })
	return d
}

// open opens a backend on a new file of the disk.
func (d *disk) open(t testing.TB) (*bundle, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	backend, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, VFS: d.name})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		d.heal()
		_ = backend.Close() // faults may have left it with something to say; what is on disk is checked
	})
	return &bundle{Backend: backend, t: t, path: path, now: epoch}, nil
}

// arm makes the nth call of the kind fail, and with sticky all that follow.
func (d *disk) arm(kind trouble, n int, sticky bool) {
	if d.hook != nil {
		if err := d.hook(); err != nil {
			panic(err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kind, d.left, d.sticky, d.struck = kind, n, sticky, 0
}

// heal ends the fault, and returns how often it struck.
func (d *disk) heal() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	struck := d.struck
	d.left, d.struck = 0, 0
	return struck
}

// cutPowerAt calls outage at the nth call from now, in the middle of it.
func (d *disk) cutPowerAt(n int, outage func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls, d.at, d.outage = 0, n, outage
}

// hit counts a call, and returns the error with which it shall fail. The lock is held.
func (d *disk) hit(kind trouble) error {
	d.calls++
	if d.calls == d.at {
		d.at = 0
		d.outage()
	}
	if d.left == 0 || d.kind != kind && (d.kind != onFull || kind != onWrite) {
		return nil
	}
	if d.left--; d.left > 0 {
		return nil
	}
	if d.sticky {
		d.left = 1
	}
	d.struck++
	if d.panics {
		panic(fmt.Sprintf("%s: out of memory", kind))
	}
	if d.says != nil {
		return d.says
	}
	return codes[d.kind]
}

// call is hit for who does not hold the lock.
func (d *disk) call(kind trouble) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hit(kind)
}

// OpenFilename opens a file that this disk watches over.
func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if err := d.call(onOpen); err != nil {
		return nil, flags, err
	}
	file, flags, err := d.VFSFilename.OpenFilename(name, flags)
	if err != nil || name == nil {
		return file, flags, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.platters[name.String()]
	if p == nil {
		p = &platter{}
		d.platters[name.String()] = p
	}
	return &diskFile{File: file, disk: d, platter: p}, flags, nil
}

// Delete removes a file, at once.
func (d *disk) Delete(name string, syncDir bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.platters, name)
	return d.VFSFilename.Delete(name, syncDir)
}

// image writes what a power loss would leave of the files into a new directory: what was synced, and of the
// rest what chance has let through, torn or whole. The lock is held.
func (d *disk) image(random *rand.Rand, dir string) (string, error) {
	path := filepath.Join(dir, "test.db")
	for name, p := range d.platters {
		left := platter{durable: slices.Clone(p.durable)}
		for _, c := range p.pending {
			switch random.IntN(4) {
			case 0, 1: // lost
				continue
			case 2: // torn
				if len(c.data) > 0 {
					c.data = c.data[:random.IntN(len(c.data))]
				}
			}
			left.pending = append(left.pending, c)
		}
		left.sync()
		to := path
		if strings.HasSuffix(name, "-wal") {
			to += "-wal"
		}
		if err := os.WriteFile(to, left.durable, 0o600); err != nil {
			return "", err
		}
	}
	return path, nil
}

// platter is the content of a file as a power loss would leave it.
type platter struct {
	durable []byte
	pending []change
}

// change is a write, or a truncation if it has no data.
type change struct {
	data   []byte
	offset int64
}

// sync makes durable what is pending.
func (p *platter) sync() {
	for _, c := range p.pending {
		end := int(c.offset) + len(c.data)
		switch {
		case c.data == nil && len(p.durable) > end:
			p.durable = p.durable[:end]
		case len(p.durable) < end:
			p.durable = append(p.durable, make([]byte, end-len(p.durable))...)
		}
		copy(p.durable[c.offset:], c.data)
	}
	p.pending = nil
}

// diskFile is an open file of a disk.
type diskFile struct {
	vfs.File
	disk    *disk
	platter *platter
}

// SharedMemory is the true one's.
func (f *diskFile) SharedMemory() vfs.SharedMemory {
	return f.File.(vfs.FileSharedMemory).SharedMemory()
}

// ReadAt reads.
func (f *diskFile) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.disk.call(onRead); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, offset)
}

// WriteAt writes, and remembers that it is not durable yet.
func (f *diskFile) WriteAt(p []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.disk.hit(onWrite)
	if err != nil {
		return 0, err
	}
	f.platter.pending = append(f.platter.pending, change{slices.Clone(p), offset})
	return f.File.WriteAt(p, offset)
}

// Truncate cuts the file.
func (f *diskFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.hit(onTruncate); err != nil {
		return err
	}
	f.platter.pending = append(f.platter.pending, change{nil, size})
	return f.File.Truncate(size)
}

// Sync makes durable, unless it fails or lies.
func (f *diskFile) Sync(vfs.SyncFlag) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.disk.hit(onSync)
	switch {
	case err != nil:
		f.platter.pending = nil
		if f.disk.quiet {
			return nil
		}
		return err
	case !f.disk.liar:
		f.platter.sync()
	}
	return nil
}

// Size asks for the length.
func (f *diskFile) Size() (int64, error) {
	if err := f.disk.call(onSize); err != nil {
		return 0, err
	}
	return f.File.Size()
}

// Lock locks the file.
func (f *diskFile) Lock(level vfs.LockLevel) error {
	if err := f.disk.call(onLock); err != nil {
		return err
	}
	return f.File.Lock(level)
}

// check lets SQLite look at a whole file.
func check(path string) error {
	db, err := sqlite3.Open("file:" + filepath.ToSlash(path))
	if err != nil {
		return err
	}
	statement, _, err := db.Prepare(`PRAGMA integrity_check`)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	if !statement.Step() || statement.ColumnText(0) != "ok" {
		err = errors.Join(errors.New("integrity check: "+statement.ColumnText(0)), statement.Err())
	}
	return errors.Join(err, statement.Close(), db.Close())
}
