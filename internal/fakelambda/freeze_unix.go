//go:build unix

package fakelambda

import (
	"os"
	"syscall"
)

// An error of these says that the process has ended, which its waiter sees.

func freeze(p *os.Process) { _ = p.Signal(syscall.SIGSTOP) }

func thaw(p *os.Process) { _ = p.Signal(syscall.SIGCONT) }
