package swf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// originalPoke is the signal that the original sent to itself on every wait.
const originalPoke = "LambdaBizRunEvent"

// applyOther takes signals, raised events and children.
func (f *fold) applyOther(e *types.HistoryEvent, at time.Time) bool {
	switch e.EventType {
	case types.EventTypeWorkflowExecutionSignaled:
		a := e.WorkflowExecutionSignaledEventAttributes
		f.signal(messageNumber(e.EventId), aws.ToString(a.SignalName), a.Input, at)
	case types.EventTypeWorkflowExecutionCancelRequested:
		f.cancel(messageNumber(e.EventId), "", at)
	case types.EventTypeSignalExternalWorkflowExecutionInitiated:
		f.initiated(e.EventId, e.SignalExternalWorkflowExecutionInitiatedEventAttributes.Control)
	case types.EventTypeExternalWorkflowExecutionSignaled:
		f.raised(e.ExternalWorkflowExecutionSignaledEventAttributes.InitiatedEventId, at, "")
	case types.EventTypeSignalExternalWorkflowExecutionFailed:
		a := e.SignalExternalWorkflowExecutionFailedEventAttributes
		begun := a.InitiatedEventId
		if begun == 0 { // it was not even initiated
			begun = e.EventId
			f.initiated(begun, a.Control)
		}
		f.raised(begun, at, string(a.Cause))
	default:
		return f.applyChild(e, at)
	}
	return true
}

func (f *fold) signal(number int64, name string, input *string, at time.Time) {
	var s signalEnvelope
	if open(aws.ToString(input), &s) != nil {
		if name == originalPoke {
			return
		}
		var data lambdabiz.Payload
		if input != nil {
			data = lambdabiz.Payload(*input)
		}
		f.event(number, name, "", data, at)
		return
	}
	switch s.Kind {
	case signalEvent:
		f.event(number, name, s.Key, lambdabiz.Payload(s.Data), at)
	case signalCancel:
		f.cancel(number, s.Reason, at)
	case signalPause:
		if !f.info.Paused && f.held {
			m := lambdabiz.Message{Number: number, Kind: lambdabiz.MessagePause, ArrivedAt: at}
			if s.Reason != "" {
				m.Error = &lambdabiz.Failure{Message: s.Reason}
			}
			f.message(m)
		}
		if !f.info.Paused {
			f.info.Paused, f.info.PauseReason = true, s.Reason
		}
	case signalResume: // who has not heard of the pause needs not hear of it any more
		f.messages = slices.DeleteFunc(f.messages, func(m lambdabiz.Message) bool { return m.Kind == lambdabiz.MessagePause })
		f.info.Paused, f.info.PauseReason, f.info.Blocked, f.crashes = false, "", nil, 0
		f.denied = ""
		f.wakeDue, f.news, f.freed = true, f.last, f.last
	case signalDrop:
		f.info.Blocked, f.freed = nil, f.last
		f.message(lambdabiz.Message{Number: number, Kind: lambdabiz.MessageDrop, ArrivedAt: at, Operation: s.Drop})
	case signalClaim:
		f.news, f.owners = f.last, append(f.owners, s.Key)
	case signalPart:
		f.part(&s)
	case signalJournal:
		if s.Journal != nil && s.Fence == f.started && f.held { // else its writer was not the owner any more
			f.fence = s.Fence
			f.take(s.Journal, s.Fence)
		}
	}
}

// initiated notes a raised event or a child that SWF is about to deliver or to start.
func (f *fold) initiated(event int64, text *string) {
	var c control
	if open(aws.ToString(text), &c) != nil {
		return
	}
	if o := f.op(c.Op); o != nil {
		f.byEvent[event] = o
		o.open, o.detached, o.key, o.again = event, c.Detached, c.Key, false
		if o.Kind == lambdabiz.KindChild {
			o.begun = true
			f.children++
		}
	}
}

// noRoom notes that SWF had no room for an operation now. It reports false for what SWF will never take.
func (o *foldedOp) noRoom(cause string, at time.Time) bool {
	if !strings.HasSuffix(cause, "_RATE_EXCEEDED") && !strings.HasSuffix(cause, "_LIMIT_EXCEEDED") {
		return false
	}
	o.notBefore = at.Add(min(time.Second<<min(o.refusals, 10), time.Minute))
	o.refusals++
	return true
}

// raised takes the outcome of a raised event. SWF has one cause for ids that do not exist and for runs that
// have ended; which one it is is looked up when the run is claimed.
func (f *fold) raised(event int64, at time.Time, cause string) {
	o := f.byEvent[event]
	if o == nil || o.open != event {
		return
	}
	delete(f.byEvent, event)
	o.open = 0
	f.news = f.last
	if o.Status.Ended() {
		return
	}
	f.changed[o.Number] = true
	if o.noRoom(cause, at) || f.isDenied("SignalExternalWorkflowExecution", cause) {
		o.again = true
		return
	}
	o.EndedAt = at
	switch cause {
	case "":
		o.Status = lambdabiz.StatusSucceeded
	case string(types.SignalExternalWorkflowExecutionFailedCauseUnknownExternalWorkflowExecution):
		o.Status, o.Error = lambdabiz.StatusFailed, lambdabiz.FailureOf(lambdabiz.ErrNotFound)
		o.Tried = &lambdabiz.Tried{Final: true}
	default:
		o.Status, o.Error = lambdabiz.StatusFailed, &lambdabiz.Failure{Message: "raise event: " + cause}
		o.Tried = &lambdabiz.Tried{Final: true}
	}
}

