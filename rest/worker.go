package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// WorkerConfig configures a [Worker]. The zero value works.
type WorkerConfig struct {
	// Client says how calls are made: limits, the guard, the secrets.
	Client Config

	// Orchestration serves the calls of this orchestration alone, as the original's worker did, when it
	// has a queue of its own: one that is driven by hand, or that was started with lambdabiz.OnQueue. On
	// a shared queue the calls of its other orchestrations are served too. Where the worker may not look at it, or
	// finds none yet, it serves the queue of one that is driven by hand, and waits: for an orchestration to come with
	// a queue of its own give Queues.
	Orchestration string

	// Queues are the queues whose calls are served. The default is that of Orchestration, or the home's own.
	Queues []string

	// Concurrency is how many calls are made at the same time, for each queue. The default is 100.
	Concurrency int

	// DrainTimeout is how long a worker that stops lets calls go on. What has not ended then is made again
	// by another worker. The default is 1 minute.
	DrainTimeout time.Duration

	// Logger gets what goes wrong. The default is slog.Default().
	Logger *slog.Logger

	// Hooks tell of each call, by Attempt. The default is none.
	Hooks lambdabiz.Hooks
}

// Worker makes the REST calls of orchestrations that run elsewhere, on a home that hands them out: Amazon
// SWF. While a call goes on SWF hears of it, so that the call of a worker that dies goes to another one.
//
//	w, err := rest.NewWorker(backend, rest.WorkerConfig{})
//	if err != nil {
//		return err
//	}
//	return w.Run(ctx)
//
// A process that runs orchestrations with [lambdabiz.Engine.Run] and has registered [Client.Services] is such a
// worker too.
type Worker struct {
	config  WorkerConfig
	client  *Client
	backend lambdabiz.Backend
	engine  *lambdabiz.Engine
	open    func(queues []string) (*lambdabiz.Engine, error)
}

// NewWorker makes a worker. It does no I/O. An error names the field that is wrong, or is
// *lambdabiz.UnsupportedError on a home where calls are made in the process that runs their orchestration.
func NewWorker(backend lambdabiz.Backend, c WorkerConfig) (*Worker, error) {
	client, err := NewClient(c.Client)
	if err != nil {
		return nil, err
	}
	switch {
	case backend == nil:
		return nil, errors.New("make REST worker: the backend is nil (open one with swf.Open)")
	case c.Concurrency < 0:
		return nil, fmt.Errorf("make REST worker: Concurrency is %d, it must be positive, or 0 for 100", c.Concurrency)
	case c.DrainTimeout < 0:
		return nil, fmt.Errorf("make REST worker: DrainTimeout is %v, it must be positive, or 0 for 1 minute", c.DrainTimeout)
	case c.Orchestration != "" && len(c.Queues) > 0:
		return nil, errors.New("make REST worker: give Orchestration or Queues, not both")
	}
	_, hands := backend.(lambdabiz.Queue)
	d := backend.Describe()
	if !hands || !slices.Contains(d.Performs, lambdabiz.KindService) {
		return nil, &lambdabiz.UnsupportedError{
			Backend: d.Name, Feature: lambdabiz.FeatureQueue,
			Why: "calls are made in the process that runs their orchestration",
		}
	}
	w := &Worker{config: c, client: client, backend: backend}
	w.open = func(queues []string) (*lambdabiz.Engine, error) {
		return lambdabiz.New(backend, lambdabiz.Config{
			Logger: c.Logger, Hooks: c.Hooks, TaskQueues: queues, MaxTasks: c.Concurrency,
			DrainTimeout: either(c.DrainTimeout, time.Minute),
		})
	}
	if w.engine, err = w.open(c.Queues); err != nil {
		return nil, err
	}
	return w, nil
}

// Run makes calls until ctx ends. Then it takes no more, lets those that go on end within
// WorkerConfig.DrainTimeout, reports them, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	defer w.client.CloseIdleConnections()
	engine := w.engine
	if id := w.config.Orchestration; id != "" {
		queue, err := w.queueOf(ctx, id)
		if err == nil {
			engine, err = w.open([]string{queue})
		}
		if err != nil {
			return fmt.Errorf("run REST worker: orchestration %s: %w", id, err)
		}
	}
	if err := engine.Register(w.client.Services()); err != nil {
		return fmt.Errorf("run REST worker: %w", err)
	}
	if err := engine.RunTasks(ctx); err != nil {
		return fmt.Errorf("run REST worker: %w", err)
	}
	return nil
}

// handQueuer is a home where the queue of an orchestration that is driven by hand follows from its id.
type handQueuer interface{ HandQueue(id string) string }

// queueOf is the queue of an orchestration: as its state says, or, where that cannot be read, as its id does.
func (w *Worker) queueOf(ctx context.Context, id string) (string, error) {
	state, err := w.engine.State(ctx, id)
	if err == nil {
		return state.Queue, nil
	}
	home, ok := w.backend.(handQueuer)
	if !ok || ctx.Err() != nil {
		return "", err
	}
	return home.HandQueue(id), nil
}
