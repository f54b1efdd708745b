package wire

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lambdabiz/lambdabiz"
)

// Outcome is what an activity or a run has come to, where the plain text would not do.
type Outcome struct {
	Version    int                `json:"lambdabiz"`
	Status     lambdabiz.Status   `json:"status"`
	Result     Payload            `json:"result,omitempty"`
	Error      *lambdabiz.Failure `json:"error,omitempty"`
	Final      bool               `json:"final,omitempty"`
	RetryAfter time.Duration      `json:"retryAfter,omitempty"`
	NotBegun   bool               `json:"notBegun,omitempty"`
	Duplicate  bool               `json:"duplicate,omitempty"` // a start that came twice; the run is another one
}

func (e *Outcome) format() int { return e.Version }

// SuccessOf reads the end of something with success.
func SuccessOf(text *string) Outcome {
	return Outcome{Status: lambdabiz.StatusSucceeded, Result: Payload(ResultOf(text))}
}

// FailureOf reads the end of something without success. What the backend has not written keeps its text.
func FailureOf(status lambdabiz.Status, reason, details *string) Outcome {
	var out Outcome
	if Open(aws.ToString(details), &out) == nil {
		return out
	}
	text := strings.TrimSpace(aws.ToString(reason) + " " + aws.ToString(details))
	if text == "" {
		text = "ended as " + status.String() + " without a reason"
	}
	return Outcome{Status: status, Error: &lambdabiz.Failure{Message: text}}
}

// LambdaFailure reads what SWF says of a function that failed: its details are the function's error as JSON.
func LambdaFailure(reason, details *string) *lambdabiz.Failure {
	var e struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}
	if json.Unmarshal([]byte(aws.ToString(details)), &e) != nil || e.Message == "" {
		return FailureOf(lambdabiz.StatusFailed, reason, details).Error
	}
	if e.Type != "" {
		e.Message = e.Type + ": " + e.Message
	}
	return &lambdabiz.Failure{Message: e.Message}
}

// ResultOf reads a result: plain text, or an envelope for what is no text.
func ResultOf(text *string) lambdabiz.Payload {
	if text == nil {
		return nil
	}
	var out Outcome
	if Open(*text, &out) == nil {
		return lambdabiz.Payload(out.Result)
	}
	return lambdabiz.Payload(*text)
}

// Shrink makes a failure fit: long messages are cut, deep causes dropped.
func Shrink(f *lambdabiz.Failure, limit int) *lambdabiz.Failure {
	text, err := Marshal(f)
	if f == nil || err == nil && len(text) <= limit {
		return f
	}
	small := *f
	small.Message = Cut(f.Message, 2000)
	small.Causes = nil
	for _, c := range f.Causes {
		small.Causes = append(small.Causes, Shrink(c, 500))
	}
	if text, err = Marshal(&small); err == nil && len(text) <= limit {
		return &small
	}
	return &lambdabiz.Failure{Message: Cut(f.Message, min(limit/8, 2000))}
}

// Cut shortens a text, between characters.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}

// TimedOut is what an attempt has come to whose time was over.
func TimedOut(what string) Outcome {
	deadline := &lambdabiz.Failure{Message: "context deadline exceeded", Code: "deadlineExceeded"}
	return Outcome{Status: lambdabiz.StatusTimeout, Error: &lambdabiz.Failure{
		Message: what + ": context deadline exceeded", Causes: []*lambdabiz.Failure{deadline},
	}}
}
