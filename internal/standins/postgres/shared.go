package postgres

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// external names a server of the user's own: a URL of a database on it, as a role that may create databases.
const external = "LAMBDABIZ_TEST_POSTGRES"

// Database returns the URL of an empty database for the test, on the shared server of any version.
func Database(tb standins.TB) string {
	tb.Helper()
	return Shared(tb, 0).New(tb)
}

// Shared returns the databases of a server that all tests of this binary share, and starts it if need be: the server that
// LAMBDABIZ_TEST_POSTGRES names, or where major is not 0, a quick one of that version. Call it outside of a synctest bubble:
// it is a process. Without a server it skips the test, or fails it where CI=true.
func Shared(tb standins.TB, major int) *Databases {
	tb.Helper()
	if at := standins.Variable(external); at != "" && major == 0 {
		named.once.Do(func() { named.databases, named.err = connect(at) })
		if named.err != nil {
			tb.Fatalf("use the server that %s names: %v", external, named.err)
		}
		return named.databases
	}
	servers.Lock()
	one := servers.of[major]
	if one == nil {
		one = &common{}
		servers.of[major] = one
	}
	servers.Unlock()
	return one.started(tb, major)
}

var (
	named struct {
		once      sync.Once
		databases *Databases
		err       error
	}
	servers = struct {
		sync.Mutex

		of map[int]*common // by what was asked for
	}{of: map[int]*common{}}
)

// common is a server that all tests share.
type common struct {
	mu     sync.Mutex
	server *Server // nil before it is started
}

func (c *common) started(tb standins.TB, major int) *Databases {
	tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		owner := &binary{TB: tb}
		defer func() {
			if c.server == nil { // it did not start
				owner.clean()
			}
		}()
		remedy := "run make standins"
		if major == 0 {
			remedy += ", or name a server in " + external
		}
		c.server = start(owner, Config{Quick: true, Major: major}, remedy)
		c.server.shared = true
	}
	server := c.server
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the last of the log of %s:\n%s", server.name, &server.log)
		}
	})
	return server.Databases
}

// binary is the TB of a server that stays until the test binary ends: then watch.sh cleans up after it.
type binary struct {
	standins.TB

	cleanups []func()
}

// Cleanup keeps what is to be done if the server does not start.
func (b *binary) Cleanup(f func()) { b.cleanups = append(b.cleanups, f) }

func (b *binary) clean() {
	for _, f := range slices.Backward(b.cleanups) {
		f()
	}
}

// connect looks at a server of the user's.
func connect(at string) (*Databases, error) {
	admin, err := url.Parse(at)
	if err != nil || admin.Scheme != "postgres" && admin.Scheme != "postgresql" {
		return nil, errors.New("it is no URL of the form postgres://user:password@host/database")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var number int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&number); err != nil {
		return nil, err
	}
	return &Databases{admin: admin, major: number / 10000, shared: true, foreign: true}, nil
}
