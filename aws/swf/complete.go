package swf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// planning is what plans have to know of the backend.
func (b *Backend) planning() plan.Config {
	return plan.Config{
		TaskList: b.config.TaskList, DecisionTimeout: b.config.DecisionTimeout, LambdaTimeout: b.config.LambdaTimeout,
		BeatTimeout: b.config.BeatTimeout, Store: b.config.Store != nil,
	}
}

// complete fetches what a draft wants from outside, and makes sure that the types of its answer are registered. The commit
// may be nil when the draft is of none.
func (b *Backend) complete(ctx context.Context, h *handle, d *plan.Draft, c *lambdabiz.Commit) (*plan.Answer, error) {
	found := plan.Found{Reserved: map[int]plan.Reserved{}, Raised: map[int]error{}, Children: map[int64]string{}}
	for _, r := range d.Wants.Reserve {
		reserved, err := b.reserveChild(ctx, r.Start, c.At)
		if err != nil {
			return nil, err
		}
		found.Reserved[r.Index] = reserved
	}
	for _, i := range d.Wants.Raises {
		err := b.raise(ctx, &c.Raises[i], c.At)
		if !plan.IsRaiseVerdict(err) {
			return nil, err
		}
		found.Raised[i] = err
	}
	for _, i := range d.Wants.Controls {
		if err := b.control(ctx, &c.Controls[i]); err != nil {
			return nil, err
		}
	}
	for _, o := range d.Wants.Children {
		home, err := b.newestOf(ctx, h.fold, o)
		if err != nil {
			return nil, err
		}
		found.Children[o.Number] = home
	}
	a, err := d.Answer(found, time.Now())
	if err != nil {
		return nil, err
	}
	for _, t := range a.Types {
		if err := b.registerType(ctx, t); err != nil {
			return nil, err
		}
	}
	return a, nil
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
