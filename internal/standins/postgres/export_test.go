//go:build linux || darwin

package postgres

import (
	"context"
	"os"
	"syscall"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// Connect returns the databases of a server that LAMBDABIZ_TEST_POSTGRES would name.
func Connect(url string) (*Databases, error) { return connect(url) }

// VersionOf returns the major version of a server that answers so.
func VersionOf(line string) (major int, err error) {
	b, err := versionOf("", line)
	return b.major, err
}

// Foreign says whether the shared databases are on a server of the user's.
func Foreign() bool { return standins.Variable(external) != "" }

// SharedServer is the shared one of that version.
func SharedServer(tb standins.TB, major int) *Server {
	Shared(tb, major)
	return servers.of[major].server
}

// Process is any server.
type Process = process

// Script starts a script of the shell, which says "ready".
func Script(tb standins.TB, script string) *Process {
	tb.Helper()
	u, err := serverUser()
	if err != nil {
		tb.Fatalf("start a script: %v", err)
	}
	folder, err := os.MkdirTemp("", "lambdabiz-script-")
	if err == nil {
		err = u.own(folder)
	}
	if err != nil {
		tb.Fatalf("start a script: %v", err)
	}
	p := &process{
		name: "a script", folder: folder, user: u, command: []string{"sh", "-c", script}, ready: "ready", abandon: syscall.SIGKILL,
	}
	clean(tb, p)
	if err := p.Start(context.Background()); err != nil {
		tb.Fatalf("start a script: %v", err)
	}
	return p
}

// Signal sends a signal and waits for the end.
func (p *process) Signal(ctx context.Context, sig syscall.Signal) error { return p.signal(ctx, sig) }

// Folder is where the server keeps all.
func (p *process) Folder() string { return p.folder }

// Watcher is the number of the shell around the server.
func (p *process) Watcher() (int, error) {
	all, err := processes(context.Background())
	for _, e := range all {
		if e.pid == p.Pid() {
			return e.parent, err
		}
	}
	return 0, err
}

// Pid is the number of the server's process.
func (p *process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life.pid
}

// States are those of the server's processes: T is stopped.
func (p *process) States(ctx context.Context) (all []string, err error) {
	list, err := processes(ctx)
	for _, e := range list {
		if pid := p.Pid(); e.pid == pid || e.parent == pid {
			all = append(all, e.state)
		}
	}
	return all, err
}

// Log is the last of the server's log.
func (p *process) Log() string { return p.log.String() }

// Reachable returns where the programs in dir are run from, by a server in folder.
func Reachable(ctx context.Context, dir, folder string) (string, error) {
	u, err := serverUser()
	if err != nil {
		return "", err
	}
	if err := u.own(folder); err != nil {
		return "", err
	}
	b, err := binaries{dir: dir}.reachable(ctx, u, folder)
	if err == nil {
		err = u.command(ctx, folder, b.path("postgres"), "--version").Run()
	}
	return b.dir, err
}

// Installed are the programs of a version.
func Installed(ctx context.Context, major int) (dir string, err error) {
	b, err := find(ctx, major)
	return b.dir, err
}
