package sqlite_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// A commit that is more than the driver's memory takes nothing with it: what is acknowledged afterwards is on
// disk, and others can write at once.
func TestAStartAfterACommitThatIsTooMuchForTheDriver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := openImpatient(t, b.path)
	ref := b.start("large").Run
	for _, operations := range []int64{1, 16} {
		c := &lambdabiz.Commit{Run: &ref, At: b.now, Worker: b.worker}
		for n := range operations {
			op := b.operation(n + 1)
			op.Result = make(lambdabiz.Payload, 16<<20)
			c.Operations = append(c.Operations, op)
		}
		if err := b.LimitMemory(8 << 20); err != nil {
			t.Fatal(err)
		}
		_, err := b.Commit(t.Context(), []*lambdabiz.Commit{c})
		if err == nil || !strings.Contains(err.Error(), "out of memory") || errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
			t.Errorf("a commit of %d operations gave %v", operations, err)
		}
		id := fmt.Sprint("order-", operations)
		b.start(id)
		if _, err := other.Load(t.Context(), id, ""); err != nil {
			t.Errorf("a start was acknowledged, and another connection does not see it: %v", err)
		}
		if _, err := other.Commit(t.Context(), []*lambdabiz.Commit{startOf(b, id+"-b")}); err != nil {
			t.Errorf("another connection cannot write: %v", err)
		}
	}
	if left := b.load("large").Operations; len(left) > 0 {
		t.Errorf("%d operations are left of what was not applied", len(left))
	}
}

// A panic while a new connection learns the schema, which it does inside its first transaction, leaves no lock.
func TestPanicInTheFirstTransactionOfAConnection(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	d.panics = true
	b, err := d.open(t)
	if err != nil {
		t.Fatal(err)
	}
	other := openImpatient(t, b.path)
	for _, kind := range []trouble{onRead, onWrite, onSync, onSize, onLock, onOpen} {
		for n := 1; ; n++ {
			b.DropWriter()
			d.arm(kind, n, false)
			id := fmt.Sprintf("%s-%d", kind, n)
			_, err := b.Commit(t.Context(), []*lambdabiz.Commit{startOf(b, id), startOf(b, id+"-b")})
			struck := d.heal()
			if errors.Is(err, lambdabiz.ErrOutcomeUnknown) || exists(b, id) != (err == nil) {
				t.Errorf("%s: start: %v", id, err)
			}
			if _, err := other.Commit(t.Context(), []*lambdabiz.Commit{startOf(b, "other-of-"+id)}); err != nil {
				t.Errorf("%s: another one cannot write: %v", id, err)
			}
			if err := other.Checkpoint("TRUNCATE"); err != nil {
				t.Errorf("%s: %v", id, err)
			}
			if info, err := os.Stat(b.path + "-wal"); err != nil {
				t.Error(err)
			} else if info.Size() > 0 {
				t.Errorf("%s: somebody still reads the log", id)
			}
			if struck == 0 {
				break
			}
		}
	}
}

