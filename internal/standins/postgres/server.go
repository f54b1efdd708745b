package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// Config says what a server is like. The zero value is the newest that the computer prefers, with PostgreSQL's defaults.
type Config struct {
	// Major is the version: 0 is any. "make standins" brings 14 and 18 where npm has them for the computer.
	Major int
	// Quick leaves out fsync and whole pages in the log. Killing the server loses nothing by it; leave it off where a test is
	// about disks or measures.
	Quick bool
	// TLS has the server offer encrypted connections too, with a certificate for its address; see [Server.Authority].
	TLS bool
	// Settings are lines of postgresql.conf, as {"statement_timeout": "5s"}.
	Settings map[string]string
}

// Server is a PostgreSQL of one test. Start, Stop, Crash, Kill, Freeze and Thaw may be called from any goroutine, one after
// the other. They return when it is done, or after two minutes with an error, and they keep address, data and password.
type Server struct {
	// Databases has a database for each test that shares the server.
	*Databases
	process

	binaries binaries
	data     string
	address  string // host:port
	password string
	quick    bool
}

// Start starts a server for the test, with a folder of its own, and removes both when the test ends. Without binaries it
// skips the test, or fails it where CI=true. A failed test logs the last of the server's log.
func Start(tb standins.TB, config Config) *Server {
	tb.Helper()
	return start(tb, config, "run make standins")
}

func start(tb standins.TB, config Config, remedy string) *Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := create(ctx, tb, config.Major, remedy)
	s.quick, s.password = config.Quick, rand.Text()
	clean(tb, &s.process)
	err := s.initialize(ctx, config)
	if err == nil {
		err = s.process.Start(ctx)
	}
	if err != nil {
		tb.Fatalf("start PostgreSQL: %v", err)
	}
	s.Databases = s.databases()
	return s
}

// create prepares a server that has no data yet.
func create(ctx context.Context, tb standins.TB, major int, remedy string) *Server {
	tb.Helper()
	if !supported {
		standins.Missing(tb, "a private PostgreSQL", "there is none but on Linux and macOS")
	}
	found, err := find(ctx, major)
	if errors.Is(err, errNone) {
		what := "PostgreSQL"
		if major != 0 {
			what = fmt.Sprintf("PostgreSQL %d", major)
		}
		standins.Missing(tb, what, remedy)
	}
	s, err := prepare(ctx, found)
	if err != nil {
		tb.Fatalf("prepare PostgreSQL: %v", err)
	}
	return s
}

// names number the servers of this binary.
var names atomic.Int64

func prepare(ctx context.Context, found binaries) (*Server, error) {
	u, err := serverUser()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "lambdabiz-postgres-")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err == nil {
		err = u.own(folder)
	}
	if err == nil {
		found, err = found.reachable(ctx, u, folder)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	s := &Server{binaries: found, data: filepath.Join(folder, "data"), address: address}
	host, port, _ := net.SplitHostPort(address)
	name := fmt.Sprintf("server%d", names.Add(1))
	s.process = process{
		name: name, folder: folder, user: u, abandon: syscall.SIGQUIT,
		ready: "database system is ready to accept", // "connections", or "read-only connections" on a standby
		command: []string{
			found.path("postgres"), "-D", s.data,
			"-c", "listen_addresses=" + host, "-c", "port=" + port, "-c", "unix_socket_directories=",
			"-c", "cluster_name=" + name, // by which a standby is known
			"-c", "log_destination=stderr", "-c", "logging_collector=off",
		},
	}
	return s, nil
}

// clean ends what the test has started, with the test.
func clean(tb standins.TB, p *process) {
	tb.Cleanup(func() {
		if err := p.remove(context.Background()); err != nil {
			tb.Logf("remove %s: %v", p.name, err)
		}
		if tb.Failed() {
			tb.Logf("the last of the log of %s:\n%s", p.name, &p.log)
		}
	})
}

