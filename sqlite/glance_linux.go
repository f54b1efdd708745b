package sqlite

import (
	"io/fs"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sight is a path as the system wants it: with a zero behind it.
type sight []byte

func newSight(path string) sight { return append([]byte(path), 0) }

// glance asks whether a path leads to an open file. Every write and every read asks that of three paths, so that it
// needs no memory of its own, as package os would for the path and for the answer.
type glance struct{ stat unix.Statx_t }

// finds reports whether the path leads to the file, as [os.SameFile] compares them. False says that somebody has to
// look closer: the system may not know this call, or not allow it.
func (g *glance) finds(path sight, opened fs.FileInfo) bool {
	if opened == nil {
		return false
	}
	s, ok := opened.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	here := unix.AT_FDCWD
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(here), uintptr(unsafe.Pointer(&path[0])), //nolint:gosec // it ends with a zero
		0, unix.STATX_INO, uintptr(unsafe.Pointer(&g.stat)), 0) //nolint:gosec // the system writes as much as it has room for
	return errno == 0 && g.stat.Mask&unix.STATX_INO != 0 && g.stat.Ino == s.Ino &&
		unix.Mkdev(g.stat.Dev_major, g.stat.Dev_minor) == uint64(s.Dev) //nolint:unconvert // its size is another one elsewhere
}
