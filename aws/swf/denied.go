package swf

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// notPermitted is SWF's cause for a decision that the role of the decider does not allow (Developer Guide, "Using IAM to
// Manage Access to Amazon SWF Resources": decisions are permitted as if they were calls).
const notPermitted = "OPERATION_NOT_PERMITTED"

// isDenied notes a decision that SWF did not follow because it is not permitted: asking again would be refused again, so
// the run is blocked, and says what is missing. It reports whether that was the cause.
func (f *fold) isDenied(decision, cause string) bool {
	if cause != notPermitted {
		return false
	}
	f.denied, f.news = decision+": "+cause, f.last
	return true
}

// closingRefused looks why SWF did not end the run. Something that has come meanwhile is no fault, a rate passes.
func (f *fold) closingRefused(e *types.HistoryEvent) {
	cause := ""
	if a := e.CompleteWorkflowExecutionFailedEventAttributes; a != nil {
		cause = string(a.Cause)
	}
	if a := e.FailWorkflowExecutionFailedEventAttributes; a != nil {
		cause = string(a.Cause)
	}
	if a := e.CancelWorkflowExecutionFailedEventAttributes; a != nil {
		cause = string(a.Cause)
	}
	if a := e.ContinueAsNewWorkflowExecutionFailedEventAttributes; a != nil {
		cause = string(a.Cause)
	}
	switch {
	case cause == "", cause == "UNHANDLED_DECISION":
	case strings.HasSuffix(cause, "_RATE_EXCEEDED"):
		f.closeBefore = stamp(aws.ToTime(e.EventTimestamp)).Add(time.Second)
	default:
		f.denied = strings.TrimSuffix(string(e.EventType), "Failed") + ": " + cause
	}
}

// whyDenied is why a commit is not sent: SWF would refuse a part of it. One that only blocks the run is.
func (f *fold) whyDenied(c *lambdabiz.Commit) error {
	if f.denied == "" || c.Release != nil && c.Release.Blocked != nil {
		return nil
	}
	decision, cause, _ := strings.Cut(f.denied, ": ")
	if cause == notPermitted {
		return fmt.Errorf("decide: Amazon SWF does not permit %s: allow swf:%s to the role of the workers, then resume the orchestration",
			decision, decision)
	}
	return fmt.Errorf("decide: Amazon SWF refuses %s: %s; resume the orchestration when that has changed", decision, cause)
}
