package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// setupFaulty opens a backend on a file system that can fail.
func setupFaulty(t *testing.T) (*bundle, *faulty) {
	t.Helper()
	f := newFaulty(t)
	path := filepath.Join(t.TempDir(), "test.db")
	backend, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, VFS: f.name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.heal()
		_ = backend.Close()
	})
	b := &bundle{Backend: backend, t: t, path: path, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	b.worker = b.join("v1", "Order")
	return b, f
}

// write is a way to write, with the question whether it is there.
type write struct {
	name    string
	prepare func(b *bundle, id string)
	do      func(b *bundle, id string) *lambdabiz.Commit
	done    func(b *bundle, id string) bool
	twin    bool // with a second commit in the batch
}

func startsRun(b *bundle, id string) { b.start(id) }

func refOf(b *bundle, id string) *lambdabiz.RunRef {
	v := b.startAs(lambdabiz.RunStart{ID: id, RunID: "run-of-" + id, Name: "Order", Claim: true})
	return &v.Run
}

func exists(b *bundle, id string) bool {
	_, err := b.Load(b.t.Context(), id, "")
	return err == nil
}

func startOf(b *bundle, id string) *lambdabiz.Commit {
	return &lambdabiz.Commit{Worker: b.worker, At: b.now, Starts: []lambdabiz.RunStart{{
		ID: id, RunID: "run-of-" + id, Name: "Order", Claim: true,
	}}}
}

var writes = []write{
	{name: "operation", prepare: startsRun, do: func(b *bundle, id string) *lambdabiz.Commit {
		return &lambdabiz.Commit{Run: refOf(b, id), At: b.now, Operations: []lambdabiz.Operation{b.operation(1)}}
	}, done: func(b *bundle, id string) bool { return len(b.load(id).Operations) == 1 }},
	{name: "start", do: startOf, done: exists},
	{name: "two starts", do: startOf, done: exists, twin: true},
	{name: "end", prepare: startsRun, do: func(b *bundle, id string) *lambdabiz.Commit {
		return &lambdabiz.Commit{
			Run: refOf(b, id), At: b.now, Conditional: true, Operations: []lambdabiz.Operation{b.operation(1)},
			Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded},
		}
	}, done: func(b *bundle, id string) bool { return b.load(id).Status.Ended() }},
	{name: "raise", prepare: startsRun, do: func(b *bundle, id string) *lambdabiz.Commit {
		return &lambdabiz.Commit{At: b.now, Raises: []lambdabiz.Raise{{ID: id, Name: "A"}}}
	}, done: func(b *bundle, id string) bool { return len(b.load(id).Messages) == 1 }},
}

// try commits while the faults that arm sets are on. It returns whether the commit is there
// afterwards, and the error if it was not acknowledged.
func (w write) try(b *bundle, f *faulty, id string, arm func()) (done bool, err error) {
	if w.prepare != nil {
		w.prepare(b, id)
	}
	batch := []*lambdabiz.Commit{w.do(b, id)}
	if w.twin {
		batch = append(batch, startOf(b, id+"-twin"))
	}
	arm()
	verdicts, err := b.Commit(b.t.Context(), batch)
	f.heal()
	for _, v := range verdicts {
		if err == nil && v.Err != nil {
			b.t.Errorf("%s: verdict %v", id, v.Err)
		}
	}
	if w.twin && exists(b, id) != exists(b, id+"-twin") {
		b.t.Errorf("%s: half a batch", id)
	}
	return w.done(b, id), err
}

// A commit that was done and then failed is found by reading back, and acknowledged.
func TestFailureAfterCommitIsResolved(t *testing.T) {
	t.Parallel()
	b, f := setupFaulty(t)
	for i, w := range writes {
		failed := f.failed.Load()
		done, err := w.try(b, f, fmt.Sprintf("r%d", i), func() { f.after.Store(1) })
		if err != nil || !done {
			t.Errorf("%s: error %v, done %v", w.name, err, done)
		}
		if f.failed.Load() == failed {
			t.Errorf("%s: the fault did not happen", w.name)
		}
	}
}

// With the fault lasting nobody can tell; the error says so, and it is true or not.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	b, f := setupFaulty(t)
	for i, w := range writes {
		done, err := w.try(b, f, fmt.Sprintf("r%d", i), func() {
			f.sticky.Store(true)
			f.after.Store(1)
		})
		wantErr(t, err, lambdabiz.ErrOutcomeUnknown)
		if !done {
			t.Errorf("%s: it was done", w.name)
		}
	}
}

// Every write and sync of a commit fails once: it is applied and acknowledged, or neither.
func TestFaultAtEveryWrite(t *testing.T) {
	t.Parallel()
	b, f := setupFaulty(t)
	for i, w := range writes {
		for name, counter := range map[string]*atomic.Int64{"write": &f.writes, "sync": &f.syncs} {
			for n := int64(1); ; n++ {
				failed := f.failed.Load()
				done, err := w.try(b, f, fmt.Sprintf("r%d-%s-%d", i, name, n), func() { counter.Store(n) })
				if (err == nil) != done {
					t.Errorf("%s, %s %d: error %v, done %v", w.name, name, n, err, done)
				}
				if err != nil && errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
					t.Errorf("%s, %s %d: the fault was over: %v", w.name, name, n, err)
				}
				if err != nil && name == "sync" {
					b.wantGoneAfterCrash(w, fmt.Sprintf("r%d-%s-%d", i, name, n))
				}
				if f.failed.Load() == failed {
					break // the commit has fewer than n
				}
				if err == nil {
					t.Errorf("%s: acknowledged although %s %d failed", w.name, name, n)
				}
				if n > 60 {
					t.Fatalf("%s: no end", w.name)
				}
			}
		}
	}
	b.integrity()
}

// wantGoneAfterCrash opens a copy of the files as a crash would leave them. A commit whose sync failed
// is in the log as a whole: it must not come back to life when the log is recovered.
func (b *bundle) wantGoneAfterCrash(w write, id string) {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(b.path + suffix)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, data, 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	backend, err := sqlite.Open(path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer backend.Close()
	if w.done(&bundle{Backend: backend, t: b.t, path: path}, id) {
		b.t.Errorf("%s: refused before the crash, there after it", w.name)
	}
}

// While the disk is full nothing is acknowledged, and nothing of a batch is there.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	b, f := setupFaulty(t)
	f.code.Store(int64(sqlite3.FULL))
	for i, w := range writes {
		done, err := w.try(b, f, fmt.Sprintf("r%d", i), func() {
			f.sticky.Store(true)
			f.writes.Store(1)
		})
		if err == nil || done || !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("%s: error %v, done %v", w.name, err, done)
		}
		if errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
			t.Errorf("%s: a full disk leaves no doubt: %v", w.name, err)
		}
		if done, err := w.try(b, f, fmt.Sprintf("r%d-again", i), func() {}); err != nil || !done {
			t.Errorf("%s with space again: error %v, done %v", w.name, err, done)
		}
	}
	b.integrity()
}

// integrity lets SQLite check the file.
func (b *bundle) integrity() {
	b.t.Helper()
	db, err := sqlite3.Open("file:" + b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	check, _, err := db.Prepare(`PRAGMA integrity_check`)
	if err != nil {
		b.t.Fatal(err)
	}
	defer check.Close()
	if !check.Step() || check.ColumnText(0) != "ok" {
		b.t.Errorf("integrity: %s", check.ColumnText(0))
	}
}
