package swf

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// applyWork takes the events of activities and Lambda functions.
func (f *fold) applyWork(e *types.HistoryEvent, at time.Time) bool {
	switch e.EventType {
	case types.EventTypeActivityTaskScheduled:
		a := e.ActivityTaskScheduledEventAttributes
		f.scheduled(e.EventId, a.Control, aws.ToString(a.ActivityId))
	case types.EventTypeActivityTaskStarted:
		f.begun(e.ActivityTaskStartedEventAttributes.ScheduledEventId, at)
	case types.EventTypeActivityTaskCompleted:
		a := e.ActivityTaskCompletedEventAttributes
		f.worked(a.ScheduledEventId, at, activityOutcome(lambdabiz.StatusSucceeded, a.Result))
	case types.EventTypeActivityTaskFailed:
		a := e.ActivityTaskFailedEventAttributes
		f.worked(a.ScheduledEventId, at, failureOf(lambdabiz.StatusFailed, a.Reason, a.Details))
	case types.EventTypeActivityTaskCanceled:
		a := e.ActivityTaskCanceledEventAttributes
		f.worked(a.ScheduledEventId, at, failureOf(lambdabiz.StatusCancelled, nil, a.Details))
	case types.EventTypeActivityTaskTimedOut:
		a := e.ActivityTaskTimedOutEventAttributes
		f.silent(a.ScheduledEventId, at, a.TimeoutType, a.Details)
	case types.EventTypeActivityTaskCancelRequested:
	case types.EventTypeScheduleActivityTaskFailed:
		a := e.ScheduleActivityTaskFailedEventAttributes
		f.refused(aws.ToString(a.ActivityId), at, string(a.Cause), "activity "+aws.ToString(a.ActivityType.Name))
	case types.EventTypeLambdaFunctionScheduled:
		a := e.LambdaFunctionScheduledEventAttributes
		f.scheduled(e.EventId, a.Control, aws.ToString(a.Id))
	case types.EventTypeLambdaFunctionStarted:
		f.begun(e.LambdaFunctionStartedEventAttributes.ScheduledEventId, at)
	case types.EventTypeLambdaFunctionCompleted:
		a := e.LambdaFunctionCompletedEventAttributes
		result := payload("null")
		if a.Result != nil {
			result = payload(*a.Result)
		}
		f.worked(a.ScheduledEventId, at, outcomeEnvelope{Status: lambdabiz.StatusSucceeded, Result: result})
	case types.EventTypeLambdaFunctionFailed:
		a := e.LambdaFunctionFailedEventAttributes
		f.worked(a.ScheduledEventId, at, outcomeEnvelope{
			Status: lambdabiz.StatusFailed, Error: lambdaFailure(a.Reason, a.Details),
		})
	case types.EventTypeLambdaFunctionTimedOut:
		f.worked(e.LambdaFunctionTimedOutEventAttributes.ScheduledEventId, at, timedOut("the Lambda function's time was over"))
	case types.EventTypeScheduleLambdaFunctionFailed:
		a := e.ScheduleLambdaFunctionFailedEventAttributes
		f.refused(aws.ToString(a.Id), at, string(a.Cause), "Lambda function "+aws.ToString(a.Name))
	case types.EventTypeStartLambdaFunctionFailed:
		a := e.StartLambdaFunctionFailedEventAttributes
		f.worked(a.ScheduledEventId, at, outcomeEnvelope{Status: lambdabiz.StatusFailed, Final: true,
			Error: &lambdabiz.Failure{Message: fmt.Sprintf("start Lambda function: %s: %s (check swf.Config.LambdaRole)",
				a.Cause, aws.ToString(a.Message))}})
	default:
		return false
	}
	return true
}

// scheduled notes what SWF has begun for an operation.
func (f *fold) scheduled(event int64, text *string, id string) {
	var c control
	if open(aws.ToString(text), &c) != nil {
		return
	}
	o := f.op(c.Op)
	if o == nil {
		return
	}
	f.byEvent[event] = o
	o.open, o.homeID, o.stopping = event, id, false
	f.openWork++
}

