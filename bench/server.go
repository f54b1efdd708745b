package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// postgresVariable names the server for the processes that this program starts: a command line is seen by everybody.
const postgresVariable = "LAMBDABIZ_BENCH_POSTGRES"

// owner is what a server is started for, in the place of a test.
type owner struct{ cleanups []func() }

// startError is what Fatalf and Skipf say.
type startError struct{ error }

func (o *owner) Helper()                   {}
func (o *owner) Failed() bool              { return false }
func (o *owner) Cleanup(f func())          { o.cleanups = append(o.cleanups, f) }
func (o *owner) Logf(string, ...any)       {}
func (o *owner) Skipf(f string, a ...any)  { o.Fatalf(f, a...) }
func (o *owner) Fatalf(f string, a ...any) { panic(startError{fmt.Errorf(f, a...)}) }

func (o *owner) stop() {
	for _, clean := range slices.Backward(o.cleanups) {
		clean()
	}
}

// serverSettings are those that a server with some memory has. What is acknowledged has been through fdatasync.
var serverSettings = map[string]string{
	"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "256MB", "max_wal_size": "4GB",
}

// serve starts a server of its own, and returns its address and what ends it.
func serve() (url string, stop func(), err error) {
	o := &owner{}
	defer func() {
		switch failed := recover().(type) {
		case nil:
		case startError:
			o.stop()
			err = failed.error
		default:
			panic(failed)
		}
	}()
	s := standin.Start(o, standin.Config{Settings: serverSettings})
	return s.URL("postgres"), o.stop, nil
}

// server is the PostgreSQL that is measured, with schemas that are made for one run.
type server struct {
	url    string
	schema string // that of the orchestrations; that of the limits is beside it
	pid    int    // of the server if it runs on this machine, else 0
}

func openServer(ctx context.Context, url string) (*server, error) {
	s := &server{url: url, schema: "bench_" + strings.ToLower(rand.Text())}
	return s, s.do(ctx, func(conn *pgx.Conn) error {
		var backend int
		var local bool
		err := conn.QueryRow(ctx, "SELECT pg_backend_pid(), coalesce(inet_server_addr() <<= inet '127.0.0.0/8', true)").
			Scan(&backend, &local)
		if err == nil && local {
			if p, err := processOf(backend); err == nil && p.name == "postgres" {
				s.pid = p.parent
			}
		}
		return err
	})
}

func (s *server) do(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return fmt.Errorf("reach PostgreSQL: %w", err)
	}
	return errors.Join(f(conn), conn.Close(ctx))
}

func (s *server) limits() string { return s.schema + "_limits" }

// close removes the schemas.
func (s *server) close() error {
	ctx := context.Background()
	return s.do(ctx, func(conn *pgx.Conn) error {
		var errs []error
		for _, schema := range []string{s.schema, s.limits()} {
			_, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE")
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// size is what the tables of the orchestrations take on the disk, in bytes.
func (s *server) size(ctx context.Context) (bytes int64, err error) {
	err = s.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c
			JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'`, s.schema).Scan(&bytes)
	})
	return bytes, err
}

// cpuTime is what the processes of the server have computed so far; 0 where that cannot be asked.
func (s *server) cpuTime() time.Duration {
	if s == nil || s.pid == 0 {
		return 0
	}
	main, err := processOf(s.pid)
	if err != nil {
		return 0
	}
	total := main.own + main.gone
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.pid), "task", strconv.Itoa(s.pid), "children"))
	if err != nil {
		return 0
	}
	for child := range strings.FieldsSeq(string(text)) {
		pid, _ := strconv.Atoi(child)
		if p, err := processOf(pid); err == nil {
			total += p.own
		}
	}
	return total
}

// proc is what the kernel says of a process.
type proc struct {
	name      string
	parent    int
	own, gone time.Duration // what it has computed, and what those of its children that have ended
}

// processOf asks the kernel, as Linux has it.
func processOf(pid int) (p proc, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, err
	}
	before, after, _ := strings.Cut(string(text), ") ")
	_, p.name, _ = strings.Cut(before, "(")
	fields := strings.Fields(after) // from the third one on
	if len(fields) < 15 {
		return p, fmt.Errorf("process %d: %q", pid, text)
	}
	var n [15]int64
	for i := 1; i < len(n); i++ {
		n[i], _ = strconv.ParseInt(fields[i], 10, 64)
	}
	const tick = 10 * time.Millisecond
	p.parent = int(n[1])
	p.own, p.gone = time.Duration(n[11]+n[12])*tick, time.Duration(n[13]+n[14])*tick
	if text, err := os.ReadFile(filepath.Join(dir, "schedstat")); err == nil { // the same in nanoseconds
		var ns int64
		if _, err := fmt.Sscan(string(text), &ns); err == nil && ns > 0 {
			p.own = time.Duration(ns)
		}
	}
	return p, nil
}
