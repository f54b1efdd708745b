package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// limits measures what the machine can do at best at this moment, on the same disk, by the driver that the backend uses too.
type limits interface {
	// slice measures all of the limits within a time.
	slice(d time.Duration) error
	// add adds the limits to what was measured.
	add(m figures)
	close() error
}

// sqliteLimits are those of SQLite, without database/sql in between, WAL and synchronous=FULL.
type sqliteLimits struct {
	db                    *sqlite3.Conn
	insert, begin, commit *sqlite3.Stmt

	commits, rows     int // one-row commits; rows in transactions of 100
	onCommits, onRows time.Duration
}

func openSQLiteLimits(dir string) (*sqliteLimits, error) {
	db, err := sqlite3.Open("file:" + filepath.ToSlash(filepath.Join(dir, "limit.db")))
	if err != nil {
		return nil, fmt.Errorf("open the database of the limits: %w", err)
	}
	l := &sqliteLimits{db: db}
	err = db.Exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;
		CREATE TABLE bare (no INTEGER PRIMARY KEY, payload BLOB)`)
	for _, s := range []struct {
		stmt **sqlite3.Stmt
		text string
	}{{&l.insert, "INSERT INTO bare (payload) VALUES (?)"}, {&l.begin, "BEGIN IMMEDIATE"}, {&l.commit, "COMMIT"}} {
		if err == nil {
			*s.stmt, _, err = db.Prepare(s.text)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the database of the limits: %w", err), l.close())
	}
	return l, nil
}

func (l *sqliteLimits) close() error {
	var errs []error
	for _, s := range []*sqlite3.Stmt{l.insert, l.begin, l.commit} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, l.db.Close())...)
}

var barePayload = make([]byte, 100)

// slice measures both limits, half of the time each.
func (l *sqliteLimits) slice(d time.Duration) error {
	begun := time.Now()
	for time.Since(begun) < d/2 {
		if err := l.row(); err != nil {
			return err
		}
		l.commits++
	}
	l.onCommits += time.Since(begun)
	begun = time.Now()
	for time.Since(begun) < d/2 {
		if err := l.hundred(); err != nil {
			return err
		}
		l.rows += 100
	}
	l.onRows += time.Since(begun)
	return nil
}

func (l *sqliteLimits) row() error {
	err := l.insert.BindBlob(1, barePayload)
	if err == nil {
		err = l.insert.Exec()
	}
	if err != nil {
		return fmt.Errorf("measure a limit: %w", err)
	}
	return nil
}

func (l *sqliteLimits) hundred() error {
	if err := l.begin.Exec(); err != nil {
		return fmt.Errorf("measure a limit: %w", err)
	}
	for range 100 {
		if err := l.row(); err != nil {
			return err
		}
	}
	if err := l.commit.Exec(); err != nil {
		return fmt.Errorf("measure a limit: %w", err)
	}
	return nil
}

func (l *sqliteLimits) commitsPerSecond() float64 { return float64(l.commits) / l.onCommits.Seconds() }
func (l *sqliteLimits) rowsPerSecond() float64    { return float64(l.rows) / l.onRows.Seconds() }

// add adds the limits of the machine to what was measured.
func (l *sqliteLimits) add(m figures) {
	m["limit_commits_per_s"], m["limit_rows_per_s"] = l.commitsPerSecond(), l.rowsPerSecond()
}
