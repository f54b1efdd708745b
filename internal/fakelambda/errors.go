package fakelambda

import (
	"encoding/json"
	"fmt"
	"time"
)

// Values of the header X-Amz-Function-Error.
const (
	handled   = "Handled"
	unhandled = "Unhandled"
)

func encodeError(e FunctionError) []byte {
	encoded, err := json.Marshal(e)
	if err != nil { // strings and a list of them
		panic(err)
	}
	return encoded
}

// exitError is what Lambda reports when a process has ended during an invocation: {"errorType":
// "Runtime.ExitError","errorMessage":"RequestId: ... Error: Runtime exited with error: exit status 1"}
// (answers of AWS in floci-io/floci, issue 3314).
func exitError(requestID, how string) []byte {
	return encodeError(FunctionError{Type: "Runtime.ExitError", Message: fmt.Sprintf("RequestId: %s Error: %s", requestID, how)})
}

// timeoutError is what Lambda reports for an invocation over its timeout: type Sandbox.Timedout (same
// source), with the seconds in two decimals.
func timeoutError(requestID string, limit time.Duration) []byte {
	return encodeError(FunctionError{Type: "Sandbox.Timedout",
		Message: fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", requestID, limit.Seconds())})
}

// tooLargeError is what Lambda reports for a response over its limit.
func tooLargeError(size int) []byte {
	return encodeError(FunctionError{Type: "Function.ResponseSizeTooLarge", Message: fmt.Sprintf(
		"Response payload size (%d bytes) exceeded maximum allowed payload size (%d bytes).", size, MaxResponseBytes)})
}
