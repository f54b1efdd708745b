package postgres_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var (
	addOne = lambdabiz.Define("AddOne", func(o lambdabiz.Context, n int) (int, error) {
		return lambdabiz.Step(o, "add", func(context.Context) (int, error) { return n + 1, nil })
	})
	ask = lambdabiz.Define("Ask", func(o lambdabiz.Context, n int) (int, error) {
		added, err := lambdabiz.CallChild(o, "child", addOne, n)
		if err != nil {
			return 0, err
		}
		answer, err := lambdabiz.WaitForEvent[int](o, "answer")
		return added + answer, err
	})
)

// workTogether has an engine on each backend, which together do a number of orchestrations with a step, a child and an event.
// No batch may fail.
func workTogether(t *testing.T, count int, backends ...lambdabiz.Backend) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var working, asking sync.WaitGroup
	name := rand.Text()
	defer working.Wait()
	defer cancel()
	engines := make([]*lambdabiz.Engine, len(backends))
	for i, b := range backends {
		written := func(_ int, _ time.Duration, err error) {
			if err != nil {
				t.Errorf("a batch of worker %d: %v", i, err)
			}
		}
		engine, err := lambdabiz.New(b, lambdabiz.Config{
			Logger: slog.New(slog.DiscardHandler), Hooks: lambdabiz.Hooks{Commit: written},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := engine.Register(addOne, ask); err != nil {
			t.Fatal(err)
		}
		engines[i] = engine
		working.Go(func() {
			if err := engine.Run(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("worker %d: %v", i, err)
			}
		})
	}
	for n := range count {
		asking.Go(func() {
			engine, id := engines[n%len(engines)], fmt.Sprint(name, n)
			run, err := lambdabiz.Start(t.Context(), engine, ask, id, n)
			if err == nil {
				err = engines[(n+1)%len(engines)].RaiseEvent(t.Context(), id, "answer", 10)
			}
			got := 0
			if err == nil {
				got, err = run.Result(t.Context())
			}
			if got != n+11 || err != nil {
				t.Errorf("%s: %d, %v; want %d", id, got, err, n+11)
			}
		})
	}
	asking.Wait()
}
