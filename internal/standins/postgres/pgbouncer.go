package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// PgBouncer is a pooler in front of a server, in transaction mode: what a session keeps is lost between two transactions. It
// has the methods Start, Kill, Freeze and Thaw of a [Server].
type PgBouncer struct {
	process

	address  string
	password string
}

// PgBouncer starts a pooler for the test in front of this server. Settings are lines of pgbouncer.ini, as
// {"default_pool_size": "2"}. Without the program it skips the test, or fails it where CI=true.
func (s *Server) PgBouncer(tb standins.TB, settings map[string]string) *PgBouncer {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // Debian's, which only root has in its PATH
		if _, err := os.Stat(program); err != nil {
			standins.Missing(tb, "PgBouncer", "install pgbouncer")
		}
	}
	b, err := newPgBouncer(ctx, s, program, settings)
	if err != nil {
		tb.Fatalf("prepare PgBouncer: %v", err)
	}
	clean(tb, &b.process)
	if err := b.Start(ctx); err != nil {
		tb.Fatalf("start PgBouncer: %v", err)
	}
	return b
}

// URL is the address of a database through the pooler.
func (b *PgBouncer) URL(database string) string {
	return locator(b.password, database, b.address).String()
}

func newPgBouncer(ctx context.Context, s *Server, program string, settings map[string]string) (*PgBouncer, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "lambdabiz-pgbouncer-")
	if err != nil {
		return nil, err
	}
	ini := filepath.Join(folder, "pgbouncer.ini")
	users := filepath.Join(folder, "users.txt")
	err = errors.Join(os.WriteFile(ini, []byte(s.pooled(address, users, settings)), 0o600),
		os.WriteFile(users, fmt.Appendf(nil, "\"postgres\" %q\n", s.password), 0o600), s.user.own(folder))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &PgBouncer{address: address, password: s.password, process: process{
		name: fmt.Sprintf("pgbouncer%d", names.Add(1)), folder: folder, user: s.user, command: []string{program, ini},
		ready: "process up", abandon: syscall.SIGKILL, // it has nothing to write, and its gentler ends wait for clients
	}}, nil
}

// pooled is a pgbouncer.ini.
func (s *Server) pooled(address, users string, settings map[string]string) string {
	host, port, _ := net.SplitHostPort(address)
	serverHost, serverPort, _ := net.SplitHostPort(s.address)
	var b strings.Builder
	fmt.Fprintf(&b, "[databases]\n* = host=%s port=%s\n[pgbouncer]\n", serverHost, serverPort)
	fmt.Fprintf(&b, "listen_addr = %s\nlisten_port = %s\nunix_socket_dir =\n", host, port)
	fmt.Fprintf(&b, "auth_type = plain\nauth_file = %s\nadmin_users = postgres\npool_mode = transaction\n", users)
	for name, value := range settings {
		fmt.Fprintf(&b, "%s = %s\n", name, value)
	}
	return b.String()
}
