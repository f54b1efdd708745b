package history

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"
)

// NotPermitted is SWF's cause for a decision that the role of the decider does not allow (Developer Guide, "Using IAM to
// Manage Access to Amazon SWF Resources": decisions are permitted as if they were calls).
const NotPermitted = "OPERATION_NOT_PERMITTED"

// denied is the news of a decision that SWF did not follow because it is not permitted: asking again would be refused
// again, so the run is blocked, and says what is missing. It reports whether that was the cause.
func denied(decision, cause string) (news, bool) {
	if cause != NotPermitted {
		return news{}, false
	}
	return news{denied: decision + ": " + cause}, true
}

// ifDenied is denied for decisions whose other causes do no harm.
func ifDenied[C ~string](decision string, cause C) news {
	n, _ := denied(decision, string(cause))
	return n
}

// closingCause is why SWF did not end the run.
func closingCause(e *types.HistoryEvent) string {
	switch {
	case e.CompleteWorkflowExecutionFailedEventAttributes != nil:
		return string(e.CompleteWorkflowExecutionFailedEventAttributes.Cause)
	case e.FailWorkflowExecutionFailedEventAttributes != nil:
		return string(e.FailWorkflowExecutionFailedEventAttributes.Cause)
	case e.CancelWorkflowExecutionFailedEventAttributes != nil:
		return string(e.CancelWorkflowExecutionFailedEventAttributes.Cause)
	case e.ContinueAsNewWorkflowExecutionFailedEventAttributes != nil:
		return string(e.ContinueAsNewWorkflowExecutionFailedEventAttributes.Cause)
	default:
		return ""
	}
}

// IsClosing reports whether an event ends a run by a decision of its own.
func IsClosing(t types.EventType) bool {
	switch t {
	case types.EventTypeWorkflowExecutionCompleted, types.EventTypeWorkflowExecutionFailed,
		types.EventTypeWorkflowExecutionCanceled, types.EventTypeWorkflowExecutionContinuedAsNew:
		return true
	default:
		return false
	}
}

// IsEnd reports whether an event ends a run, by whomever.
func IsEnd(t types.EventType) bool {
	return IsClosing(t) || t == types.EventTypeWorkflowExecutionTimedOut || t == types.EventTypeWorkflowExecutionTerminated
}

// IsClosingRefused reports whether SWF has refused to end a run.
func IsClosingRefused(t types.EventType) bool {
	switch t {
	case types.EventTypeCompleteWorkflowExecutionFailed, types.EventTypeFailWorkflowExecutionFailed,
		types.EventTypeCancelWorkflowExecutionFailed, types.EventTypeContinueAsNewWorkflowExecutionFailed:
		return true
	default:
		return false
	}
}

// isLimit reports that SWF had no room for a decision when it came.
func isLimit(cause string) bool {
	return strings.Contains(cause, "LIMIT_EXCEEDED") || strings.Contains(cause, "RATE_EXCEEDED")
}
