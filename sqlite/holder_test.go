package sqlite_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

func (b *bundle) lockedBy(patience time.Duration) *lambdabiz.Holder {
	b.t.Helper()
	h, err := b.LockedBy(b.t.Context(), patience)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// impatient opens the file as a process that waits for nobody.
func (b *bundle) impatient() *bundle {
	b.t.Helper()
	other, err := sqlite.OpenConfig(b.t.Context(), sqlite.Config{Path: b.path, BusyTimeout: time.Millisecond})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := other.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return &bundle{Backend: other, t: b.t, path: b.path, now: b.now}
}

func (b *bundle) notes() []string {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(b.path))
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.Contains(e.Name(), "-writer-") {
			names = append(names, e.Name())
		}
	}
	return names
}

// wantTold is what one who waits in vain is told of a process.
func (b *bundle) wantTold(err error, pid int) {
	b.t.Helper()
	wantErr(b.t, err, lambdabiz.ErrBusy)
	if text := fmt.Sprintf("process %d on ", pid); !strings.Contains(err.Error(), text) {
		b.t.Errorf("%v, want an error that says %s", err, text)
	}
}

// A process is frozen in a transaction: all others are told which one it is, and since when.
func TestWhoWaitsInVainIsToldForWhom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.impatient()
	if h := other.lockedBy(0); h != nil {
		t.Errorf("before: %v", h)
	}
	began := time.Now()
	frozen := spawn(t, "hold", b.path)
	frozen.wantLine(t, "holding")
	pid := frozen.cmd.Process.Pid
	for _, patience := range []time.Duration{0, time.Millisecond} {
		h := other.lockedBy(patience)
		if h == nil || h.PID != pid || h.Host == "" || h.Since.Before(began.Add(-time.Second)) || h.Since.After(time.Now()) {
			t.Errorf("with a patience of %v: %v", patience, h)
		}
	}
	other.wantTold(other.startOf("one"), pid) // one statement
	other.wantTold(other.Renew(t.Context(), b.worker), pid)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := b.Renew(ctx, b.worker) // its own patience is longer
	wantErr(t, err, context.DeadlineExceeded)
	if !strings.Contains(err.Error(), fmt.Sprintf("process %d on ", pid)) {
		t.Errorf("when the context ends: %v", err)
	}
	if err := frozen.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = frozen.cmd.Wait()
	for _, patience := range []time.Duration{0, time.Second} {
		if h := other.lockedBy(patience); h != nil {
			t.Errorf("of a process that is dead, with a patience of %v: %v", patience, h)
		}
	}
	if err := other.startOf("one"); err != nil {
		t.Fatal(err)
	}
	if notes := b.notes(); len(notes) != 2 { // this test's two
		t.Errorf("notes: %v", notes)
	}
	if h := other.lockedBy(0); h != nil {
		t.Errorf("after a write: %v", h)
	}
}

// A write of one statement has no transaction of its own around it, and is frozen as well while it waits for the disk.
func TestWhoWaitsForOneStatementIsToldForWhom(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	path := filepath.Join(t.TempDir(), "test.db")
	backend, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, VFS: f.name})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{Backend: backend, t: t, path: path, now: epoch}
	defer func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
		if notes := b.notes(); len(notes) != 0 {
			t.Errorf("notes: %v", notes)
		}
	}()
	other := b.impatient()
	release, done := make(chan struct{}), make(chan error, 1)
	syncing := make(chan struct{})
	f.onSync(func() { close(syncing); <-release })
	go func() { done <- b.startOf("one") }()
	<-syncing
	other.wantTold(other.startOf("two"), os.Getpid())
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if h := other.lockedBy(0); h != nil {
		t.Errorf("after it: %v", h)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
}

// A program that is none of ours says nothing.
func TestWhoWaitsForAnotherProgramIsToldSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	db, err := sqlite3.Open("file:" + b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	other := b.impatient()
	wantErr(t, other.startOf("one"), lambdabiz.ErrBusy)
	if h := other.lockedBy(0); h != nil {
		t.Errorf("by its own word: %v", h)
	}
	if h := other.lockedBy(time.Millisecond); h == nil || h.PID != 0 {
		t.Errorf("by a look at the lock: %v", h)
	}
	if err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if h := other.lockedBy(time.Millisecond); h != nil {
		t.Errorf("after it: %v", h)
	}
}

// A worker that begins while the file is locked for long waits until it is free.
func TestAWorkerBeginsWhenTheFileIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		if err := b.Leave(t.Context(), b.worker, -1); err != nil {
			t.Fatal(err)
		}
		e, err := lambdabiz.New(b.impatient().Backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		d := lambdabiz.Define("D", func(lambdabiz.Context, int) (int, error) { return 7, nil })
		if err := e.Register(d); err != nil {
			t.Fatal(err)
		}
		db, err := sqlite3.Open("file:" + b.path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Exec("BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		time.Sleep(time.Minute)
		select {
		case err := <-ended:
			t.Fatalf("the worker ended: %v", err)
		default:
		}
		if err := db.Exec("ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		run, err := lambdabiz.Start(ctx, e, d, "x", 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := run.Result(ctx); got != 7 || err != nil {
			t.Errorf("result %d, %v", got, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// One that is stopped before the file is free ends without an error.
func TestAWorkerThatWaitsForTheFileIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		e, err := lambdabiz.New(b.impatient().Backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqlite3.Open("file:" + b.path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Exec("BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
		if ctx.Err() == nil {
			t.Error("it did not wait")
		}
	})
}

// A store whose tables are there is opened without a write.
func TestOpenStoreWaitsForNobody(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	one, err := sqlite.OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	db, err := sqlite3.Open("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	two, err := sqlite.OpenStoreConfig(t.Context(), sqlite.Config{Path: path, BusyTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
}

// The caller's patience is shorter than that of the backend: it is told all the same.
func TestACallerWhoGoesIsToldForWhomItHasWaited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e, err := lambdabiz.New(b.Backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	frozen := spawn(t, "hold", b.path)
	frozen.wantLine(t, "holding")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = e.StartByName(ctx, "Order", "x", 1)
	wantErr(t, err, context.DeadlineExceeded)
	wantErr(t, err, lambdabiz.ErrOutcomeUnknown)
	if text := fmt.Sprintf("process %d on ", frozen.cmd.Process.Pid); !strings.Contains(err.Error(), text) {
		t.Errorf("%v, want an error that says %s", err, text)
	}
	frozen.release(t)
}
