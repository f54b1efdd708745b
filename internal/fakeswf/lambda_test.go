package fakeswf_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

func withRole(in *swf.StartWorkflowExecutionInput) {
	in.LambdaRole = aws.String("arn:aws:iam::123456789012:role/swf")
}

// lambdaWorld waits long for a decision task, because functions end when they like.
func lambdaWorld(t *testing.T, cfg fakeswf.Config) *world {
	t.Helper()
	cfg.PollWait = time.Minute
	return setup(t, cfg)
}

func TestLambdaResults(t *testing.T) {
	t.Parallel()
	run := func(_ context.Context, name, input string) (string, error) {
		switch name {
		case "echo":
			return "got " + input, nil
		case "handled":
			return "", &fakeswf.LambdaError{Reason: "Handled", Details: "d"}
		case "panics":
			panic("oh")
		case "large":
			return strings.Repeat("x", 32769), nil
		default:
			return "", errors.New("oh")
		}
	}
	for name, want := range map[string]struct{ result, reason, details string }{
		"echo":    {result: `got {"n":1}`},
		"handled": {reason: "Handled", details: "d"},
		"other":   {reason: "UnhandledError", details: `{"errorMessage":"oh"}`},
		"panics":  {reason: "UnhandledError", details: `{"errorMessage":"panic: oh"}`},
		"large":   {reason: "ResultTooLarge", details: "the result has 32769 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lambdaWorld(t, fakeswf.Config{Lambda: run})
			id := w.start("r", withRole)
			wantEqual(t, "role", *w.history("r", id)[0].WorkflowExecutionStartedEventAttributes.LambdaRole,
				"arn:aws:iam::123456789012:role/swf")
			w.decide(lambda("f", name))
			events := w.poll().Events
			scheduled := last(t, events, types.EventTypeLambdaFunctionScheduled).LambdaFunctionScheduledEventAttributes
			wantEqual(t, "id", *scheduled.Id, "f")
			wantEqual(t, "control", *scheduled.Control, "c")
			if want.reason == "" {
				got := last(t, events, types.EventTypeLambdaFunctionCompleted).LambdaFunctionCompletedEventAttributes
				wantEqual(t, "result", *got.Result, want.result)
				wantEqual(t, "scheduled", got.ScheduledEventId, 5)
				wantEqual(t, "started", got.StartedEventId, 6)
				return
			}
			got := last(t, events, types.EventTypeLambdaFunctionFailed).LambdaFunctionFailedEventAttributes
			wantEqual(t, "reason", *got.Reason, want.reason)
			wantEqual(t, "details", *got.Details, want.details)
		})
	}
}

func TestLambdaTimesOut(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	w := lambdaWorld(t, fakeswf.Config{Lambda: func(ctx context.Context, _, _ string) (string, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return "too late", nil
	}})
	id := w.start("r", withRole)
	w.decide(lambda("f", "slow", func(a *types.ScheduleLambdaFunctionDecisionAttributes) { a.StartToCloseTimeout = aws.String("30") }))
	wantEqual(t, "open", w.describe("r", id).OpenCounts.OpenLambdaFunctions, 1)
	w.pass(30 * time.Second)
	w.decide()
	if err := <-ended; err == nil {
		t.Fatal("the function's context did not end")
	}
	w.srv.Close() // waits for the function
	w.wantEvents("r", id, "WorkflowExecutionStarted", "LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionTimedOut")
}

// wantEvents is wantKinds for a server that is closed.
func (w *world) wantEvents(id, runID string, want ...string) {
	w.t.Helper()
	var got []string
	for i, e := range w.srv.Events(w.domain, id, runID) {
		wantEqual(w.t, "event id", e.ID, int64(i+1))
		if !strings.HasPrefix(e.Type, "DecisionTask") {
			got = append(got, e.Type)
		}
	}
	wantList(w.t, got, want...)
}

