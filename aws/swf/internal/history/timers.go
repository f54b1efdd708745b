package history

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// applyTimer takes the events of timers.
func (p *Operations) applyTimer(e *types.HistoryEvent, at time.Time) news {
	switch e.EventType {
	case types.EventTypeTimerStarted:
		p.timerStarted(e.EventId, e.TimerStartedEventAttributes)
	case types.EventTypeTimerFired:
		return p.fired(e.TimerFiredEventAttributes.StartedEventId, at)
	case types.EventTypeTimerCanceled, "TimerCancelled": // moto's spelling
		if a := e.TimerCanceledEventAttributes; a != nil {
			p.timerEnded(a.StartedEventId)
		}
	case types.EventTypeStartTimerFailed:
		a := e.StartTimerFailedEventAttributes
		if n, yes := denied("StartTimer", string(a.Cause)); yes {
			return n
		}
		for _, o := range p.Ops {
			if o.Kind == lambdabiz.KindTimer && wire.AttemptID(o.ID, 1) == aws.ToString(a.TimerId) {
				o.noRoom(string(a.Cause), at)
			}
		}
		return news{due: true} // the next decision starts it again
	case types.EventTypeCancelTimerFailed:
		return ifDenied("CancelTimer", e.CancelTimerFailedEventAttributes.Cause)
	}
	return news{}
}

func (p *Operations) timerStarted(event int64, a *types.TimerStartedEventAttributes) {
	var c wire.Control
	if wire.Open(aws.ToString(a.Control), &c) != nil {
		return
	}
	p.OpenTimers++
	if o := p.Find(c.Op); o != nil && c.Wake.IsZero() {
		p.byEvent[event] = o
		o.Open, o.HomeID = event, aws.ToString(a.TimerId)
	} else {
		p.Wake = &Timer{event, aws.ToString(a.TimerId), c.Wake}
	}
}

func (p *Operations) fired(event int64, at time.Time) news {
	n := news{wake: p.Wake != nil && p.Wake.event == event}
	o := p.timerEnded(event)
	if o == nil {
		return n
	}
	n.due = true
	if !o.Status.Ended() {
		p.Changed[o.Number] = true
		o.Status, o.EndedAt = lambdabiz.StatusSucceeded, at
		if at.Before(o.DueAt) { // SWF's stamps are cut to milliseconds
			o.EndedAt = o.DueAt
		}
	}
	return n
}

// timerEnded forgets a timer, and is the operation that it belonged to.
func (p *Operations) timerEnded(event int64) *Op {
	if p.Wake != nil && p.Wake.event == event {
		p.Wake = nil
		p.OpenTimers--
		return nil
	}
	o := p.byEvent[event]
	if o != nil {
		delete(p.byEvent, event)
		o.Open = 0
		p.OpenTimers--
	}
	return o
}
