package limits_test

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
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// home is a backend that the tests run on.
type home struct {
	name string
	open func(t *testing.T) lambdabiz.Backend
}

var homes = []home{
	{"memory", func(t *testing.T) lambdabiz.Backend {
		t.Helper()
		return memory.New()
	}},
	{"sqlite", func(t *testing.T) lambdabiz.Backend {
		t.Helper()
		return must(sqlite.Open(filepath.Join(t.TempDir(), "test.db")))(t)
	}},
}

// must ends the test when something could not be had.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// onHomes runs a test on every home at the same time.
func onHomes(t *testing.T, f func(t *testing.T, h home)) {
	t.Helper()
	t.Parallel()
	for _, h := range homes {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			f(t, h)
		})
	}
}

// bench is a store with the engines of a test on it, in a bubble of virtual time. Its methods collect what is
// wrong instead of failing the test, so that twins without a protection can use it.
type bench struct {
	t       *testing.T
	backend lambdabiz.Backend
	ctx     context.Context //nolint:containedctx // the test's
	wrong   []string
	stops   []func()
}

// bubble calls f in a bubble that ends after patience of virtual time, and returns the first complaint.
func bubble(
	t *testing.T, h home, patience time.Duration, wrap func(lambdabiz.Backend) lambdabiz.Backend, f func(b *bench),
) (complaint string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		inner := h.open(t)
		b := &bench{t: t, backend: inner, ctx: ctx}
		if wrap != nil {
			b.backend = wrap(inner)
		}
		f(b)
		for _, stop := range b.stops {
			stop()
		}
		broken, err := invariant.All(t.Context(), inner, invariant.Options{})
		b.check(err)
		if text := invariant.Text(broken); text != "" {
			b.complainf("%s", text)
		}
		b.check(inner.Close())
		if len(b.wrong) > 0 {
			complaint = b.wrong[0]
		}
	})
	return complaint
}

// complainf notes what is wrong.
func (b *bench) complainf(format string, args ...any) {
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// check complains of an error.
func (b *bench) check(err error) {
	if err != nil {
		b.complainf("%v", err)
	}
}

// worker makes an engine that works until the test ends, or stop is called.
func (b *bench) worker(c lambdabiz.Config, items ...lambdabiz.Registrable) (e *lambdabiz.Engine, stop func()) {
	b.t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	if c.PollInterval == 0 {
		c.PollInterval = -1 // nobody else uses the store
	}
	e, err := lambdabiz.New(b.backend, c)
	if err = errors.Join(err, e.Register(items...)); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	synctest.Wait()
	stop = sync.OnceFunc(func() {
		cancel()
		b.check(<-done)
	})
	b.stops = append(b.stops, stop)
	return e, stop
}

// start starts an orchestration.
func start[In, Out any](
	b *bench, e *lambdabiz.Engine, d *lambdabiz.Definition[In, Out], id string, in In, opts ...lambdabiz.StartOption,
) *lambdabiz.Run[Out] {
	run, err := lambdabiz.Start(b.ctx, e, d, id, in, opts...)
	if err != nil {
		b.complainf("start %s: %v", id, err)
		return lambdabiz.Get(e, d, id)
	}
	return run
}

// want complains unless a run ends with a result.
func want[Out comparable](b *bench, run *lambdabiz.Run[Out], result Out) {
	if got, err := run.Result(b.ctx); err != nil || got != result {
		b.complainf("%s ended with %v, want %v, error %v", run.ID(), got, result, err)
	}
}

// state loads a state that must be there.
func (b *bench) state(e *lambdabiz.Engine, id string) *lambdabiz.State {
	s, err := e.State(b.ctx, id)
	if err != nil {
		b.complainf("state of %s: %v", id, err)
		return &lambdabiz.State{}
	}
	return s
}

// recordings is a backend whose records are changed on their way to the engine.
type recordings struct {
	lambdabiz.Backend
	change func(r *lambdabiz.Record)
}

// Claim changes what is claimed.
func (r recordings) Claim(ctx context.Context, q lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	claims, err := r.Backend.Claim(ctx, q)
	for i := range claims.Runs {
		r.change(&claims.Runs[i].Record)
	}
	return claims, err
}

// Wake tells of changes, as the backend does.
func (r recordings) Wake() <-chan struct{} { return r.Backend.(lambdabiz.Waker).Wake() }
