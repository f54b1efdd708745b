// Poller asks again and again where a parcel is, until it has arrived. After every few rounds it continues as new: a new
// run of the same id begins with what is known, so that the history stays short however long the loop goes on.
//
//	go run ./examples/poller
//
// Kill it in the middle (kill -9 PROCESS, which the first line names) and run it again: the polls go on with the next one.
// A pause that is over by then is not waited for again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

const usage = `poller watches a parcel until it is delivered. Kill it and run it again: it continues.

Examples:
  poller                                                            a poll each second, 5 in a run
  poller --id parcel-2 --every 1ms --rounds 100 --journey 2000      many polls: the history stays short

Flags:
`

type settings struct {
	db, id string
	every  time.Duration
	rounds int
}

func main() {
	var s settings
	flag.StringVar(&s.db, "db", filepath.Join(os.TempDir(), "lambdabiz-poller.db"), "`file` with the state")
	flag.StringVar(&s.id, "id", "parcel-1", "`id` of the parcel; another id is another parcel")
	flag.DurationVar(&s.every, "every", time.Second, "the pause between two polls")
	flag.IntVar(&s.rounds, "rounds", 5, "after how many polls a new run begins")
	flag.IntVar(&journey, "journey", 13, "how many polls it takes until the parcel is delivered")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	err := run(ctx, s)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err != nil && interrupted:
		fmt.Printf("interrupted; everything so far is in %s: run the same command again\n", s.db)
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "poller:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("there are no arguments, only flags: %q (see -h)", flag.Args())
	case s.rounds < 1 || journey < 1:
		return fmt.Errorf("--rounds is %d and --journey is %d, both must be 1 or more", s.rounds, journey)
	}
	slog.SetLogLoggerLevel(slog.LevelError) // what the engine logs below that is printed here in plainer words
	backend, err := sqlite.Open(s.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err != nil {
		return err
	}
	if err := engine.Register(watch); err != nil {
		return err
	}
	if err := announce(ctx, engine, s); err != nil {
		return err
	}
	return engine.RunWhile(ctx, func(ctx context.Context) error {
		in := Watch{Parcel: s.id, Every: s.every, Rounds: s.rounds}
		run, err := lambdabiz.Start(ctx, engine, watch, s.id, in) // a second start finds the first one's run
		if err != nil {
			return err
		}
		out, err := run.Result(ctx) // follows the runs
		if err != nil {
			return err
		}
		fmt.Printf("%s has succeeded: %s after %d polls in %d runs\n", s.id, out.Place, out.Polls, out.Runs)
		return printHistory(ctx, engine, s.id)
	})
}

// announce says what is on disk already.
func announce(ctx context.Context, engine *lambdabiz.Engine, s settings) error {
	state, err := engine.State(ctx, s.id)
	switch {
	case errors.Is(err, lambdabiz.ErrNotFound):
		fmt.Printf("%s begins in process %d; its state is in %s\n", s.id, os.Getpid(), s.db)
		return nil
	case err != nil:
		return err
	case state.Status.Ended():
		fmt.Printf("%s had ended before: nothing runs\n", s.id)
	default:
		fmt.Printf("%s goes on in process %d\n", s.id, os.Getpid())
	}
	return nil
}

// printHistory follows the chain of runs from the last one back to the first. The runs before the last one are kept until
// Engine.PurgeEnded removes them.
func printHistory(ctx context.Context, engine *lambdabiz.Engine, id string) error {
	state, err := engine.State(ctx, id)
	if err != nil {
		return err
	}
	longest, runs := len(state.Operations), 1
	for state.Previous != "" {
		state, err = engine.StateOf(ctx, id, state.Previous)
		if errors.Is(err, lambdabiz.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		longest = max(longest, len(state.Operations))
		runs++
	}
	fmt.Printf("the longest of its %d histories has %d operations\n", runs, longest)
	return nil
}
