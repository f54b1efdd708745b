package history

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// applyActivity takes the events of activities.
func (p *Operations) applyActivity(e *types.HistoryEvent, at time.Time) news {
	switch e.EventType {
	case types.EventTypeActivityTaskScheduled:
		a := e.ActivityTaskScheduledEventAttributes
		p.scheduled(e.EventId, a.Control, aws.ToString(a.ActivityId))
	case types.EventTypeActivityTaskStarted:
		p.begun(e.ActivityTaskStartedEventAttributes.ScheduledEventId, at)
	case types.EventTypeActivityTaskCompleted:
		a := e.ActivityTaskCompletedEventAttributes
		return p.worked(a.ScheduledEventId, at, wire.SuccessOf(a.Result))
	case types.EventTypeActivityTaskFailed:
		a := e.ActivityTaskFailedEventAttributes
		return p.worked(a.ScheduledEventId, at, wire.FailureOf(lambdabiz.StatusFailed, a.Reason, a.Details))
	case types.EventTypeActivityTaskCanceled:
		a := e.ActivityTaskCanceledEventAttributes
		return p.worked(a.ScheduledEventId, at, wire.FailureOf(lambdabiz.StatusCancelled, nil, a.Details))
	case types.EventTypeActivityTaskTimedOut:
		a := e.ActivityTaskTimedOutEventAttributes
		return p.silent(a.ScheduledEventId, at, a.TimeoutType, a.Details)
	case types.EventTypeScheduleActivityTaskFailed:
		a := e.ScheduleActivityTaskFailedEventAttributes
		return p.refused(aws.ToString(a.ActivityId), at, string(a.Cause), "activity "+aws.ToString(a.ActivityType.Name))
	case types.EventTypeRequestCancelActivityTaskFailed:
		return ifDenied("RequestCancelActivityTask", e.RequestCancelActivityTaskFailedEventAttributes.Cause)
	}
	return news{}
}

// applyLambda takes the events of Lambda functions.
func (p *Operations) applyLambda(e *types.HistoryEvent, at time.Time) news {
	switch e.EventType {
	case types.EventTypeLambdaFunctionScheduled:
		a := e.LambdaFunctionScheduledEventAttributes
		p.scheduled(e.EventId, a.Control, aws.ToString(a.Id))
	case types.EventTypeLambdaFunctionStarted:
		p.begun(e.LambdaFunctionStartedEventAttributes.ScheduledEventId, at)
	case types.EventTypeLambdaFunctionCompleted:
		a := e.LambdaFunctionCompletedEventAttributes
		result := wire.Payload("null")
		if a.Result != nil {
			result = wire.Payload(*a.Result)
		}
		return p.worked(a.ScheduledEventId, at, wire.Outcome{Status: lambdabiz.StatusSucceeded, Result: result})
	case types.EventTypeLambdaFunctionFailed:
		a := e.LambdaFunctionFailedEventAttributes
		return p.worked(a.ScheduledEventId, at, wire.Outcome{
			Status: lambdabiz.StatusFailed, Error: wire.LambdaFailure(a.Reason, a.Details),
		})
	case types.EventTypeLambdaFunctionTimedOut:
		return p.worked(e.LambdaFunctionTimedOutEventAttributes.ScheduledEventId, at,
			wire.TimedOut("the Lambda function's time was over"))
	case types.EventTypeScheduleLambdaFunctionFailed:
		a := e.ScheduleLambdaFunctionFailedEventAttributes
		return p.refused(aws.ToString(a.Id), at, string(a.Cause), "Lambda function "+aws.ToString(a.Name))
	case types.EventTypeStartLambdaFunctionFailed:
		a := e.StartLambdaFunctionFailedEventAttributes
		return p.worked(a.ScheduledEventId, at, wire.Outcome{Status: lambdabiz.StatusFailed, Final: true,
			Error: &lambdabiz.Failure{Message: fmt.Sprintf("start Lambda function: %s: %s (check swf.Config.LambdaRole)",
				a.Cause, aws.ToString(a.Message))}})
	}
	return news{}
}

// scheduled notes what SWF has begun for an operation.
func (p *Operations) scheduled(event int64, text *string, id string) {
	var c wire.Control
	if wire.Open(aws.ToString(text), &c) != nil {
		return
	}
	o := p.Find(c.Op)
	if o == nil {
		return
	}
	p.byEvent[event] = o
	o.Open, o.HomeID, o.Stopping = event, id, false
	p.OpenWork++
}

func (p *Operations) begun(event int64, at time.Time) {
	if o := p.byEvent[event]; o != nil && o.Open == event && !o.Status.Ended() {
		o.Status, o.StartedAt = lambdabiz.StatusStarted, at
		p.Changed[o.Number] = true
	}
}

// worked takes the end of an attempt.
func (p *Operations) worked(event int64, at time.Time, out wire.Outcome) news {
	o := p.ended(event)
	if o == nil {
		return news{}
	}
	p.OpenWork--
	if o.Status.Ended() {
		return news{due: true} // nobody wants its result any more, but there is room again
	}
	p.Changed[o.Number] = true
	if o.StartedAt.IsZero() {
		o.StartedAt = at
	}
	o.Status, o.EndedAt, o.Result, o.Error = out.Status, at, lambdabiz.Payload(out.Result), out.Error
	if out.Status != lambdabiz.StatusSucceeded {
		o.Tried = &lambdabiz.Tried{Final: out.Final, RetryAfter: out.RetryAfter, NotBegun: out.NotBegun}
	}
	return news{due: true}
}

// maxDeaths is how many workers in a row may die with an attempt before it counts as failed.
const maxDeaths = 10

// silent takes the end of an attempt by its time. The details of its last heartbeat stay for the next. Workers
// send heartbeats by themselves, so one that is missing means that the worker has died: the attempt is not
// charged, unless it has been the end of many workers.
func (p *Operations) silent(event int64, at time.Time, kind types.ActivityTaskTimeoutType, details *string) news {
	o := p.byEvent[event]
	if o == nil || o.Open != event {
		return news{}
	}
	var beat wire.Outcome
	if wire.Open(aws.ToString(details), &beat) == nil && !o.Status.Ended() {
		o.Details = lambdabiz.Payload(beat.Result)
	}
	if kind != types.ActivityTaskTimeoutTypeHeartbeat {
		return p.worked(event, at, wire.TimedOut("the attempt's time was over"))
	}
	o.deaths++
	out := wire.TimedOut("the worker has died, or was cut off: no heartbeat in time")
	out.NotBegun = o.deaths%maxDeaths != 0
	return p.worked(event, at, out)
}

// refused takes a decision that SWF did not follow: for want of room it is tried again, else it is final.
func (p *Operations) refused(id string, at time.Time, cause, what string) news {
	if n, yes := denied("ScheduleActivityTask", cause); yes {
		return n
	}
	for _, o := range p.Ops {
		if o.Status.Ended() || o.Open != 0 || wire.AttemptID(o.ID, o.Attempts) != id {
			continue
		}
		p.Changed[o.Number] = true
		o.Status, o.EndedAt = lambdabiz.StatusFailed, at
		o.Error = &lambdabiz.Failure{Message: fmt.Sprintf("schedule %s: %s", what, cause)}
		room := isLimit(cause)
		o.Tried = &lambdabiz.Tried{Final: !room, NotBegun: room}
		return news{due: true}
	}
	return news{}
}
