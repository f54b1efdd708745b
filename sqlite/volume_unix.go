//go:build linux || darwin

package sqlite

import (
	"runtime"
	"syscall"
)

// noRoom are the errors of a full disk.
var noRoom = []error{syscall.ENOSPC, syscall.EDQUOT}

// room returns how many bytes a user may still write on the disk of a file.
func room(path string) (free int64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:gosec,unconvert // the types differ by system
}

// unlock gives back the locks of an open file, however often it is open.
func unlock(fd uintptr) {
	ofd := 37 // F_OFD_SETLK
	if runtime.GOOS == "darwin" {
		ofd = 90
	}
	_ = syscall.FcntlFlock(fd, ofd, &syscall.Flock_t{Type: syscall.F_UNLCK}) // of a file that was not opened
}
