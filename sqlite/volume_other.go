//go:build !linux && !darwin

package sqlite

import "syscall"

// noRoom are the errors of a full disk; the last two are Windows' own.
var noRoom = []error{syscall.ENOSPC, syscall.Errno(39), syscall.Errno(112)}

// room is not asked for here.
func room(string) (free int64, known bool) { return 0, false }

// unlock has nothing to do: closing gives back the locks.
func unlock(uintptr) {}
