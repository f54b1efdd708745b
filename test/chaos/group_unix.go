//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// asGroup makes an interrupt reach the tests too: the go command does not hand it on.
func asGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}
