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
)

// newestOf is SWF's run id of the run that a child is now: it may have continued as new. It is "" when the child has
// ended, of which this run's own history may not know yet.
func (r *histories) newestOf(ctx context.Context, f *history.Fold, o *history.Op) (string, error) {
	for home := o.Child; ; {
		out, err := r.client.GetWorkflowExecutionHistory(ctx, &swf.GetWorkflowExecutionHistoryInput{
			Domain: &r.domain, ReverseOrder: true, MaximumPageSize: 1, Execution: executionNamed(o.Target, home),
		})
		switch {
		case isUnknown(err): // it has ended so long ago that its history is gone
			return r.openChild(ctx, f, o)
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
func (r *histories) openChild(ctx context.Context, f *history.Fold, o *history.Op) (string, error) {
	x, err := r.runs.findOpenSoon(ctx, o.Target)
	if errors.Is(err, lambdabiz.ErrNotFound) {
		return "", nil
	}
	var child *history.Fold
	if err == nil {
		child, err = r.readAll(ctx, o.Target, x.home)
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
