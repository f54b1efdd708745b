package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// startFlags are the options of start, as they are typed.
type startFlags struct {
	tags     []string
	deadline time.Duration
	onUsedID string
}

var policies = map[string]lambdabiz.StartPolicy{
	"use-existing":    lambdabiz.UseExisting,
	"reject-existing": lambdabiz.RejectExisting,
	"reject-open":     lambdabiz.RejectOpen,
	"restart-ended":   lambdabiz.RestartEnded,
	"restart-failed":  lambdabiz.RestartFailed,
}

var policyNames = []string{"use-existing", "reject-existing", "reject-open", "restart-ended", "restart-failed"}

func startCommand(a *app) *cobra.Command {
	var f startFlags
	c := &cobra.Command{
		Use:   "start NAME ID [INPUT]",
		Short: "Start an orchestration",
		Long: "Start the orchestration with the definition NAME under ID, and return when that is on disk.\n" +
			"A worker that has NAME registered runs it. INPUT is JSON, null when it is left out, and is\n" +
			"read from standard input when it is \"-\". A second start of an ID finds the first one.\n" +
			"The database file, or the domain on Amazon SWF, is created if it does not exist.",
		Example: "  lambdabiz start Sequence3 order-7 '{\"Number1\":15,\"Number2\":5,\"Timer\":\"3s\"}'\n" +
			"  lambdabiz start Import nightly - --tag source=ftp --deadline 2h < input.json\n" +
			"  lambdabiz start Import nightly --on-used-id restart-ended\n" +
			"  lambdabiz start Import nightly --backend swf:LambdaBiz --store dynamodb:LambdaBizState",
		Args: takes(2, "NAME", "ID", "INPUT"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.start(c.Context(), &f, args)
		},
	}
	c.Flags().StringArrayVar(&f.tags, "tag", nil, "label it, key=value; may be repeated")
	c.Flags().DurationVar(&f.deadline, "deadline", 0, "end it as TIMEOUT when it takes longer, 90s or 2h")
	c.Flags().StringVar(&f.onUsedID, "on-used-id", "use-existing",
		"what to do when ID is used: "+strings.Join(policyNames, ", "))
	complete(c.RegisterFlagCompletionFunc("on-used-id", cobra.FixedCompletions(
		policyNames, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

func (f *startFlags) options() ([]lambdabiz.StartOption, error) {
	policy, ok := policies[f.onUsedID]
	if !ok {
		return nil, usagef("--on-used-id is %q, it must be one of %s", f.onUsedID, strings.Join(policyNames, ", "))
	}
	opts := []lambdabiz.StartOption{lambdabiz.OnUsedID(policy)}
	if f.deadline < 0 {
		return nil, usagef("--deadline is %v, it must be positive", f.deadline)
	}
	if f.deadline > 0 {
		opts = append(opts, lambdabiz.Deadline(f.deadline))
	}
	tags, err := parseTags(f.tags)
	if err != nil {
		return nil, err
	}
	return append(opts, lambdabiz.Tags(tags)), nil
}

func (a *app) start(ctx context.Context, f *startFlags, args []string) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	input, err := a.payload(ctx, "INPUT", args[2:])
	if err != nil {
		return err
	}
	s, err := a.create(ctx, lambdabiz.Config{})
	if err != nil {
		return err
	}
	return errors.Join(a.startOn(ctx, s, args[0], args[1], input, opts), s.close())
}

// started is what start prints.
type started struct {
	ID      string           `json:"id"`
	Name    string           `json:"name"`
	RunID   string           `json:"runId"`
	Status  lambdabiz.Status `json:"status"`
	Created bool             `json:"created"`          // false: the id had this run already
	Served  *bool            `json:"served,omitempty"` // a live worker has the definition; Amazon SWF does not know
}

func (a *app) startOn(
	ctx context.Context, s *store, name, id string, input lambdabiz.Payload, opts []lambdabiz.StartOption,
) error {
	if err := s.checkCodec(ctx, id); err != nil {
		return err
	}
	run, err := s.StartByName(ctx, name, id, input, opts...)
	if err != nil {
		return err
	}
	state, err := s.StateOf(ctx, id, run.RunID())
	if err != nil {
		return err
	}
	v := started{
		ID: id, Name: state.Name, RunID: state.RunID, Status: state.Status,
		Created: run.Created(),
	}
	if s.swf == nil {
		workers, err := s.Workers(ctx)
		if err != nil {
			return err
		}
		live := served(workers, name)
		v.Served = &live
		if !live && !v.Status.Ended() {
			a.notef("no live worker serves %s now: it waits until one does", clean(name))
		}
	}
	switch {
	case a.json():
		return printJSON(a.out, v)
	case v.Created:
		return write(a.out, fmt.Sprintf("%s: started, run %s\n", clean(id), v.RunID))
	default:
		return write(a.out, fmt.Sprintf("%s: was started before, run %s, %s; its own input stays\n",
			clean(id), v.RunID, v.Status))
	}
}

// served reports whether a live worker has the definition.
func served(workers []lambdabiz.WorkerRecord, name string) bool {
	return slices.ContainsFunc(workers, func(w lambdabiz.WorkerRecord) bool {
		return !w.Gone && slices.Contains(w.Names, name)
	})
}
