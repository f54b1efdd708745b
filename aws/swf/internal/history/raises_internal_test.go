package history

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

func TestRaisedEvents(t *testing.T) {
	t.Parallel()
	begin := func(b *book) int64 {
		return b.on(&types.SignalExternalWorkflowExecutionInitiatedEventAttributes{Control: b.control(1)})
	}
	failed := func(cause types.SignalExternalWorkflowExecutionFailedCause) func(b *book) {
		return func(b *book) {
			b.on(&types.SignalExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: begin(b), Cause: cause})
		}
	}
	checkAll(t, map[string]story{
		"on its way": {
			kind: lambdabiz.KindRaise, tell: func(b *book) { begin(b) }, status: lambdabiz.StatusScheduled, quiet: true, open: true,
		},
		"there": {
			kind: lambdabiz.KindRaise, status: lambdabiz.StatusSucceeded,
			tell: func(b *book) {
				b.on(&types.ExternalWorkflowExecutionSignaledEventAttributes{InitiatedEventId: begin(b)})
			},
		},
		"to nobody": {
			kind: lambdabiz.KindRaise, status: lambdabiz.StatusFailed, text: "not found", tried: &lambdabiz.Tried{Final: true},
			tell: failed(types.SignalExternalWorkflowExecutionFailedCauseUnknownExternalWorkflowExecution),
		},
		"not permitted": {
			kind: lambdabiz.KindRaise, status: lambdabiz.StatusScheduled,
			denied: "SignalExternalWorkflowExecution: OPERATION_NOT_PERMITTED", tell: failed(NotPermitted),
		},
		"never": {
			kind: lambdabiz.KindRaise, status: lambdabiz.StatusFailed, text: "raise event: WHY", tried: &lambdabiz.Tried{Final: true},
			tell: failed("WHY"),
		},
		"not even begun": {
			kind: lambdabiz.KindRaise, status: lambdabiz.StatusFailed, text: "raise event: WHY", tried: &lambdabiz.Tried{Final: true},
			tell: func(b *book) {
				b.on(&types.SignalExternalWorkflowExecutionFailedEventAttributes{Control: b.control(1), Cause: "WHY"})
			},
		},
	})
}
