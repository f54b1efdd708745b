package history

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// applyRaise takes the events of events that were raised in other runs.
func (p *Operations) applyRaise(e *types.HistoryEvent, at time.Time) news {
	switch e.EventType {
	case types.EventTypeSignalExternalWorkflowExecutionInitiated:
		p.initiated(e.EventId, e.SignalExternalWorkflowExecutionInitiatedEventAttributes.Control)
	case types.EventTypeExternalWorkflowExecutionSignaled:
		return p.raised(e.ExternalWorkflowExecutionSignaledEventAttributes.InitiatedEventId, at, "")
	case types.EventTypeSignalExternalWorkflowExecutionFailed:
		a := e.SignalExternalWorkflowExecutionFailedEventAttributes
		begun := a.InitiatedEventId
		if begun == 0 { // it was not even initiated
			begun = e.EventId
			p.initiated(begun, a.Control)
		}
		return p.raised(begun, at, string(a.Cause))
	}
	return news{}
}

// raised takes the outcome of a raised event. SWF has one cause for ids that do not exist and for runs that
// have ended; which one it is is looked up when the run is claimed.
func (p *Operations) raised(event int64, at time.Time, cause string) news {
	o := p.ended(event)
	if o == nil {
		return news{}
	}
	if o.Status.Ended() {
		return news{due: true}
	}
	p.Changed[o.Number] = true
	if o.noRoom(cause, at) {
		o.Again = true
		return news{due: true}
	}
	if n, yes := denied("SignalExternalWorkflowExecution", cause); yes {
		o.Again = true
		return n
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
	return news{due: true}
}
