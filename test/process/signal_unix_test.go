//go:build unix

package process_test

import "syscall"

// freeze stops the process as SIGSTOP does: it keeps its locks, but its time stands still.
func (p *process) freeze() { p.signal(syscall.SIGSTOP) }

func (p *process) thaw() { p.signal(syscall.SIGCONT) }

// stop asks the process to end, as a supervisor does.
func (p *process) stop() { p.signal(syscall.SIGTERM) }

func (p *process) signal(s syscall.Signal) {
	p.b.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.b.t.Fatal(err)
	}
}
