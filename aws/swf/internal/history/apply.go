package history

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

var errGap = errors.New("the history has a gap")

// ApplyAll takes events in order; those that the fold has it passes over. An error says that one is missing.
func (f *Fold) ApplyAll(events []types.HistoryEvent) error {
	for i := range events {
		if id := events[i].EventId; id > f.Last+1 {
			return fmt.Errorf("%w: event %d follows on %d", errGap, id, f.Last)
		}
		f.Apply(&events[i])
	}
	return nil
}

// Apply takes the next event.
func (f *Fold) Apply(e *types.HistoryEvent) {
	if e.EventId <= f.Last {
		return
	}
	f.Last = e.EventId
	at := wire.Stamp(aws.ToTime(e.EventTimestamp))
	if IsClosing(e.EventType) {
		if j := f.closed(); j != nil {
			f.Take(j, f.fence)
		}
	}
	if f.applyLife(e, at) || f.applyDecision(e) || f.applySignal(e, at) {
		return
	}
	// An event is for one of these, and no news for the others.
	f.hear(f.applyActivity(e, at))
	f.hear(f.applyLambda(e, at))
	f.hear(f.applyTimer(e, at))
	f.hear(f.applyRaise(e, at))
	f.hear(f.applyChild(e, at))
}

// applyDecision takes the events of decision tasks and the journals that came with them.
func (f *Fold) applyDecision(e *types.HistoryEvent) bool {
	var j *wire.Journal
	switch e.EventType {
	case types.EventTypeDecisionTaskStarted:
		f.taskStarted(e.EventId)
	case types.EventTypeDecisionTaskTimedOut:
		f.Crashes++
		f.News, f.held = e.EventId, false
	case types.EventTypeDecisionTaskCompleted:
		f.Crashes = 0
		j = f.answered(e.DecisionTaskCompletedEventAttributes)
	case types.EventTypeMarkerRecorded:
		j = f.marker(e.MarkerRecordedEventAttributes)
	case types.EventTypeRecordMarkerFailed:
		f.hear(ifDenied("RecordMarker", e.RecordMarkerFailedEventAttributes.Cause))
	default:
		if !IsClosingRefused(e.EventType) {
			return false
		}
		f.closed() // the closing did not happen, so nothing of its commit did
		f.News = e.EventId
		f.closingRefused(e)
	}
	if j != nil {
		f.Take(j, f.fence)
	}
	return true
}

// closingRefused looks why SWF did not end the run. Something that has come meanwhile is no fault, a rate passes.
func (f *Fold) closingRefused(e *types.HistoryEvent) {
	switch cause := closingCause(e); {
	case cause == "", cause == "UNHANDLED_DECISION":
	case strings.HasSuffix(cause, "_RATE_EXCEEDED"):
		f.CloseBefore = wire.Stamp(aws.ToTime(e.EventTimestamp)).Add(time.Second)
	default:
		f.Denied = strings.TrimSuffix(string(e.EventType), "Failed") + ": " + cause
	}
}
