package sqlite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Locks of an open file, as SQLite's own are; package syscall does not name them.
const (
	openFileGetLock = 36
	openFileSetLock = 37
)

// marksWork says whether processes see by which name others have a file open.
const marksWork = true

// firstMark is far behind the places that SQLite locks, and behind every byte of a file.
const firstMark = 1 << 60

// identity names a file on this machine, whatever its path is.
func identity(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(s.Dev, " ", s.Ino)
	}
	return ""
}

// claimMark shares the lock of a mark with all who claim the same one, until the file is closed. It reports false
// if somebody has claimed another one: of two that come at the same moment, at least one sees the other.
func claimMark(f *os.File, mark int64) (bool, error) {
	l := syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart, Start: firstMark + mark, Len: 1}
	if err := control(f, openFileSetLock, &l); err != nil {
		return false, err
	}
	return othersMark(f, mark)
}

// othersMark reports whether nobody has claimed another mark.
func othersMark(f *os.File, mark int64) (alone bool, err error) {
	for _, l := range []syscall.Flock_t{
		{Start: firstMark, Len: mark},
		{Start: firstMark + mark + 1, Len: 1<<markBits - mark},
	} {
		if l.Len == 0 {
			continue // it would mean all that follows
		}
		l.Type, l.Whence = syscall.F_WRLCK, io.SeekStart
		if err := control(f, openFileGetLock, &l); err != nil {
			return false, err
		}
		if l.Type != syscall.F_UNLCK {
			return false, nil
		}
	}
	return true, nil
}

func control(f *os.File, command int, l *syscall.Flock_t) error {
	for {
		err := syscall.FcntlFlock(f.Fd(), command, l)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
