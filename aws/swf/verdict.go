package swf

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// answer is what became of a decision task, as the history says.
type answer struct {
	completed bool // it was answered
	closed    bool // the run has ended with it
	refused   bool // its closing was refused
}

// lookUp reads back what became of the decision task with the fence. With until it waits for the history to
// show that the task was answered, for some seconds: histories are eventually consistent.
func (r *histories) lookUp(ctx context.Context, x *types.WorkflowExecution, fence int64, until bool) (answer, error) {
	for try := 0; ; try++ {
		a, err := r.lookOnce(ctx, x, fence)
		if err != nil || a.completed || !until || try == 8 {
			return a, err
		}
		if err := sleep(ctx, time.Duration(try+1)*50*time.Millisecond); err != nil {
			return a, err
		}
	}
}

func (r *histories) lookOnce(ctx context.Context, x *types.WorkflowExecution, fence int64) (answer, error) {
	var a answer
	in := &swf.GetWorkflowExecutionHistoryInput{
		Domain: &r.domain, Execution: x, ReverseOrder: true, MaximumPageSize: 20,
	}
	for {
		out, err := r.client.GetWorkflowExecutionHistory(ctx, in)
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
