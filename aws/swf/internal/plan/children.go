package plan

import (
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// wantReserved asks for the id of a child that must be new, unless its start is refused anyhow.
func (d *Draft) wantReserved(index int) {
	s := d.commit.Starts[index]
	if s.Policy != lambdabiz.RejectExisting || !d.config.Store {
		return
	}
	list, err := d.checkChild(&s)
	if err != nil || !d.has(s.Operation) {
		return
	}
	s.Queue = wire.DecodeID(list)
	d.Wants.Reserve = append(d.Wants.Reserve, Reserve{Index: index, Start: &s})
}

// checkChild is the task list of a child, or why it cannot be started.
func (d *Draft) checkChild(s *lambdabiz.RunStart) (list string, err error) {
	list, err = d.childList(s)
	err = errors.Join(err, wire.CheckLength("orchestration id", s.ID), wire.CheckLength("orchestration name", s.Name))
	if err == nil {
		_, err = wire.Fit("input of child "+s.ID, wire.StartOf(s, d.commit.At))
	}
	return list, err
}

// childList is the task list of a child: its parent's, unless it has a queue.
func (d *Draft) childList(s *lambdabiz.RunStart) (string, error) {
	switch f := d.task.Fold; {
	case s.Queue != "":
		return wire.EncodeID(s.Queue), wire.CheckQueue("queue", s.Queue)
	case f.Info.Mode == lambdabiz.ModeHand: // its own list has no worker
		return wire.EncodeID(d.config.TaskList), nil
	default:
		return f.List, nil
	}
}

// startChild records how a child is to be started; see begin. A child whose id is refused fails its operation.
func (d *Draft) startChild(index int) (refused bool, err error) {
	child := d.commit.Starts[index]
	s, at := &child, d.commit.At
	o := d.answer.After.Find(s.Operation)
	switch {
	case o == nil && s.Operation != 0:
		return false, fmt.Errorf("start child %s: the commit has no operation %d", s.ID, s.Operation)
	case o == nil: // nobody waits to hear of it
		o = &history.Op{}
	}
	list, err := d.checkChild(s)
	reserved := d.found.Reserved[index]
	if err == nil {
		err = reserved.Err
	}
	if err != nil {
		refuse(o, err, at)
		return true, nil
	}
	if reserved.RunID != "" {
		s.RunID = reserved.RunID
	}
	s.Queue = wire.DecodeID(list)
	o.Start = &wire.Child{List: list, Start: *wire.StartOf(s, at)}
	o.Start.Start.Input = nil // the operation has it
	o.Name, o.Target, o.Input = s.Name, s.ID, s.Input
	if o.Number == 0 {
		return false, d.addChild(o)
	}
	if r := d.recorded(o.Number); r != nil {
		r.Child, r.Name, r.Target, r.Input = o.Start, s.Name, s.ID, wire.Payload(s.Input)
	}
	return false, nil
}

// addChild adds the start of a child.
func (d *Draft) addChild(o *history.Op) error {
	t, err := d.workflowType(o.Name)
	if err != nil {
		return err
	}
	start := o.Start.Start
	start.Input = wire.Payload(o.Input)
	input, err := wire.Fit("input of child "+o.Target, &start)
	if err != nil {
		return err
	}
	text, err := wire.Marshal(&wire.Control{
		Version: wire.Version, Op: o.Number, Detached: start.Parent != nil && start.Parent.Detached,
	})
	if err != nil {
		return err
	}
	list := o.Start.List
	a := &types.StartChildWorkflowExecutionDecisionAttributes{
		WorkflowId: aws.String(wire.EncodeID(o.Target)), WorkflowType: t, Input: &input, Control: &text,
		TaskList: &types.TaskList{Name: &list}, ChildPolicy: types.ChildPolicyAbandon, TagList: wire.TagsOf(&start),
		ExecutionStartToCloseTimeout: wire.Seconds(wire.MaxRun), TaskStartToCloseTimeout: wire.Seconds(d.config.DecisionTimeout),
	}
	if role := d.task.Fold.Role; role != "" {
		a.LambdaRole = aws.String(role)
	}
	d.add(types.Decision{
		DecisionType: types.DecisionTypeStartChildWorkflowExecution, StartChildWorkflowExecutionDecisionAttributes: a,
	})
	return nil
}

// toCancel reports whether a child is to be asked to end: its operation is cancelled, and SWF has started it and was not
// asked yet. One that SWF is about to start is asked after that.
func toCancel(o *history.Op) bool {
	return o.Status == lambdabiz.StatusCancelled && o.Unwanted() && o.Child != "" && !o.Stopping
}

// wantChildren asks for the latest runs of the children that cancelChildren asks to end.
func (d *Draft) wantChildren() {
	f := d.answer.After
	if f.Denied != "" {
		return
	}
	for _, o := range f.Ops {
		if toCancel(o) {
			d.Wants.Children = append(d.Wants.Children, o)
		}
	}
}

// cancelChildren asks the children of cancelled operations to end, each by the run id that SWF has given it: the
// workflow id may be somebody else's.
func (d *Draft) cancelChildren() error {
	for _, o := range d.Wants.Children {
		home := d.found.Children[o.Number]
		if home == "" {
			o.Told = true
			continue
		}
		text, err := wire.Marshal(&wire.Control{Version: wire.Version, Op: o.Number})
		if err != nil {
			return err
		}
		o.Stopping = true
		d.add(types.Decision{
			DecisionType: types.DecisionTypeRequestCancelExternalWorkflowExecution,
			RequestCancelExternalWorkflowExecutionDecisionAttributes: &types.RequestCancelExternalWorkflowExecutionDecisionAttributes{
				WorkflowId: aws.String(wire.EncodeID(o.Target)), RunId: &home, Control: &text,
			},
		})
	}
	return nil
}

// leavesChildren reports whether a run that closes with the commit would leave a child behind that is cancelled and
// has not been told.
func leavesChildren(f *history.Fold, c *lambdabiz.Commit) bool {
	for i := range c.Operations {
		op := &c.Operations[i]
		if o := f.Find(op.Number); op.Status == lambdabiz.StatusCancelled && o != nil && o.Unwanted() {
			return true
		}
	}
	for _, o := range f.Ops {
		if o.Status == lambdabiz.StatusCancelled && o.Unwanted() {
			return true
		}
	}
	return false
}
