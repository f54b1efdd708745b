package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

// demoFlags are the flags of demo.
type demoFlags struct {
	numbers   Numbers
	timer     time.Duration
	prefix    string
	killAfter string
}

func demoCommand(a *app) *cobra.Command {
	f := &demoFlags{}
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
			if err := f.check(); err != nil {
				return err
			}
			return newDemo(a, f, c.Flags().Changed).run(c.Context())
		},
	}
	c.Flags().IntVar(&f.numbers.Number1, "number1", 15, "the first number")
	c.Flags().IntVar(&f.numbers.Number2, "number2", 5, "the second number; 0 makes Operation5 fail")
	c.Flags().DurationVar(&f.timer, "timer", 3*time.Second, "how long the timer takes")
	c.Flags().StringVar(&f.prefix, "id", "", "what the ids of the orchestrations begin with")
	c.Flags().StringVar(&f.killAfter, "kill-after", "", "kill this process by SIGKILL as soon as the "+
		"end of this operation is on disk")
	complete(c.RegisterFlagCompletionFunc("kill-after", cobra.FixedCompletions(
		demoOperations, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

func (f *demoFlags) check() error {
	if f.timer < 0 {
		return usagef("--timer is %v, it must be 0 or more", f.timer)
	}
	if f.killAfter != "" && !slices.Contains(demoOperations, f.killAfter) {
		return usagef("--kill-after is %q, it must be one of %s", f.killAfter, strings.Join(demoOperations, ", "))
	}
	return nil
}

// demo is one run of the demo.
type demo struct {
	*app
	flags    *demoFlags
	changed  func(flag string) bool
	store    *store
	service  *service
	progress *progress
	killer   *killer
}

func newDemo(a *app, f *demoFlags, changed func(string) bool) *demo {
	return &demo{app: a, flags: f, changed: changed,
		progress: newProgress(a, f.prefix+sequenceName, f.prefix+serviceName),
		killer:   newKiller(f.killAfter, f.prefix)}
}

func (d *demo) sequenceID() string { return d.flags.prefix + sequenceName }
func (d *demo) serviceID() string  { return d.flags.prefix + serviceName }

func (d *demo) run(ctx context.Context) (err error) {
	d.store, err = d.openAs(ctx, opening{
		create: true, engine: lambdabiz.Config{Hooks: d.hooks(), DrainTimeout: 5 * time.Second},
		// A list of its own, for its worker knows no other definitions; and after a kill it goes on soon.
		taskList: "lambdabiz-demo", decision: 20 * time.Second,
	})
	if err != nil {
		return err
	}
	defer func() { err = d.close(err) }()
	if err := d.progress.begin(ctx, d.store); err != nil {
		return err
	}
	d.warn()
	if d.progress.ended() {
		return d.finish()
	}
	if err := d.openService(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.service.close()) }()
	if err := d.work(ctx); err != nil {
		return err
	}
	return d.finish()
}

// close closes the store. On Amazon SWF that waits for polls that are under way, for what they bring would
// wait for its time-out; when everything has ended they can bring nothing.
func (d *demo) close(err error) error {
	if d.store.swf != nil && d.progress.ended() {
		if d.store.beside != nil {
			err = errors.Join(err, d.store.beside.Close())
		}
		return err
	}
	if d.store.swf != nil {
		d.notef("waits until the last poll of Amazon SWF has ended, a minute at most")
	}
	return errors.Join(err, d.store.close())
}

// hooks tell the progress that there may be something new, and the killer that its time has come.
func (d *demo) hooks() lambdabiz.Hooks {
	return lambdabiz.Hooks{
		Operation: func(e lambdabiz.OperationEvent) {
			if !e.Recorded {
				d.progress.ranHere(e.Run.ID, e.Operation.ID)
				d.killer.ended(e.Run.ID, e.Operation.ID)
			}
			d.progress.kick()
		},
		Attempt: func(ctx context.Context, info lambdabiz.TaskInfo) (context.Context, func(error)) {
			d.killer.hold()
			if d.store.swf == nil {
				return ctx, func(error) {}
			}
			return ctx, func(error) { // the operation's end comes back from SWF, to whoever decides then
				d.progress.ranHere(info.OrchestrationID, info.OperationID)
				d.killer.ended(info.OrchestrationID, info.OperationID)
			}
		},
		RunEnded: func(lambdabiz.RunEvent) { d.progress.kick() },
		Commit:   func(int, time.Duration, error) { d.progress.kick() },
	}
}

// warn says which flags have no effect on what is recorded.
func (d *demo) warn() {
	if s := d.progress.tracks[0].state; s != nil {
		var in SequenceInput
		if json.Unmarshal(s.Input, &in) == nil {
			d.warnKept(s, "number1", in.Number1 != d.flags.numbers.Number1)
			d.warnKept(s, "number2", in.Number2 != d.flags.numbers.Number2)
			d.warnKept(s, "timer", in.Timer != d.flags.timer.String())
		}
	}
	if op := d.flags.killAfter; op != "" && d.progress.recorded(op) {
		d.notef("%s was recorded before: there is nothing to kill after", op)
	}
}

func (d *demo) warnKept(s *lambdabiz.State, flag string, differs bool) {
	if differs && d.changed(flag) {
		d.notef("%s: keeps its recorded input %s; --%s has no effect on it (--id starts another one)",
			clean(s.ID), clean(payloadCell(s.Input)), flag)
	}
}

// openService starts the service where RESTSequence1 calls it, unless that has ended.
func (d *demo) openService(ctx context.Context) error {
	s := d.progress.tracks[1].state
	if s != nil && s.Status.Ended() {
		return nil
	}
	var recorded *ServiceInput
	if s != nil {
		recorded = &ServiceInput{}
		if err := json.Unmarshal(s.Input, recorded); err != nil {
			return fmt.Errorf("read the input of %s: %w", d.serviceID(), err)
		}
	}
	var err error
	d.service, err = openService(ctx, recorded)
	return err
}

// work runs the orchestrations until both have ended, or ctx does. It returns when the worker has
// drained: nothing that has run is lost then.
func (d *demo) work(ctx context.Context) error {
	client, err := rest.NewClient(rest.Config{})
	if err != nil {
		return err
	}
	err = d.store.Register(sequence3, restSequence1, number, sum, difference, product, quotient, client.Services())
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	drained := make(chan error, 1)
	go func() { drained <- d.store.Run(working) }()
	err = d.start(ctx)
	if err == nil {
		err = d.progress.follow(ctx, d.store, d.killer, drained)
	}
	stop()
	if !d.progress.stopped {
		err = errors.Join(err, <-drained)
	}
	d.progress.settled = true
	client.CloseIdleConnections()
	if err != nil { // what has ended while the worker drained
		err = errors.Join(err, d.progress.lookAll(context.WithoutCancel(ctx), d.store, d.killer))
	}
	return err
}

// start starts what is not started yet. Sequence3 comes first: the event finds it.
func (d *demo) start(ctx context.Context) error {
	if d.startable(0) {
		_, err := lambdabiz.Start(ctx, d.store.Engine, sequence3, d.sequenceID(),
			SequenceInput{Numbers: d.flags.numbers, Timer: d.flags.timer.String()}, lambdabiz.OnUsedID(d.policy()))
		if err != nil {
			return err
		}
	}
	if d.service == nil || !d.startable(1) {
		return nil
	}
	_, err := lambdabiz.Start(ctx, d.store.Engine, restSequence1, d.serviceID(),
		ServiceInput{URL: d.service.url, Approve: d.sequenceID()}, lambdabiz.OnUsedID(d.policy()))
	return err
}

// startable reports whether an orchestration has not ended: where the home forgets ended ids, a start would
// begin it anew.
func (d *demo) startable(track int) bool {
	s := d.progress.tracks[track].state
	return s == nil || !s.Status.Ended()
}

// policy is UseExisting, and where the home cannot keep that, the next best: see startable.
func (d *demo) policy() lambdabiz.StartPolicy {
	if _, refused := d.store.backend.Describe().Refuses[lambdabiz.FeatureStartPolicy]; refused {
		return lambdabiz.RestartEnded
	}
	return lambdabiz.UseExisting
}

// outcome is what demo prints of an orchestration as JSON.
type outcome struct {
	ID             string    `json:"id"`
	RanNow         []string  `json:"ranNow"`
	RecordedBefore []string  `json:"recordedBefore"`
	State          stateView `json:"state"`
}

// finish prints the ends, and returns an error unless both orchestrations succeeded.
func (d *demo) finish() error {
	var outcomes []outcome
	var failed []string
	ran := 0
	for _, t := range d.progress.tracks {
		outcomes = append(outcomes, outcome{t.id, nonNil(t.ranNow), nonNil(t.before), viewOf(t.state)})
		ran += len(t.ranNow)
		if t.state.Status != lambdabiz.StatusSucceeded {
			failed = append(failed, fmt.Sprintf("%s %s: %s", t.id, t.state.Status, outcomeCell(nil, t.state.Error)))
		}
		if err := d.progress.live.run(t.state); err != nil {
			return err
		}
	}
	if ran == 0 {
		if err := d.progress.live.line("everything was recorded before: nothing ran"); err != nil {
			return err
		}
	}
	if d.json() {
		err := printJSON(d.out, struct {
			Orchestrations []outcome `json:"orchestrations"`
		}{outcomes})
		if err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return &quietError{exitError, strings.Join(failed, "; ")}
	}
	return nil
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
