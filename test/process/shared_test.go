package process_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// TestTwoWorkersShareOneFile lets two workers run orchestrations that they start themselves, and some
// that a third process starts. That one raises the events, in runs that are parked (one worker parks at
// once) and in runs that are in memory (the other one never does).
func TestTwoWorkersShareOneFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	workers := []*process{
		b.worker(args{Name: "parking", Lease: endless, Parks: true}),
		b.worker(args{Name: "keeping", Lease: endless}),
	}
	moves := []move{
		{ID: "first", Kind: "task", Text: "1", Millis: 2},
		{ID: "Approve", Kind: "event"},
		{ID: "all", Kind: "map", Items: []string{"a", "b"}, Millis: 2},
		{ID: "child", Kind: "child", Moves: []move{{ID: "inner", Kind: "task", Text: "in"}}},
		{ID: "last", Kind: "step", Text: "end"},
	}
	var ids []string
	for i := range 10 {
		for j, p := range workers {
			ids = append(ids, fmt.Sprintf("own-%d-%d", i, j))
			p.launch(ids[len(ids)-1], moves...)
		}
		ids = append(ids, fmt.Sprintf("client-%d", i))
		b.start(ids[len(ids)-1], moves...)
	}
	workers[0].await("released")
	for _, id := range ids {
		b.awaitAny("recorded "+id+" Approve STARTED", workers...)
		b.raise(id, "Approve", "yes")
	}
	for _, id := range ids {
		if got := b.result(id); got != "1,yes,a+b,in,end" {
			t.Errorf("%s ended with %q", id, got)
		}
		for _, path := range []string{"first", "all/a/pack", "all/b/pack", "last"} {
			b.wantBegun(id, path, 1)
		}
		b.wantBegun(id+"~-child", "inner", 1)
	}
	for _, p := range workers {
		if n := p.said("refused") + p.said("buried"); n > 0 {
			t.Errorf("process %s was refused or buried another one %d times", p.name, n)
		}
	}
}

// TestWaitingRunsLeaveMemory: none that waits stays in memory when the budget is used up, however its
// last commits fell together.
func TestWaitingRunsLeaveMemory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.worker(args{Name: "parking", Lease: endless, Parks: true})
	for i := range 30 {
		p.launch(fmt.Sprintf("run-%d", i), move{ID: "first", Kind: "task", Millis: 2}, move{ID: "Approve", Kind: "event"})
	}
	for i := range 30 {
		p.await(fmt.Sprintf("released run-%d", i))
	}
}

// TestIdleWorkerIsNotTakenForDead: a worker that had nothing to do for about as long as the lease is
// alive, and what it then takes is its own. A machine that is busy may keep a process from its heartbeat for as long as a
// short lease: then a longer one is tried. What is wrong whatever the lease fails all of them.
func TestIdleWorkerIsNotTakenForDead(t *testing.T) {
	t.Parallel()
	for lease := time.Second; ; lease *= 3 {
		complaint := idleFor(t, lease)
		if complaint == "" {
			return
		}
		if lease > 5*time.Second {
			t.Fatal(complaint)
		}
		t.Logf("with a lease of %v: %s", lease, complaint)
	}
}

// idleFor lets a worker be idle for about as long as the lease, beside another one, and says what is wrong.
func idleFor(t *testing.T, lease time.Duration) (complaint string) {
	t.Helper()
	b := setup(t)
	idle := b.worker(args{Name: "idle", Lease: lease})
	other := b.worker(args{Name: "other", Lease: lease})
	for i := range 6 {
		<-time.After(lease*3/4 + time.Duration(i)*lease/12) // nothing must happen meanwhile
		id := fmt.Sprintf("run-%d", i)
		idle.start(id, move{ID: "work", Kind: "task", Text: "done", Mode: "who", Millis: int(lease.Milliseconds()) * 4 / 10})
		if got := b.result(id); got != "done by idle" {
			complaint = fmt.Sprintf("%s ended with %q", id, got)
		}
		if n := len(b.begun(id, "work")); n != 1 {
			complaint = fmt.Sprintf("the body of %s began %d times", id, n)
		}
	}
	if n := idle.said("joined") + other.said("joined"); n != 2 {
		complaint = fmt.Sprintf("workers that are alive were declared dead, and had to join again %d times", n-2)
	}
	idle.kill()
	other.kill()
	return complaint
}

// TestWorkersWaitForLongTransactions: neither a process that keeps the file locked for some time nor one
// that keeps an old snapshot makes an orchestration fail.
func TestWorkersWaitForLongTransactions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reader, writer := b.rawConnection(), b.rawConnection()
	execute(t, reader, "BEGIN; SELECT count(*) FROM runs")
	workers := []*process{
		b.worker(args{Name: "one", Lease: endless}), b.worker(args{Name: "two", Lease: endless}),
	}
	moves := []move{{ID: "first", Kind: "task", Text: "1"}, {ID: "nap", Kind: "timer", Millis: 20}, {ID: "last", Kind: "task", Text: "2"}}
	execute(t, writer, "BEGIN IMMEDIATE")
	for i, p := range workers {
		for j := range 5 {
			p.launch(fmt.Sprintf("run-%d-%d", i, j), moves...)
		}
	}
	<-time.After(400 * time.Millisecond) // the file is locked for so long
	execute(t, writer, "COMMIT")
	for i, p := range workers {
		for j := range 5 {
			id := fmt.Sprintf("run-%d-%d", i, j)
			p.await("started " + id)
			if got := b.result(id); got != "1,nap,2" {
				t.Errorf("%s ended with %q", id, got)
			}
			b.wantBegun(id, "first", 1)
			b.wantBegun(id, "last", 1)
		}
	}
	execute(t, reader, "COMMIT")
}

func (b *bench) rawConnection() *sqlite3.Conn {
	b.t.Helper()
	c, err := sqlite3.Open("file:" + b.file)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	if err := c.BusyTimeout(patient); err != nil { // a worker may be writing
		b.t.Fatal(err)
	}
	return c
}

func execute(t *testing.T, c *sqlite3.Conn, sql string) {
	t.Helper()
	if err := c.Exec(sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
