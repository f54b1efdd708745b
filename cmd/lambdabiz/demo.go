package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/cmd/internal/demo"
)

func demoCommand(a *app) *cobra.Command {
	f := &demo.Config{Out: a.out, Errs: a.errs}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run two orchestrations durably, and show how they survive a kill",
		Long: "Run two orchestrations at the same time. Sequence3 computes with five tasks, waits for the\n" +
			"timer 30SecTimer and for the event Approve. RESTSequence1 calls a REST service, which the demo\n" +
			"starts on loopback, four times, and raises Approve in Sequence3.\n\n" +
			"It prints a line for every operation that is on disk, and whether it ran now or was recorded\n" +
			"before. Interrupt or kill it at any time and start it again: it continues. Started again\n" +
			"after the end it runs nothing.",
		Example: "  lambdabiz demo\n" +
			"  lambdabiz demo --kill-after Operation3; lambdabiz demo; lambdabiz show Sequence3\n" +
			"  lambdabiz demo --id second- --number1 21 --number2 7 --timer 1s\n" +
			"  lambdabiz demo --backend swf:LambdaBiz --region eu-west-1",
		Args: takes(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.Check(); err != nil {
				return &usageError{err}
			}
			f.JSON, f.Changed, f.Open = a.json(), c.Flags().Changed, a.openDemo
			err := demo.Run(c.Context(), *f)
			if failed, ok := errors.AsType[*demo.FailedError](err); ok {
				return &quietError{exitError, failed.Error()}
			}
			return err
		},
	}
	c.Flags().IntVar(&f.Numbers.Number1, "number1", 15, "the first number")
	c.Flags().IntVar(&f.Numbers.Number2, "number2", 5, "the second number; 0 makes Operation5 fail")
	c.Flags().DurationVar(&f.Timer, "timer", 3*time.Second, "how long the timer takes")
	c.Flags().StringVar(&f.Prefix, "id", "", "what the ids of the orchestrations begin with")
	c.Flags().StringVar(&f.KillAfter, "kill-after", "", "kill this process by SIGKILL as soon as the "+
		"end of this operation is on disk")
	complete(c.RegisterFlagCompletionFunc("kill-after", cobra.FixedCompletions(
		demo.Operations, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

// openDemo opens the home of the demo. On Amazon SWF its task list is its own, for its worker knows no other
// definitions; and after a kill it goes on soon.
func (a *app) openDemo(ctx context.Context, c lambdabiz.Config) (*demo.Home, error) {
	s, err := a.openAs(ctx, opening{create: true, engine: c, taskList: "lambdabiz-demo", decision: 20 * time.Second})
	if err != nil {
		return nil, err
	}
	_, forgets := s.backend.Describe().Refuses[lambdabiz.FeatureStartPolicy]
	return &demo.Home{
		Engine: s.Engine, Elsewhere: s.swf != nil, ForgetsEnded: forgets,
		Close: func(ended bool) error { return a.closeDemo(s, ended) },
	}, nil
}

// closeDemo closes the store. On Amazon SWF that waits for polls that are under way, for what they bring would
// wait for its time-out; when everything has ended they can bring nothing.
func (a *app) closeDemo(s *store, ended bool) error {
	if s.swf != nil && ended {
		if s.beside != nil {
			return s.beside.Close()
		}
		return nil
	}
	if s.swf != nil {
		a.notef("waits until the last poll of Amazon SWF has ended, a minute at most")
	}
	return s.close()
}
