package history

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// applyChild takes the events of children.
func (p *Operations) applyChild(e *types.HistoryEvent, at time.Time) news {
	switch e.EventType {
	case types.EventTypeStartChildWorkflowExecutionInitiated:
		p.initiated(e.EventId, e.StartChildWorkflowExecutionInitiatedEventAttributes.Control)
	case types.EventTypeStartChildWorkflowExecutionFailed:
		return p.childRefused(e.StartChildWorkflowExecutionFailedEventAttributes, at)
	case types.EventTypeChildWorkflowExecutionStarted:
		a := e.ChildWorkflowExecutionStartedEventAttributes
		return p.childStarted(a.InitiatedEventId, a.WorkflowExecution, at)
	case types.EventTypeChildWorkflowExecutionCompleted:
		a := e.ChildWorkflowExecutionCompletedEventAttributes
		return p.childEnded(e, a.InitiatedEventId, at, wire.SuccessOf(a.Result))
	case types.EventTypeChildWorkflowExecutionFailed:
		a := e.ChildWorkflowExecutionFailedEventAttributes
		return p.childEnded(e, a.InitiatedEventId, at, wire.FailureOf(lambdabiz.StatusFailed, a.Reason, a.Details))
	case types.EventTypeChildWorkflowExecutionCanceled:
		a := e.ChildWorkflowExecutionCanceledEventAttributes
		return p.childEnded(e, a.InitiatedEventId, at, wire.FailureOf(lambdabiz.StatusCancelled, nil, a.Details))
	case types.EventTypeChildWorkflowExecutionTerminated:
		return p.childEnded(e, e.ChildWorkflowExecutionTerminatedEventAttributes.InitiatedEventId, at, wire.Outcome{
			Status: lambdabiz.StatusTerminated, Error: lambdabiz.FailureOf(lambdabiz.ErrTerminated),
		})
	case types.EventTypeChildWorkflowExecutionTimedOut:
		return p.childEnded(e, e.ChildWorkflowExecutionTimedOutEventAttributes.InitiatedEventId, at,
			wire.TimedOut("the child's time was over"))
	case types.EventTypeRequestCancelExternalWorkflowExecutionInitiated:
		p.cancelling(e.EventId, e.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes.Control)
	case types.EventTypeExternalWorkflowExecutionCancelRequested:
		return p.childTold(e.ExternalWorkflowExecutionCancelRequestedEventAttributes.InitiatedEventId, "")
	case types.EventTypeRequestCancelExternalWorkflowExecutionFailed:
		a := e.RequestCancelExternalWorkflowExecutionFailedEventAttributes
		begun := a.InitiatedEventId
		if begun == 0 { // it was not even initiated
			begun = e.EventId
			p.cancelling(begun, a.Control)
		}
		return p.childTold(begun, a.Cause)
	}
	return news{}
}

// childRefused takes a start that SWF did not follow. For a child that this run has started before it means
// that the same decision came twice.
func (p *Operations) childRefused(a *types.StartChildWorkflowExecutionFailedEventAttributes, at time.Time) news {
	o := p.byEvent[a.InitiatedEventId]
	var c wire.Control
	if o == nil && wire.Open(aws.ToString(a.Control), &c) == nil {
		o = p.Find(c.Op)
	}
	if o == nil || o.Open != 0 && o.Open != a.InitiatedEventId {
		return news{}
	}
	if o.Open != 0 {
		delete(p.byEvent, o.Open)
		o.Open = 0
		p.OpenChildren--
	}
	if o.Status.Ended() {
		return news{}
	}
	if o.Start != nil {
		n, notPermitted := denied("StartChildWorkflowExecution", string(a.Cause))
		if notPermitted || o.noRoom(string(a.Cause), at) {
			o.Begun = false
			return n
		}
	}
	p.Changed[o.Number] = true
	o.Status, o.EndedAt = lambdabiz.StatusFailed, at
	if a.Cause == types.StartChildWorkflowExecutionFailedCauseWorkflowAlreadyRunning {
		o.Error = lambdabiz.FailureOf(lambdabiz.ErrExists)
	} else {
		o.Error = &lambdabiz.Failure{Message: fmt.Sprintf("start child %s: %s", wire.DecodeID(aws.ToString(a.WorkflowId)), a.Cause)}
	}
	return news{due: true}
}

func (p *Operations) childStarted(event int64, x *types.WorkflowExecution, at time.Time) news {
	o := p.byEvent[event]
	if o == nil {
		return news{}
	}
	if x != nil {
		o.Child = aws.ToString(x.RunId)
	}
	if o.Status.Ended() {
		return news{}
	}
	p.Changed[o.Number] = true
	o.StartedAt = at
	if !o.detached {
		return news{}
	}
	if id, err := json.Marshal(o.Target); err == nil {
		o.Status, o.EndedAt, o.Result = lambdabiz.StatusSucceeded, at, id
	}
	return news{due: true}
}

func (p *Operations) childEnded(e *types.HistoryEvent, begun int64, at time.Time, out wire.Outcome) news {
	o := p.ended(begun)
	if o == nil {
		return news{}
	}
	p.OpenChildren--
	if o.detached || o.Status.Ended() {
		return news{}
	}
	return news{child: &lambdabiz.Message{
		Number: messageNumber(e.EventId), Kind: lambdabiz.MessageChild, ArrivedAt: at, Operation: o.Number, Status: out.Status,
		Payload: lambdabiz.Payload(out.Result), Error: out.Error,
	}}
}

// cancelling notes a cancellation of a child that SWF is about to hand on.
func (p *Operations) cancelling(event int64, text *string) {
	var c wire.Control
	if wire.Open(aws.ToString(text), &c) != nil {
		return
	}
	if o := p.Find(c.Op); o != nil && o.Kind == lambdabiz.KindChild {
		p.cancels[event], o.Stopping = o.Number, true
	}
}

// childTold takes what became of it. A child that has continued as new meanwhile, and one for which SWF had no room,
// is asked again with the next decision.
func (p *Operations) childTold(event int64, cause types.RequestCancelExternalWorkflowExecutionFailedCause) news {
	o := p.Find(p.cancels[event])
	delete(p.cancels, event)
	if o == nil {
		return news{}
	}
	switch cause {
	case types.RequestCancelExternalWorkflowExecutionFailedCauseUnknownExternalWorkflowExecution,
		types.RequestCancelExternalWorkflowExecutionFailedCauseRequestCancelExternalWorkflowExecutionRateExceeded:
		o.Stopping = false
	case types.RequestCancelExternalWorkflowExecutionFailedCauseOperationNotPermitted:
		o.Stopping = false
		return ifDenied("RequestCancelExternalWorkflowExecution", cause)
	default:
		o.Told = true
	}
	return news{}
}