// initialize makes the data of an empty server.
func (s *Server) initialize(ctx context.Context, config Config) error {
	secret := filepath.Join(s.folder, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := s.user.own(s.folder); err != nil {
		return err
	}
	// Nothing here lives longer than the computer is on: no need to wait for the disk.
	if err := run(s.user.command(ctx, s.folder, s.binaries.path("initdb"), "-D", s.data, "-U", "postgres",
		"--pwfile", secret, "-A", "password", "-E", "UTF8", "--locale=C", "--no-sync")); err != nil {
		return err
	}
	settings := map[string]string{
		"max_connections": "100", "shared_buffers": "64MB", "timezone": "UTC",
		"dynamic_shared_memory_type": "mmap", // in the folder: nothing is left behind by a kill
	}
	if config.Quick {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	if config.TLS {
		host, _, _ := net.SplitHostPort(s.address)
		if err := certify(s.folder, host); err != nil {
			return fmt.Errorf("make a certificate: %w", err)
		}
		if err := s.user.own(s.folder); err != nil {
			return err
		}
		settings["ssl"] = "on"
		settings["ssl_cert_file"], settings["ssl_key_file"] = s.Authority(), filepath.Join(s.folder, keyFile)
	}
	maps.Copy(settings, config.Settings)
	var conf strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&conf, "%s = %s\n", name, quote(settings[name]))
	}
	const access = "host all all 127.0.0.0/8 password\nhost replication all 127.0.0.0/8 password\n"
	return errors.Join(appendTo(filepath.Join(s.data, "postgresql.conf"), conf.String()),
		os.WriteFile(filepath.Join(s.data, "pg_hba.conf"), []byte(access), 0o600))
}

// Version is what the server says of itself, as "15.18".
func (s *Server) Version() string { return s.binaries.version }

// Authority is the file of the certificate by which a server with TLS is known.
func (s *Server) Authority() string { return filepath.Join(s.folder, certificateFile) }

// URL is the address of a database of the server, as its superuser. Every server has "postgres".
func (s *Server) URL(database string) string {
	return locator(s.password, database, s.address).String()
}

// admin is the address of a database that is always there, without what the test has set for others.
func (s *Server) admin() string { return s.URL("postgres") + "&statement_timeout=0&lock_timeout=0" }

// FailoverURL is the address of a database on several servers that follow each other: it leads to the one that can be
// written to.
func FailoverURL(database string, servers ...*Server) string {
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.address)
	}
	at := locator(servers[0].password, database, strings.Join(addresses, ","))
	at.RawQuery += "&target_session_attrs=read-write"
	return at.String()
}

func locator(password, database, hosts string) *url.URL {
	return &url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", password), Host: hosts, Path: "/" + database,
		RawQuery: "sslmode=disable",
	}
}

// Stop ends the server in order: it ends its connections, and writes all to its files.
func (s *Server) Stop(ctx context.Context) error { return s.signal(ctx, syscall.SIGINT) }

// Crash ends the server in immediate mode: at once, and the next start recovers from its log.
func (s *Server) Crash(ctx context.Context) error { return s.signal(ctx, syscall.SIGQUIT) }

// Restart crashes the server and starts it.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Crash(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Start starts the server again on the data that it has. One that was killed as the primary comes back as a primary.
func (s *Server) Start(ctx context.Context) error { return s.process.Start(ctx) }

// Set changes a setting of the running server. It holds for connections that begin when it has returned, and after a start.
func (s *Server) Set(ctx context.Context, name, value string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reloading := s.log.expect(has("received SIGHUP")) // connections that come after this line get the new value
	defer s.log.forget(reloading)
	err := do(ctx, s.admin(), "ALTER SYSTEM SET "+pgx.Identifier{name}.Sanitize()+" = "+quote(value),
		"SELECT pg_reload_conf()")
	if err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	select {
	case <-reloading.seen:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("set %s: %w", name, ctx.Err())
	}
}

// do runs statements on a connection of their own.
func do(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// quote makes a constant of SQL, or of postgresql.conf.
func quote(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }

func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// freeAddress is one on loopback that stays free while its server is down: a port that the kernel gives nobody by itself,
// and on Linux, where all of 127/8 is this computer, on an address that nobody else has.
func freeAddress(ctx context.Context) (string, error) {
	var err error
	for range 100 {
		host := "127.0.0.1"
		if runtime.GOOS == "linux" {
			host = fmt.Sprintf("127.%d.%d.%d", 1+mathrand.IntN(254), mathrand.IntN(256), 1+mathrand.IntN(254))
		}
		address := net.JoinHostPort(host, strconv.Itoa(10000+mathrand.IntN(20000)))
		var listener net.Listener
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err == nil {
			return address, listener.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}
