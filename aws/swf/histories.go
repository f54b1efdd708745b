package swf

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// histories reads the histories of runs.
type histories struct {
	*service
	runs  *directory
	folds *folds
}

// foldTask makes the fold of a decision task: it reads what the task's first page does not have. A run
// that this process has held before is read from there on.
func (r *histories) foldTask(ctx context.Context, t *swf.PollForDecisionTaskOutput, list string) (*history.Fold, error) {
	home := aws.ToString(t.WorkflowExecution.RunId)
	f, known := r.folds.cached(home)
	if !known {
		f = history.New(wire.DecodeID(aws.ToString(t.WorkflowExecution.WorkflowId)), home)
	}
	if known && t.NextPageToken != nil && f.Last > wire.PageSize {
		if err := r.readTail(ctx, f, t.WorkflowExecution, t.StartedEventId); err == nil && f.Last >= t.StartedEventId {
			return f, nil
		}
		f, _ = r.folds.cached(home)
	}
	for page := t; ; {
		if err := f.ApplyAll(page.Events); err != nil {
			return nil, err
		}
		if page.NextPageToken == nil || f.Last >= t.StartedEventId {
			break
		}
		next, err := r.poller.PollForDecisionTask(ctx, &swf.PollForDecisionTaskInput{
			Domain: &r.domain, TaskList: &types.TaskList{Name: &list}, NextPageToken: page.NextPageToken,
			MaximumPageSize: wire.PageSize,
		})
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", f.Info.ID, err)
		}
		page = next
	}
	if f.Last < t.StartedEventId {
		return nil, fmt.Errorf("read the history of %s: it ends at event %d, its decision task is %d",
			f.Info.ID, f.Last, t.StartedEventId)
	}
	return f, nil
}

// readTail reads backwards what is new since the fold. The service's history may lag behind: it must reach
// the event to, or nothing is applied.
func (r *histories) readTail(ctx context.Context, f *history.Fold, x *types.WorkflowExecution, to int64) error {
	var events []types.HistoryEvent
	var token *string
	for {
		out, err := r.client.GetWorkflowExecutionHistory(ctx, &swf.GetWorkflowExecutionHistoryInput{
			Domain: &r.domain, Execution: x, ReverseOrder: true, NextPageToken: token,
			MaximumPageSize: int32(min(wire.PageSize, max(20, to-f.Last+10))),
		})
		if err != nil {
			return fmt.Errorf("read the history of %s: %w", f.Info.ID, err)
		}
		events = append(events, out.Events...)
		if len(events) > 0 && events[0].EventId < to {
			return fmt.Errorf("read the history of %s: it ends at event %d, %d was expected", f.Info.ID, events[0].EventId, to)
		}
		token = out.NextPageToken
		if len(out.Events) == 0 || events[len(events)-1].EventId <= f.Last+1 || token == nil {
			break
		}
	}
	slices.Reverse(events)
	return f.ApplyAll(events)
}

// readAll folds a whole history. For a run that does not exist (any more) the error is SWF's.
func (r *histories) readAll(ctx context.Context, id, home string) (*history.Fold, error) {
	f := history.New(id, home)
	in := &swf.GetWorkflowExecutionHistoryInput{
		Domain: &r.domain, MaximumPageSize: wire.PageSize, Execution: executionNamed(id, home),
	}
	for {
		out, err := r.client.GetWorkflowExecutionHistory(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", id, err)
		}
		if err := f.ApplyAll(out.Events); err != nil {
			return nil, err
		}
		if in.NextPageToken = out.NextPageToken; in.NextPageToken == nil {
			if f.NextHome != "" { // lists may not have it yet
				r.runs.know(execution{home: f.NextHome, info: lambdabiz.RunInfo{
					ID: id, RunID: f.Info.ContinuedAs, Name: f.Info.Name, Mode: f.Info.Mode, ScheduledAt: f.Info.EndedAt,
				}})
			}
			return f, nil
		}
	}
}

// readLatest folds the history of a run, or of the last one that continues it.
func (r *histories) readLatest(ctx context.Context, id, home string) (*history.Fold, error) {
	f, err := r.readAll(ctx, id, home)
	for err == nil && f.NextHome != "" {
		f, err = r.readAll(ctx, id, f.NextHome)
	}
	return f, err
}
