// Sequence is the first program of the original LambdaBiz for C#: five tasks one after the other, a timer, and the event
// Approve. Kill it in the middle and run it again: it continues, and nothing that has finished runs twice.
//
//	go run ./examples/sequence
//	kill -9 PROCESS                # in another terminal; the first line says which process
//	go run ./examples/sequence     # goes on where it was
//
// With --by-hand this program's own code drives the orchestration, as in the original; otherwise a worker runs it.
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

const usage = `sequence runs five tasks, a timer and an approval. Kill it and run it again: it continues.

Examples:
  sequence                          the whole sequence; this program approves it too
  sequence --by-hand --id mine      another one, driven by this program's own code
  sequence --wait --id later        waits for an approval that comes from elsewhere:
  sequence --approve --id later     ... approves it, from another terminal

Flags:
`

type settings struct {
	db, id                string
	input                 Input
	byHand, wait, approve bool
}

func main() {
	var s settings
	flag.StringVar(&s.db, "db", filepath.Join(os.TempDir(), "lambdabiz-sequence.db"), "`file` with the state")
	flag.StringVar(&s.id, "id", "Sequence3", "`id` of the orchestration; another id begins anew")
	flag.IntVar(&s.input.Numbers.Number1, "number1", 15, "the first number")
	flag.IntVar(&s.input.Numbers.Number2, "number2", 5, "the second number; with 0 the sequence fails")
	flag.DurationVar(&s.input.CoolDown, "cool-down", 3*time.Second, "how long 30SecTimer takes")
	flag.DurationVar(&pace, "pace", 700*time.Millisecond, "how long each task takes")
	flag.BoolVar(&s.byHand, "by-hand", false, "drive the orchestration by hand, without a worker")
	flag.BoolVar(&s.wait, "wait", false, "leave the approval to somebody else")
	flag.BoolVar(&s.approve, "approve", false, "only approve the orchestration, and end")
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
		fmt.Fprintln(os.Stderr, "sequence:", err)
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
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Hooks: lambdabiz.Hooks{Operation: printOperation}})
	if err != nil {
		return err
	}
	if s.approve {
		return approve(ctx, engine, s.id, 0)
	}
	ended, err := announce(ctx, engine, s)
	if err != nil {
		return err
	}
	if !s.wait && !ended { // the event may come before the orchestration: it is kept for the start
		if err := approve(ctx, engine, s.id, time.Minute); err != nil {
			return err
		}
	}
	drive := runByWorker
	if s.byHand {
		drive = driveByHand
	}
	out, err := drive(ctx, engine, s.id, s.input)
	if err != nil {
		return err
	}
	fmt.Printf("%s has succeeded: %d / %d = %g\n", s.id, out.Number1, out.Number2, out.Result)
	return nil
}

// runByWorker makes this process a worker while the sequence runs. Any other worker on the same file could run it, too.
func runByWorker(ctx context.Context, engine *lambdabiz.Engine, id string, in Input) (out OperationResult, err error) {
	if err := engine.Register(definition); err != nil {
		return out, err
	}
	err = engine.RunWhile(ctx, func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, engine, definition, id, in) // a second start finds the first one's run
		if err != nil {
			return err
		}
		out, err = run.Result(ctx)
		return err
	})
	return out, err
}

// approve raises the event, which is kept until the sequence waits for it. The key makes a repetition harmless.
func approve(ctx context.Context, engine *lambdabiz.Engine, id string, keep time.Duration) error {
	err := engine.RaiseEvent(ctx, id, "Approve", true, lambdabiz.Key("approved by "+id), lambdabiz.BeforeStart(keep))
	if err == nil {
		fmt.Println("Approve is raised; it is kept until the sequence waits for it")
	}
	return err
}

// announce says what is on disk already, and whether that is all.
func announce(ctx context.Context, engine *lambdabiz.Engine, s settings) (ended bool, err error) {
	state, err := engine.State(ctx, s.id)
	switch {
	case errors.Is(err, lambdabiz.ErrNotFound):
		fmt.Printf("%s begins in process %d; its state is in %s\n", s.id, os.Getpid(), s.db)
		return false, nil
	case err != nil:
		return false, err
	case state.Status.Ended():
		fmt.Printf("%s had ended before: nothing runs\n", s.id)
	default:
		fmt.Printf("%s goes on in process %d\n", s.id, os.Getpid())
	}
	return state.Status.Ended(), nil
}

// printOperation is told of each operation that has ended, and, when a sequence goes on, of each that had ended before.
func printOperation(e lambdabiz.OperationEvent) {
	how := "has ended"
	switch {
	case e.Recorded:
		how = "had ended before: it does not run again"
	case e.Operation.Error != nil:
		how = "has failed: " + e.Operation.Error.Message
	}
	fmt.Printf("%-12s %s\n", e.Operation.ID, how)
}
