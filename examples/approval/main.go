// Approval waits for a person: with reminders, then with somebody else who is asked, and with an end. Thirty days are
// compressed here, see --day.
//
//	go run ./examples/approval
//	go run ./examples/approval --id form-2 --answers grace     # reminded once, she answers
//	go run ./examples/approval --id form-3 --answers nobody    # expires
//
// Kill it while it waits (kill -9 PROCESS, which the first line names) and run it again: no mail is sent twice, and the wait
// has gone on meanwhile. You can answer from another terminal, too:
//
//	go run ./cmd/lambdabiz raise form-4 Answer '{"By":"you","Approved":true}' --backend sqlite:FILE
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

const usage = `approval waits for an answer with reminders and escalation. Kill it and run it again: it continues.

Examples:
  approval                                  Grace does not answer, her boss Ada does
  approval --id form-2 --answers grace      Grace answers after a reminder
  approval --id form-3 --answers nobody     expires after 30 days
  approval --id form-4 --answers nobody --day 24h    in real time; answer it with "lambdabiz raise"

Flags:
`

type settings struct {
	db, id  string
	form    Form
	answers string
	refuses bool
}

func main() {
	s := settings{form: Form{Calendar: calendar, Expires: expires}}
	flag.StringVar(&s.db, "db", filepath.Join(os.TempDir(), "lambdabiz-approval.db"), "`file` with the state")
	flag.StringVar(&s.id, "id", "form-1", "`id` of the form; another id is another form")
	flag.StringVar(&s.form.What, "what", "a week in Rome", "what is to be approved")
	flag.StringVar(&s.answers, "answers", "ada", "who answers: `grace, ada or nobody`")
	flag.BoolVar(&s.refuses, "refuse", false, "answer no")
	flag.DurationVar(&s.form.Day, "day", 300*time.Millisecond, "how long a day lasts")
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
		fmt.Fprintln(os.Stderr, "approval:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("there are no arguments, only flags: %q (see -h)", flag.Args())
	case s.form.Day <= 0:
		return fmt.Errorf("--day is %v, it must be more than 0", s.form.Day)
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
	office := &office{out: os.Stdout, engine: engine, answers: s.answers, refuses: s.refuses}
	approval := define(lambdabiz.NewTask("SendMail", office.sendMail))
	if err := engine.Register(approval, lambdabiz.ErrorValue("expired", errExpired)); err != nil {
		return err
	}
	if err := announce(ctx, engine, s); err != nil {
		return err
	}
	return engine.RunWhile(ctx, func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, engine, approval, s.id, s.form) // a second start finds the first one's run
		if err != nil {
			return err
		}
		answer, err := run.Result(ctx)
		switch {
		case errors.Is(err, errExpired): // no surprise: that too is an outcome
			fmt.Printf("%s has expired: %v\n", s.id, errExpired)
			return nil
		case err != nil:
			return err
		case answer.Approved:
			fmt.Printf("%s is approved by %s\n", s.id, answer.By)
		default:
			fmt.Printf("%s is refused by %s\n", s.id, answer.By)
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
