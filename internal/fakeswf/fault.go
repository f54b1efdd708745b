package fakeswf

import (
	"fmt"
	"net/http"
	"strings"
)

// apiError is an error of the API as it goes over the wire.
type apiError struct {
	kind    string // such as UnknownResourceFault
	message string
	status  int
}

// Error returns the kind and the message.
func (e *apiError) Error() string {
	return e.kind + ": " + e.message
}

// wireType is the name with its namespace, as AWS sends it in __type; clients look at what stands behind the #.
func (e *apiError) wireType() string {
	switch {
	case strings.HasSuffix(e.kind, "Fault"):
		return "com.amazonaws.swf.base.model#" + e.kind
	case e.kind == "ValidationException":
		return "com.amazon.coral.validate#" + e.kind
	default:
		return "com.amazon.coral.service#" + e.kind
	}
}

func faultf(kind, format string, args ...any) *apiError {
	return &apiError{kind: kind, message: fmt.Sprintf(format, args...), status: http.StatusBadRequest}
}

func invalidf(format string, args ...any) *apiError {
	return faultf("ValidationException", format, args...)
}

// invalidMembers is AWS's message for violations of the model.
func invalidMembers(problems []string) *apiError {
	plural := ""
	if len(problems) > 1 {
		plural = "s"
	}
	return invalidf("%d validation error%s detected: %s", len(problems), plural, strings.Join(problems, "; "))
}

func unknownf(format string, args ...any) *apiError {
	return faultf("UnknownResourceFault", format, args...)
}

func unknownExecution(workflowID, runID string) *apiError {
	if runID == "" {
		return unknownf("Unknown execution, workflowId = %s", workflowID)
	}
	return unknownf("Unknown execution: WorkflowExecution=[workflowId=%s, runId=%s]", workflowID, runID)
}