func TestLambdaScheduling(t *testing.T) {
	t.Parallel()
	block := func(ctx context.Context, _, _ string) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}
	for name, c := range map[string]struct {
		cfg       fakeswf.Config
		role      bool
		decisions []types.Decision
		want      []string
		cause     string
	}{
		"no role, refused": {
			decisions: []types.Decision{lambda("f", "x")}, want: []string{"ScheduleLambdaFunctionFailed"},
			cause: "LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION",
		},
		"no role, not started": {
			cfg: fakeswf.Config{MissingRole: fakeswf.MissingRoleFailsStart}, decisions: []types.Decision{lambda("f", "x")},
			want: []string{"LambdaFunctionScheduled", "StartLambdaFunctionFailed"}, cause: "ASSUME_ROLE_FAILED",
		},
		"bad role": {
			cfg:  fakeswf.Config{AssumeRole: func(string) error { return errors.New("no trust") }},
			role: true, decisions: []types.Decision{lambda("f", "x")},
			want: []string{"LambdaFunctionScheduled", "StartLambdaFunctionFailed"}, cause: "ASSUME_ROLE_FAILED",
		},
		"id in use": {
			role: true, decisions: []types.Decision{lambda("f", "x"), lambda("f", "x")},
			want:  []string{"LambdaFunctionScheduled", "LambdaFunctionStarted", "ScheduleLambdaFunctionFailed"},
			cause: "ID_ALREADY_IN_USE",
		},
		"limit": {
			cfg: fakeswf.Config{Limits: fakeswf.Limits{OpenLambdas: 1}}, role: true,
			decisions: []types.Decision{lambda("f", "x"), lambda("g", "x")},
			want:      []string{"LambdaFunctionScheduled", "LambdaFunctionStarted", "ScheduleLambdaFunctionFailed"},
			cause:     "OPEN_LAMBDA_FUNCTIONS_LIMIT_EXCEEDED",
		},
		"hook": {
			cfg:  fakeswf.Config{RefuseDecision: func(string, map[string]any) string { return "LAMBDA_FUNCTION_CREATION_RATE_EXCEEDED" }},
			role: true, decisions: []types.Decision{lambda("f", "x")}, want: []string{"ScheduleLambdaFunctionFailed"},
			cause: "LAMBDA_FUNCTION_CREATION_RATE_EXCEEDED",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Lambda = block
			w := lambdaWorld(t, c.cfg)
			id := w.start("r", func(in *swf.StartWorkflowExecutionInput) {
				if c.role {
					withRole(in)
				}
			})
			w.decide(c.decisions...)
			w.poll()
			events := w.wantKinds("r", id, append([]string{"WorkflowExecutionStarted"}, c.want...)...)
			for _, e := range events {
				if a := e.ScheduleLambdaFunctionFailedEventAttributes; a != nil {
					wantEqual(t, "cause", string(a.Cause), c.cause)
				}
				if a := e.StartLambdaFunctionFailedEventAttributes; a != nil {
					wantEqual(t, "cause", string(a.Cause), c.cause)
					wantEqual(t, "scheduled", a.ScheduledEventId, 5)
				}
			}
		})
	}
}

func TestLambdaRoleOfTheType(t *testing.T) {
	t.Parallel()
	w := lambdaWorld(t, fakeswf.Config{})
	ok(t)(w.client.RegisterWorkflowType(w.ctx(), &swf.RegisterWorkflowTypeInput{
		Domain: &w.domain, Name: aws.String("W"), Version: aws.String("2"), DefaultTaskList: list("list"),
		DefaultChildPolicy: types.ChildPolicyTerminate, DefaultTaskStartToCloseTimeout: aws.String("60"),
		DefaultExecutionStartToCloseTimeout: aws.String("3600"), DefaultLambdaRole: aws.String("role"),
	}))
	id := w.start("r", func(in *swf.StartWorkflowExecutionInput) { in.WorkflowType.Version = aws.String("2") })
	w.decide(lambda("f", "nobody"))
	got := last(t, w.poll().Events, types.EventTypeLambdaFunctionFailed).LambdaFunctionFailedEventAttributes
	wantEqual(t, "reason", *got.Reason, "ResourceNotFoundException")
	wantEqual(t, "role", *w.describe("r", id).ExecutionConfiguration.LambdaRole, "role")
}