func (f *fold) begun(event int64, at time.Time) {
	if o := f.byEvent[event]; o != nil && o.open == event && !o.Status.Ended() {
		o.Status, o.StartedAt = lambdabiz.StatusStarted, at
		f.changed[o.Number] = true
	}
}

// worked takes the end of an attempt.
func (f *fold) worked(event int64, at time.Time, out outcomeEnvelope) {
	o := f.byEvent[event]
	if o == nil || o.open != event {
		return
	}
	o.open = 0
	f.openWork--
	delete(f.byEvent, event)
	f.news = f.last
	if o.Status.Ended() {
		return // nobody wants it any more
	}
	f.changed[o.Number] = true
	if o.StartedAt.IsZero() {
		o.StartedAt = at
	}
	o.Status, o.EndedAt, o.Result, o.Error = out.Status, at, lambdabiz.Payload(out.Result), out.Error
	if out.Status != lambdabiz.StatusSucceeded {
		o.Tried = &lambdabiz.Tried{Final: out.Final, RetryAfter: out.RetryAfter, NotBegun: out.NotBegun}
	}
}

// silent takes the end of an attempt by its time. The details of its last heartbeat stay for the next. Workers
// send heartbeats by themselves, so one that is missing means that the worker has died: the attempt is not
// charged, unless it has been the end of many workers.
func (f *fold) silent(event int64, at time.Time, kind types.ActivityTaskTimeoutType, details *string) {
	o := f.byEvent[event]
	if o == nil || o.open != event {
		return
	}
	var beat outcomeEnvelope
	if open(aws.ToString(details), &beat) == nil && !o.Status.Ended() {
		o.Details = lambdabiz.Payload(beat.Result)
	}
	if kind != types.ActivityTaskTimeoutTypeHeartbeat {
		f.worked(event, at, timedOut("the attempt's time was over"))
		return
	}
	o.deaths++
	out := timedOut("the worker has died, or was cut off: no heartbeat in time")
	out.NotBegun = o.deaths%maxDeaths != 0
	f.worked(event, at, out)
}

// maxDeaths is how many workers in a row may die with an attempt before it counts as failed.
const maxDeaths = 10

func timedOut(what string) outcomeEnvelope {
	deadline := &lambdabiz.Failure{Message: "context deadline exceeded", Code: "deadlineExceeded"}
	return outcomeEnvelope{Status: lambdabiz.StatusTimeout, Error: &lambdabiz.Failure{
		Message: what + ": context deadline exceeded", Causes: []*lambdabiz.Failure{deadline},
	}}
}

// refused takes a decision that SWF did not follow: for want of room it is tried again, else it is final.
func (f *fold) refused(id string, at time.Time, cause, what string) {
	if f.isDenied("ScheduleActivityTask", cause) {
		return
	}
	for _, o := range f.ops {
		if o.Status.Ended() || o.open != 0 || attemptID(o.ID, o.Attempts) != id {
			continue
		}
		f.news = f.last
		f.changed[o.Number] = true
		o.Status, o.EndedAt = lambdabiz.StatusFailed, at
		o.Error = &lambdabiz.Failure{Message: fmt.Sprintf("schedule %s: %s", what, cause)}
		room := strings.Contains(cause, "LIMIT_EXCEEDED") || strings.Contains(cause, "RATE_EXCEEDED")
		o.Tried = &lambdabiz.Tried{Final: !room, NotBegun: room}
		return
	}
}

