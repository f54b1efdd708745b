// Demo runs two orchestrations durably on a SQLite file, and shows how they survive a kill. It is "lambdabiz
// demo" as a program of its own, without what other homes need: it is compiled in a fraction of the time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/cmd/internal/demo"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

const usage = `demo runs two orchestrations at the same time, on a SQLite file. Sequence3 computes with five tasks, waits
for the timer 30SecTimer and for the event Approve. RESTSequence1 calls a REST service, which the demo starts on
loopback, four times, and raises Approve in Sequence3. Interrupt or kill it at any time and start it again: it
continues. Started again after the end it runs nothing.

Examples:
  demo
  demo --id second- --kill-after Operation3    then the same without --kill-after

Flags:
`

func main() {
	c := demo.Config{Out: os.Stdout, Errs: os.Stderr}
	file := flag.String("db", "lambdabiz.db", "`file` with the state")
	flag.IntVar(&c.Numbers.Number1, "number1", 15, "the first `number`")
	flag.IntVar(&c.Numbers.Number2, "number2", 5, "the second `number`; 0 makes Operation5 fail")
	flag.DurationVar(&c.Timer, "timer", 3*time.Second, "how long the timer takes")
	flag.StringVar(&c.Prefix, "id", "", "`prefix` of the ids of the orchestrations")
	flag.StringVar(&c.KillAfter, "kill-after", "", "`operation` after whose durable end this process kills itself by SIGKILL")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	c.Changed = func(name string) bool { return given[name] }
	c.Open = func(ctx context.Context, config lambdabiz.Config) (*demo.Home, error) {
		return open(ctx, *file, config)
	}

	err := c.Check()
	if flag.NArg() > 0 {
		err = fmt.Errorf("there are no arguments, only flags: %q (see -h)", flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(2)
	}
	os.Exit(run(c))
}

func run(c demo.Config) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	defer stop()
	switch err := demo.Run(ctx, c); {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return 130
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
}

func open(ctx context.Context, file string, config lambdabiz.Config) (*demo.Home, error) {
	backend, err := sqlite.OpenConfig(ctx, sqlite.Config{Path: file})
	if err != nil {
		return nil, err
	}
	config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	engine, err := lambdabiz.New(backend, config)
	if err != nil {
		return nil, errors.Join(err, backend.Close())
	}
	return &demo.Home{Engine: engine, Close: func(bool) error { return backend.Close() }}, nil
}
