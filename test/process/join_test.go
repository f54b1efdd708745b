package process_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// interrupted ends a context as soon as a worker has joined.
type interrupted struct {
	*sqlite.Backend
	interrupt func()
}

func (i *interrupted) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	i.interrupt()
	return i.Backend.Workers(ctx)
}

// TestShutdownDuringJoinLeavesNoWorkerBehind: whatever Run returns, its worker is not on the list.
func TestShutdownDuringJoinLeavesNoWorkerBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	backend, err := sqlite.Open(b.file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	e, err := lambdabiz.New(&interrupted{backend, cancel}, lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(script); err != nil {
		t.Fatal(err)
	}
	t.Logf("Run returned %v", e.Run(ctx))
	workers, err := b.client.Workers(t.Context())
	if err != nil || len(workers) > 0 {
		t.Errorf("left behind are %+v, error %v", workers, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestWorkersInOneProcessLeaveEachOtherAlone: a worker that starts, stops and starts again beside another
// one of its process does not take over what that one runs, though both have the same process id.
func TestWorkersInOneProcessLeaveEachOtherAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var begun atomic.Int32
	inside, leave := make(chan struct{}, 2), make(chan struct{})
	long := lambdabiz.Define("Long", func(o lambdabiz.Context, _ string) (string, error) {
		return lambdabiz.Step(o, "work", func(ctx context.Context) (string, error) {
			begun.Add(1)
			inside <- struct{}{}
			select {
			case <-leave:
				return "done", nil
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		})
	})
	owner, stopOwner := b.engineHere(long)
	run, err := lambdabiz.Start(t.Context(), owner, long, "long", "")
	if err != nil {
		t.Fatal(err)
	}
	<-inside
	for range 3 {
		_, stop := b.engineHere(long)
		stop()
	}
	close(leave)
	if got, err := run.Result(t.Context()); got != "done" || err != nil {
		t.Errorf("result %q, error %v", got, err)
	}
	if begun.Load() != 1 {
		t.Errorf("the body began %d times", begun.Load())
	}
	stopOwner()
}

// engineHere makes a worker in the test's own process, on a backend of its own.
func (b *bench) engineHere(items ...lambdabiz.Registrable) (e *lambdabiz.Engine, stop func()) {
	b.t.Helper()
	backend, err := sqlite.Open(b.file)
	if err != nil {
		b.t.Fatal(err)
	}
	claims := &firstClaim{Backend: backend, seen: make(chan struct{})}
	e, err = lambdabiz.New(claims, lambdabiz.Config{Lease: endless, PollInterval: 20 * time.Millisecond})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := e.Register(items...); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	<-claims.seen
	return e, func() {
		cancel()
		if err := errors.Join(<-ended, e.Close()); err != nil {
			b.t.Error(err)
		}
	}
}

// firstClaim tells when a worker has looked for work: it has joined, and taken over what it would.
type firstClaim struct {
	*sqlite.Backend
	once sync.Once
	seen chan struct{}
}

func (f *firstClaim) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	claims, err := f.Backend.Claim(ctx, r)
	f.once.Do(func() { close(f.seen) })
	return claims, err
}
