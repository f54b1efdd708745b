package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

// ErrRefused is in the [*Error] of a call that the [Guard] did not let through, or whose redirect is
// not followed: to another scheme than http and https, from https to http, with a user in the URL, to
// another origin with a credential in the body, or after too many others. It is not retried.
var ErrRefused = errors.New("refused")

// Reason says why a call failed.
type Reason string

// The reasons.
const (
	ReasonStatus    Reason = "status"    // the service answered with a status that is no success
	ReasonTransport Reason = "transport" // no answer: name resolution, connection, TLS, protocol
	ReasonTimeout   Reason = "timeout"   // no whole answer in time; context.DeadlineExceeded too
	ReasonRefused   Reason = "refused"   // the guard or a redirect; ErrRefused too
	ReasonTooLarge  Reason = "too large" // request or response; lambdabiz.ErrTooLarge too
	ReasonRequest   Reason = "request"   // it cannot be made: a secret or a credential is missing
	ReasonDecode    Reason = "decode"    // the body is not JSON that fits the type asked for
)

// MaxErrorBody is how many bytes of a body an [Error] keeps.
const MaxErrorBody = 4 << 10

// Error is why a call to a service failed. It keeps its fields through recording: errors.As finds it
// again, in a resumed run too. Credentials are not in it, as far as they are known: those of the request are taken out of all texts.
type Error struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"` // the last one, after redirects; redacted
	Reason  Reason      `json:"reason"`
	Status  int         `json:"status,omitempty"` // 0 without an answer
	Header  http.Header `json:"header,omitempty"` // as in Response
	Body    string      `json:"body,omitempty"`   // its first 4 KiB, made valid UTF-8
	Message string      `json:"message,omitempty"`

	retry bool
	wait  time.Duration
	err   error // the cause, in the process that made the call
}

func newError(r Request, reason Reason) *Error {
	return &Error{Method: r.Method, URL: r.shownURL(), Reason: reason}
}

// Error names the request, and the status with the beginning of the body or the reason.
func (e *Error) Error() string {
	text := e.Method + " " + e.URL + ": "
	switch e.Reason {
	case ReasonStatus:
		text += strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)))
		if body := strings.TrimSpace(e.Body); body != "" {
			text += fmt.Sprintf(": %.200q", body)
		}
		return text
	case ReasonDecode:
		return text + "decode the response: " + e.Message
	case ReasonTransport, ReasonRequest:
		return text + e.Message
	}
	return text + string(e.Reason) + ": " + e.Message
}

// Retryable reports whether another attempt is safe and makes sense, by method and status: see the
// package's documentation. The engine asks it.
func (e *Error) Retryable() bool { return e.retry }

// RetryAfter is how long the service asked to wait, at most [Config].MaxRetryAfter. The engine asks it.
func (e *Error) RetryAfter() time.Duration { return e.wait }

// Unwrap returns the cause. It is nil in a resumed run.
func (e *Error) Unwrap() error { return e.err }

// Is reports whether target is what the reason stands for: context.DeadlineExceeded,
// [lambdabiz.ErrTooLarge] or [ErrRefused].
func (e *Error) Is(target error) bool {
	switch e.Reason {
	case ReasonTimeout:
		return target == context.DeadlineExceeded
	case ReasonTooLarge:
		return target == lambdabiz.ErrTooLarge
	case ReasonRefused:
		return target == ErrRefused
	default:
		return false
	}
}

// plainError is Error without its methods.
type plainError Error

type errorRecord struct {
	*plainError
	Retryable  bool  `json:"retryable"`
	RetryAfter int64 `json:"retryAfterMillis,omitempty"`
}

// MarshalJSON writes the fields, and what Retryable and RetryAfter return.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(errorRecord{(*plainError)(e), e.retry, e.wait.Milliseconds()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Error) UnmarshalJSON(text []byte) error {
	d := errorRecord{plainError: (*plainError)(e)}
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	e.retry, e.wait = d.Retryable, time.Duration(d.RetryAfter)*time.Millisecond
	return nil
}

func (e *Error) setBody(body []byte) {
	if end := MaxErrorBody; len(body) > end {
		for end > MaxErrorBody-utf8.UTFMax && !utf8.RuneStart(body[end]) { // not half a character
			end--
		}
		body = body[:end]
	}
	e.Body = strings.ToValidUTF8(string(body), "\uFFFD")
}