// openImpatient opens a file for one who does not wait for locks that nobody gives back.
func openImpatient(t *testing.T, path string) *sqlite.Backend {
	t.Helper()
	b, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, BusyTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// The places inside of SQLite at which the driver calls Go code.
const (
	onStatement trouble = "statement"
	onRow       trouble = "row"
	onCommit    trouble = "commit"
	onRollback  trouble = "rollback"
	onLogged    trouble = "logged"
)

// panicking opens a backend whose driver panics when its disk is armed, and one more on the same file.
func panicking(t *testing.T) (*disk, *bundle) {
	t.Helper()
	d := newDisk(t)
	d.panics = true
	b, err := d.open(t)
	if err != nil {
		t.Fatal(err)
	}
	d.hook = func() error {
		return b.Hook(func(place string) { _ = d.call(trouble(place)) }) // it panics instead
	}
	other, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: b.path, VFS: d.name, BusyTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	worker, err := other.Join(t.Context(), lambdabiz.WorkerInfo{})
	if err != nil {
		t.Fatal(err)
	}
	d.other = func() error { return other.Renew(t.Context(), worker) }
	return d, b
}

// The driver panics in its nth call of a kind, once or until it is repaired, on the way of every method: what is
// acknowledged is on disk, what is not is not there, its outcome is known when the fault is over, and another
// connection writes at once. A panic is none of the caller's.
func TestPanicAtEveryCallOfTheDriver(t *testing.T) {
	t.Parallel()
	first, stride := strides(t, false)
	kinds := slices.Concat(slices.Collect(maps.Keys(codes)), []trouble{onStatement, onRow, onCommit, onRollback, onLogged})
	if underRace && stride > 1 {
		kinds = []trouble{onWrite, onSync, onRow, onCommit, onLogged}
	}
	results := make(chan campaign.Count, 2*len(kinds))
	t.Run("all", func(t *testing.T) {
		for _, kind := range kinds {
			if kind == onOpen || kind == onLock || kind == onFull {
				continue // an open backend does neither, and the last is a write
			}
			for _, sticky := range []bool{false, true} {
				if underRace && stride > 1 && sticky == (first%2 == 0) {
					continue
				}
				most := cmp.Or(most[kind], map[trouble]int{onStatement: 17, onRow: 5, onCommit: 3, onRollback: 1, onLogged: 2}[kind])
				t.Run(fmt.Sprintf("%s, sticky %t", kind, sticky), func(t *testing.T) {
					t.Parallel()
					d, b := panicking(t)
					struck, complaint := d.strikeOn(t, b, kind, sticky, min(first, most), min(stride, most))
					if complaint != "" {
						t.Error(complaint)
					}
					results <- campaign.Count{What: fmt.Sprintf("%s sticky %t", kind, sticky), N: struck}
				})
			}
		}
	})
	close(results)
	var counts []campaign.Count
	for c := range results {
		counts = append(counts, c)
	}
	campaign.Report(t, "F45", counts)
}

// The driver finds no memory, at its first allocation, and so on until there is enough: nothing of the call is
// there, and it works when there is memory again.
func TestNoMemoryAtEveryAllocation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.newScript("memory-")
	s.filler = bytes.Repeat([]byte{' '}, 100_000)
	met := map[string]int{}
	step, others := int64(32<<10), openImpatient(t, b.path)
	switch {
	case campaign.Rounds(t, 1, 1000) > 1:
		step = 1 << 10
	case underRace:
		step = 256 << 10
	}
	limited := func(bytes int64, do func(*script) error) error {
		if err := b.LimitMemory(bytes); err != nil {
			return err
		}
		return errors.Join(do(s), b.LimitMemory(0))
	}
	for _, does := range allSteps() {
		b.DropWriter()
		for limit := int64(64 << 10); ; limit += step {
			err := limited(limit, does.do)
			if err == nil {
				break
			}
			met[does.name]++
			if !strings.Contains(err.Error(), "out of memory") || errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
				t.Fatalf("%s with %d bytes: %v", does.name, limit, err)
			}
			if does.done == nil {
				continue
			}
			if done, err := does.done(s); done || err != nil {
				t.Fatalf("%s with %d bytes: done %t, %v", does.name, limit, done, err)
			}
			if _, err := others.Join(t.Context(), lambdabiz.WorkerInfo{}); err != nil {
				t.Fatalf("%s with %d bytes: another one cannot write: %v", does.name, limit, err)
			}
		}
		if does.done == nil {
			continue
		}
		if done, err := does.done(s); !done || err != nil {
			t.Fatalf("%s with memory: done %t, %v", does.name, done, err)
		}
	}
	b.integrity()
	counts := make([]campaign.Count, 0, len(met))
	for _, step := range []string{"start", "operation", "child and operations", "batch", "raise"} {
		counts = append(counts, campaign.Count{What: step, N: met[step]})
	}
	campaign.Report(t, "F45", counts)
}

// Where a connection is handed on after a panic, what others do becomes part of the transaction that it has left
// open, and the checks see it.
func TestSabotageConnectionHandedOn(t *testing.T) {
	t.Parallel()
	d, b := panicking(t)
	b.HandOn()
	_, complaint := d.strikeOn(t, b, onRow, false, 1, 1)
	campaign.Red(t, "F45", "giving up a connection after a panic", complaint)
}

// The sync of a commit fails on the only connection of the file: what nobody but the log knows of must not come back
// to life when the log is read anew, for a later sync does not write what the failed one has lost.
func TestFailedSyncOnTheOnlyConnection(t *testing.T) {
	t.Parallel()
	for _, step := range []int{1, 2} { // a single statement, and a transaction
		d := newDisk(t)
		b, err := d.open(t)
		if err != nil {
			t.Fatal(err)
		}
		batch := []*lambdabiz.Commit{startOf(b, "a"), startOf(b, "b")}[:step]
		for _, c := range batch {
			c.Worker, c.Starts[0].Claim = 0, false
		}
		d.arm(onSync, 1, false)
		_, err = b.Commit(t.Context(), batch)
		if d.heal() != 1 {
			t.Fatal("no sync has failed")
		}
		start := scriptStep{name: "start", done: func(s *script) (bool, error) {
			_, err := s.Load(t.Context(), "a", "")
			return err == nil, nil
		}}
		if err == nil {
			if lost := b.newScript("").lostByCrash(d, start); lost != "" {
				t.Errorf("%d commits: %s", step, lost)
			}
		}
		if exists(b, "a") != (err == nil) || errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
			t.Errorf("%d commits: %v", step, err)
		}
	}
}
