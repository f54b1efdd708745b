package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

func (b *bundle) workers() []lambdabiz.WorkerRecord {
	b.t.Helper()
	all, err := b.Workers(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func TestKilledProcessIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := spawn(t, "work", b.path)
	other.wantLine(t, "holding")
	all := b.workers()
	if len(all) != 2 || all[0].Gone || all[1].Gone || all[1].PID != other.cmd.Process.Pid {
		t.Fatalf("while it lives: %+v", all)
	}
	if err := other.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = other.cmd.Wait()
	all = b.workers()
	if len(all) != 2 || all[0].Gone || !all[1].Gone {
		t.Fatalf("after it was killed: %+v", all)
	}
	if got := b.claim(10, 0); len(got.Runs) != 0 {
		t.Fatalf("claimed what is still held: %+v", got)
	}
	wantErr(t, b.Leave(t.Context(), all[1].Number, all[1].Beat+1), lambdabiz.ErrStale)
	if err := b.Leave(t.Context(), all[1].Number, all[1].Beat); err != nil {
		t.Fatal(err)
	}
	b.now = all[1].JoinedAt.AddDate(1, 0, 0)
	got := b.claim(10, 0)
	if len(got.Runs) != 1 || got.Runs[0].Crashes != 1 || len(got.Runs[0].Operations) != 1 {
		t.Fatalf("taken over: %+v", got)
	}
	if _, err := os.Stat(b.path + "-worker-" + strconv.FormatInt(all[1].Number, 10)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("lock file of the dead worker: %v", err)
	}
}

func TestWorkerOfAnotherBackendInThisProcessIsAlive(t *testing.T) {
	t.Parallel()
	one := setup(t)
	two := setupAt(t, one.path)
	for _, b := range []*bundle{one, two} {
		if all := b.workers(); len(all) != 2 || all[0].Gone || all[1].Gone {
			t.Fatalf("both live: %+v", all)
		}
	}
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	if all := one.workers(); len(all) != 2 || all[0].Gone || !all[1].Gone {
		t.Fatalf("after close: %+v", all)
	}
}

func TestRemovedWorkerIsFenced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	if err := b.Renew(t.Context(), b.worker); err != nil {
		t.Fatal(err)
	}
	if got := b.workers()[0].Beat; got != 1 {
		t.Errorf("beat %d, want 1", got)
	}
	if err := b.Leave(t.Context(), b.worker, -1); err != nil {
		t.Fatal(err)
	}
	if err := b.Leave(t.Context(), b.worker, -1); err != nil {
		t.Fatalf("leave twice: %v", err)
	}
	wantErr(t, b.Renew(t.Context(), b.worker), lambdabiz.ErrFenced)
	_, err := b.Claim(t.Context(), lambdabiz.ClaimRequest{Worker: b.worker, Names: []string{"Order"}, Limit: 1, Now: b.now})
	wantErr(t, err, lambdabiz.ErrFenced)
	// Nobody has claimed the run yet, and still its former holder can write nothing.
	v := b.try(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{b.operation(1)}})
	wantErr(t, v.Err, lambdabiz.ErrFenced)
	v = b.try(&lambdabiz.Commit{Worker: b.worker, Starts: []lambdabiz.RunStart{{ID: "two", RunID: "2", Name: "Order", Claim: true}}})
	wantErr(t, v.Err, lambdabiz.ErrFenced)
	if next := b.join("v1", "Order"); next <= b.worker {
		t.Errorf("worker number %d was used again", next)
	}
}

func TestCrashesCountHoldersWithoutProgress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	crash := func(want int) {
		t.Helper()
		if err := b.Leave(t.Context(), b.worker, b.workers()[0].Beat); err != nil {
			t.Fatal(err)
		}
		b.worker = b.join("v1", "Order")
		b.now = b.workers()[0].JoinedAt.AddDate(1, 0, 0)
		got := b.claim(1, 0).Runs
		if len(got) != 1 || got[0].Crashes != want {
			t.Fatalf("got %+v, want %d crashes", got, want)
		}
		ref = got[0].Ref
	}
	crash(1)
	crash(2)
	b.commit(&lambdabiz.Commit{Run: &ref, Operations: []lambdabiz.Operation{b.operation(1)}})
	crash(1)
	crash(2)
	again := b.operation(1)
	again.Attempts++
	b.commit(&lambdabiz.Commit{Run: &ref, Operations: []lambdabiz.Operation{again}})
	crash(1)
	b.commit(&lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{WakeAt: b.now}})
	if got := b.claim(1, 0).Runs; len(got) != 1 || got[0].Crashes != 0 {
		t.Fatalf("after a release: %+v", got)
	}
}

func TestProcessesWriteOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	var children []*child
	for range 8 {
		children = append(children, spawn(t, "write", path))
	}
	for _, c := range children {
		c.wantLine(t, "written")
		c.release(t)
	}
	b := setupAt(t, path)
	page, err := b.List(t.Context(), lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusSucceeded}, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Runs) != 8*childRuns {
		t.Errorf("%d runs, want %d", len(page.Runs), 8*childRuns)
	}
}
