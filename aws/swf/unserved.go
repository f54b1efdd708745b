package swf

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Unserved is a piece of work that waits on a task list and that no worker has taken: nobody polls the list,
// or those who do are busy.
type Unserved struct {
	ID, Name, RunID string // the orchestration
	TaskList        string // as SWF has it; that of services ends with ".rest"
	Operation       string // the task's or the service call's path; empty when the orchestration itself waits
	Kind            lambdabiz.Kind
	Since           time.Time // when it was put on the list
}

// waits is what a history has scheduled and not started so far.
type waits struct {
	execution
	closed   bool
	decision *Unserved
	tasks    map[int64]Unserved
}

func (w *waits) take(e *types.HistoryEvent) {
	at := wire.Stamp(aws.ToTime(e.EventTimestamp))
	switch e.EventType {
	case types.EventTypeDecisionTaskScheduled:
		w.decision = &Unserved{
			ID: w.info.ID, Name: w.info.Name, RunID: w.info.RunID, Since: at,
			TaskList: aws.ToString(e.DecisionTaskScheduledEventAttributes.TaskList.Name),
		}
	case types.EventTypeDecisionTaskStarted:
		w.decision = nil
	case types.EventTypeActivityTaskScheduled:
		w.tasks[e.EventId] = w.task(e.ActivityTaskScheduledEventAttributes, at)
	case types.EventTypeActivityTaskStarted:
		delete(w.tasks, e.ActivityTaskStartedEventAttributes.ScheduledEventId)
	case types.EventTypeActivityTaskTimedOut:
		delete(w.tasks, e.ActivityTaskTimedOutEventAttributes.ScheduledEventId)
	case types.EventTypeActivityTaskCanceled:
		delete(w.tasks, e.ActivityTaskCanceledEventAttributes.ScheduledEventId)
	default:
		w.closed = w.closed || history.IsEnd(e.EventType)
	}
}

func (w *waits) task(a *types.ActivityTaskScheduledEventAttributes, at time.Time) Unserved {
	u := Unserved{
		ID: w.info.ID, Name: w.info.Name, RunID: w.info.RunID, TaskList: aws.ToString(a.TaskList.Name),
		Operation: wire.DecodeID(aws.ToString(a.ActivityId)), Kind: lambdabiz.KindTask, Since: at,
	}
	var e wire.Task
	if wire.Open(aws.ToString(a.Input), &e) == nil {
		u.Operation, u.Kind = e.Operation, e.Kind
	}
	return u
}

func (w *waits) all() []Unserved {
	if w.closed {
		return nil
	}
	var all []Unserved
	if w.decision != nil && w.info.Mode != lambdabiz.ModeHand {
		all = append(all, *w.decision)
	}
	for _, u := range w.tasks {
		all = append(all, u)
	}
	return all
}

// unserved looks through the histories of all open runs for what has been waiting for a worker for longer than
// the given time, oldest first. Decisions of runs that are driven by hand are left out: their caller comes
// when it comes. It costs one call for 1,000 events of each run.
func (a *service) unserved(ctx context.Context, longer time.Duration) ([]Unserved, error) {
	latest := time.Now().Add(-longer)
	var found []Unserved
	in := &swf.ListOpenWorkflowExecutionsInput{
		Domain: &a.domain, StartTimeFilter: &types.ExecutionTimeFilter{OldestDate: aws.Time(oldest())},
	}
	for {
		out, err := a.client.ListOpenWorkflowExecutions(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list open orchestrations: %w", err)
		}
		for i := range out.ExecutionInfos {
			waits, err := a.waiting(ctx, &out.ExecutionInfos[i])
			if err != nil {
				return nil, err
			}
			for _, w := range waits {
				if !w.Since.After(latest) {
					found = append(found, w)
				}
			}
		}
		if in.NextPageToken = out.NextPageToken; in.NextPageToken == nil {
			break
		}
	}
	slices.SortStableFunc(found, func(x, y Unserved) int { return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.ID, y.ID)) })
	return found, nil
}

// waiting reads one history for what is scheduled and not taken.
func (a *service) waiting(ctx context.Context, info *types.WorkflowExecutionInfo) ([]Unserved, error) {
	w := &waits{execution: executionOf(info), tasks: map[int64]Unserved{}}
	in := &swf.GetWorkflowExecutionHistoryInput{
		Domain: &a.domain, Execution: info.Execution, MaximumPageSize: wire.PageSize,
	}
	for {
		out, err := a.client.GetWorkflowExecutionHistory(ctx, in)
		switch {
		case isUnknown(err): // it has gone meanwhile
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read the history of %s: %w", w.info.ID, err)
		}
		for i := range out.Events {
			w.take(&out.Events[i])
		}
		if in.NextPageToken = out.NextPageToken; in.NextPageToken == nil {
			return w.all(), nil
		}
	}
}
