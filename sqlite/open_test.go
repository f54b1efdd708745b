package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	exec := func(sql string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := sqlite3.Open("file:" + path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Exec(sql), db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    string
	}{
		"no database": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("this is a text\n", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a SQLite database"},
		"another application": {exec(`CREATE TABLE customers (id)`), "another application"},
		"marked by another":   {exec(`PRAGMA application_id=1`), "another application"},
		"newer schema": {func(t *testing.T, path string) {
			b, err := sqlite.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			exec(`PRAGMA user_version=99`)(t, path)
		}, "schema version 99 is newer than 4: upgrade lambdabiz"},
		"a directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
		"no directory": {func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "d", "test.db")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			test.prepare(t, path)
			before, _ := os.ReadFile(path)
			_, err := sqlite.Open(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error with %q and the path", err, test.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the refused file was changed")
			}
		})
	}
}

func TestOpenReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	b, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	f := newFaulty(t)
	f.readOnly = true
	_, err = sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, VFS: f.name})
	if err == nil || !strings.Contains(err.Error(), "must be writable") {
		t.Errorf("read-only file: %v", err)
	}
	if os.Geteuid() == 0 {
		return // the rights of a file do not bind root
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err = sqlite.Open(path); err == nil || !strings.Contains(err.Error(), "must be writable") {
		t.Errorf("file without the right to write: %v", err)
	}
}

func TestOpenNeedsAPath(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", ":memory:"} {
		if _, err := sqlite.Open(path); err == nil {
			t.Errorf("open %q: no error", path)
		}
	}
}

func TestOpenOddPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "50%.db", "what?.db", "#1.db", "ünï.db", "file:x.db"} {
		path := filepath.Join(t.TempDir(), name)
		setupAt(t, path).start("one")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", name, mode)
		}
		files, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			info, err := f.Info()
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
			}
		}
	}
}

func TestOpenThroughSymbolicLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real.db"), filepath.Join(dir, "link.db")
	one := setupAt(t, path)
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	two := setupAt(t, link)
	workers, err := two.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(workers) != 2 || workers[0].Number != one.worker || workers[0].Gone {
		t.Errorf("seen through the link: %+v", workers)
	}
}

// A fresh file that many open at once: conversion to WAL and migration race.
func TestOpenFreshAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		path := filepath.Join(t.TempDir(), "test.db")
		errs := make([]error, 12)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				b, err := sqlite.Open(path)
				if err == nil {
					err = b.Close()
				}
				errs[i] = err
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenFreshByProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	var children []*child
	for range 8 {
		children = append(children, spawn(t, "open", path))
	}
	for _, c := range children {
		c.wantLine(t, "opened")
		c.release(t)
	}
	if got := len(setupAt(t, path).workers()); got != 1 {
		t.Errorf("%d workers, want the test's own one", got)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := sqlite.OpenConfig(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	wantErr(t, err, context.Canceled)
}

func TestClosedBackend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Load(t.Context(), "x", ""); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("load: %v", err)
	}
	if err := b.Renew(t.Context(), b.worker); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("renew: %v", err)
	}
	if _, err := os.Stat(b.path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log was left behind: %v", err)
	}
}

// TestMain lets the test's binary play another process.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "-child" {
		if err := childMain(os.Args[2], os.Args[3]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func spawn(t *testing.T, role, path string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-child", role, path) //nolint:noctx // startChild ends it
	return startChild(t, cmd)
}

// A file of an earlier version gets what it lacks, and keeps what it has.
func TestFileOfTheFirstVersionIsMigrated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	first, err := os.ReadFile(filepath.Join("migrations", "001_initial.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite3.Open("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	row := `INSERT INTO runs (status, mode, fence, owner, paused, scheduled_at, id, run_id, name)
		VALUES (1, 0, 0, 0, 1, 7, 'old', 'old#1', 'D')`
	operation := `INSERT OR REPLACE INTO operations (run_no, number, kind, status, attempts, scheduled_at, path)
		VALUES (1, %d, 2, 3, 1, 7, 'o%[1]d')`
	if err := errors.Join(db.Exec(string(first)), db.Exec(row), db.Exec(fmt.Sprintf(operation, 1)), db.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	cancel := lambdabiz.Control{Kind: lambdabiz.ControlCancel, ID: "old", Reason: "because"}
	verdicts, err := b.Commit(t.Context(), []*lambdabiz.Commit{{At: time.Now(), Controls: []lambdabiz.Control{cancel}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(append(verdicts[0].Controls, verdicts[0].Err)...); err != nil {
		t.Fatal(err)
	}
	got, err := b.Load(t.Context(), "old", "")
	if err != nil || !got.Paused || got.PauseReason != "" || got.CancelReason != "because" {
		t.Errorf("got %+v, %v", got, err)
	}
	other, err := sqlite3.Open("file:" + path) // a process of that version goes on
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(other.Exec(fmt.Sprintf(operation, 2)), other.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err = b.Load(t.Context(), "old", ""); err != nil || len(got.Operations) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i, o := range got.Operations {
		if o.ID != fmt.Sprint("o", i+1) || o.AfterStop || o.LastBeforeStop {
			t.Errorf("got %+v", o)
		}
	}
}
