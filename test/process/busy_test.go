package process_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// busyRole starts orchestrations one after the other until its parent says enough.
func busyRole(c *child) {
	e, backend := c.engine()
	c.workWhile(e, backend, func() {
		for n := 0; !c.isOpen("enough"); n++ {
			id := fmt.Sprintf("%s-%d", c.Name, n)
			run, err := e.StartByName(c.ctx, script.Name(), id, []move{
				{ID: "first", Kind: "task", Text: "1"}, {ID: "long", Kind: "step", Text: strings.Repeat("x", 100<<10)},
				{ID: "third", Kind: "task", Text: "3"},
			})
			c.must("start "+id, err)
			_, err = run.Result(c.ctx)
			c.must("result of "+id, err)
			c.sayf("ended %s", id)
		}
	})
	c.sayf("waited %d", backend.waited.Load())
	os.Exit(0)
}

// crowd is many processes that write one file, which others read and lock for long.
type crowd struct {
	*bench
	processes           []*process
	locks, ended, waits int
	wal                 int64 // bytes of the log at the end, with the reader's old snapshot before them
}

// runCrowd lets processes work for so long, while a reader keeps an old snapshot, so that the log cannot begin
// anew, and a writer locks the file again and again.
func runCrowd(t *testing.T, n int, last, lock time.Duration) *crowd {
	t.Helper()
	w := &crowd{bench: setup(t)}
	reader, writer := w.rawConnection(), w.rawConnection()
	execute(t, reader, "BEGIN; SELECT count(*) FROM runs")
	for i := range n {
		w.processes = append(w.processes, w.spawn(args{
			Role: "busy", Name: fmt.Sprintf("p%d", i), Lease: endless, Busy: patient,
		}))
	}
	for _, p := range w.processes {
		p.await("ended")
	}
	for began := time.Now(); time.Since(began) < last || w.logSize() <= checkpoint && time.Since(began) < patience; w.locks++ {
		execute(t, writer, "BEGIN IMMEDIATE")
		<-time.After(lock) // the file is locked for so long
		execute(t, writer, "COMMIT")
		<-time.After(lock / 2) // and then it is not
	}
	w.wal = w.logSize()
	execute(t, reader, "COMMIT")
	return w
}

// checkpoint is the size of the log from which on SQLite copies it back, and begins it anew, as soon as no reader needs
// it any more.
const checkpoint = 4000 * 4096

func (w *crowd) logSize() int64 {
	w.t.Helper()
	info, err := os.Stat(w.file + "-wal")
	if err != nil {
		w.t.Fatal(err)
	}
	return info.Size()
}

const patient = 2 * time.Minute

// complaint ends the processes, and says what one of them had to hear of the others.
func (w *crowd) complaint() string {
	w.t.Helper()
	said := ""
	for _, p := range w.processes {
		p.tell("let enough")
	}
	for _, p := range w.processes {
		code := p.awaitExit()
		if faults, _ := p.find("fault"); code != 0 || len(faults) > 0 {
			said = fmt.Sprintf("%s ended with exit code %d: %s; its faults are %v", p.name, code, p.lastWords(), faults)
		}
		w.ended += p.said("ended")
		if waits, _ := p.find("waited"); len(waits) == 1 {
			n, err := strconv.Atoi(waits[0])
			if err != nil {
				w.t.Fatal(err)
			}
			w.waits += n
		}
	}
	return said
}

// TestBusyFileIsWaitedFor: nobody hears that the file is busy before the time that a call may wait for it is over.
func TestBusyFileIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := runCrowd(t, 8, time.Duration(campaign.Rounds(t, 2, 60))*time.Second, 150*time.Millisecond)
	if said := w.complaint(); said != "" {
		t.Error(said)
	}
	if w.wal <= checkpoint {
		t.Errorf("the log has %d bytes: the reader did not keep it from beginning anew", w.wal)
	}
	w.wantDeadline(300 * time.Millisecond)
	campaign.Report(t, "F20", []campaign.Count{
		{What: "processes", N: len(w.processes)}, {What: "locks", N: w.locks}, {What: "commits that waited", N: w.waits},
		{What: "orchestrations ended", N: w.ended}, {What: "KiB of log behind the reader", N: int(w.wal >> 10)},
	})
}

// wantDeadline: the one who waits hears of it when its time is over, not before.
func (w *crowd) wantDeadline(limit time.Duration) {
	w.t.Helper()
	backend, err := sqlite.OpenConfig(w.t.Context(), sqlite.Config{Path: w.file, BusyTimeout: limit})
	if err != nil {
		w.t.Fatal(err)
	}
	writer := w.rawConnection()
	execute(w.t, writer, "BEGIN IMMEDIATE")
	for what, call := range map[string]func() error{
		"commit": func() error {
			late := &lambdabiz.Commit{At: time.Now(), Starts: []lambdabiz.RunStart{{ID: "late", RunID: "r"}}}
			_, err := backend.Commit(w.t.Context(), []*lambdabiz.Commit{late})
			return err
		},
		"renew": func() error { return backend.Renew(w.t.Context(), 1) },
	} {
		began := time.Now()
		err := call()
		if took := time.Since(began); !errors.Is(err, sqlite3.BUSY) || took < limit {
			w.t.Errorf("%s: error %v after %v, the limit is %v", what, err, took, limit)
		}
	}
	execute(w.t, writer, "COMMIT")
	if err := backend.Close(); err != nil {
		w.t.Error(err)
	}
}

// lockNowAndThen locks the file for a while again and again.
func lockNowAndThen(writer *sqlite3.Conn, ended <-chan struct{}) error {
	for {
		if err := writer.Exec("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		<-time.After(30 * time.Millisecond)
		if err := writer.Exec("COMMIT"); err != nil {
			return err
		}
		select {
		case <-ended:
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestSabotageBusyWithoutWaiting: processes that do not wait for each other hear of it.
func TestSabotageBusyWithoutWaiting(t *testing.T) {
	t.Parallel()
	w := &crowd{bench: setup(t)}
	writer := w.rawConnection()
	impatient := w.spawn(args{Role: "busy", Name: "impatient", Lease: endless, Busy: time.Millisecond})
	w.processes = append(w.processes, impatient)
	impatient.await("ended") // a worker that cannot begin waits for itself
	ended, locked := make(chan struct{}), make(chan error, 1)
	go func() { locked <- lockNowAndThen(writer, ended) }()
	code := impatient.awaitExit() // its next start comes while the file is locked, sooner or later
	close(ended)
	if err := <-locked; err != nil {
		t.Fatal(err)
	}
	said := ""
	if code != 0 {
		said = fmt.Sprintf("the process ended with exit code %d: %s", code, impatient.lastWords())
	}
	campaign.Red(t, "F20", "the waiting for others", said)
}
