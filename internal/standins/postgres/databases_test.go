//go:build linux || darwin

package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// dial connects for as long as the test lasts.
func dial(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// ask returns the one value that a query gives.
func ask[T any](t *testing.T, conn *pgx.Conn, query string, args ...any) (answer T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// code is the SQLSTATE of an error.
func code(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code
	}
	return ""
}

func nameOf(t *testing.T, at string) string {
	t.Helper()
	parsed, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(parsed.Path, "/")
}

func TestADatabaseIsOfItsTestAlone(t *testing.T) {
	t.Parallel()
	var gone string
	for range 2 { // the second one has no table of the first
		t.Run("", func(t *testing.T) {
			at := postgres.Database(t)
			gone = nameOf(t, at)
			exec(t, dial(t, at), "CREATE TABLE kept (no int)")
		})
	}
	if ask[bool](t, dial(t, postgres.Database(t)), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", gone) {
		t.Error("the database outlives its test")
	}
}

func TestACopyIsFilledOnce(t *testing.T) {
	t.Parallel()
	databases, name := postgres.Shared(t, 0), rand.Text()
	filled := atomic.Int64{}
	fill := func(ctx context.Context, url string) error {
		filled.Add(1)
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "CREATE TABLE kept AS SELECT 7 AS no")
		return errors.Join(err, conn.Close(ctx))
	}
	t.Run("", func(t *testing.T) {
		for range 3 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				conn := dial(t, databases.Copy(t, name, fill))
				exec(t, conn, "UPDATE kept SET no = no + 1")
				if got := ask[int](t, conn, "SELECT no FROM kept"); got != 8 {
					t.Errorf("the copy has %d, want one more than 7", got)
				}
			})
		}
	})
	if filled.Load() != 1 && !postgres.Foreign() {
		t.Errorf("filled %d times", filled.Load())
	}
}

func TestEveryVersionServesOnLoopback(t *testing.T) {
	t.Parallel()
	for _, major := range []int{14, 18} {
		server := postgres.Shared(t, major)
		conn := dial(t, server.New(t))
		if got := ask[int](t, conn, "SELECT current_setting('server_version_num')::int / 10000"); got != major || got != server.Major() {
			t.Errorf("asked for %d, got %d, which says %d", major, got, server.Major())
		}
		if got := ask[string](t, conn, "SHOW listen_addresses"); !strings.HasPrefix(got, "127.") {
			t.Errorf("it listens on %q", got)
		}
		if got := ask[string](t, conn, "SHOW fsync"); got != "off" {
			t.Errorf("the shared server waits for the disk: fsync is %s", got)
		}
		config := conn.Config()
		config.Password = "another"
		if conn, err := pgx.ConnectConfig(t.Context(), config); code(err) != "28P01" {
			t.Errorf("a wrong password: %v, %v", conn, err)
		}
	}
}

func TestStatisticsCountTransactions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := postgres.Shared(t, 18)
	at, admin := server.New(t), dial(t, server.New(t))
	use := func(statements ...string) {
		conn, err := pgx.Connect(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range statements {
			_, _ = conn.Exec(ctx, statement) // one is refused
		}
		backend := conn.PgConn().PID()
		if err := conn.Close(ctx); err != nil {
			t.Fatal(err)
		}
		// It has told all when it is gone, which this waits for.
		ask[bool](t, admin, "SELECT pg_terminate_backend($1, 60000)", backend)
	}
	use("SELECT 1")
	before, err := server.Statistics(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	use("SELECT 1", "SELECT 2", "SELECT 1 / 0")
	after, err := server.Statistics(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	// One more commit each is the connection's own.
	if got := after.Sub(before); got.Commits < 2 || got.Commits > 3 || got.Rollbacks != 1 {
		t.Errorf("two commits and a failure count as %+v", got)
	}
}

func TestAServerOfTheUsersOwn(t *testing.T) {
	t.Parallel()
	server := postgres.SharedServer(t, 18) // plays theirs
	theirs, err := postgres.Connect(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for range 2 {
		t.Run("", func(t *testing.T) {
			dial(t, theirs.Copy(t, "empty", func(_ context.Context, url string) error {
				made = append(made, url)
				return nil
			}))
		})
	}
	if len(made) != 2 {
		t.Errorf("filled %d times: something stays on their server", len(made))
	}
	for _, url := range made {
		if conn, err := pgx.Connect(t.Context(), url); code(err) != "3D000" {
			t.Errorf("the database stays on their server: %v, %v", conn, err)
		}
	}
	stranger := strings.Replace(server.URL("postgres"), "//postgres:", "//postgres:x", 1)
	for _, bad := range []string{"host=localhost", "http://127.0.0.1/", stranger} {
		if _, err := postgres.Connect(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
