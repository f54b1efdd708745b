package history

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// TestWhatSWFHasNoRoomForIsAskedForAgain, ever later.
func TestWhatSWFHasNoRoomForIsAskedForAgain(t *testing.T) {
	t.Parallel()
	b := newBook(t).recorded(
		recordOf(1, lambdabiz.KindRaise, func(r *wire.Record) { r.Raise = &wire.Raise{Key: "k"} }),
		recordOf(2, lambdabiz.KindChild, func(r *wire.Record) { r.Child = &wire.Child{List: "list"} }),
	)
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		for n := int64(1); n <= 2; n++ {
			if o := b.fold().Find(n); !o.ToBegin() {
				t.Fatalf("operation %d: %+v", n, o)
			}
		}
		raised := b.on(&types.SignalExternalWorkflowExecutionFailedEventAttributes{
			InitiatedEventId: b.on(&types.SignalExternalWorkflowExecutionInitiatedEventAttributes{Control: b.control(1)}),
			Cause:            "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_RATE_EXCEEDED",
		})
		started := b.on(&types.StartChildWorkflowExecutionFailedEventAttributes{
			InitiatedEventId: b.on(&types.StartChildWorkflowExecutionInitiatedEventAttributes{Control: b.control(2)}),
			Cause:            "OPEN_CHILDREN_LIMIT_EXCEEDED",
		})
		f := b.fold()
		for n, event := range map[int64]int64{1: raised, 2: started} {
			at := aws.ToTime(b.events[event-1].EventTimestamp)
			if got := f.Find(n).NotBefore.Sub(at); got != want {
				t.Errorf("operation %d waits for %v, want %v", n, got, want)
			}
		}
	}
}
