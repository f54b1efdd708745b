package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrateTimeout is how long a process waits for another one that brings the schema up to date.
const migrateTimeout = time.Minute

// alone is how a statement is sent whose connection may be another one with the next message.
const alone = pgx.QueryExecModeSimpleProtocol

// migrations returns the steps of the schema in order. Their numbers have no gaps.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	all := make([]string, 0, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("migration %s: its number must be %03d", name, i+1)
		}
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, string(text))
	}
	return all, nil
}

// prepare brings the schema up to date, once.
func (b *Backend) prepare(ctx context.Context) error {
	select {
	case <-b.prepared:
		return nil
	default:
	}
	select {
	case b.preparing <- struct{}{}:
	case <-b.prepared:
		return nil
	case <-b.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.preparing }()
	select {
	case <-b.prepared:
		return nil
	default:
	}
	steps, err := migrations()
	if err != nil {
		return err
	}
	err = b.retry(ctx, func() error {
		return b.on(ctx, func(conn *pgx.Conn) error {
			err := b.way.find(ctx, conn)
			if err == nil {
				err = b.migrate(ctx, conn, steps)
			}
			return err
		})
	})
	if err != nil {
		what := "look at the schema"
		if _, unreached := errors.AsType[*pgconn.ConnectError](err); unreached {
			what = "connect"
		}
		return faultOf(ctx, what, err)
	}
	close(b.prepared)
	return nil
}

func (b *Backend) migrate(ctx context.Context, conn *pgx.Conn, steps []string) error {
	version, err := b.version(ctx, conn)
	if err == nil && version == 0 && b.existing {
		return b.missing()
	}
	for err == nil && version < len(steps) {
		if b.way.portable {
			version, err = b.stepPortably(ctx, conn, steps)
		} else {
			version, err = b.step(ctx, conn, steps)
		}
	}
	if err != nil || version <= len(steps) {
		return err
	}
	return b.understood(ctx, conn, version, len(steps))
}

// understood refuses a newer schema on which a program of the known version cannot work.
func (b *Backend) understood(ctx context.Context, conn *pgx.Conn, version, known int) error {
	minimum := 0
	err := conn.QueryRow(ctx, "SELECT minimum FROM "+b.schema+".meta", alone).Scan(&minimum)
	if err == nil && minimum > known {
		err = fmt.Errorf("schema version %d is newer than %d, which this program knows, and needs at least %d: upgrade lambdabiz",
			version, known, minimum)
	}
	return err
}

// minimumOf is the least version that a program must know to work on a schema with these steps. A step only adds what the
// program before it need not know, unless its first line says "-- minimum:" and a version.
func minimumOf(steps []string) int {
	minimum := 1
	for _, s := range steps {
		first, _, _ := strings.Cut(s, "\n")
		if given, found := strings.CutPrefix(first, "-- minimum: "); found {
			minimum, _ = strconv.Atoi(given)
		}
	}
	return minimum
}

// metaTable are the statements for the table that says what the others are like. holder and turn are of the portable mode, in
// which they take the place of a lock: who brings the schema up to date, and how often it has said so.
func metaTable(schema string) []string {
	return []string{
		"CREATE SCHEMA IF NOT EXISTS " + schema,
		"CREATE TABLE IF NOT EXISTS " + schema + ".meta (one integer PRIMARY KEY, version integer NOT NULL, minimum integer NOT NULL, " +
			"holder bigint NOT NULL, turn bigint NOT NULL)",
		"INSERT INTO " + schema + ".meta (one, version, minimum, holder, turn) VALUES (1, 0, 1, 0, 0) ON CONFLICT DO NOTHING",
	}
}

// missing says that the schema is not there.
func (b *Backend) missing() error {
	return fmt.Errorf("the database has no tables of lambdabiz in schema %s: the first worker or start creates them",
		strings.Trim(b.schema, `"`))
}

// version is that of the schema, 0 while it is not there.
func (b *Backend) version(ctx context.Context, conn *pgx.Conn) (version int, err error) {
	var there bool
	// Not by to_regclass: it may answer from what the connection knew before it waited for the lock.
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n
		ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'meta')`, alone, strings.Trim(b.schema, `"`)).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	err = conn.QueryRow(ctx, "SELECT version FROM "+b.schema+".meta", alone).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) { // somebody is about to write it
		return 0, nil
	}
	return version, err
}

// step applies the next step in a transaction of its own, if there still is one when it has the lock, and returns the version
// of the schema then. The lock is the transaction's, for behind a pooler that of a session would stay locked.
func (b *Backend) step(ctx context.Context, conn *pgx.Conn, steps []string) (int, error) {
	// What waits for the lock must see what whoever had it has done.
	t, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return 0, err
	}
	defer func() { _ = t.Rollback(context.WithoutCancel(ctx)) }() // nothing after the commit
	patience := strconv.FormatInt(migrateTimeout.Milliseconds(), 10)
	if _, err := t.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", alone, patience); err != nil {
		return 0, err
	}
	if _, err := t.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", alone, "lambdabiz "+b.schema); err != nil {
		return 0, fmt.Errorf("wait for another process: %w", err)
	}
	version, err := b.version(ctx, conn)
	if err != nil || version >= len(steps) {
		return version, err
	}
	statements := []string{
		"SET LOCAL search_path TO " + b.schema, steps[version],
		"UPDATE meta SET version = " + strconv.Itoa(version+1) + ", minimum = " + strconv.Itoa(minimumOf(steps[:version+1])),
	}
	if version == 0 {
		statements = append(metaTable(b.schema), statements...)
	}
	for _, s := range statements {
		if _, err := t.Exec(ctx, s, alone); err != nil {
			return 0, fmt.Errorf("migrate to version %d: %w", version+1, err)
		}
	}
	return version + 1, t.Commit(ctx)
}
