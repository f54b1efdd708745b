package swf

import (
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

// cacheSize is how many folds of runs a process keeps, so that a claim reads new events only.
const cacheSize = 2000

// foldTask makes the fold of a decision task: it reads what the task's first page does not have. A run
// that this process has held before is read from there on.
func (b *Backend) foldTask(ctx context.Context, t *swf.PollForDecisionTaskOutput, list string) (*history.Fold, error) {
	home := aws.ToString(t.WorkflowExecution.RunId)
	f, known := b.cached(home)
	if !known {
		f = history.New(wire.DecodeID(aws.ToString(t.WorkflowExecution.WorkflowId)), home)
	}
	if known && t.NextPageToken != nil && f.Last > wire.PageSize {
		if err := b.readTail(ctx, f, t.WorkflowExecution, t.StartedEventId); err == nil && f.Last >= t.StartedEventId {
			return f, nil
		}
		f, _ = b.cached(home)
	}
	for page := t; ; {
		if err := f.ApplyAll(page.Events); err != nil {
			return nil, err
		}
		if page.NextPageToken == nil || f.Last >= t.StartedEventId {
			break
		}
		next, err := b.poller.PollForDecisionTask(ctx, &swf.PollForDecisionTaskInput{
			Domain: &b.config.Domain, TaskList: &types.TaskList{Name: &list}, NextPageToken: page.NextPageToken,
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
func (b *Backend) readTail(ctx context.Context, f *history.Fold, x *types.WorkflowExecution, to int64) error {
	var events []types.HistoryEvent
	var token *string
	for {
		out, err := b.client.GetWorkflowExecutionHistory(ctx, &swf.GetWorkflowExecutionHistoryInput{
			Domain: &b.config.Domain, Execution: x, ReverseOrder: true, NextPageToken: token,
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
func (b *Backend) readAll(ctx context.Context, id, home string) (*history.Fold, error) {
	f := history.New(id, home)
	in := &swf.GetWorkflowExecutionHistoryInput{
		Domain: &b.config.Domain, MaximumPageSize: wire.PageSize,
		Execution: &types.WorkflowExecution{WorkflowId: aws.String(wire.EncodeID(id)), RunId: &home},
	}
	for {
		out, err := b.client.GetWorkflowExecutionHistory(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", id, err)
		}
		if err := f.ApplyAll(out.Events); err != nil {
			return nil, err
		}
		if in.NextPageToken = out.NextPageToken; in.NextPageToken == nil {
			if f.NextHome != "" { // lists may not have it yet
				b.know(execution{home: f.NextHome, info: lambdabiz.RunInfo{
					ID: id, RunID: f.Info.ContinuedAs, Name: f.Info.Name, Mode: f.Info.Mode, ScheduledAt: f.Info.EndedAt,
				}})
			}
			return f, nil
		}
	}
}

// answer is what became of a decision task, as the history says.
type answer struct {
	completed bool // it was answered
	closed    bool // the run has ended with it
	refused   bool // its closing was refused
}

// lookUp reads back what became of the decision task with the fence. With until it waits for the history to
// show that the task was answered, for some seconds: histories are eventually consistent.
func (b *Backend) lookUp(ctx context.Context, x *types.WorkflowExecution, fence int64, until bool) (answer, error) {
	for try := 0; ; try++ {
		a, err := b.lookOnce(ctx, x, fence)
		if err != nil || a.completed || !until || try == 8 {
			return a, err
		}
		if err := sleep(ctx, time.Duration(try+1)*50*time.Millisecond); err != nil {
			return a, err
		}
	}
}

func (b *Backend) lookOnce(ctx context.Context, x *types.WorkflowExecution, fence int64) (answer, error) {
	var a answer
	in := &swf.GetWorkflowExecutionHistoryInput{
		Domain: &b.config.Domain, Execution: x, ReverseOrder: true, MaximumPageSize: 20,
	}
	for {
		out, err := b.client.GetWorkflowExecutionHistory(ctx, in)
		if err != nil {
			return a, fmt.Errorf("read back the history of %s: %w", wire.DecodeID(aws.ToString(x.WorkflowId)), err)
		}
		for i := range out.Events {
			e := &out.Events[i]
			switch {
			case e.EventId <= fence:
				return a, nil
			case e.EventType == types.EventTypeDecisionTaskCompleted:
				if e.DecisionTaskCompletedEventAttributes.StartedEventId == fence {
					a.completed = true
					return a, nil
				}
				a.closed, a.refused = false, false // they belong to a later decision
			case history.IsClosing(e.EventType):
				a.closed = true
			case history.IsClosingRefused(e.EventType):
				a.refused = true
			}
		}
		if in.NextPageToken = out.NextPageToken; in.NextPageToken == nil {
			return a, nil
		}
	}
}

// cached returns a copy of the fold that this process has of a run.
func (b *Backend) cached(home string) (*history.Fold, bool) {
	b.mu.Lock()
	f := b.cache[home]
	b.mu.Unlock()
	if f == nil {
		return nil, false
	}
	return f.Clone(), true
}

// keep remembers a fold for the run's next claim.
func (b *Backend) keep(f *history.Fold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cache[f.Home] == nil {
		b.order = append(b.order, f.Home)
	}
	b.cache[f.Home] = f
	for len(b.cache) > cacheSize || len(b.order) > 2*cacheSize {
		delete(b.cache, b.order[0])
		b.order = b.order[1:]
	}
}

// forget drops what this process has of a run that has ended.
func (b *Backend) forget(home string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cache[home] != nil {
		b.order = slices.DeleteFunc(b.order, func(other string) bool { return other == home })
	}
	delete(b.cache, home)
	delete(b.loaded, home)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
