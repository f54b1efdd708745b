//go:build linux || darwin

package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// TestServer does to one server what tests of faults do.
func TestServer(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t, postgres.Config{Quick: true, Settings: map[string]string{"lock_timeout": "7s"}})
	for _, story := range []struct {
		name string
		test func(*testing.T, *postgres.Server)
	}{
		{"its databases are made as those of others", hasDatabases},
		{"an end loses nothing acknowledged", losesNothing},
		{"frozen, it answers when it goes on", freezes},
		{"where it cannot start it shows its log", showsItsLog},
		{"PgBouncer in front pools transactions", isPooled},
		{"a setting holds for new connections", takesSettings},
	} {
		t.Run(story.name, func(t *testing.T) { story.test(t, server) })
	}
}

// losesNothing ends the server in each way while a connection is in a transaction.
func losesNothing(t *testing.T, server *postgres.Server) {
	t.Helper()
	exec(t, dial(t, server.URL("postgres")), "CREATE TABLE kept (how text)")
	ends := []struct {
		how string
		end func(context.Context) error
	}{
		{"stop", server.Stop},
		{"crash", server.Crash},
		{"kill", server.Kill},
		{"kill frozen", func(ctx context.Context) error { return errors.Join(server.Freeze(ctx), server.Kill(ctx)) }},
	}
	for _, e := range ends {
		how := e.how
		conn := dial(t, server.URL("postgres"))
		if _, err := conn.Exec(t.Context(), "INSERT INTO kept VALUES ($1)", how); err != nil {
			t.Fatal(err)
		}
		open := dial(t, server.URL("postgres"))
		exec(t, open, "BEGIN")
		exec(t, open, "INSERT INTO kept VALUES ('not committed')")
		if err := e.end(t.Context()); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if err := conn.Ping(t.Context()); err == nil {
			t.Errorf("%s: it still answers", how)
		}
		if err := server.Kill(t.Context()); err != nil {
			t.Errorf("%s: an end of what does not run: %v", how, err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		conn = dial(t, server.URL("postgres"))
		if !ask[bool](t, conn, "SELECT $1 IN (SELECT how FROM kept) AND 'not committed' NOT IN (SELECT how FROM kept)", how) {
			t.Errorf("%s: an acknowledged row is lost, or another one kept", how)
		}
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask[int](t, dial(t, server.URL("postgres")), "SELECT count(*)::int FROM kept"); got != len(ends) {
		t.Errorf("%d rows of %d", got, len(ends))
	}
	if err := server.Start(t.Context()); err == nil {
		t.Error("it starts twice")
	}
}

func freezes(t *testing.T, server *postgres.Server) {
	t.Helper()
	conn := dial(t, server.URL("postgres"))
	if err := server.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	states, err := server.States(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	moves := func(state string) bool { return state[0] != 'T' && state[0] != 'Z' } // a Z has ended
	if len(states) < 3 || slices.ContainsFunc(states, moves) {
		t.Errorf("the states of its processes are %q, want all stopped", states)
	}
	answer := make(chan error, 1)
	go func() { answer <- conn.Ping(t.Context()) }()
	select {
	case err := <-answer:
		t.Errorf("a frozen server answers: %v", err)
	default:
	}
	if err := server.Thaw(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

func takesSettings(t *testing.T, server *postgres.Server) {
	t.Helper()
	if got := ask[string](t, dial(t, server.URL("postgres")), "SHOW lock_timeout"); got != "7s" {
		t.Errorf("lock_timeout is %s", got)
	}
	for range 3 {
		if err := server.Set(t.Context(), "statement_timeout", "1ms"); err != nil { // which may be too short to ask for it
			t.Fatal(err)
		}
		if _, err := dial(t, server.URL("postgres")).Exec(t.Context(), "SELECT pg_sleep(60)"); code(err) != "57014" {
			t.Errorf("a statement of a minute gave %v", err)
		}
		if err := server.Set(t.Context(), "statement_timeout", "1min"); err != nil {
			t.Fatal(err)
		}
		if got := ask[string](t, dial(t, server.URL("postgres")), "SHOW statement_timeout"); got != "1min" {
			t.Errorf("statement_timeout is %s, want 1min", got)
		}
	}
	if err := server.Set(t.Context(), "statement_timeout", "1min"); err != nil { // it has it already
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask[string](t, dial(t, server.URL("postgres")), "SHOW statement_timeout"); got != "1min" {
		t.Errorf("after a start statement_timeout is %s", got)
	}
	if err := server.Set(t.Context(), "no_such_setting", "1"); code(err) != "42704" {
		t.Errorf("an unknown setting: %v", err)
	}
}

func showsItsLog(t *testing.T, server *postgres.Server) {
	t.Helper()
	if err := server.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(server.Folder(), "data", "postgresql.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, append(text, "port = many\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "postgresql.conf") {
		t.Errorf("a broken configuration: %v", err)
	}
	if err := os.WriteFile(conf, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

func isPooled(t *testing.T, server *postgres.Server) {
	t.Helper()
	pooler := server.PgBouncer(t, map[string]string{"default_pool_size": "1"})
	connect := func() *pgx.Conn {
		config, err := pgx.ParseConfig(pooler.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	a, b := connect(), connect()
	const backend = "SELECT pg_backend_pid()"
	if first, second := ask[int](t, a, backend), ask[int](t, b, backend); first != second {
		t.Errorf("two sessions have a backend each, %d and %d: it does not pool", first, second)
	}
	if err := pooler.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Ping(t.Context()); err == nil {
		t.Error("a killed pooler answers")
	}
	if err := pooler.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask[int](t, connect(), backend)
}

func hasDatabases(t *testing.T, server *postgres.Server) {
	t.Helper()
	exec(t, dial(t, server.New(t)), "CREATE TABLE kept (no int)")
	exec(t, dial(t, server.New(t)), "CREATE TABLE kept (no int)")
}

func TestWhatIsNotInstalledIsSaid(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		postgres.Shared(r, 99)
	}()
	<-done
	if !strings.Contains(r.ended, "PostgreSQL 99 is not installed") || !strings.HasSuffix(r.ended, ": run make standins") {
		t.Errorf("it says %q", r.ended)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": 15,
		"postgres (PostgreSQL) 14.23":                            14,
		"postgres (PostgreSQL) 19beta2":                          19,
	} {
		if got, err := postgres.VersionOf(line); err != nil || got != want {
			t.Errorf("%q: %d, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "postgres", "postgres (PostgreSQL) devel"} {
		if got, err := postgres.VersionOf(line); err == nil {
			t.Errorf("%q: %d", line, got)
		}
	}
}
