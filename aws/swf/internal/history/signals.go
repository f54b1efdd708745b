package history

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// originalPoke is the signal that the original sent to itself on every wait.
const originalPoke = "LambdaBizRunEvent"

// applySignal takes what others have sent to the run, and the run to itself.
func (f *Fold) applySignal(e *types.HistoryEvent, at time.Time) bool {
	number := messageNumber(e.EventId)
	switch e.EventType {
	case types.EventTypeWorkflowExecutionSignaled:
		a := e.WorkflowExecutionSignaledEventAttributes
		var s wire.Signal
		if wire.Open(aws.ToString(a.Input), &s) == nil {
			f.signal(number, aws.ToString(a.SignalName), &s, at)
		} else {
			f.foreign(number, aws.ToString(a.SignalName), a.Input, at)
		}
	case types.EventTypeWorkflowExecutionCancelRequested:
		f.cancel(number, "", at)
	default:
		return false
	}
	return true
}

// foreign takes a signal that somebody else has sent: an event whose payload is the input as it is.
func (f *Fold) foreign(number int64, name string, input *string, at time.Time) {
	if name == originalPoke {
		return
	}
	var data lambdabiz.Payload
	if input != nil {
		data = lambdabiz.Payload(*input)
	}
	f.event(number, name, "", data, at)
}

func (f *Fold) signal(number int64, name string, s *wire.Signal, at time.Time) {
	switch s.Kind {
	case wire.SignalEvent:
		f.event(number, name, s.Key, lambdabiz.Payload(s.Data), at)
	case wire.SignalCancel:
		f.cancel(number, s.Reason, at)
	case wire.SignalPause:
		f.pause(number, s.Reason, at)
	case wire.SignalResume: // who has not heard of the pause needs not hear of it any more
		f.dropPauses()
		f.Info.Paused, f.Info.PauseReason, f.Info.Blocked, f.Crashes = false, "", nil, 0
		f.Denied = ""
		f.WakeDue, f.News, f.freed = true, f.Last, f.Last
	case wire.SignalDrop:
		f.Info.Blocked, f.freed = nil, f.Last
		f.message(&lambdabiz.Message{Number: number, Kind: lambdabiz.MessageDrop, ArrivedAt: at, Operation: s.Drop})
	case wire.SignalClaim:
		f.News, f.Owners = f.Last, append(f.Owners, s.Key)
	case wire.SignalPart:
		f.part(s)
	case wire.SignalJournal:
		if s.Journal != nil && f.isOwner(s.Fence) {
			f.Take(s.Journal, s.Fence)
		}
	}
}

// pause pauses the run, once. Whoever holds it gets to hear of it.
func (f *Fold) pause(number int64, reason string, at time.Time) {
	if f.Info.Paused {
		return
	}
	f.Info.Paused, f.Info.PauseReason = true, reason
	if f.held {
		f.message(&lambdabiz.Message{Number: number, Kind: lambdabiz.MessagePause, ArrivedAt: at, Error: reasonOf(reason)})
	}
}
