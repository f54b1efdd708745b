//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// links is how many names a file has.
func links(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1, nil
	}
	return uint64(s.Nlink), nil //nolint:unconvert // its size is another one on other systems
}

// giveTo gives a file to the owner of another one, if this process may.
func giveTo(path string, of os.FileInfo) {
	if s, ok := of.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		_ = os.Lchown(path, int(s.Uid), int(s.Gid)) // without it others see less, and wait for the lease
	}
}

// fileNumber is the number of a file on its disk, 0 where there is none.
func fileNumber(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Ino) //nolint:unconvert // its size is another one on other systems
	}
	return 0
}
