package homes_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/test/faulty"
)

// bench is one store with the engines of a test on it. Everything happens in virtual time.
type bench struct {
	t       *testing.T
	home    string
	backend lambdabiz.Backend
	logs    *logbook.Book
	ctx     context.Context //nolint:containedctx // the test's
	stops   []func()
	skew    time.Duration // between the clocks of clients and of workers
	broken  bool          // by a sabotage: what it leaves behind is not whole

	faults *faulty.Faults // nil for none
	ledger *invariant.Ledger
	store  lambdabiz.Backend // without the faults
}

// everywhere runs a test on every home, each in a bubble of virtual time.
func everywhere(t *testing.T, f func(t *testing.T, b *bench), but ...exception) {
	t.Helper()
	t.Parallel()
	for _, h := range homes {
		if slices.ContainsFunc(but, func(x exception) bool { return x.holds(h) }) || !h.takes(t.Name()) {
			continue
		}
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			open := h.prepare(t)
			synctest.Test(t, func(t *testing.T) {
				store := open(t)
				// Virtual time passes for ever while a worker polls: a test that hangs must end.
				ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
				defer cancel()
				b := &bench{t: t, home: h.name, store: store, logs: &logbook.Book{}, ctx: ctx}
				b.backend = b.store
				b.disturb(but)
				b.setClients()
				defer func() {
					b.stop()
					b.calm()
					b.wantWhole()
					if err := b.backend.Close(); err != nil {
						t.Error(err)
					}
				}()
				f(t, b)
			})
		})
	}
}

// engine makes an engine on the store.
func (b *bench) engine(c lambdabiz.Config, items ...lambdabiz.Registrable) *lambdabiz.Engine {
	b.t.Helper()
	if c.PollInterval == 0 {
		c.PollInterval = time.Second
	}
	c.Logger = slog.New(slog.NewTextHandler(b.logs, nil))
	e, err := lambdabiz.New(b.backend, c)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := e.Register(items...); err != nil {
		b.t.Fatal(err)
	}
	return e
}

// worker makes an engine that works until the test ends or stop is called.
func (b *bench) worker(items ...lambdabiz.Registrable) (e *lambdabiz.Engine, stop func()) {
	b.t.Helper()
	return b.workerWith(lambdabiz.Config{}, items...)
}

func (b *bench) workerWith(c lambdabiz.Config, items ...lambdabiz.Registrable) (*lambdabiz.Engine, func()) {
	b.t.Helper()
	e := b.engine(c, items...)
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	if b.faults != nil {
		ctx = faulty.Spare(ctx, false)
		b.begin(ctx, e, done)
	} else {
		go func() { done <- e.Run(ctx) }()
	}
	synctest.Wait()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				b.t.Errorf("run engine: %v", err)
			}
		})
	}
	b.stops = append(b.stops, stop)
	return e, stop
}

func (b *bench) stop() {
	for _, stop := range b.stops {
		stop()
	}
	synctest.Wait()
}

// wantWhole looks for what no test may leave behind.
func (b *bench) wantWhole() {
	b.t.Helper()
	found, err := invariant.All(context.WithoutCancel(b.ctx), b.store, invariant.Options{Now: time.Now(), Skew: b.skew})
	if err != nil {
		b.t.Errorf("look at the store: %v", err)
	}
	if b.broken {
		return
	}
	if b.ledger != nil {
		old, err := b.ledger.Check(context.WithoutCancel(b.ctx), b.store)
		if err != nil {
			b.t.Errorf("look at the fences: %v", err)
		}
		found = append(found, old...)
	}
	for _, v := range found {
		b.t.Error(brokenWord, v)
	}
}

// brokenWord begins what is said of a store that breaks a promise.
const brokenWord = "broken:"

// state loads a state that must be there.
func (b *bench) state(e *lambdabiz.Engine, id string) *lambdabiz.State {
	b.t.Helper()
	s, err := e.State(b.ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// operation finds an operation by its path.
func operation(t *testing.T, s *lambdabiz.State, path string) lambdabiz.Operation {
	t.Helper()
	for _, o := range s.Operations {
		if o.ID == path {
			return o
		}
	}
	t.Fatalf("no operation %q in %+v", path, s.Operations)
	return lambdabiz.Operation{}
}

// start starts an orchestration that must be accepted.
func start[In, Out any](
	b *bench, e *lambdabiz.Engine, d *lambdabiz.Definition[In, Out], id string, in In, opts ...lambdabiz.StartOption,
) *lambdabiz.Run[Out] {
	b.t.Helper()
	run, err := lambdabiz.Start(b.ctx, e, d, id, in, opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	return run
}

// result waits for an outcome that must be a success.
func result[Out any](b *bench, run *lambdabiz.Run[Out]) Out {
	b.t.Helper()
	out, err := run.Result(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func within(b *bench, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, d)
}

func one(context.Context) (int, error) { return 1, nil }

// define is a definition with the name "D" that needs no input.
func define(f func(o lambdabiz.Context) (int, error)) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) { return f(o) })
}

// failure waits for an outcome that must be none.
func failure[Out any](b *bench, run *lambdabiz.Run[Out]) error {
	b.t.Helper()
	out, err := run.Result(b.ctx)
	if err == nil {
		b.t.Fatalf("it ended with %v", out)
	}
	return err
}

// seconds is how many whole seconds have passed.
func seconds(since time.Time) int { return int(time.Since(since).Round(time.Second) / time.Second) }

func attempts(n int, initial time.Duration) lambdabiz.CallOption {
	return lambdabiz.Retry(lambdabiz.Backoff{Attempts: n, Initial: initial, Max: 24 * time.Hour, Jitter: -1})
}

// logged reports whether a line with the text was logged by now.
func (b *bench) logged(text string) bool {
	synctest.Wait() // the engine logs from a goroutine of its own
	return b.logs.Has(text)
}

// removeDead removes a worker as others do that take it for dead.
func removeDead(ctx context.Context, b lambdabiz.Backend, number int64) error {
	workers, err := b.Workers(ctx)
	if err != nil {
		return err
	}
	for _, w := range workers {
		if w.Number == number {
			return b.Leave(ctx, number, w.Beat)
		}
	}
	return nil
}
