package swf

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// unwanted reports whether a child, once it is cancelled, must still be told so: SWF has started it for this operation,
// or is about to, it has not ended, and nobody has told it. A detached one is left alone.
func (o *foldedOp) unwanted() bool {
	return o.Kind == lambdabiz.KindChild && o.open != 0 && !o.detached && !o.told
}

// cancelChildren asks the children of cancelled operations to end, each by the run id that SWF has given it: the
// workflow id may be somebody else's. One that SWF is about to start is asked after that.
func (b *Backend) cancelChildren(ctx context.Context, d *decision, f *fold) error {
	for _, o := range f.ops {
		if o.Status != lambdabiz.StatusCancelled || !o.unwanted() || o.child == "" || o.stopping {
			continue
		}
		home, err := b.newestOf(ctx, f, o)
		if err != nil {
			return err
		}
		if home == "" {
			o.told = true
			continue
		}
		text, err := marshal(&control{Version: version, Op: o.Number})
		if err != nil {
			return err
		}
		o.stopping = true
		d.add(types.Decision{
			DecisionType: types.DecisionTypeRequestCancelExternalWorkflowExecution,
			RequestCancelExternalWorkflowExecutionDecisionAttributes: &types.RequestCancelExternalWorkflowExecutionDecisionAttributes{
				WorkflowId: aws.String(encodeID(o.Target)), RunId: &home, Control: &text,
			},
		})
	}
	return nil
}

// newestOf is SWF's run id of the run that a child is now: it may have continued as new. It is "" when the child has
// ended, of which this run's own history may not know yet.
func (b *Backend) newestOf(ctx context.Context, f *fold, o *foldedOp) (string, error) {
	for home := o.child; ; {
		out, err := b.client.GetWorkflowExecutionHistory(ctx, &swf.GetWorkflowExecutionHistoryInput{
			Domain: &b.config.Domain, ReverseOrder: true, MaximumPageSize: 1,
			Execution: &types.WorkflowExecution{WorkflowId: aws.String(encodeID(o.Target)), RunId: &home},
		})
		switch {
		case isUnknown(err): // it has ended so long ago that its history is gone
			return b.openChild(ctx, f, o)
		case err != nil:
			return "", fmt.Errorf("look for the latest run of child %s: %w", o.Target, err)
		case len(out.Events) == 0:
			return home, nil
		}
		switch e := out.Events[0]; {
		case e.EventType == types.EventTypeWorkflowExecutionContinuedAsNew:
			home = aws.ToString(e.WorkflowExecutionContinuedAsNewEventAttributes.NewExecutionRunId)
		case isClosing(e.EventType), e.EventType == types.EventTypeWorkflowExecutionTimedOut,
			e.EventType == types.EventTypeWorkflowExecutionTerminated:
			return "", nil
		default:
			return home, nil
		}
	}
}

// openChild is SWF's run id of the open run of a child whose earlier runs have no history any more; "" if it has ended. The
// id may be somebody else's.
func (b *Backend) openChild(ctx context.Context, f *fold, o *foldedOp) (string, error) {
	x, err := b.findOpenSoon(ctx, o.Target)
	if errors.Is(err, lambdabiz.ErrNotFound) {
		return "", nil
	}
	var child *fold
	if err == nil {
		child, err = b.readAll(ctx, o.Target, x.home)
	}
	switch {
	case isUnknown(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look for the open run of child %s: %w", o.Target, err)
	}
	own := lambdabiz.Parent{ID: f.info.ID, RunID: f.info.RunID, Operation: o.Number}
	if child.closed || child.info.Parent == nil || *child.info.Parent != own {
		return "", nil
	}
	return x.home, nil
}

// leavesChildren reports whether a run that closes with the commit would leave a child behind that is cancelled and
// has not been told.
func leavesChildren(f *fold, c *lambdabiz.Commit) bool {
	for i := range c.Operations {
		op := &c.Operations[i]
		if o := f.op(op.Number); op.Status == lambdabiz.StatusCancelled && o != nil && o.unwanted() {
			return true
		}
	}
	for _, o := range f.ops {
		if o.Status == lambdabiz.StatusCancelled && o.unwanted() {
			return true
		}
	}
	return false
}

// cancelling notes a cancellation of a child that SWF is about to hand on.
func (f *fold) cancelling(event int64, text *string) {
	var c control
	if open(aws.ToString(text), &c) != nil {
		return
	}
	if o := f.op(c.Op); o != nil && o.Kind == lambdabiz.KindChild {
		f.cancels[event], o.stopping = o.Number, true
	}
}

// childTold takes what became of it. A child that has continued as new meanwhile, and one for which SWF had no room,
// is asked again with the next decision.
func (f *fold) childTold(event int64, cause types.RequestCancelExternalWorkflowExecutionFailedCause) {
	o := f.op(f.cancels[event])
	delete(f.cancels, event)
	if o == nil {
		return
	}
	switch cause {
	case types.RequestCancelExternalWorkflowExecutionFailedCauseUnknownExternalWorkflowExecution,
		types.RequestCancelExternalWorkflowExecutionFailedCauseRequestCancelExternalWorkflowExecutionRateExceeded:
		o.stopping = false
	case types.RequestCancelExternalWorkflowExecutionFailedCauseOperationNotPermitted:
		o.stopping = false
		f.isDenied("RequestCancelExternalWorkflowExecution", string(cause))
	default:
		o.told = true
	}
}
