package faults_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// home is a backend on which faults are tried.
type home struct {
	name string
	open func(t *testing.T) lambdabiz.Backend
}

var (
	inMemory = home{"memory", func(t *testing.T) lambdabiz.Backend { return openMemory(t, memory.Config{}) }}
	endsHere = home{"memory, a commit ends the claim", func(t *testing.T) lambdabiz.Backend {
		return openMemory(t, memory.Config{CommitEndsClaim: true})
	}}
	onDisk = home{"sqlite", func(t *testing.T) lambdabiz.Backend {
		b, err := sqlite.Open(filepath.Join(t.TempDir(), "faults.db"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}}
)

func openMemory(t *testing.T, c memory.Config) lambdabiz.Backend {
	t.Helper()
	b, err := memory.NewWith(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lease is how long a worker of these tests may be silent.
const lease = 15 * time.Second

// rig is one store with what works on it, in a bubble of virtual time.
type rig struct {
	t      *testing.T
	store  lambdabiz.Backend // as it is, without faults
	ledger *invariant.Ledger
	logs   logbook.Book
}

// inBubble calls f with a new store in a bubble, and closes the store afterwards.
func inBubble(t *testing.T, h home, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, store: h.open(t), ledger: &invariant.Ledger{}, logs: logbook.Book{Most: 1 << 20}}
		defer func() {
			if t.Failed() {
				t.Log(r.logs.Tail(4000))
			}
			if err := r.store.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(r)
	})
}

// engine makes an engine on a view of the store.
func (r *rig) engine(b lambdabiz.Backend, items ...lambdabiz.Registrable) *lambdabiz.Engine {
	r.t.Helper()
	e, err := lambdabiz.New(b, lambdabiz.Config{
		PollInterval: time.Second, Lease: lease, ParkAfter: 5 * time.Second, DrainTimeout: time.Second,
		Logger: slog.New(slog.NewTextHandler(&r.logs, nil)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := e.Register(items...); err != nil {
		r.t.Fatal(err)
	}
	return e
}

// work makes a worker that works until stop is called. A store that fails may keep it from beginning: it tries
// again.
func (r *rig) work(b lambdabiz.Backend, items ...lambdabiz.Registrable) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	e := r.engine(b, items...)
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := e.Run(ctx); err != nil {
				rest(ctx, 100*time.Millisecond)
			}
		}
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-ended
	})
}

// sleep lets virtual time pass.
func (r *rig) sleep(d time.Duration) {
	r.t.Helper()
	time.Sleep(d)
	synctest.Wait()
}

// rest sleeps, unless ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// insist repeats what a client does until it is acknowledged. It reports false when ctx ends before.
func insist(ctx context.Context, do func(ctx context.Context) error) bool {
	for ctx.Err() == nil {
		if do(ctx) == nil {
			return true
		}
		rest(ctx, 100*time.Millisecond)
	}
	return false
}

// judge says what the checks find: all that is wrong, a line each.
func (r *rig) judge(o invariant.Options) string {
	r.t.Helper()
	ctx := context.Background()
	found, err := invariant.All(ctx, r.store, o)
	if err != nil {
		r.t.Fatal(err)
	}
	more, err := r.ledger.Check(ctx, r.store)
	if err != nil {
		r.t.Fatal(err)
	}
	return invariant.Text(append(found, more...))
}

// open is how many orchestrations have not ended.
func (r *rig) open() int {
	r.t.Helper()
	n := 0
	f := lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted}, Limit: 1000}
	for more := true; more; more = f.Cursor != "" {
		page, err := r.store.List(context.Background(), f)
		if err != nil {
			r.t.Fatal(err)
		}
		f.Cursor = page.Next
		n += len(page.Runs)
	}
	return n
}

// waitForAll waits until nothing is open, d at most.
func (r *rig) waitForAll(d time.Duration) {
	r.t.Helper()
	for until := time.Now().Add(d); time.Now().Before(until) && r.open() > 0; {
		time.Sleep(500 * time.Millisecond)
	}
}

// outcomes takes every outcome into the ledger as a client would see it now: it must not change any more.
func (r *rig) outcomes(e *lambdabiz.Engine, ids ...string) error {
	for _, id := range ids {
		s, err := e.State(context.Background(), id)
		if err != nil {
			return err
		}
		if s.Status != lambdabiz.StatusSucceeded {
			return fmt.Errorf("%s is %s: %+v", id, s.Status, s.Error)
		}
		r.ledger.Ended(id, s.RunID, s.Status, s.Result)
	}
	return nil
}

var errUnlucky = errors.New("unlucky")
