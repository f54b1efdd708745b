package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// Replication says whether a commit waits for the standby.
type Replication int

const (
	// Asynchronous lets a commit return before the standby has it: what is acknowledged last can be lost with the primary.
	Asynchronous Replication = iota
	// Synchronous lets a commit return when the standby has it on its disk too. Without its standby the primary then commits
	// nothing.
	Synchronous
)

// Standby starts a server that follows this one by streaming, on a copy of its data, and returns when it does. It is
// removed with the test. It needs pg_basebackup, which comes with Debian's server, but not with those of "make standins".
func (s *Server) Standby(tb standins.TB, how Replication) *Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := os.Stat(s.binaries.path("pg_basebackup")); err != nil {
		standins.Missing(tb, "pg_basebackup", "install PostgreSQL's own packages")
	}
	standby, err := prepare(ctx, s.binaries)
	if err != nil {
		tb.Fatalf("prepare a standby: %v", err)
	}
	standby.password, standby.quick = s.password, s.quick
	clean(tb, &standby.process)
	if err := standby.Follow(ctx, s, how); err != nil {
		tb.Fatalf("start a standby: %v", err)
	}
	standby.Databases = standby.databases()
	return standby
}

// Follow makes a server that does not run the standby of another, in place of all the data that it had, and returns when it
// follows: so a primary that was killed comes back behind the one that was promoted.
func (s *Server) Follow(ctx context.Context, primary *Server, how Replication) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.Crash(ctx); err != nil {
		return err
	}
	forgetMemory(s.data)
	if err := os.RemoveAll(s.data); err != nil {
		return err
	}
	err := run(s.user.command(ctx, s.folder, s.binaries.path("pg_basebackup"), "-d", primary.URL("postgres"),
		"-D", s.data, "-R", "-X", "stream", "-c", "fast", "--no-sync"))
	if err != nil {
		return err
	}
	// Commits of the primary do not wait for this standby if it becomes the primary itself.
	if err := appendTo(filepath.Join(s.data, "postgresql.auto.conf"), "synchronous_standby_names = ''\n"); err != nil {
		return err
	}
	streams, chosen := s.log.expect(has("started streaming WAL")), primary.log.expect(has("is now a synchronous standby"))
	defer s.log.forget(streams)
	defer primary.log.forget(chosen)
	if err := s.Start(ctx); err != nil {
		return err
	}
	select {
	case <-streams.seen:
	case <-ctx.Done():
		return fmt.Errorf("follow %s: %w:\n%s", primary.name, ctx.Err(), &s.log)
	}
	if how == Asynchronous {
		return primary.Set(ctx, "synchronous_standby_names", "")
	}
	if err := primary.Set(ctx, "synchronous_standby_names", "FIRST 1 ("+s.name+")"); err != nil {
		return err
	}
	select {
	case <-chosen.seen:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait until commits wait for %s: %w:\n%s", s.name, ctx.Err(), &primary.log)
	}
}

// Promote makes a standby the primary, and returns when it takes writes. The primary that it followed is not asked: while
// that one runs there are two.
func (s *Server) Promote(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := do(ctx, s.admin(), "SELECT pg_promote(true, 60)"); err != nil {
		return fmt.Errorf("promote %s: %w", s.name, err)
	}
	return nil
}
