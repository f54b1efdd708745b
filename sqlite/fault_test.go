package sqlite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

func TestSettingsOfEveryConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held, release := make(chan struct{}), make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			if err := b.HoldReader(t.Context(), held, release); err != nil {
				t.Error(err)
			}
		})
		<-held
	}
	close(release)
	readers.Wait()
	b.claim(1, 0)
	for name, want := range map[string]string{
		"busy_timeout": "30000", "synchronous": "2", "journal_mode": "wal", "wal_autocheckpoint": "4000",
	} {
		got, err := b.Pragmas(name)
		if err != nil {
			t.Fatal(err)
		}
		if want := slices.Repeat([]string{want}, 5); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// A statement that finds no page left: SQLite may have rolled back already, and nothing may go on
// outside of the transaction.
func TestFullInsideABatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	if err := b.LimitPages(3); err != nil {
		t.Fatal(err)
	}
	batch := []*lambdabiz.Commit{startOf(b, "first")}
	for i := range 30 {
		op := b.operation(int64(i + 1))
		op.Result = make(lambdabiz.Payload, 2000)
		c := startOf(b, fmt.Sprintf("r%d", i))
		if i == 7 {
			c = &lambdabiz.Commit{Run: &ref, Operations: []lambdabiz.Operation{op}}
		}
		c.Starts = append(c.Starts, lambdabiz.RunStart{ID: fmt.Sprintf("big%d", i), RunID: "x", Name: "Order", Input: op.Result})
		batch = append(batch, c)
	}
	_, err := b.Commit(t.Context(), batch)
	if err == nil || !strings.Contains(err.Error(), "disk is full") || errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
		t.Fatalf("got %v", err)
	}
	page, err := b.List(t.Context(), lambdabiz.Filter{AllRuns: true})
	if err != nil || len(page.Runs) != 1 || len(b.load("one").Operations) != 0 {
		t.Fatalf("left of the batch: %+v, %v", page, err)
	}
	if _, err := b.Commit(t.Context(), batch); err != nil { // the new connection has no such limit
		t.Fatal(err)
	}
	b.integrity()
}

// A commit that cannot be written takes its batch with it, unharmed, and alone fails alone.
func TestPoisonedCommit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, bad, kept := b.start("good").Run, b.start("bad").Run, b.start("kept").Run
	poison := b.operation(1)
	poison.Error = &lambdabiz.Failure{Message: "x", Data: json.RawMessage("{")}
	refused := []lambdabiz.Operation{b.operation(1)}
	batch := []*lambdabiz.Commit{
		{Run: &good, At: b.now, Operations: []lambdabiz.Operation{b.operation(1)}},
		{
			Run: &kept, At: b.now, Operations: refused,
			Raises: []lambdabiz.Raise{{ID: "later", Name: "A", Operation: 1}},
		},
		{Run: &bad, At: b.now, Operations: []lambdabiz.Operation{poison}},
	}
	if verdicts, err := b.Commit(t.Context(), batch); err == nil {
		t.Fatalf("the batch was applied: %+v", verdicts)
	}
	for _, id := range []string{"good", "bad", "kept"} {
		if got := b.load(id).Operations; len(got) != 0 {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if refused[0].Status != lambdabiz.StatusSucceeded {
		t.Error("the failed batch left a refusal in a commit that comes again")
	}
	b.start("later")
	for i, c := range batch {
		verdicts, err := b.Commit(t.Context(), []*lambdabiz.Commit{c})
		if (err != nil) != (i == 2) {
			t.Errorf("commit %d: %+v, %v", i, verdicts, err)
		}
	}
	if got := b.load("kept").Operations; len(got) != 1 || got[0].Status != lambdabiz.StatusSucceeded {
		t.Errorf("kept: %+v", got)
	}
}

// A writer that waits for another process ends with its context, and otherwise gets its turn.
func TestBusy(t *testing.T) {
	t.Parallel()
	one := setup(t)
	two := setupAt(t, one.path)
	held, release := make(chan struct{}), make(chan struct{})
	var holder sync.WaitGroup
	holder.Go(func() {
		if err := two.HoldWriter(context.WithoutCancel(t.Context()), held, release); err != nil {
			t.Error(err)
		}
	})
	<-held
	for _, c := range [][]*lambdabiz.Commit{{startOf(one, "a")}, {startOf(one, "a"), startOf(one, "b")}} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := one.Commit(ctx, c)
		wantErr(t, err, context.DeadlineExceeded)
		cancel()
	}
	if exists(one, "a") { // reading waits for nobody
		t.Error("an interrupted commit was applied")
	}
	impatient, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: one.path, BusyTimeout: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer impatient.Close()
	if _, err = impatient.Commit(t.Context(), []*lambdabiz.Commit{startOf(one, "a")}); err == nil {
		t.Error("no error after the busy timeout")
	}
	close(release)
	holder.Wait()
	one.start("a")
}

// A long reader holds up neither writers nor the log for good.
func TestLongReader(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start("before")
	held, release := make(chan struct{}), make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		if err := b.HoldReader(t.Context(), held, release); err != nil {
			t.Error(err)
		}
	})
	<-held
	for i := range 50 {
		b.start(fmt.Sprint(i))
	}
	close(release)
	reader.Wait()
}

// Two backends on one file, a year of waiting and a busy lock, in virtual time.
func TestBubble(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		one, two := setupAt(t, path), setupAt(t, path)
		one.now, two.now = time.Now(), time.Now()
		ref := one.start("one").Run
		due := time.Now().AddDate(1, 0, 0)
		one.commit(&lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{WakeAt: due}})
		held, release := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			if err := two.HoldWriter(t.Context(), held, release); err != nil {
				t.Error(err)
			}
		})
		<-held
		for i := range 3 {
			all.Go(func() {
				if _, err := one.Commit(t.Context(), []*lambdabiz.Commit{startOf(one, fmt.Sprint(i))}); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(5 * time.Second)
		close(release)
		all.Wait()
		for runs := 0; runs == 0; {
			two.now = time.Now()
			claims := two.claim(1, 0)
			if runs = len(claims.Runs); runs == 0 {
				time.Sleep(time.Until(claims.NextWake))
			}
		}
		if late := time.Since(due); late != 0 || time.Since(begin) < 364*24*time.Hour {
			t.Errorf("claimed %v late", late)
		}
	})
}
