package homes_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// unsynced is the operating system's file system, but that it never waits for the disk: what these tests look at would be
// the same, and half of their time is such waiting. That a commit waits is proven in package sqlite, on disks that lose
// power.
type unsynced struct{ vfs.VFSFilename }

// unsyncedName is its name for the driver.
const unsyncedName = "lambdabiz-unsynced"

// register makes it known to the driver.
var register = sync.OnceFunc(func() { vfs.Register(unsyncedName, unsynced{vfs.Find("os").(vfs.VFSFilename)}) })

func (u unsynced) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	file, flags, err := u.VFSFilename.OpenFilename(name, flags)
	if err != nil || name == nil {
		return file, flags, err
	}
	return unsyncedFile{file}, flags, nil
}

func (u unsynced) Delete(name string, _ bool) error { return u.VFSFilename.Delete(name, false) }

type unsyncedFile struct{ vfs.File }

func (f unsyncedFile) SharedMemory() vfs.SharedMemory {
	return f.File.(vfs.FileSharedMemory).SharedMemory()
}

func (unsyncedFile) Sync(vfs.SyncFlag) error { return nil }

// openSQLite opens a new file.
func openSQLite(t *testing.T) lambdabiz.Backend {
	t.Helper()
	register()
	b, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db"), VFS: unsyncedName})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
