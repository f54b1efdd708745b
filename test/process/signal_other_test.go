//go:build !unix

package process_test

// freeze skips the test.
func (p *process) freeze() {
	p.b.t.Helper()
	p.b.t.Skip("this platform has no SIGSTOP")
}

func (p *process) thaw() {}

// stop asks the process to end by its own command: this platform has no SIGTERM.
func (p *process) stop() {
	p.b.t.Helper()
	p.tell("stop")
}
