package history

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// applyLife takes the beginning and the end of the run.
func (f *Fold) applyLife(e *types.HistoryEvent, at time.Time) bool {
	switch e.EventType {
	case types.EventTypeWorkflowExecutionStarted:
		f.begin(e.WorkflowExecutionStartedEventAttributes, at)
	case types.EventTypeWorkflowExecutionCompleted:
		f.end(at, lambdabiz.StatusSucceeded, nil)
		f.Info.Result = wire.ResultOf(e.WorkflowExecutionCompletedEventAttributes.Result)
	case types.EventTypeWorkflowExecutionFailed:
		a := e.WorkflowExecutionFailedEventAttributes
		f.endAs(at, wire.FailureOf(lambdabiz.StatusFailed, a.Reason, a.Details))
	case types.EventTypeWorkflowExecutionCanceled:
		f.endAs(at, wire.FailureOf(lambdabiz.StatusCancelled, nil, e.WorkflowExecutionCanceledEventAttributes.Details))
	case types.EventTypeWorkflowExecutionTimedOut:
		f.end(at, lambdabiz.StatusTimeout, &lambdabiz.Failure{Message: "Amazon SWF ended the run: its time was over"})
	case types.EventTypeWorkflowExecutionTerminated:
		f.terminated(e.WorkflowExecutionTerminatedEventAttributes, at)
	case types.EventTypeWorkflowExecutionContinuedAsNew:
		f.continued(e.WorkflowExecutionContinuedAsNewEventAttributes, at)
	default:
		return false
	}
	return true
}

// begin reads the start.
func (f *Fold) begin(a *types.WorkflowExecutionStartedEventAttributes, at time.Time) {
	f.Info = lambdabiz.RunInfo{
		ID: f.Info.ID, Name: wire.DecodeID(aws.ToString(a.WorkflowType.Name)), Status: lambdabiz.StatusScheduled,
		ScheduledAt: at, RunID: f.Home,
	}
	f.List, f.Role = aws.ToString(a.TaskList.Name), aws.ToString(a.LambdaRole)
	f.Info.Queue = wire.DecodeID(f.List)
	f.News = f.Last
	var s wire.Start
	if wire.Open(aws.ToString(a.Input), &s) != nil {
		if a.Input != nil {
			f.Info.Input = lambdabiz.Payload(*a.Input)
		}
		return
	}
	f.Kept = &s
	i := &f.Info
	i.RunID, i.ScheduledAt, i.Tags, i.Parent = s.RunID, s.At, s.Tags, s.Parent
	i.Deadline, i.Input, i.Previous = s.Deadline, lambdabiz.Payload(s.Input), s.Previous
	i.Paused, i.PauseReason = s.Paused, s.PauseReason
	if s.Hand {
		i.Mode = lambdabiz.ModeHand
	}
	if s.Name != "" {
		i.Name = s.Name
	}
	f.addFrom(&s)
	number := messageNumber(f.Last)
	if s.Cancel != nil {
		f.cancel(number, s.Cancel.Reason, s.Cancel.At)
	}
	for _, e := range s.Events {
		number++
		f.event(number, e.Name, e.Key, lambdabiz.Payload(e.Data), e.At)
	}
}

func (f *Fold) endAs(at time.Time, out wire.Outcome) {
	f.end(at, out.Status, out.Error)
	f.Info.Result = lambdabiz.Payload(out.Result)
}

func (f *Fold) end(at time.Time, status lambdabiz.Status, failure *lambdabiz.Failure) {
	f.Closed = true
	f.Info.Status, f.Info.Error, f.Info.EndedAt = status, failure, at
	f.Info.Blocked, f.Info.Paused, f.Info.PauseReason, f.Info.WakeAt = nil, false, "", time.Time{}
}

func (f *Fold) terminated(a *types.WorkflowExecutionTerminatedEventAttributes, at time.Time) {
	failure := lambdabiz.FailureOf(lambdabiz.ErrTerminated)
	reason := aws.ToString(a.Details) + aws.ToString(a.Reason)
	if reason == "" && a.Cause == types.WorkflowExecutionTerminatedCauseEventLimitExceeded {
		reason = fmt.Sprintf("its history has reached %d events, where Amazon SWF ends a run (%s): let the orchestration return "+
			"ContinueAsNew in time", wire.MaxEvents, a.Cause)
	}
	if reason != "" {
		failure = &lambdabiz.Failure{
			Message: lambdabiz.ErrTerminated.Error() + ": " + reason, Causes: []*lambdabiz.Failure{failure},
		}
	}
	f.end(at, lambdabiz.StatusTerminated, failure)
}

func (f *Fold) continued(a *types.WorkflowExecutionContinuedAsNewEventAttributes, at time.Time) {
	f.end(at, lambdabiz.StatusSucceeded, nil)
	f.NextHome = aws.ToString(a.NewExecutionRunId)
	f.Info.ContinuedAs = f.NextHome
	var next wire.Start
	if wire.Open(aws.ToString(a.Input), &next) == nil {
		f.Info.ContinuedAs = next.RunID
	}
	f.Messages = nil // the next run has them
}
