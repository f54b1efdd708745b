package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

// secretEnv begins the names of the variables from which the REST worker takes secrets: nothing else of its
// environment can be asked for by whoever starts an orchestration.
const secretEnv = "LAMBDABIZ_SECRET_"

func restWorkerCommand(a *app) *cobra.Command {
	w := &restWorker{app: a}
	c := &cobra.Command{
		Use:   "rest-worker",
		Short: "Make the REST calls of orchestrations on Amazon SWF",
		Long: "Make the REST calls of orchestrations on Amazon SWF, for all on the default task list, for those\n" +
			"of other task lists, or for one orchestration with a list of its own: one that is driven by hand,\n" +
			"or was started with OnQueue. It prints a line for each call.\n\n" +
			"The secret that a call names as rest.Secret(\"NAME\") is the variable " + secretEnv + "NAME.\n\n" +
			"The first Ctrl-C lets calls that go on end, a second one ends the program at once: what was\n" +
			"not reported is then called again by another worker.",
		Example: "  lambdabiz rest-worker --backend swf:LambdaBiz --region eu-west-1\n" +
			"  " + secretEnv + "HR_TOKEN=... lambdabiz rest-worker --backend swf: --strict --allow hr.internal\n" +
			"  lambdabiz rest-worker --backend swf: --orchestration RESTSequence1 --concurrency 10",
		Args: takes(0),
		RunE: func(c *cobra.Command, _ []string) error { return w.run(c.Context()) },
	}
	f := c.Flags()
	f.StringVar(&w.config.Orchestration, "orchestration", "", "serve the task list of this orchestration")
	f.StringArrayVar(&w.config.Queues, "queue", nil, "serve this task list (without .rest); may be repeated")
	f.IntVar(&w.config.Concurrency, "concurrency", 100, "calls at the same time, of each task list")
	f.DurationVar(&w.config.DrainTimeout, "drain", time.Minute, "how long calls may go on after Ctrl-C")
	f.DurationVar(&w.config.Client.Timeout, "timeout", 30*time.Second, "time limit of an attempt whose call sets none")
	f.BoolVar(&w.config.Client.Guard.Strict, "strict", false, "call public addresses only, and those of --allow")
	f.StringArrayVar(&w.config.Client.Guard.Allow, "allow", nil,
		"address, network (10.0.0.0/8) or host name that may be called all the same; may be repeated")
	f.IntSliceVar(&w.config.Client.Guard.Ports, "port", nil, "call these ports only, separated by commas")
	return c
}

// restWorker prints what a worker of REST calls does.
type restWorker struct {
	*app
	config rest.WorkerConfig

	mu      sync.Mutex
	open    int
	made    int
	failed  int
	printed error // the first line that could not be printed
	stop    context.CancelCauseFunc
}

func (w *restWorker) run(ctx context.Context) (err error) {
	if w.config.Concurrency < 1 || w.config.DrainTimeout <= 0 || w.config.Client.Timeout <= 0 {
		return usagef("--concurrency, --drain and --timeout must be positive")
	}
	s, err := w.app.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	w.config.Client.Secrets = secretFromEnvironment
	w.config.Logger = w.logger()
	w.config.Hooks.Attempt = w.call
	worker, err := rest.NewWorker(s.backend, w.config)
	if _, unsupported := errors.AsType[*lambdabiz.UnsupportedError](err); unsupported {
		return err
	}
	if err != nil {
		return &usageError{err}
	}
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w.stop = stop
	w.notef("%s: Ctrl-C stops", w.serves())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(working) }()
	select {
	case err := <-ended: // it could not begin
		return err
	case <-working.Done():
		w.stopping()
		err = <-ended
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notef("%d calls made, %d of them failed; the last poll of Amazon SWF may take a minute to end", w.made, w.failed)
	return errors.Join(err, w.printed)
}

func (w *restWorker) serves() string {
	whose := "the default task list"
	switch {
	case w.config.Orchestration != "":
		whose = "the task list of " + clean(w.config.Orchestration)
	case len(w.config.Queues) > 0:
		whose = fmt.Sprintf("the task lists %q", w.config.Queues)
	}
	return fmt.Sprintf("serves %s, %d calls at the same time", whose, w.config.Concurrency)
}

func (w *restWorker) stopping() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notef("stops: %d calls go on, for %v at most; a second Ctrl-C ends it at once", w.open, w.config.DrainTimeout)
}

// called is what rest-worker prints of a call.
type called struct {
	ID        string    `json:"id"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	Attempt   int       `json:"attempt"`
	At        time.Time `json:"at"`
	Took      string    `json:"took"`
	Error     string    `json:"error,omitempty"`
}

// call is told of each call, and prints it when it has ended.
func (w *restWorker) call(ctx context.Context, info lambdabiz.TaskInfo) (context.Context, func(error)) {
	w.mu.Lock()
	w.open++
	w.mu.Unlock()
	begun := time.Now()
	return ctx, func(err error) {
		c := called{
			ID: info.OrchestrationID, Operation: info.OperationID, Method: info.Task, Attempt: info.Attempt,
			At: begun.UTC().Truncate(time.Microsecond), Took: short(time.Since(begun)),
		}
		if err != nil {
			c.Error = err.Error()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open--
		w.made++
		if err != nil {
			w.failed++
		}
		if err := w.print(&c); err != nil && w.printed == nil {
			w.printed = err
			w.stop(err) // nobody sees what it does: it ends, and takes nothing more
		}
	}
}

func (w *restWorker) print(c *called) error {
	if w.json() {
		return printLine(w.out, c)
	}
	what := "ok"
	if c.Error != "" {
		what = cut(c.Error, 2*cellWidth)
	}
	return write(w.out, clean(fmt.Sprintf("%s  %s  %s %s (%d.)  %s  %s",
		clock(c.At), c.ID, c.Operation, c.Method, c.Attempt, c.Took, what))+"\n")
}

// secretFromEnvironment resolves what rest.Secret names. Another attempt would find the same.
func secretFromEnvironment(_ context.Context, name string) (string, error) {
	value, ok := os.LookupEnv(secretEnv + name)
	if !ok {
		return "", lambdabiz.NonRetryable(fmt.Errorf("the REST worker has no variable %s%s", secretEnv, name))
	}
	return value, nil
}
