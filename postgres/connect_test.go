package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// changed is an address with parts of it changed.
func changed(t testing.TB, at string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

// What cannot be opened says what to do, without the password.
func TestWhatCannotBeOpenedSaysWhy(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	at := standin.Database(t)
	execute(t, at, "CREATE DATABASE latin"+suffix(t, at)+
		" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	for name, c := range map[string]struct{ at, want string }{
		"no URL":              {"postgres://a:s3cret@[", "cannot be read"},
		"no server":           {changed(t, at, func(u *url.URL) { u.Host = "127.0.0.1:1" }), "refused"},
		"a wrong password":    {changed(t, at, func(u *url.URL) { u.User = url.UserPassword("postgres", "s3cret") }), "authentication"},
		"an unknown database": {changed(t, at, func(u *url.URL) { u.Path = "/nowhere" }), "does not exist"},
		"another encoding":    {changed(t, at, func(u *url.URL) { u.Path = "/latin" + suffix(t, at) }), "ENCODING 'UTF8'"},
	} {
		b, err := postgres.Open(t.Context(), c.at, postgres.Config{})
		if err == nil {
			_ = b.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v has the password in it", name, err)
		}
	}
	if _, err := postgres.New(nil, postgres.Config{}); err == nil || !strings.Contains(err.Error(), "pgxpool.New") {
		t.Errorf("no pool: %v", err)
	}
}

// suffix tells the database of a test from those of others.
func suffix(t testing.TB, at string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path[len(u.Path)-12:]
}

// Of several hosts in a URL one must work. The application's name is in the server's list of connections.
func TestOneOfSeveralHostsIsEnough(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	b := setupAt(t, changed(t, database(t), func(u *url.URL) { u.Host = "127.0.0.1:1," + u.Host }))
	b.start("a")
	if n := b.count("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lambdabiz' AND datname = current_database()"); n == 0 {
		t.Error("no connection has the name lambdabiz")
	}
}

// calls are all methods that talk with the server.
var calls = map[string]func(ctx context.Context, b *postgres.Backend) error{
	"Join": func(ctx context.Context, b *postgres.Backend) error {
		_, err := b.Join(ctx, lambdabiz.WorkerInfo{})
		return err
	},
	"Renew": func(ctx context.Context, b *postgres.Backend) error { return b.Renew(ctx, 1) },
	"Leave": func(ctx context.Context, b *postgres.Backend) error { return b.Leave(ctx, 1, 0) },
	"Workers": func(ctx context.Context, b *postgres.Backend) error {
		_, err := b.Workers(ctx)
		return err
	},
	"Claim": func(ctx context.Context, b *postgres.Backend) error {
		_, err := b.Claim(ctx, lambdabiz.ClaimRequest{Worker: 1})
		return err
	},
	"Claim by hand": func(ctx context.Context, b *postgres.Backend) error {
		_, err := b.Claim(ctx, lambdabiz.ClaimRequest{Hand: "a"})
		return err
	},
	"Commit": func(ctx context.Context, b *postgres.Backend) error {
		_, err := b.Commit(ctx, []*lambdabiz.Commit{{At: moment, Starts: []lambdabiz.RunStart{startOf("a")}}})
		return err
	},
	"Load": func(ctx context.Context, b *postgres.Backend) error {
		_, err := b.Load(ctx, "a", "")
		return err
	},
	"Info": func(ctx context.Context, b *postgres.Backend) error {
		_, err := b.Info(ctx, "a", "")
		return err
	},
	"List": func(ctx context.Context, b *postgres.Backend) error {
		_, err := b.List(ctx, lambdabiz.Filter{})
		return err
	},
	"Purge": func(ctx context.Context, b *postgres.Backend) error {
		_, err := b.Purge(ctx, lambdabiz.PurgeRequest{})
		return err
	},
}

func TestAClosedBackendSaysSo(t *testing.T) {
	t.Parallel()
	at := database(t)
	used, unused := open(t, at), over(t, at, 0)
	for _, b := range []*postgres.Backend{used, unused} {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		for name, call := range calls {
			if err := call(t.Context(), b); err == nil || !strings.Contains(err.Error(), "backend is closed") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Who waits for a connection of a pool that others use waits no longer than its context lasts.
func TestWaitingForAConnectionEndsWithTheContext(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), database(t)+"&pool_max_conns=1")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, prepared := range []bool{false, true} {
		b, err := postgres.New(pool, home.config)
		if err != nil {
			t.Fatal(err)
		}
		if prepared {
			if _, err := b.Workers(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			err := call(ctx, b)
			cancel()
			wantErr(t, err, context.DeadlineExceeded)
			if !strings.Contains(err.Error(), "postgres: ") {
				t.Errorf("%s: %v does not say where it waited", name, err)
			}
		}
		conn.Release()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// All of a process shares a pool of one connection, also under load, and with another process beside it.
func TestAPoolOfOneConnectionIsEnoughForALoad(t *testing.T) {
	t.Parallel()
	at := database(t) + "&pool_max_conns=1"
	workTogether(t, 100, overPool(t, at, 0), overPool(t, at, 0))
}

// An administrator may have set for a role or a database what an application would not choose.
// A pool may learn its password for each connection, as where that lasts for minutes. Those beside the pool need it, too.
func TestConnectionsBesideThePoolAreMadeAsInThePool(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	for conns, use := range map[int]func(*postgres.Backend) error{
		1: func(b *postgres.Backend) error {
			step, err := b.Begin(t.Context(), pgx.TxOptions{})
			if err == nil {
				step.Rollback()
			}
			return err
		},
		2: func(b *postgres.Backend) error {
			if _, err := b.Workers(t.Context()); err != nil { // it knows the server
				return err
			}
			select {
			case <-b.Wake(): // it listens
				return nil
			case <-time.After(20 * time.Second):
				return errors.New("nobody listens")
			}
		},
	} {
		t.Run(fmt.Sprint(conns, " in the pool"), func(t *testing.T) {
			t.Parallel()
			config, err := pgxpool.ParseConfig(database(t))
			if err != nil {
				t.Fatal(err)
			}
			password := config.ConnConfig.Password
			config.MaxConns, config.ConnConfig.Password = int32(conns), "of yesterday"
			config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
				c.Password = password
				return nil
			}
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			b, err := postgres.New(pool, home.config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close() })
			if err := use(b); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSettingsOfTheSessionDoNotMatter(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	at := database(t)
	name := pgx.Identifier{strings.TrimPrefix(changed(t, at, func(u *url.URL) { *u = url.URL{Path: u.Path} }), "/")}.Sanitize()
	for _, setting := range []string{
		"default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on", "search_path = ''",
		"TimeZone = 'Asia/Kathmandu'", "DateStyle = 'German'", "bytea_output = 'escape'", "lock_timeout = '1ms'",
	} {
		execute(t, at, "ALTER DATABASE "+name+" SET "+setting)
	}
	for _, mode := range modes {
		b := over(t, at, mode)
		if mode != pgx.QueryExecModeSimpleProtocol {
			workTogether(t, 20, b)
			continue
		}
		if _, err := b.Workers(t.Context()); err == nil || !strings.Contains(err.Error(), "set it to hex") {
			t.Errorf("%v reads bytea as text: %v", mode, err)
		}
	}
}
