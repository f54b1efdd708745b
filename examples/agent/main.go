// Agent is a loop of a language model and its tools: the model chooses tools, they are called, it reads what they said, and
// goes on until it answers. The model is a scripted one, without a network.
//
//	go run ./examples/agent
//
// Kill it in the middle (kill -9 PROCESS, which the first line names) and run it again: no call of the model and no call of
// a tool that has ended is made again, and the conversation goes on where it was.
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

const usage = `agent lets a scripted model answer a question with tools. Kill it and run it again: it continues.

Examples:
  agent                          the whole conversation
  agent --id q2 --turns 2        the model does not get to an answer

Flags:
`

type settings struct {
	db, id   string
	question Question
}

func main() {
	var s settings
	flag.StringVar(&s.db, "db", filepath.Join(os.TempDir(), "lambdabiz-agent.db"), "`file` with the state")
	flag.StringVar(&s.id, "id", "question-1", "`id` of the question; another id is another one")
	flag.IntVar(&s.question.MaxTurns, "turns", 10, "how often the model is asked at most")
	flag.DurationVar(&pace, "pace", time.Second, "how long the model and each tool take")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	s.question.Text = "Is it warmer in Oslo or in Bergen, and by how much?"

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
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	if flag.NArg() > 0 {
		return fmt.Errorf("there are no arguments, only flags: %q (see -h)", flag.Args())
	}
	slog.SetLogLoggerLevel(slog.LevelError) // what the engine logs below that is printed here in plainer words
	backend, err := sqlite.Open(s.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Hooks: lambdabiz.Hooks{Operation: printRecorded}})
	if err != nil {
		return err
	}
	agent := define(scripted, tools)
	if err := engine.Register(agent); err != nil {
		return err
	}
	if err := announce(ctx, engine, s); err != nil {
		return err
	}
	return engine.RunWhile(ctx, func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, engine, agent, s.id, s.question) // a second start finds the first one's run
		if err != nil {
			return err
		}
		answer, err := run.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s is answered in %d turns with %d calls: %s\n", s.id, answer.Turns, answer.Calls, answer.Text)
		return nil
	})
}

// announce says what is on disk already.
func announce(ctx context.Context, engine *lambdabiz.Engine, s settings) error {
	state, err := engine.State(ctx, s.id)
	switch {
	case errors.Is(err, lambdabiz.ErrNotFound):
		fmt.Printf("%s begins in process %d; its state is in %s\n%s\n", s.id, os.Getpid(), s.db, s.question.Text)
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

// printRecorded is told of each operation that an agent which goes on finds recorded.
func printRecorded(e lambdabiz.OperationEvent) {
	if e.Recorded {
		fmt.Printf("  %s had ended before: it is not called again\n", e.Operation.ID)
	}
}
