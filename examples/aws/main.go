// The program runs the original's serverless example on this machine, with stand-ins for AWS: the compiled functions
// that "make package" deploys, under a stand-in of Lambda; a fake of Amazon SWF; dynalite, which plays DynamoDB, if "make standins" has
// installed it; and a REST service.
//
//	go run ./examples/aws
//
// It calls the function Process with the id Sequence3 as a caller on AWS would, again and again, until the
// orchestration has ended. The function's time is short, so that it is cut in between. When the orchestration waits for
// its approval, RESTSequence1 is driven in the same way, and raises it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/examples/aws/sequence"
)

func main() {
	c := settings{Out: os.Stdout}
	flag.DurationVar(&c.Timeout, "timeout", 12*time.Second, "the timeout of the function Process")
	flag.DurationVar(&c.Margin, "margin", 6*time.Second, "the part of it in which no poll begins")
	coolDown := flag.Duration("cooldown", 12*time.Second, "how long the orchestration's timer takes")
	flag.BoolVar(&c.Logs, "logs", false, "show the logs of the functions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, *coolDown); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // there is nothing to stop any more
	}
}

func run(ctx context.Context, c settings, coolDown time.Duration) (err error) {
	l, err := start(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	state, err := l.story(ctx, coolDown)
	if err != nil {
		return err
	}
	return show(c.Out, state)
}

// story calls Process until Sequence3 has ended.
func (l *local) story(ctx context.Context, coolDown time.Duration) (*lambdabiz.State, error) {
	input := sequence.Input{
		Numbers: sequence.Numbers{Number1: 15, Number2: 5}, CoolDownSeconds: int(coolDown.Round(time.Second) / time.Second),
	}
	for {
		state, err := l.drive(ctx, "Sequence", "Sequence3", input)
		if err != nil {
			return nil, err
		}
		switch {
		case state.Status.Ended():
			return state, nil
		case state.Blocked != nil:
			return nil, fmt.Errorf("orchestration %s is blocked: %s", state.ID, state.Blocked.Reason)
		case !slices.ContainsFunc(state.WaitingFor, func(w lambdabiz.Waiting) bool { return w.Operation == "Approve" }):
			continue
		}
		if err := l.approve(ctx, state.ID); err != nil {
			return nil, err
		}
	}
}

// approve drives RESTSequence1, which calls the REST service and raises the event Approve.
func (l *local) approve(ctx context.Context, id string) error {
	for {
		state, err := l.drive(ctx, "RESTSequence", "RESTSequence1", sequence.ServiceInput{URL: l.service.url + "/api/v1/", Approves: id})
		switch {
		case err != nil:
			return err
		case state.Status == lambdabiz.StatusSucceeded:
			return nil
		case state.Status.Ended() || state.Blocked != nil:
			return fmt.Errorf("orchestration %s: %v, error %v, blocked %v", state.ID, state.Status, state.Error, state.Blocked)
		}
	}
}

// show prints a state for people.
func show(w io.Writer, s *lambdabiz.State) error {
	fmt.Fprintf(w, "\n%s (%s) %v, result %s\n", s.ID, s.Name, s.Status, s.Result)
	if s.Error != nil {
		fmt.Fprintf(w, "error: %s\n", s.Error.Message)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "OPERATION\tKIND\tNAME\tSTATUS\tATTEMPTS\tRESULT")
	for i := range s.Operations {
		o := &s.Operations[i]
		fmt.Fprintf(table, "%s\t%v\t%s\t%v\t%d\t%s\n", o.ID, o.Kind, o.Name, o.Status, o.Attempts, text(o.Result))
	}
	return table.Flush()
}

func text(p lambdabiz.Payload) string {
	short, err := json.Marshal(p)
	if err != nil {
		return err.Error()
	}
	const most = 60
	if len(short) > most {
		return string(short[:most]) + "..."
	}
	return string(short)
}
