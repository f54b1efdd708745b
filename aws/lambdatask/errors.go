package lambdatask

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

func init() { //nolint:gochecknoinits // as the documentation of RegisterErrors says
	lambdabiz.RegisterErrors(
		lambdabiz.ErrorType[*FunctionError]("lambdatask.FunctionError"),
		lambdabiz.ErrorType[*InvokeError]("lambdatask.InvokeError"))
}

// What an error keeps, so that it fits into the engine's record of an error tree whole.
const (
	maxMessageBytes = 4 << 10
	maxTypeBytes    = 256
	maxStackFrames  = 64
	maxStackBytes   = 16 << 10
	maxErrorBytes   = 32 << 10 // as JSON
)

// FunctionError is what a Lambda function answered instead of a result. It is in the *lambdabiz.TaskError
// of the call, and errors.As finds it in a resumed run too. The call's Retry policy decides about further
// attempts; Backoff.NonRetryable takes a FunctionError with only its Type set, since errors.Is compares the
// fields Function, Type and Message that are not empty.
type FunctionError struct {
	Function string `json:"function"` // as it was invoked
	// Type is the error's type: the name of the Go error type, of an exception's class, or one of Lambda's
	// own, like Sandbox.Timedout (the function's timeout), Runtime.ExitError (its process has ended) or
	// Function.ResponseSizeTooLarge.
	Type    string `json:"type,omitempty"`
	Message string `json:"message"` // its first 4 KiB
	// StackTrace has a frame in each line: as the runtime gives it, or "function path:line" for Go. At most
	// 64 frames are kept.
	StackTrace []string `json:"stackTrace,omitempty"`
	// Handled is Lambda's word for an error that the runtime reported as the function's own. The runtimes of
	// today do not use it: with them all errors are unhandled.
	Handled bool `json:"handled,omitempty"`
}

// Error names the function, the type and the message.
func (e *FunctionError) Error() string {
	text := "Lambda function " + e.Function + " failed: "
	if e.Type != "" {
		text += e.Type + ": "
	}
	return text + e.Message
}

// Retryable reports false when the function's response was too large for Lambda. The engine asks it.
func (e *FunctionError) Retryable() bool { return e.Type != "Function.ResponseSizeTooLarge" }

// Is compares the fields of a *FunctionError that are set. A response that was too large for Lambda is
// lambdabiz.ErrTooLarge.
func (e *FunctionError) Is(target error) bool {
	if target == lambdabiz.ErrTooLarge {
		return !e.Retryable()
	}
	t, ok := target.(*FunctionError)
	same := func(want, got string) bool { return want == "" || want == got }
	return ok && same(t.Function, e.Function) && same(t.Type, e.Type) && same(t.Message, e.Message)
}

// functionErrorOf reads the error object of a function.
func functionErrorOf(function, kind string, payload []byte) *FunctionError {
	e := &FunctionError{Function: function, Handled: kind == "Handled"}
	var object struct {
		ErrorMessage *string         `json:"errorMessage"`
		ErrorType    string          `json:"errorType"`
		StackTrace   json.RawMessage `json:"stackTrace"`
		Trace        json.RawMessage `json:"trace"` // of Node.js
	}
	if err := json.Unmarshal(payload, &object); err != nil || object.ErrorMessage == nil && object.ErrorType == "" {
		e.Message = cut(string(payload), maxMessageBytes) // a runtime of somebody's own
		return e
	}
	if object.ErrorMessage != nil {
		e.Message = cut(*object.ErrorMessage, maxMessageBytes)
	}
	e.Type = cut(object.ErrorType, maxTypeBytes)
	trace := object.StackTrace
	if len(trace) == 0 || string(trace) == "null" {
		trace = object.Trace
	}
	e.StackTrace = framesOf(trace)
	e.shrink()
	return e
}

// shrink drops the outer frames of a stack that is long in JSON, where a control character has six bytes.
func (e *FunctionError) shrink() {
	for len(e.StackTrace) > 0 {
		encoded, err := json.Marshal(e)
		if err == nil && len(encoded) <= maxErrorBytes {
			return
		}
		e.StackTrace = e.StackTrace[:len(e.StackTrace)/2]
	}
}

// framesOf reads a stack trace: Go's runtime gives objects, the others strings.
func framesOf(trace json.RawMessage) []string {
	var list []json.RawMessage
	if json.Unmarshal(trace, &list) != nil {
		var text string
		if json.Unmarshal(trace, &text) != nil || text == "" {
			return nil
		}
		return []string{cut(text, maxStackBytes)}
	}
	var frames []string
	size := 0
	for _, raw := range list {
		frame := frameOf(raw)
		size += len(frame)
		if len(frames) == maxStackFrames || size > maxStackBytes {
			break
		}
		frames = append(frames, frame)
	}
	return frames
}

func frameOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return strings.TrimRight(text, "\n")
	}
	var frame struct {
		Path  string `json:"path"`
		Line  int    `json:"line"`
		Label string `json:"label"`
	}
	if json.Unmarshal(raw, &frame) == nil && frame.Path+frame.Label != "" {
		return fmt.Sprintf("%s %s:%d", frame.Label, frame.Path, frame.Line)
	}
	return string(raw)
}

// InvokeError says that Lambda did not perform an invocation, or that its answer was lost. It keeps its fields
// through recording, as [FunctionError] does.
type InvokeError struct {
	Function string `json:"function"`         // as it was invoked
	Code     string `json:"code,omitempty"`   // the name of Lambda's exception; empty without an answer
	Status   int    `json:"status,omitempty"` // of HTTP; 0 without an answer
	Message  string `json:"message"`
	// RequestID finds the request in AWS's logs.
	RequestID string `json:"requestId,omitempty"`
	// Tries is how often the last attempt has asked.
	Tries int `json:"tries,omitempty"`
	// MayHaveRun says that the function may have run, or may still run.
	MayHaveRun bool `json:"mayHaveRun,omitempty"`
	// Final says that another invocation cannot cure it: the call is not retried.
	Final bool `json:"final,omitempty"`

	err   error
	again bool
	wait  time.Duration
}

// Error names the function, the exception or the fault of the connection, and whether the function may have run.
func (e *InvokeError) Error() string {
	text := "invoke Lambda function " + e.Function + ": "
	if e.Code != "" {
		text += e.Code + ": "
	}
	text += e.Message
	if e.Tries > 1 {
		text += fmt.Sprintf(" (after %d tries)", e.Tries)
	}
	if e.MayHaveRun {
		text += " (the function may have run)"
	}
	return text
}

// Retryable is the opposite of Final. The engine asks it.
func (e *InvokeError) Retryable() bool { return !e.Final }

// RetryAfter is how long Lambda asked to wait, at most an hour. The engine asks it.
func (e *InvokeError) RetryAfter() time.Duration { return e.wait }

// Is reports whether target is lambdabiz.ErrTooLarge and Lambda has refused the size of the request.
func (e *InvokeError) Is(target error) bool {
	return target == lambdabiz.ErrTooLarge && (e.Status == http.StatusRequestEntityTooLarge ||
		strings.HasPrefix(e.Code, "RequestTooLarge") || strings.HasPrefix(e.Code, "RequestEntityTooLarge"))
}

// Unwrap returns the error of the SDK, in the process that made the request; nil in a resumed run.
func (e *InvokeError) Unwrap() error { return e.err }

// cut makes text valid UTF-8 of at most so many bytes.
func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	limit -= len("…")
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
