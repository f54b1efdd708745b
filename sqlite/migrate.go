package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// applicationID marks a file as ours: "LBiz". The first migration sets it, and each its own version.
const applicationID = 0x4c42697a

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema, from version-1 to version.
type migration struct {
	version int
	text    string
}

// migrations returns the steps in order. Their numbers have no gaps.
func migrations() ([]migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	all := make([]migration, 0, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s: its number must be %03d", name, i+1)
		}
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version, string(text)})
	}
	return all, nil
}

// setUp makes sure that the file is ours, in WAL mode and of this version.
func (b *Backend) setUp(ctx context.Context, c *conn) error {
	defer c.under(ctx)()
	steps, err := migrations()
	if err != nil {
		return err
	}
	if readOnly, _ := c.db.ReadOnly("main"); readOnly {
		return fmt.Errorf("open for writing: %w", sqlite3.READONLY)
	}
	version, err := inspect(c)
	if err != nil {
		return err
	}
	if version > len(steps) {
		return newerError(version, len(steps))
	}
	mode, err := c.pragma("PRAGMA journal_mode=WAL")
	if err != nil {
		return fmt.Errorf("set journal_mode: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("set journal_mode: want wal, have %q: the file system must support shared memory", mode)
	}
	if version == len(steps) {
		return nil
	}
	for _, step := range steps {
		if err := migrate(c, step, len(steps)); err != nil {
			return fmt.Errorf("migrate to version %d: %w", step.version, err)
		}
	}
	return nil
}

func newerError(version, known int) error {
	return fmt.Errorf("schema version %d is newer than %d: upgrade lambdabiz", version, known)
}

// inspect returns the version of the schema, 0 for a fresh file, and refuses the files of others.
func inspect(c *conn) (int, error) {
	if err := c.db.Exec("BEGIN"); err != nil {
		return 0, err
	}
	defer c.rollback()
	return readVersion(c)
}

// readVersion works within a transaction: another process may be migrating.
func readVersion(c *conn) (int, error) {
	var values [3]int
	for i, text := range []string{
		"PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_schema",
	} {
		answer, err := c.pragma(text)
		if err != nil {
			return 0, err
		}
		if values[i], err = strconv.Atoi(answer); err != nil {
			return 0, fmt.Errorf("%s: %w", text, err)
		}
	}
	application, version, tables := values[0], values[1], values[2]
	if application != applicationID && (application != 0 || version != 0 || tables != 0) {
		return 0, errors.New("it is the database of another application: give a path of its own")
	}
	return version, nil
}

// migrate applies one step in a transaction, unless another process was faster.
func migrate(c *conn, step migration, known int) error {
	if err := c.db.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer c.rollback()
	version, err := readVersion(c)
	if err != nil || version >= step.version {
		if version > known {
			return newerError(version, known)
		}
		return err
	}
	if err := c.db.Exec(step.text); err != nil {
		return err
	}
	return c.db.Exec("COMMIT")
}
