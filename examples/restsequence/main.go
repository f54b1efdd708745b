// Restsequence is the second program of the original LambdaBiz for C#: four calls to a REST service, one after the other,
// and then, if asked, the approval that the first program waits for. It starts the service itself, on this machine.
//
//	go run ./examples/restsequence
//	kill -9 PROCESS                    # in another terminal; the first line says which process
//	go run ./examples/restsequence     # goes on where it was: no call that was answered is made again
//
// Both programs together, as in the original:
//
//	go run ./examples/sequence --wait --id both
//	go run ./examples/restsequence --id approver --approve both    # in another terminal
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
	"github.com/lambdabiz/lambdabiz/rest"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

const usage = `restsequence calls a REST service, which it starts itself. Kill it and run it again: it continues.

Examples:
  restsequence                                  four calls: GET, POST (with a retry), PUT, DELETE
  restsequence --id approver --approve both     ... and approves "sequence --wait --id both", on the same file

Flags:
`

type settings struct {
	db, id, listen, approve string
	pace                    time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.db, "db", filepath.Join(os.TempDir(), "lambdabiz-sequence.db"), "`file` with the state")
	flag.StringVar(&s.id, "id", "RESTSequence1", "`id` of the orchestration; another id begins anew")
	flag.StringVar(&s.listen, "listen", "127.0.0.1:8717", "`address` of the service: the same one when it goes on")
	flag.StringVar(&s.approve, "approve", "", "`id` of an orchestration to raise Approve in")
	flag.DurationVar(&s.pace, "pace", 700*time.Millisecond, "how long each request takes")
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
		fmt.Fprintln(os.Stderr, "restsequence:", err)
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
	client, err := rest.NewClient(rest.Config{Timeout: 10 * time.Second}) // a client is optional: this one is less patient
	if err != nil {
		return err
	}
	if err := engine.Register(restSequence, client.Services()); err != nil {
		return err
	}
	if err := announce(ctx, engine, s); err != nil {
		return err
	}
	service, err := startService(ctx, s.listen, s.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.close()) }()
	return engine.RunWhile(ctx, func(ctx context.Context) error {
		in := Input{URL: "http://" + s.listen, Approve: s.approve}
		run, err := lambdabiz.Start(ctx, engine, restSequence, s.id, in) // a second start finds the first one's run
		if err != nil {
			return err
		}
		out, err := run.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s has succeeded: %d employees, and %s for %d\n", s.id, out.Employees, out.Ada.Name, out.Ada.Salary)
		if out.Approved {
			fmt.Printf("Approve is raised in %s\n", s.approve)
		}
		return nil
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

// printOperation is told of each operation that has ended, and, when a sequence goes on, of each that had ended before.
func printOperation(e lambdabiz.OperationEvent) {
	how := "has ended"
	switch {
	case e.Recorded:
		how = "had ended before: it does not run again"
	case e.Operation.Error != nil:
		how = "has failed: " + e.Operation.Error.Message
	}
	fmt.Printf("%-17s %s\n", e.Operation.ID, how)
}
