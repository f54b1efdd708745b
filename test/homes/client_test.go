package homes_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// gate holds commits up that a test chooses, until it is opened.
type gate struct {
	inner lambdabiz.Backend
	holds func(c *lambdabiz.Commit) bool
	after bool // they are applied before they are held up
	open  chan struct{}
	err   error // what they get then
}

func (g *gate) commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if !g.holds(batch[0]) {
		return g.inner.Commit(ctx, batch)
	}
	if !g.after {
		<-g.open
		return g.inner.Commit(ctx, batch)
	}
	v, err := g.inner.Commit(ctx, batch)
	<-g.open
	if g.err != nil {
		return nil, g.err
	}
	return v, err
}

func isStart(id string) func(c *lambdabiz.Commit) bool {
	return func(c *lambdabiz.Commit) bool { return len(c.Starts) > 0 && c.Starts[0].ID == id }
}

// wantGone is what a caller gets whose context has ended while nobody knew what became of its write.
func wantGone(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
		t.Errorf("it gave %v, which must be the context's error and an unknown outcome", err)
	}
}

// The answers to a start get lost until its caller has gone: the worker had claimed the run, and nobody ran it.
// Row 100 of docs/proof/bugs.md.
func TestAStartOfUnknownOutcomeIsCarriedOnWithoutItsCaller(t *testing.T) {
	for name, patience := range map[string]time.Duration{
		"its context ends": 200 * time.Millisecond, "no more tries": time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				inner := b.backend
				healed := time.Now().Add(time.Minute)
				b.backend = &proxy{Backend: inner, commit: func(
					ctx context.Context, batch []*lambdabiz.Commit,
				) ([]lambdabiz.Verdict, error) {
					v, err := inner.Commit(ctx, batch)
					if err == nil && isStart("x")(batch[0]) && time.Now().Before(healed) {
						return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
					}
					return v, err
				}}
				e, _ := b.worker(ends)
				ctx, cancel := within(b, patience)
				defer cancel()
				_, err := lambdabiz.Start(ctx, e, ends, "x", "SUCCEEDED")
				if patience < time.Minute {
					wantGone(t, err)
				} else if !errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
					t.Errorf("it gave %v", err)
				}
				time.Sleep(5 * time.Minute)
				if s := b.state(e, "x"); s.Status != lambdabiz.StatusSucceeded {
					t.Errorf("nobody runs it: %v, held by worker %d", s.Status, s.Worker)
				}
			}, notOnSWF("its starts have names of their own"))
		})
	}
}

// A start is on its way when its caller goes. Its answer comes later, and says that the worker has the run.
func TestAStartThatIsOnItsWayIsAdoptedWithoutItsCaller(t *testing.T) {
	for name, after := range map[string]bool{"before it is applied": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				b.well() // else it may be given up with its caller
				inner := b.backend
				g := &gate{inner: inner, holds: isStart("x"), after: after, open: make(chan struct{})}
				b.backend = &proxy{Backend: inner, commit: g.commit}
				e, stop := b.worker(ends)
				ctx, cancel := within(b, 300*time.Millisecond)
				defer cancel()
				began := time.Now()
				_, err := lambdabiz.Start(ctx, e, ends, "x", "SUCCEEDED")
				wantGone(t, err)
				if took := time.Since(began); took != 300*time.Millisecond {
					t.Errorf("the caller waited for %v", took)
				}
				close(g.open)
				stop() // a worker that stops waits for it, and gives it back or ends it
				b.ill()
				b.worker(ends)
				time.Sleep(5 * time.Minute)
				if s := b.state(e, "x"); s.Status != lambdabiz.StatusSucceeded {
					t.Errorf("nobody runs it: %v, held by worker %d", s.Status, s.Worker)
				}
			}, notOnSWF("its starts have names of their own"))
		})
	}
}

// What has not begun when its caller goes does not happen any more, and the caller knows it.
// Row 101 of docs/proof/bugs.md.
func TestAWriteThatIsQueuedIsWithdrawnWithItsCaller(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		inner := b.backend
		g := &gate{inner: inner, holds: isStart("slow"), open: make(chan struct{})}
		var seen atomic.Int64
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			for _, c := range batch {
				if len(c.Raises)+len(c.Controls) > 0 || isStart("queued")(c) {
					seen.Add(1)
				}
			}
			return g.commit(ctx, batch)
		}}
		b.worker(ends)
		client := b.engine(lambdabiz.Config{}, ends)
		slow := make(chan error, 1)
		lanes := max(inner.Describe().Lanes, 1)
		for range lanes {
			go func() {
				_, err := lambdabiz.Start(b.ctx, client, ends, "slow", "SUCCEEDED")
				slow <- err
			}()
		}
		b.settle()
		for what, write := range map[string]func(ctx context.Context) error{
			"start": func(ctx context.Context) error {
				_, err := lambdabiz.Start(ctx, client, ends, "queued", "SUCCEEDED")
				return err
			},
			"raise":  func(ctx context.Context) error { return client.RaiseEvent(ctx, "slow", "e", 1) },
			"cancel": func(ctx context.Context) error { return client.Cancel(ctx, "slow", "") },
		} {
			ctx, cancel := within(b, 300*time.Millisecond)
			began := time.Now()
			err := write(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
				t.Errorf("%s: %v, which must be the context's error, and no unknown outcome", what, err)
			}
			if took := time.Since(began); took != 300*time.Millisecond {
				t.Errorf("%s: the caller waited for %v", what, took)
			}
		}
		close(g.open)
		for range lanes {
			if err := <-slow; err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
		if n := seen.Load(); n != 0 {
			t.Errorf("%d writes happened whose callers had gone", n)
		}
	}, notOnSWF("its commits need no lane"))
}

// A later try that fails in an orderly way says nothing of the first one.
func TestAStartStaysUnknownWhenItsRepetitionIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		inner := b.backend
		var tries atomic.Int64
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			if !isStart("x")(batch[0]) {
				return inner.Commit(ctx, batch)
			}
			if tries.Add(1) == 1 {
				if _, err := inner.Commit(ctx, batch); err != nil {
					return nil, err
				}
				return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return nil, errors.New("no connection")
		}}
		client := b.engine(lambdabiz.Config{}, ends)
		b.well() // the first try is to be stored
		_, err := lambdabiz.Start(b.ctx, client, ends, "x", "SUCCEEDED")
		if !errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
			t.Errorf("it gave %v", err)
		}
		b.ill()
		b.backend = inner
		b.worker(ends)
		time.Sleep(time.Minute)
		if s := b.state(client, "x"); s.Status != lambdabiz.StatusSucceeded {
			t.Errorf("it is %v", s.Status)
		}
	}, notOnSWF("its starts have names of their own"))
}
