package swf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// startChild records how a child is to be started; see begin. A child whose id must never have been used is reserved in
// the store first; one that is refused there fails its operation.
func (b *Backend) startChild(
	ctx context.Context, d *decision, h *handle, asked *lambdabiz.RunStart, at time.Time,
) (refused bool, err error) {
	child := *asked
	s := &child
	o := d.after.Find(s.Operation)
	switch {
	case o == nil && s.Operation != 0:
		return false, fmt.Errorf("start child %s: the commit has no operation %d", s.ID, s.Operation)
	case o == nil: // nobody waits to hear of it
		o = &history.Op{}
	}
	list, err := b.childList(h, s)
	err = errors.Join(err, wire.CheckLength("orchestration id", s.ID), wire.CheckLength("orchestration name", s.Name))
	if err == nil {
		_, err = wire.Fit("input of child "+s.ID, wire.StartOf(s, at))
	}
	if err != nil {
		refuse(o, err, at)
		return true, nil
	}
	s.Queue = wire.DecodeID(list)
	if s.Policy == lambdabiz.RejectExisting && b.config.Store != nil {
		if err := b.reserveChild(ctx, s, at); errors.Is(err, lambdabiz.ErrExists) {
			refuse(o, err, at)
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	o.Start = &wire.Child{List: list, Start: *wire.StartOf(s, at)}
	o.Start.Start.Input = nil // the operation has it
	o.Name, o.Target, o.Input = s.Name, s.ID, s.Input
	if o.Number == 0 {
		return false, b.addChild(ctx, d, h.fold, o)
	}
	for i := range d.journal.Ops {
		if r := &d.journal.Ops[i]; r.Number == o.Number {
			r.Child, r.Name, r.Target, r.Input = o.Start, s.Name, s.ID, wire.Payload(s.Input)
		}
	}
	return false, nil
}

// addChild adds the start of a child to a decision.
func (b *Backend) addChild(ctx context.Context, d *decision, f *history.Fold, o *history.Op) error {
	t, err := b.workflowType(ctx, o.Name)
	if err != nil {
		return err
	}
	start := o.Start.Start
	start.Input = wire.Payload(o.Input)
	input, err := wire.Fit("input of child "+o.Target, &start)
	if err != nil {
		return err
	}
	text, err := wire.Marshal(&wire.Control{Version: wire.Version, Op: o.Number, Detached: start.Parent != nil && start.Parent.Detached})
	if err != nil {
		return err
	}
	list := o.Start.List
	a := &types.StartChildWorkflowExecutionDecisionAttributes{
		WorkflowId: aws.String(wire.EncodeID(o.Target)), WorkflowType: t, Input: &input, Control: &text,
		TaskList: &types.TaskList{Name: &list}, ChildPolicy: types.ChildPolicyAbandon, TagList: wire.TagsOf(&start),
		ExecutionStartToCloseTimeout: wire.Seconds(wire.MaxRun), TaskStartToCloseTimeout: wire.Seconds(b.config.DecisionTimeout),
	}
	if f.Role != "" {
		a.LambdaRole = aws.String(f.Role)
	}
	d.add(types.Decision{
		DecisionType: types.DecisionTypeStartChildWorkflowExecution, StartChildWorkflowExecutionDecisionAttributes: a,
	})
	return nil
}

// childList is the task list of a child: its parent's, unless it has a queue.
func (b *Backend) childList(h *handle, s *lambdabiz.RunStart) (string, error) {
	switch {
	case s.Queue != "":
		return wire.EncodeID(s.Queue), wire.CheckQueue("queue", s.Queue)
	case h.fold.Info.Mode == lambdabiz.ModeHand: // its own list has no worker
		return wire.EncodeID(b.config.TaskList), nil
	default:
		return h.fold.List, nil
	}
}

// refuse ends an operation of the commit that is being decided, if there is one.
func refuse(o *history.Op, err error, at time.Time) {
	if o == nil {
		return
	}
	o.Status, o.Error, o.Result, o.EndedAt = lambdabiz.StatusFailed, lambdabiz.FailureOf(err), nil, at
}

// raiseFrom adds an event for another run to a decision. One that shall be kept for a start to come goes out
// at once, for only an answer tells whether it must be kept: its key makes a repetition harmless. It reports
// whether the operation has ended with it.
func (b *Backend) raiseFrom(
	ctx context.Context, d *decision, c *lambdabiz.Commit, r *lambdabiz.Raise,
) (done bool, err error) {
	o := d.after.Find(r.Operation)
	if o == nil && r.Operation != 0 {
		return false, fmt.Errorf("raise event %s: the commit has no operation %d", r.Name, r.Operation)
	}
	if !r.Until.IsZero() || wire.CheckLength("orchestration id", r.ID) != nil {
		switch err := b.raise(ctx, r, c.At); {
		case err == nil && o != nil:
			o.Status, o.EndedAt = lambdabiz.StatusSucceeded, c.At
		case err == nil:
		case errors.Is(err, lambdabiz.ErrNotFound), errors.Is(err, lambdabiz.ErrClosed), errors.Is(err, lambdabiz.ErrTooLarge):
			refuse(o, err, c.At)
		default:
			return false, err
		}
		return true, nil
	}
	if o == nil { // nobody waits to hear of it
		return false, signalOther(d, r, c.At)
	}
	o.Again, o.Key, o.Target, o.Name, o.Input = true, r.Key, r.ID, r.Name, r.Payload
	for i := range d.journal.Ops {
		if rec := &d.journal.Ops[i]; rec.Number == o.Number {
			rec.Raise, rec.Target, rec.Name, rec.Input = &wire.Raise{Key: r.Key}, r.ID, r.Name, wire.Payload(r.Payload)
		}
	}
	return false, nil
}

// raiseOf is the event that an operation has raised.
func raiseOf(o *history.Op) *lambdabiz.Raise {
	return &lambdabiz.Raise{ID: o.Target, Name: o.Name, Key: o.Key, Payload: o.Input, Operation: o.Number}
}

// signalOther adds the decision that raises an event in another run.
func signalOther(d *decision, r *lambdabiz.Raise, at time.Time) error {
	input, err := wire.Fit(fmt.Sprintf("payload of event %q", r.Name), wire.EventOf(r, at))
	if err != nil {
		return err
	}
	text, err := wire.Marshal(&wire.Control{Version: wire.Version, Op: r.Operation, Key: r.Key})
	if err != nil {
		return err
	}
	a := &types.SignalExternalWorkflowExecutionDecisionAttributes{
		WorkflowId: aws.String(wire.EncodeID(r.ID)), SignalName: aws.String(r.Name), Input: &input, Control: &text,
	}
	d.add(types.Decision{
		DecisionType: types.DecisionTypeSignalExternalWorkflowExecution, SignalExternalWorkflowExecutionDecisionAttributes: a,
	})
	return nil
}

// controlFrom does what a run asks of another one. The cancellation of a child follows from its operation, which has
// ended as CANCELLED; see cancelChildren.
func (b *Backend) controlFrom(ctx context.Context, c *lambdabiz.Control) error {
	if c.Kind == lambdabiz.ControlCancel && c.Parent != nil {
		return nil
	}
	return b.control(ctx, c)
}
