package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/cmd/internal/text"
	"github.com/lambdabiz/lambdabiz/rest"
)

// Config says what the demo computes with, and how its program opens a home and prints.
type Config struct {
	Numbers   Numbers
	Timer     time.Duration // how long 30SecTimer takes
	Prefix    string        // what the ids begin with
	KillAfter string        // the operation after which the process kills itself; "" for none

	Out, Errs io.Writer
	JSON      bool                   // one object on Out, and the lines on Errs
	Changed   func(flag string) bool // whether a flag was given

	// Open opens the home and makes an engine on it.
	Open func(ctx context.Context, c lambdabiz.Config) (*Home, error)
}

// Home is where the orchestrations are kept.
type Home struct {
	*lambdabiz.Engine
	Elsewhere    bool // tasks end in the home, which tells whoever decides then
	ForgetsEnded bool // it cannot keep UseExisting
	Close        func(ended bool) error
}

// FailedError says which orchestrations have ended without success. Everything else is printed.
type FailedError struct{ text string }

// Error names them, with how they ended.
func (e *FailedError) Error() string { return e.text }

// Check looks at what a person has given.
func (c *Config) Check() error {
	if c.Timer < 0 {
		return fmt.Errorf("--timer is %v, it must be 0 or more", c.Timer)
	}
	if c.KillAfter != "" && !slices.Contains(Operations, c.KillAfter) {
		return fmt.Errorf("--kill-after is %q, it must be one of %s", c.KillAfter, strings.Join(Operations, ", "))
	}
	return nil
}

func (c *Config) notef(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Errs, format+"\n", args...) // a lost note is no reason to stop
}

// demo is one run of the demo.
type demo struct {
	*Config
	store    *Home
	service  *service
	progress *progress
	killer   *killer
}

// Run runs the demo until both orchestrations have ended, or ctx has.
func Run(ctx context.Context, c Config) error {
	d := &demo{
		Config: &c, progress: newProgress(&c, c.Prefix+sequenceName, c.Prefix+serviceName),
		killer: newKiller(c.KillAfter, c.Prefix),
	}
	return d.run(ctx)
}

func (d *demo) sequenceID() string { return d.Prefix + sequenceName }
func (d *demo) serviceID() string  { return d.Prefix + serviceName }

func (d *demo) run(ctx context.Context) (err error) {
	d.store, err = d.Open(ctx, lambdabiz.Config{Hooks: d.hooks(), DrainTimeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.store.Close(d.progress.ended())) }()
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
			if !d.store.Elsewhere {
				return ctx, func(error) {}
			}
			return ctx, func(error) { // the operation's end comes back from the home, to whoever decides then
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
			d.warnKept(s, "number1", in.Number1 != d.Numbers.Number1)
			d.warnKept(s, "number2", in.Number2 != d.Numbers.Number2)
			d.warnKept(s, "timer", in.Timer != d.Timer.String())
		}
	}
	if op := d.KillAfter; op != "" && d.progress.recorded(op) {
		d.notef("%s was recorded before: there is nothing to kill after", op)
	}
}

func (d *demo) warnKept(s *lambdabiz.State, flag string, differs bool) {
	if differs && d.Changed(flag) {
		d.notef("%s: keeps its recorded input %s; --%s has no effect on it (--id starts another one)",
			text.Clean(s.ID), text.Clean(text.PayloadCell(s.Input)), flag)
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
	err = d.store.Register(Code, client.Services())
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
		_, err := lambdabiz.Start(ctx, d.store.Engine, Sequence3, d.sequenceID(),
			SequenceInput{Numbers: d.Numbers, Timer: d.Timer.String()}, lambdabiz.OnUsedID(d.policy()))
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
	if d.store.ForgetsEnded {
		return lambdabiz.RestartEnded
	}
	return lambdabiz.UseExisting
}

// outcome is what demo prints of an orchestration as JSON.
type outcome struct {
	ID             string         `json:"id"`
	RanNow         []string       `json:"ranNow"`
	RecordedBefore []string       `json:"recordedBefore"`
	State          text.StateView `json:"state"`
}

// finish prints the ends, and returns an error unless both orchestrations succeeded.
func (d *demo) finish() error {
	var outcomes []outcome
	var failed []string
	ran := 0
	for _, t := range d.progress.tracks {
		outcomes = append(outcomes, outcome{t.id, nonNil(t.ranNow), nonNil(t.before), text.ViewOf(t.state)})
		ran += len(t.ranNow)
		if t.state.Status != lambdabiz.StatusSucceeded {
			failed = append(failed, fmt.Sprintf("%s %s: %s", t.id, t.state.Status, text.OutcomeCell(nil, t.state.Error)))
		}
		if err := d.progress.live.Run(t.state); err != nil {
			return err
		}
	}
	if ran == 0 {
		if err := d.progress.live.Line("everything was recorded before: nothing ran"); err != nil {
			return err
		}
	}
	if d.JSON {
		err := text.PrintJSON(d.Out, struct {
			Orchestrations []outcome `json:"orchestrations"`
		}{outcomes})
		if err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return &FailedError{strings.Join(failed, "; ")}
	}
	return nil
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
