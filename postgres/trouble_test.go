package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// crew is engines of one process, each on a backend of its own, that go on while their server fails. Their clients repeat what
// the server has not done.
type crew struct {
	t         *testing.T
	engines   []*lambdabiz.Engine
	lease     time.Duration
	takeovers atomic.Int64 // from workers that did not beat
	begun     sync.Map     // by id: *atomic.Int64, how often the body began
	release   chan struct{}
	stop      func()

	add, hold *lambdabiz.Definition[int, int]
}

// counting counts the workers that others have removed.
type counting struct {
	*postgres.Backend

	takeovers *atomic.Int64
}

func (c *counting) Leave(ctx context.Context, worker, beat int64) error {
	err := c.Backend.Leave(ctx, worker, beat)
	if err == nil && beat >= 0 {
		c.takeovers.Add(1)
	}
	return err
}

func newCrew(t *testing.T, lease time.Duration, backends ...*postgres.Backend) *crew {
	t.Helper()
	c := &crew{t: t, lease: lease, release: make(chan struct{})}
	body := func(o lambdabiz.Context, n int, wait <-chan struct{}) (int, error) {
		id := o.ID()
		return lambdabiz.Step(o, "add", func(ctx context.Context) (int, error) {
			times, _ := c.begun.LoadOrStore(id, &atomic.Int64{})
			times.(*atomic.Int64).Add(1)
			select {
			case <-wait:
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
			return n + 1, nil
		})
	}
	open := make(chan struct{})
	close(open)
	child := lambdabiz.Define("TroubleChild", func(o lambdabiz.Context, n int) (int, error) { return body(o, n, open) })
	c.add = lambdabiz.Define("Trouble", func(o lambdabiz.Context, n int) (int, error) {
		added, err := lambdabiz.CallChild(o, "child", child, n)
		if err != nil {
			return 0, err
		}
		if err := lambdabiz.Sleep(o, "nap", 20*time.Millisecond); err != nil {
			return 0, err
		}
		answer, err := lambdabiz.WaitForEvent[int](o, "answer")
		return added + answer, err
	})
	c.hold = lambdabiz.Define("TroubleHold", func(o lambdabiz.Context, n int) (int, error) { return body(o, n, c.release) })
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for _, b := range backends {
		engine, err := lambdabiz.New(&counting{b, &c.takeovers}, lambdabiz.Config{
			Lease: lease, PollInterval: 50 * time.Millisecond, DrainTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := engine.Register(child, c.add, c.hold); err != nil {
			t.Fatal(err)
		}
		c.engines = append(c.engines, engine)
		working.Go(func() {
			// A worker that cannot begin is begun again, as by what supervises it.
			if err := persist(ctx, func() error { return engine.Run(ctx) }); err != nil && ctx.Err() == nil {
				t.Errorf("a worker ended: %v", err)
			}
		})
	}
	c.stop = sync.OnceFunc(func() {
		cancel()
		working.Wait()
	})
	t.Cleanup(c.stop)
	return c
}

// persist repeats what the server has not done.
func persist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || !isTemporary(err) && !errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond): // nobody tells when it is back
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// start starts orchestrations of a definition, by turns of the engines.
func (c *crew) start(d *lambdabiz.Definition[int, int], count int) (runs []*lambdabiz.Run[int]) {
	c.t.Helper()
	name := rand.Text()
	for n := range count {
		err := persist(c.t.Context(), func() error {
			run, err := lambdabiz.Start(c.t.Context(), c.engines[n%len(c.engines)], d, fmt.Sprint(name, "-", n), n)
			if err == nil {
				runs = append(runs, run)
			}
			return err
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return runs
}

// results waits for the results, each n and so many more.
func (c *crew) results(runs []*lambdabiz.Run[int], more int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for n, run := range runs {
		got := 0
		err := persist(ctx, func() (err error) {
			got, err = run.Result(ctx)
			return err
		})
		if got != n+more || err != nil {
			state, _ := c.engines[0].State(c.t.Context(), run.ID())
			c.t.Errorf("%s: %d, %v; want %d: %+v", run.ID(), got, err, n+more, state)
		}
	}
}

// work lets the crew do orchestrations from their start to their end.
func (c *crew) work(count int) {
	c.t.Helper()
	runs := c.start(c.add, count)
	for n, run := range runs {
		err := persist(c.t.Context(), func() error {
			return c.engines[n%len(c.engines)].RaiseEvent(c.t.Context(), run.ID(), "answer", 10, lambdabiz.Key("the only one"))
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	c.results(runs, 11)
}

// wantBegunOnce: nobody was taken over from, and no body was begun again.
func (c *crew) wantBegunOnce() {
	c.t.Helper()
	if n := c.takeovers.Load(); n != 0 {
		c.t.Errorf("%d workers that live were taken over from", n)
	}
	c.begun.Range(func(id, times any) bool {
		if n := times.(*atomic.Int64).Load(); n != 1 {
			c.t.Errorf("the body of %s began %d times", id, n)
		}
		return true
	})
}

// await waits until so many bodies have begun.
func (c *crew) await(count int) {
	c.t.Helper()
	for begun := 0; begun < count; {
		begun = 0
		c.begun.Range(func(any, any) bool { begun++; return true })
		select {
		case <-time.After(time.Millisecond):
		case <-c.t.Context().Done():
			c.t.Fatalf("%d of %d have begun", begun, count)
		}
	}
}

// openAll opens a database several times.
func openAll(t *testing.T, url string, count int) (all []*postgres.Backend) {
	t.Helper()
	for range count {
		all = append(all, open(t, url))
	}
	return all
}
