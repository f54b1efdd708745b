package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := interruptible(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program, with its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{in: in, out: out, errs: errs}
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(errs, describe(ctx, err)) // nobody is left to tell
	}
	return exitCode(ctx, err)
}

// interruptError is the cause of a context that a signal has ended.
type interruptError struct{ signal os.Signal }

func (e *interruptError) Error() string {
	if e.signal == syscall.SIGTERM {
		return "ended by SIGTERM"
	}
	return "interrupted"
}

// interruptible returns a context that ends with the first Ctrl-C or SIGTERM. The second one has its
// default effect, for whoever does not want to wait until the first has been obeyed.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if !signal.Ignored(s) { // nohup and the like shall keep their effect
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(&interruptError{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}