// applyTimer takes the events of timers.
func (f *fold) applyTimer(e *types.HistoryEvent, at time.Time) bool {
	switch e.EventType {
	case types.EventTypeTimerStarted:
		a := e.TimerStartedEventAttributes
		var c control
		if open(aws.ToString(a.Control), &c) != nil {
			return true
		}
		f.timers++
		if o := f.op(c.Op); o != nil && c.Wake.IsZero() {
			f.byEvent[e.EventId] = o
			o.open, o.homeID = e.EventId, aws.ToString(a.TimerId)
		} else {
			f.wake = &wakeTimer{e.EventId, aws.ToString(a.TimerId), c.Wake}
		}
	case types.EventTypeTimerFired:
		f.fired(e.TimerFiredEventAttributes.StartedEventId, at)
	case types.EventTypeTimerCanceled, "TimerCancelled": // moto's spelling
		if a := e.TimerCanceledEventAttributes; a != nil {
			f.timerEnded(a.StartedEventId)
		}
	case types.EventTypeStartTimerFailed:
		a := e.StartTimerFailedEventAttributes
		if f.isDenied("StartTimer", string(a.Cause)) {
			return true
		}
		f.news = f.last // the next decision starts it again
		for _, o := range f.ops {
			if o.Kind == lambdabiz.KindTimer && attemptID(o.ID, 1) == aws.ToString(a.TimerId) {
				o.noRoom(string(a.Cause), at)
			}
		}
	case types.EventTypeCancelTimerFailed:
		f.isDenied("CancelTimer", string(e.CancelTimerFailedEventAttributes.Cause))
	case types.EventTypeRequestCancelActivityTaskFailed:
		f.isDenied("RequestCancelActivityTask", string(e.RequestCancelActivityTaskFailedEventAttributes.Cause))
	case types.EventTypeRecordMarkerFailed:
		f.isDenied("RecordMarker", string(e.RecordMarkerFailedEventAttributes.Cause))
	default:
		return false
	}
	return true
}

func (f *fold) timerEnded(event int64) *foldedOp {
	if f.wake != nil && f.wake.event == event {
		f.wake = nil
		f.timers--
		return nil
	}
	o := f.byEvent[event]
	if o != nil {
		delete(f.byEvent, event)
		o.open = 0
		f.timers--
	}
	return o
}

func (f *fold) fired(event int64, at time.Time) {
	wake := f.wake != nil && f.wake.event == event
	o := f.timerEnded(event)
	if wake {
		f.wakeDue, f.news = true, f.last
	}
	if o == nil {
		return
	}
	f.news = f.last
	if !o.Status.Ended() {
		f.changed[o.Number] = true
		o.Status, o.EndedAt = lambdabiz.StatusSucceeded, at
		if at.Before(o.DueAt) { // SWF's stamps are cut to milliseconds
			o.EndedAt = o.DueAt
		}
	}
}

// resultOf reads a result: plain text, or an envelope for what is no text.
func resultOf(text *string) lambdabiz.Payload {
	if text == nil {
		return nil
	}
	var out outcomeEnvelope
	if open(*text, &out) == nil {
		return lambdabiz.Payload(out.Result)
	}
	return lambdabiz.Payload(*text)
}

func activityOutcome(status lambdabiz.Status, text *string) outcomeEnvelope {
	return outcomeEnvelope{Status: status, Result: payload(resultOf(text))}
}

// failureOf reads the end of something without success. What this package has not written keeps its text.
func failureOf(status lambdabiz.Status, reason, details *string) outcomeEnvelope {
	var out outcomeEnvelope
	if open(aws.ToString(details), &out) == nil {
		return out
	}
	text := strings.TrimSpace(aws.ToString(reason) + " " + aws.ToString(details))
	if text == "" {
		text = "ended as " + status.String() + " without a reason"
	}
	return outcomeEnvelope{Status: status, Error: &lambdabiz.Failure{Message: text}}
}

// lambdaFailure reads what SWF says of a function that failed: its details are the function's error as JSON.
func lambdaFailure(reason, details *string) *lambdabiz.Failure {
	var e struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}
	if json.Unmarshal([]byte(aws.ToString(details)), &e) != nil || e.Message == "" {
		return failureOf(lambdabiz.StatusFailed, reason, details).Error
	}
	if e.Type != "" {
		e.Message = e.Type + ": " + e.Message
	}
	return &lambdabiz.Failure{Message: e.Message}
}

// shrink makes a failure fit: long messages are cut, deep causes dropped.
func shrink(f *lambdabiz.Failure, limit int) *lambdabiz.Failure {
	text, err := marshal(f)
	if f == nil || err == nil && len(text) <= limit {
		return f
	}
	small := *f
	small.Message = cut(f.Message, 2000)
	small.Causes = nil
	for _, c := range f.Causes {
		small.Causes = append(small.Causes, shrink(c, 500))
	}
	if text, err = marshal(&small); err == nil && len(text) <= limit {
		return &small
	}
	return &lambdabiz.Failure{Message: cut(f.Message, min(limit/8, 2000))}
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
