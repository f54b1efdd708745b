package sqlite

import (
	"os"
	"syscall"
)

// links is how many names a file has.
func links(f *os.File) (uint64, error) {
	var info syscall.ByHandleFileInformation
	if err := syscall.GetFileInformationByHandle(syscall.Handle(f.Fd()), &info); err != nil {
		return 0, err
	}
	return uint64(info.NumberOfLinks), nil
}

// giveTo has nothing to do: the directory says who may do what.
func giveTo(string, os.FileInfo) {}

// fileNumber is not asked for: nobody can remove a lock file that a process has open.
func fileNumber(os.FileInfo) uint64 { return 0 }
