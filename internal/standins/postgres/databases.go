package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// Databases makes databases on one server, one for each test.
type Databases struct {
	admin  *url.URL // of a database that is always there
	major  int
	copies string // how a database is copied best here: a clause of CREATE DATABASE
	// The server outlives the test: its databases go with their tests.
	shared bool
	// The server outlives the binary: no templates stay on it.
	foreign bool

	mu        sync.Mutex
	templates map[string]*template
}

// template is a database that is filled once and copied then.
type template struct {
	once     sync.Once
	database string
	err      error
}

// databases are those of a server of ours.
func (s *Server) databases() *Databases {
	admin, _ := url.Parse(s.admin()) // it was made from one
	d := &Databases{admin: admin, major: s.binaries.major}
	if s.quick && d.major >= 15 { // 14 knows no other way; where the disk counts the default is to be seen
		d.copies = " STRATEGY file_copy"
	}
	return d
}

// Major is the major version of the server.
func (d *Databases) Major() int { return d.major }

// New makes an empty database for the test and returns its URL. It goes when the test ends, and its connections with it.
func (d *Databases) New(tb standins.TB) string {
	tb.Helper()
	return d.of(tb, "template0")
}

// Copy makes a database for the test as fill has left one of that name: the first test fills it, the others have a copy. Fill
// leaves no connection open. A server that LAMBDABIZ_TEST_POSTGRES names keeps nothing between tests, so there each is
// filled.
func (d *Databases) Copy(tb standins.TB, name string, fill func(ctx context.Context, url string) error) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if d.foreign {
		at := d.of(tb, "template0")
		if err := fill(ctx, at); err != nil {
			tb.Fatalf("fill a database: %v", err)
		}
		return at
	}
	d.mu.Lock()
	t := d.templates[name]
	if t == nil {
		t = &template{database: fresh("template")}
		if d.templates == nil {
			d.templates = map[string]*template{}
		}
		d.templates[name] = t
	}
	d.mu.Unlock()
	t.once.Do(func() {
		if t.err = do(ctx, d.admin.String(), "CREATE DATABASE "+t.database+" TEMPLATE template0"+d.copies); t.err == nil {
			t.err = fill(ctx, d.at(t.database))
		}
		if t.err == nil { // no vacuum looks into it, and keeps it from being copied
			t.err = do(ctx, d.admin.String(), "ALTER DATABASE "+t.database+" ALLOW_CONNECTIONS false")
		}
	})
	if t.err != nil {
		tb.Fatalf("fill the template %s: %v", name, t.err)
	}
	return d.of(tb, t.database)
}

// of makes the copy of a database for the test.
func (d *Databases) of(tb standins.TB, template string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name := fresh("test")
	if err := do(ctx, d.admin.String(), "CREATE DATABASE "+name+" TEMPLATE "+template+d.copies); err != nil {
		tb.Fatalf("create a database: %v", err)
	}
	if d.shared {
		tb.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := do(ctx, d.admin.String(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
				tb.Logf("drop a database: %v", err)
			}
		})
	}
	return d.at(name)
}

// fresh is a name that no database has, of lower-case letters and digits.
func fresh(kind string) string { return "lambdabiz_" + kind + "_" + strings.ToLower(rand.Text()) }

func (d *Databases) at(database string) string {
	at := *d.admin
	at.Path = "/" + database
	query := at.Query()
	query.Del("statement_timeout")
	query.Del("lock_timeout")
	at.RawQuery = query.Encode()
	return at.String()
}

// Statistics are a row of pg_stat_database.
type Statistics struct {
	Commits, Rollbacks    int64 // transactions; a statement by itself is one
	BlocksRead, BlocksHit int64 // pages from the disk, and from the server's memory
	Deadlocks             int64
}

// Sub is what has been added since the earlier one.
func (s Statistics) Sub(earlier Statistics) Statistics {
	return Statistics{
		Commits: s.Commits - earlier.Commits, Rollbacks: s.Rollbacks - earlier.Rollbacks,
		BlocksRead: s.BlocksRead - earlier.BlocksRead, BlocksHit: s.BlocksHit - earlier.BlocksHit,
		Deadlocks: s.Deadlocks - earlier.Deadlocks,
	}
}

// Statistics reads the statistics of a database from a connection to another one. A connection tells what it did once a second at
// most while it works, up to ten seconds later when it idles, and all when it ends.
func (d *Databases) Statistics(ctx context.Context, database string) (Statistics, error) {
	at, err := url.Parse(database)
	if err != nil {
		return Statistics{}, err
	}
	conn, err := pgx.Connect(ctx, d.admin.String())
	if err != nil {
		return Statistics{}, fmt.Errorf("read statistics: %w", err)
	}
	var s Statistics
	err = conn.QueryRow(ctx, "SELECT xact_commit, xact_rollback, blks_read, blks_hit, deadlocks FROM pg_stat_database WHERE datname = $1",
		strings.TrimPrefix(at.Path, "/")).Scan(&s.Commits, &s.Rollbacks, &s.BlocksRead, &s.BlocksHit, &s.Deadlocks)
	return s, errors.Join(err, conn.Close(ctx))
}
