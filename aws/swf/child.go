package swf

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// cancelChildren asks the children of cancelled operations to end, each by the run id that SWF has given it: the
// workflow id may be somebody else's. One that SWF is about to start is asked after that.
func (b *Backend) cancelChildren(ctx context.Context, d *decision, f *history.Fold) error {
	for _, o := range f.Ops {
		if o.Status != lambdabiz.StatusCancelled || !o.Unwanted() || o.Child == "" || o.Stopping {
			continue
		}
		home, err := b.newestOf(ctx, f, o)
		if err != nil {
			return err
		}
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

// newestOf is SWF's run id of the run that a child is now: it may have continued as new. It is "" when the child has
// ended, of which this run's own history may not know yet.
func (b *Backend) newestOf(ctx context.Context, f *history.Fold, o *history.Op) (string, error) {
	for home := o.Child; ; {
		out, err := b.client.GetWorkflowExecutionHistory(ctx, &swf.GetWorkflowExecutionHistoryInput{
			Domain: &b.config.Domain, ReverseOrder: true, MaximumPageSize: 1,
			Execution: &types.WorkflowExecution{WorkflowId: aws.String(wire.EncodeID(o.Target)), RunId: &home},
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
		case history.IsEnd(e.EventType):
			return "", nil
		default:
			return home, nil
		}
	}
}

// openChild is SWF's run id of the open run of a child whose earlier runs have no history any more; "" if it has ended. The
// id may be somebody else's.
func (b *Backend) openChild(ctx context.Context, f *history.Fold, o *history.Op) (string, error) {
	x, err := b.findOpenSoon(ctx, o.Target)
	if errors.Is(err, lambdabiz.ErrNotFound) {
		return "", nil
	}
	var child *history.Fold
	if err == nil {
		child, err = b.readAll(ctx, o.Target, x.home)
	}
	switch {
	case isUnknown(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look for the open run of child %s: %w", o.Target, err)
	}
	own := lambdabiz.Parent{ID: f.Info.ID, RunID: f.Info.RunID, Operation: o.Number}
	if child.Closed || child.Info.Parent == nil || *child.Info.Parent != own {
		return "", nil
	}
	return x.home, nil
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
