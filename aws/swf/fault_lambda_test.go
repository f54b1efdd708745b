package swf_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// failing is a run that calls one function, and what came of it.
type failing struct {
	out    string
	err    error
	events []types.HistoryEvent
	took   time.Duration
}

func callOne(t *testing.T, c fakeswf.Config, change func(*swf.Config), opts ...lambdabiz.CallOption) failing {
	t.Helper()
	server := newServer(t, c)
	config := configFor(server)
	if change != nil {
		change(&config)
	}
	caller := lambdabiz.Define("Caller", func(o lambdabiz.Context, _ int) (string, error) {
		return lambdabiz.CallTask[string](o, "call", "Function", 1, opts...)
	})
	p := client(t, config).workOn(caller)
	run, err := lambdabiz.Start(t.Context(), p.Engine, caller, "F", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	var f failing
	f.out, f.err = run.Result(ctx)
	f.took = time.Since(began)
	f.events = wantSound(t, server, "F")
	return f
}

// wantTaskError: the failure names the function, the operation and the attempt, and has the text.
func (f failing) wantTaskError(t *testing.T, attempt int, texts ...string) {
	t.Helper()
	var task *lambdabiz.TaskError
	if !errors.As(f.err, &task) || task.Task != "Function" || task.OperationID != "call" || task.Attempt != attempt {
		t.Fatalf("the error is %v: %+v", f.err, task)
	}
	for _, text := range texts {
		if !strings.Contains(task.Error(), text) {
			t.Errorf("%q is not in: %v", text, task)
		}
	}
}

func fails(err error) func(context.Context, string, string) (string, error) {
	return func(context.Context, string, string) (string, error) { return "", err }
}

func TestLambdaFunctionsFail(t *testing.T) {
	t.Parallel()
	bubble := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, f)
		})
	}
	bubble("with an error of its own", func(t *testing.T) {
		details := `{"errorMessage":"the number is odd","errorType":"OddError","stackTrace":["at x"]}`
		f := callOne(t, fakeswf.Config{Lambda: fails(&fakeswf.LambdaError{Reason: "HandledError", Details: details})}, nil)
		f.wantTaskError(t, 1, "OddError", "the number is odd")
	})
	bubble("with text that is no JSON", func(t *testing.T) {
		f := callOne(t, fakeswf.Config{Lambda: fails(&fakeswf.LambdaError{Reason: "Crash", Details: "signal: killed"})}, nil)
		f.wantTaskError(t, 1, "Crash", "signal: killed")
	})
	bubble("because it does not exist", func(t *testing.T) {
		callOne(t, fakeswf.Config{}, nil).wantTaskError(t, 1, "ResourceNotFoundException")
	})
	bubble("after its time", func(t *testing.T) {
		f := callOne(t, fakeswf.Config{Lambda: func(ctx context.Context, _, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}}, nil, lambdabiz.Timeout(5*time.Second))
		f.wantTaskError(t, 1)
		if !errors.Is(f.err, context.DeadlineExceeded) || f.took > time.Minute {
			t.Error(f.err, f.took)
		}
	})
	for name, missing := range map[string]fakeswf.MissingRole{
		"a role is missing, and it is not scheduled": fakeswf.MissingRoleFailsSchedule,
		"a role is missing, and it is not started":   fakeswf.MissingRoleFailsStart,
	} {
		bubble(name, func(t *testing.T) {
			b := newBodies()
			f := callOne(t, fakeswf.Config{MissingRole: missing, Lambda: b.lambdas}, func(c *swf.Config) { c.LambdaRole = "" },
				lambdabiz.Retry(lambdabiz.Backoff{Initial: time.Second, Attempts: 5}))
			f.wantTaskError(t, 1)
			if len(b.all()) != 0 {
				t.Error("it ran")
			}
		})
	}
	bubble("the role may not be assumed", func(t *testing.T) {
		f := callOne(t, fakeswf.Config{AssumeRole: func(string) error { return errRefused }}, nil,
			lambdabiz.Retry(lambdabiz.Backoff{Initial: time.Second, Attempts: 5}))
		f.wantTaskError(t, 1, "ASSUME_ROLE_FAILED", "refused", "LambdaRole")
	})
	bubble("and is called again with backoff", func(t *testing.T) {
		var calls atomic.Int64
		f := callOne(t, fakeswf.Config{Lambda: func(context.Context, string, string) (string, error) {
			if calls.Add(1) < 4 {
				return "", errRefused
			}
			return `"done"`, nil
		}}, nil, lambdabiz.Retry(lambdabiz.Backoff{Initial: 10 * time.Second, Factor: 2, Attempts: 5, Jitter: -1}))
		if f.err != nil || f.out != "done" || calls.Load() != 4 {
			t.Fatal(f.out, f.err, calls.Load())
		}
		if n := countOf(f.events, types.EventTypeLambdaFunctionFailed); n != 3 {
			t.Errorf("%d failures are recorded", n)
		}
		if f.took < 70*time.Second || f.took > 80*time.Second { // 10 + 20 + 40
			t.Errorf("it took %v", f.took)
		}
	})
	bubble("until its attempts are used up", func(t *testing.T) {
		f := callOne(t, fakeswf.Config{Lambda: fails(errRefused)}, nil,
			lambdabiz.Retry(lambdabiz.Backoff{Initial: time.Second, Attempts: 3}))
		f.wantTaskError(t, 3, "refused")
	})
}

// TestSWFDoesNotScheduleALambdaFunction: for want of room it is tried again, and that is not charged; else it is final.
func TestSWFDoesNotScheduleALambdaFunction(t *testing.T) {
	t.Parallel()
	for cause, room := range map[string]bool{
		"OPEN_LAMBDA_FUNCTIONS_LIMIT_EXCEEDED": true, "LAMBDA_FUNCTION_CREATION_RATE_EXCEEDED": true,
		"LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION": false, "ID_ALREADY_IN_USE": false,
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var refused atomic.Int64
				f := callOne(t, fakeswf.Config{
					Lambda: func(context.Context, string, string) (string, error) { return `"done"`, nil },
					RefuseDecision: func(decision string, _ map[string]any) string {
						if decision == "ScheduleLambdaFunction" && refused.Add(1) <= 3 {
							return cause
						}
						return ""
					},
				}, nil, lambdabiz.Retry(lambdabiz.Backoff{Initial: time.Second, Attempts: 1}))
				if !room {
					f.wantTaskError(t, 1, cause)
				} else if f.err != nil || f.out != "done" || refused.Load() != 4 {
					t.Error(f.out, f.err, refused.Load())
				}
			})
		})
	}
}
