package lambdabiz_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// An orchestration from its definition to its result: two tasks, a timer, and a person who approves.
// With sqlite.Open in place of memory.New it survives the process.
func Example() {
	type Numbers struct{ Number1, Number2 int }

	sum := lambdabiz.NewTask("Sum", func(_ context.Context, n Numbers) (int, error) {
		return n.Number1 + n.Number2, nil
	})
	double := lambdabiz.NewTask("Double", func(_ context.Context, n int) (int, error) {
		return 2 * n, nil
	})
	errNotApproved := errors.New("not approved")

	sequence := lambdabiz.Define("Sequence", func(o lambdabiz.Context, in Numbers) (int, error) {
		a, err := lambdabiz.Call(o, "Operation1", sum, in)
		if err != nil {
			return 0, err
		}
		b, err := lambdabiz.Call(o, "Operation2", double, a)
		if err != nil {
			return 0, err
		}
		if err := lambdabiz.Sleep(o, "CoolDown", 10*time.Millisecond); err != nil {
			return 0, err
		}
		approved, err := lambdabiz.WaitForEvent[bool](o, "Approve", lambdabiz.Timeout(72*time.Hour))
		if err != nil {
			return 0, err
		}
		if !approved {
			return 0, errNotApproved
		}
		return b, nil
	})

	backend := memory.New()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	if err := engine.Register(sequence, sum, double); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- engine.Run(ctx) }() // works until ctx ends, then drains

	run, err := lambdabiz.Start(ctx, engine, sequence, "Sequence3", Numbers{15, 5})
	if err != nil {
		panic(err)
	}
	// The event may come before the orchestration waits for it.
	if err := engine.RaiseEvent(ctx, "Sequence3", "Approve", true); err != nil {
		panic(err)
	}
	result, err := run.Result(ctx)
	fmt.Println(result, err)

	stop()
	fmt.Println(<-stopped)
	// Output:
	// 40 <nil>
	// <nil>
}

// exampleWorker returns an engine that works on a store in memory, and what stops it.
func exampleWorker(items ...lambdabiz.Registrable) (engine *lambdabiz.Engine, stop func()) {
	backend := memory.New()
	return exampleWorkerOn(backend, items...)
}

// exampleWorkerOn is exampleWorker for a store that outlives it.
func exampleWorkerOn(
	backend lambdabiz.Backend, items ...lambdabiz.Registrable,
) (engine *lambdabiz.Engine, stop func()) {
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	if err := engine.Register(items...); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- engine.Run(ctx) }()
	return engine, func() {
		cancel()
		if err := <-stopped; err != nil {
			panic(err)
		}
	}
}
