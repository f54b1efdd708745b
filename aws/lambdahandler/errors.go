package lambdahandler

import "fmt"

// RequestError says what is wrong with a request: the same one never succeeds.
type RequestError struct {
	Field  string // of the request, as in JSON
	Reason string
}

// Error names the field and the reason.
func (e *RequestError) Error() string { return fmt.Sprintf("request: %s: %s", e.Field, e.Reason) }

// RunError says why an invocation could not do its work. The orchestration is as it was, and a later call may
// succeed.
type RunError struct {
	ID  string // the orchestration's; empty in pulse mode
	Err error
}

// Error is the cause with the orchestration's id.
func (e *RunError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("serve orchestrations: %v", e.Err)
	}
	return fmt.Sprintf("drive orchestration %s: %v", e.ID, e.Err)
}

// Unwrap returns the cause.
func (e *RunError) Unwrap() error { return e.Err }
