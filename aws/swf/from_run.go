package swf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// startChild records how a child is to be started; see begin. A child whose id must never have been used is reserved in
// the store first; one that is refused there fails its operation.
func (b *Backend) startChild(
	ctx context.Context, d *decision, h *handle, asked *lambdabiz.RunStart, at time.Time,
) (refused bool, err error) {
	child := *asked
	s := &child
	o := d.after.op(s.Operation)
	switch {
	case o == nil && s.Operation != 0:
		return false, fmt.Errorf("start child %s: the commit has no operation %d", s.ID, s.Operation)
	case o == nil: // nobody waits to hear of it
		o = &foldedOp{}
	}
	list, err := b.childList(h, s)
	err = errors.Join(err, checkLength("orchestration id", s.ID), checkLength("orchestration name", s.Name))
	if err == nil {
		_, err = fit("input of child "+s.ID, startOf(s, at))
	}
	if err != nil {
		refuse(o, err, at)
		return true, nil
	}
	s.Queue = decodeID(list)
	if s.Policy == lambdabiz.RejectExisting && b.config.Store != nil {
		if err := b.reserveChild(ctx, s, at); errors.Is(err, lambdabiz.ErrExists) {
			refuse(o, err, at)
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	o.start = &childRecord{List: list, Start: *startOf(s, at)}
	o.start.Start.Input = nil // the operation has it
	o.Name, o.Target, o.Input = s.Name, s.ID, s.Input
	if o.Number == 0 {
		return false, b.addChild(ctx, d, h.fold, o)
	}
	for i := range d.journal.Ops {
		if r := &d.journal.Ops[i]; r.Number == o.Number {
			r.Child, r.Name, r.Target, r.Input = o.start, s.Name, s.ID, payload(s.Input)
		}
	}
	return false, nil
}

// addChild adds the start of a child to a decision.
func (b *Backend) addChild(ctx context.Context, d *decision, f *fold, o *foldedOp) error {
	t, err := b.workflowType(ctx, o.Name)
	if err != nil {
		return err
	}
	start := o.start.Start
	start.Input = payload(o.Input)
	input, err := fit("input of child "+o.Target, &start)
	if err != nil {
		return err
	}
	text, err := marshal(&control{Version: version, Op: o.Number, Detached: start.Parent != nil && start.Parent.Detached})
	if err != nil {
		return err
	}
	list := o.start.List
	a := &types.StartChildWorkflowExecutionDecisionAttributes{
		WorkflowId: aws.String(encodeID(o.Target)), WorkflowType: t, Input: &input, Control: &text,
		TaskList: &types.TaskList{Name: &list}, ChildPolicy: types.ChildPolicyAbandon, TagList: tagsOf(&start),
		ExecutionStartToCloseTimeout: seconds(maxRun), TaskStartToCloseTimeout: seconds(b.config.DecisionTimeout),
	}
	if f.role != "" {
		a.LambdaRole = aws.String(f.role)
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
		return encodeID(s.Queue), checkQueue("queue", s.Queue)
	case h.fold.info.Mode == lambdabiz.ModeHand: // its own list has no worker
		return encodeID(b.config.TaskList), nil
	default:
		return h.fold.list, nil
	}
}

// refuse ends an operation of the commit that is being decided, if there is one.
func refuse(o *foldedOp, err error, at time.Time) {
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
	o := d.after.op(r.Operation)
	if o == nil && r.Operation != 0 {
		return false, fmt.Errorf("raise event %s: the commit has no operation %d", r.Name, r.Operation)
	}
	if !r.Until.IsZero() || checkLength("orchestration id", r.ID) != nil {
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
	o.again, o.key, o.Target, o.Name, o.Input = true, r.Key, r.ID, r.Name, r.Payload
	for i := range d.journal.Ops {
		if rec := &d.journal.Ops[i]; rec.Number == o.Number {
			rec.Raise, rec.Target, rec.Name, rec.Input = &raiseRecord{Key: r.Key}, r.ID, r.Name, payload(r.Payload)
		}
	}
	return false, nil
}

// raiseOf is the event that an operation has raised.
func raiseOf(o *foldedOp) *lambdabiz.Raise {
	return &lambdabiz.Raise{ID: o.Target, Name: o.Name, Key: o.key, Payload: o.Input, Operation: o.Number}
}

// signalOther adds the decision that raises an event in another run.
func signalOther(d *decision, r *lambdabiz.Raise, at time.Time) error {
	input, err := fit(fmt.Sprintf("payload of event %q", r.Name), eventOf(r, at))
	if err != nil {
		return err
	}
	text, err := marshal(&control{Version: version, Op: r.Operation, Key: r.Key})
	if err != nil {
		return err
	}
	a := &types.SignalExternalWorkflowExecutionDecisionAttributes{
		WorkflowId: aws.String(encodeID(r.ID)), SignalName: aws.String(r.Name), Input: &input, Control: &text,
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

func eventOf(r *lambdabiz.Raise, at time.Time) *signalEnvelope {
	return &signalEnvelope{Version: version, Key: r.Key, At: at, Data: payload(r.Payload)}
}
