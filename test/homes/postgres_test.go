package homes_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// tables makes a database with the tables for the test, on a real server, and returns what opens it in virtual time.
//
// Virtual time stands still while a goroutine waits for the server, so a call takes none of it, as on the other homes. A
// goroutine that waits for what may never come would keep it from ever passing: nobody gets to listen here, and this home hears of
// changes by its own process only. What it hears from others is tested in package postgres.
//
// In the portable mode transactions are what the servers have that it is for.
func tables(c postgres.Config) func(t *testing.T) func(t *testing.T) lambdabiz.Backend {
	return func(t *testing.T) func(t *testing.T) lambdabiz.Backend {
		t.Helper()
		return tablesWith(t, c)
	}
}

func tablesWith(t *testing.T, c postgres.Config) func(t *testing.T) lambdabiz.Backend {
	t.Helper()
	url := standin.Shared(t, 0).Copy(t, fmt.Sprintf("tables %+v", c), func(ctx context.Context, url string) error {
		b, err := postgres.Open(ctx, url, c)
		if err != nil {
			return err
		}
		return b.Close()
	})
	return func(t *testing.T) lambdabiz.Backend {
		t.Helper()
		<-time.After(time.Until(afterBubbles)) // numbers of runs and workers are made of the time since 2025
		config, err := pgxpool.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		config.MaxConns = 4
		if c.Portable {
			config.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
		}
		config.ConnConfig.ConnectTimeout = 0
		config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &deaf{Conn: conn, over: make(chan struct{})}, err
		}
		// No time has really passed since a connection was used last: none is to be tried, or closed, for its age.
		config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
		config.MaxConnLifetime, config.MaxConnIdleTime, config.HealthCheckPeriod = ages, ages, ages
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		b, err := postgres.New(pool, c)
		if err != nil {
			t.Fatal(err)
		}
		return &pooled{b, pool}
	}
}

// deaf is a connection on which nobody gets to listen: whoever asks for that waits, in virtual time.
type deaf struct {
	net.Conn

	asked atomic.Bool
	over  chan struct{} // closed when nobody waits any more
	once  sync.Once
}

func (d *deaf) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("LISTEN ")) {
		d.asked.Store(true)
		return 0, d.wait()
	}
	return d.Conn.Write(p)
}

// Read is called beside a Write that takes long.
func (d *deaf) Read(p []byte) (int, error) {
	if d.asked.Load() {
		return 0, d.wait()
	}
	return d.Conn.Read(p)
}

func (d *deaf) wait() error {
	<-d.over
	return os.ErrDeadlineExceeded
}

// SetDeadline is how a call is ended whose context ends.
func (d *deaf) SetDeadline(t time.Time) error {
	if d.asked.Load() && !t.IsZero() {
		d.once.Do(func() { close(d.over) })
	}
	return d.Conn.SetDeadline(t)
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.over) })
	return d.Conn.Close()
}

const ages = 100 * 365 * 24 * time.Hour

// afterBubbles is when the tests on PostgreSQL begin: a bubble begins in 2000.
var afterBubbles = time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)

// pooled is a backend with a pool of its own.
type pooled struct {
	*postgres.Backend
	pool *pgxpool.Pool
}

func (p *pooled) Close() error {
	err := p.Backend.Close()
	p.pool.Close()
	return err
}
