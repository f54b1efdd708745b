package fakeswf

import (
	"cmp"
	"context"
	"time"
)

// Config says how a Server behaves. The zero value works: real time, AWS's limits, Lambda functions that do not exist.
type Config struct {
	// Clock is nil for real time.
	Clock Clock
	// PollWait is how long a poll waits for a task, 60 s by default, as on AWS: "The maximum time the service holds on to the
	// request before responding is 60 seconds." It is counted by Clock and, if Clock is not nil, also in real time.
	PollWait time.Duration
	// ListLag is how far lists and counts of executions are behind: they show what was so long ago, by Clock. AWS says of them
	// "This operation is eventually consistent", and not by how much.
	ListLag time.Duration
	// Limits are the service's quotas; a zero field has AWS's value.
	Limits Limits
	// Lambda runs a Lambda function, in a goroutine of its own. Its context ends at the task's START_TO_CLOSE timeout and at
	// Server.Close, which waits for it. An error becomes LambdaFunctionFailed, see LambdaError. Without Lambda no function exists.
	Lambda func(ctx context.Context, name, input string) (result string, err error)
	// AssumeRole refuses a role: an error becomes StartLambdaFunctionFailed with the cause ASSUME_ROLE_FAILED and its text.
	AssumeRole func(role string) error
	// MissingRole says how a Lambda task of an execution without a role fails.
	MissingRole MissingRole
	// RefuseDecision makes a decision fail: a cause that it returns becomes the event "<decision>Failed". It is called with the
	// server's lock held, so it must not call the server.
	RefuseDecision func(decision string, attributes map[string]any) (cause string)
	// CloseAnyway switches the protection of closing decisions off: they are never refused with UNHANDLED_DECISION, and what came
	// meanwhile is lost. So a test can show what it rests on (and so does moto).
	CloseAnyway bool
	// Fault is asked at every call what shall go wrong with it. It may be called by many goroutines at once.
	Fault func(Call) Fault
	// LogCalls keeps every call for Server.CallLog.
	LogCalls bool
}

// MissingRole is a way in which a Lambda task without a role is reported.
type MissingRole int

const (
	// MissingRoleFailsSchedule records ScheduleLambdaFunctionFailed, as the API reference says: "If you don't attach an IAM role,
	// any attempt to schedule a Lambda task fails. This results in a ScheduleLambdaFunctionFailed history event." The model has no
	// fitting cause; LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION is assumed.
	MissingRoleFailsSchedule MissingRole = iota
	// MissingRoleFailsStart records LambdaFunctionScheduled, then StartLambdaFunctionFailed with the cause ASSUME_ROLE_FAILED.
	MissingRoleFailsStart
)

// Limits are quotas. Source: "Amazon SWF quotas" in the developer guide; the limit of Lambda tasks is not published there.
type Limits struct {
	HistoryEvents  int // events per execution, 25,000; then the service terminates it
	OpenActivities int // per execution, 1,000
	OpenTimers     int // per execution, 1,000
	OpenChildren   int // per execution, 1,000
	OpenLambdas    int // per execution, 1,000 (assumed)
	OpenExecutions int // per domain, 100,000
	Pollers        int // per task list, 1,000
	Types          int // of a kind in a domain, deprecated ones included, 10,000
	PageSize       int // events or executions per page when the caller does not say, and at most: 1,000
	RequestBytes   int // per request, 1 MB
}

func (l Limits) withDefaults() Limits {
	return Limits{
		HistoryEvents:  cmp.Or(l.HistoryEvents, 25_000),
		OpenActivities: cmp.Or(l.OpenActivities, 1000),
		OpenTimers:     cmp.Or(l.OpenTimers, 1000),
		OpenChildren:   cmp.Or(l.OpenChildren, 1000),
		OpenLambdas:    cmp.Or(l.OpenLambdas, 1000),
		OpenExecutions: cmp.Or(l.OpenExecutions, 100_000),
		Pollers:        cmp.Or(l.Pollers, 1000),
		Types:          cmp.Or(l.Types, 10_000),
		PageSize:       cmp.Or(l.PageSize, 1000),
		RequestBytes:   cmp.Or(l.RequestBytes, 1<<20),
	}
}

// LambdaError is what a Lambda function fails with. Any other error has the reason UnhandledError and its text as errorMessage
// in the details (both assumed).
type LambdaError struct {
	Reason  string // at most 256 characters
	Details string // at most 32,768 characters
}

// Error returns reason and details.
func (e *LambdaError) Error() string {
	return e.Reason + ": " + e.Details
}

// Call is one request.
type Call struct {
	Action string // such as PollForDecisionTask
	Number int    // counts the calls of this action, from 1
	Body   []byte // JSON
	Agent  string // the client's User-Agent, which has the AppID of its configuration
}

// Fault is what goes wrong with a call. The zero value is: nothing.
type Fault struct {
	// Delay passes before anything else, in real time.
	Delay time.Duration
	// Throttle answers ThrottlingException; nothing is applied.
	Throttle bool
	// Twice applies the request twice and sends the second answer, as if the network had repeated it.
	Twice bool
	// Lose applies the request, then breaks the connection without an answer: a started task is with nobody.
	Lose bool
	// Stale takes that many of the newest events from a history, of those on the page that has them: GetWorkflowExecutionHistory
	// is eventually consistent ("This operation is eventually consistent").
	Stale int
	// Status applies the request, then answers with this HTTP status and InternalFailure instead of the result.
	Status int
}