// applyChild takes the events of children.
func (f *fold) applyChild(e *types.HistoryEvent, at time.Time) bool {
	switch e.EventType {
	case types.EventTypeStartChildWorkflowExecutionInitiated:
		f.initiated(e.EventId, e.StartChildWorkflowExecutionInitiatedEventAttributes.Control)
	case types.EventTypeStartChildWorkflowExecutionFailed:
		a := e.StartChildWorkflowExecutionFailedEventAttributes
		f.childRefused(a, at)
	case types.EventTypeChildWorkflowExecutionStarted:
		a := e.ChildWorkflowExecutionStartedEventAttributes
		f.childStarted(a.InitiatedEventId, a.WorkflowExecution, at)
	case types.EventTypeChildWorkflowExecutionCompleted:
		a := e.ChildWorkflowExecutionCompletedEventAttributes
		f.childEnded(a.InitiatedEventId, at, activityOutcome(lambdabiz.StatusSucceeded, a.Result))
	case types.EventTypeChildWorkflowExecutionFailed:
		a := e.ChildWorkflowExecutionFailedEventAttributes
		f.childEnded(a.InitiatedEventId, at, failureOf(lambdabiz.StatusFailed, a.Reason, a.Details))
	case types.EventTypeChildWorkflowExecutionCanceled:
		a := e.ChildWorkflowExecutionCanceledEventAttributes
		f.childEnded(a.InitiatedEventId, at, failureOf(lambdabiz.StatusCancelled, nil, a.Details))
	case types.EventTypeChildWorkflowExecutionTerminated:
		f.childEnded(e.ChildWorkflowExecutionTerminatedEventAttributes.InitiatedEventId, at, outcomeEnvelope{
			Status: lambdabiz.StatusTerminated, Error: lambdabiz.FailureOf(lambdabiz.ErrTerminated),
		})
	case types.EventTypeChildWorkflowExecutionTimedOut:
		f.childEnded(e.ChildWorkflowExecutionTimedOutEventAttributes.InitiatedEventId, at, timedOut("the child's time was over"))
	case types.EventTypeRequestCancelExternalWorkflowExecutionInitiated:
		f.cancelling(e.EventId, e.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes.Control)
	case types.EventTypeExternalWorkflowExecutionCancelRequested:
		f.childTold(e.ExternalWorkflowExecutionCancelRequestedEventAttributes.InitiatedEventId, "")
	case types.EventTypeRequestCancelExternalWorkflowExecutionFailed:
		a := e.RequestCancelExternalWorkflowExecutionFailedEventAttributes
		begun := a.InitiatedEventId
		if begun == 0 { // it was not even initiated
			begun = e.EventId
			f.cancelling(begun, a.Control)
		}
		f.childTold(begun, a.Cause)
	default:
		return false
	}
	return true
}

// childRefused takes a start that SWF did not follow. For a child that this run has started before it means
// that the same decision came twice.
func (f *fold) childRefused(a *types.StartChildWorkflowExecutionFailedEventAttributes, at time.Time) {
	o := f.byEvent[a.InitiatedEventId]
	var c control
	if o == nil && open(aws.ToString(a.Control), &c) == nil {
		o = f.op(c.Op)
	}
	if o == nil || o.open != 0 && o.open != a.InitiatedEventId {
		return
	}
	if o.open != 0 {
		delete(f.byEvent, o.open)
		o.open = 0
		f.children--
	}
	if o.Status.Ended() {
		return
	}
	if o.start != nil && (o.noRoom(string(a.Cause), at) || f.isDenied("StartChildWorkflowExecution", string(a.Cause))) {
		o.begun = false
		return
	}
	f.news = f.last
	f.changed[o.Number] = true
	o.Status, o.EndedAt = lambdabiz.StatusFailed, at
	if a.Cause == types.StartChildWorkflowExecutionFailedCauseWorkflowAlreadyRunning {
		o.Error = lambdabiz.FailureOf(lambdabiz.ErrExists)
	} else {
		o.Error = &lambdabiz.Failure{Message: fmt.Sprintf("start child %s: %s", decodeID(aws.ToString(a.WorkflowId)), a.Cause)}
	}
}

func (f *fold) childStarted(event int64, x *types.WorkflowExecution, at time.Time) {
	o := f.byEvent[event]
	if o == nil {
		return
	}
	if x != nil {
		o.child = aws.ToString(x.RunId)
	}
	if o.Status.Ended() {
		return
	}
	f.changed[o.Number] = true
	o.StartedAt = at
	if o.detached {
		f.news = f.last
		id, err := json.Marshal(o.Target)
		if err == nil {
			o.Status, o.EndedAt, o.Result = lambdabiz.StatusSucceeded, at, id
		}
	}
}

func (f *fold) childEnded(event int64, at time.Time, out outcomeEnvelope) {
	o := f.byEvent[event]
	if o == nil || o.open != event {
		return
	}
	delete(f.byEvent, event)
	o.open = 0
	f.children--
	if o.detached || o.Status.Ended() {
		return
	}
	f.message(lambdabiz.Message{
		Number: messageNumber(f.last), Kind: lambdabiz.MessageChild, ArrivedAt: at, Operation: o.Number, Status: out.Status,
		Payload: lambdabiz.Payload(out.Result), Error: out.Error,
	})
}
