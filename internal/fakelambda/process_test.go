package fakelambda_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdabiz/lambdabiz/internal/fakelambda"
)

func TestProcessSucceedsColdThenWarm(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{Region: "eu-west-1"}, fakelambda.Function{
		Name: "Sum", Bootstrap: bootstrap(t), Timeout: 30 * time.Second, MemoryMB: 256,
		Env: []string{"EXTRA=more"}, Qualifiers: []string{"live"},
	})
	custom := base64.StdEncoding.EncodeToString([]byte(`{"custom":{"key":"k1"}}`))
	out, err := b.client.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("Sum:live"), Payload: []byte(`{"number":3}`), ClientContext: &custom, LogType: "Tail",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"number":6`, `"warm":0`, `"key":"k1"`, `"EXTRA":"more"`, `"AWS_REGION":"eu-west-1"`, `"memory":"256"`, `"name":"Sum"`,
		`"arn":"arn:aws:lambda:eu-west-1:123456789012:function:Sum:live"`,
	} {
		if !strings.Contains(string(out.Payload), want) {
			t.Errorf("%s is not in %s", want, out.Payload)
		}
	}
	if strings.Contains(string(out.Payload), "HOME") {
		t.Errorf("this process's environment is passed on: %s", out.Payload)
	}
	if aws.ToString(out.ExecutedVersion) != "$LATEST" || out.StatusCode != http.StatusOK || out.LogResult == nil {
		t.Errorf("output %+v", out)
	}
	first, second := b.ok("Sum", `{"number":4}`), b.ok("Sum", `{"number":5}`)
	if first.Warm != 1 || second.Warm != 2 || first.PID != second.PID || second.Number != 10 {
		t.Errorf("responses %+v, %+v", first, second)
	}
	if first.RequestID == second.RequestID || second.RequestID == "" {
		t.Errorf("request ids %q, %q", first.RequestID, second.RequestID)
	}
	if first.LeftMs <= 0 || first.LeftMs > 30_000 {
		t.Errorf("deadline in %d ms, the timeout is 30 s", first.LeftMs)
	}
	want := fakelambda.Stats{Invocations: 3, ColdStarts: 1, WarmStarts: 2, Environments: 1}
	if got := b.Stats("Sum"); got != want {
		t.Errorf("stats %+v", got)
	}
}

func TestProcessIsFrozenBetweenInvocations(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{
		Name: "Sum", Bootstrap: bootstrap(t), Timeout: 30 * time.Second, Freeze: true,
	})
	for i := range 3 {
		if r := b.ok("Sum", `{}`); r.Warm != i {
			t.Errorf("invocation %d: %+v", i, r)
		}
	}
}

func TestProcessError(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{Name: "Sum", Bootstrap: bootstrap(t), Timeout: 30 * time.Second})
	if f := b.fails("Sum", `{"do":"fail","number":2}`); f.ErrorType != "shortageError" || f.ErrorMessage != "2 are missing" {
		t.Errorf("error %+v", f)
	}
	if r := b.ok("Sum", `{}`); r.Warm != 1 {
		t.Errorf("an error ended the process: %+v", r)
	}
}

func TestProcessPanicEndsTheEnvironment(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{Name: "Sum", Bootstrap: bootstrap(t), Timeout: 30 * time.Second})
	f := b.fails("Sum", `{"do":"panic"}`)
	if f.ErrorMessage != "out of cheese" || f.ErrorType != "errorString" || !strings.Contains(string(f.StackTrace), `"label":"handle"`) {
		t.Errorf("error %+v", f)
	}
	if r := b.ok("Sum", `{}`); r.Warm != 0 {
		t.Errorf("the process survived its panic: %+v", r)
	}
	if s := b.Stats("Sum"); s.ColdStarts != 2 || s.Errors != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestProcessExit(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{Name: "Sum", Bootstrap: bootstrap(t), Timeout: 30 * time.Second})
	f := b.fails("Sum", `{"do":"exit"}`)
	if f.ErrorType != "Runtime.ExitError" || !strings.HasSuffix(f.ErrorMessage, "Error: Runtime exited with error: exit status 7") {
		t.Errorf("error %+v", f)
	}
}

func TestProcessThatCannotStart(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{},
		fakelambda.Function{Name: "Sum", Bootstrap: bootstrap(t), Env: []string{"BREAK_INIT=1"}},
		fakelambda.Function{Name: "Reports", Bootstrap: bootstrap(t), Env: []string{"BREAK_INIT=report"}},
		fakelambda.Function{Name: "Nothing", Bootstrap: t.TempDir() + "/nothing"})
	f := b.fails("Sum", `{}`)
	if f.ErrorType != "Runtime.ExitError" || !strings.HasSuffix(f.ErrorMessage, "exit status 3") {
		t.Errorf("error %+v", f)
	}
	if f := b.fails("Reports", `{}`); f.ErrorType != "Config" || f.ErrorMessage != "no table" {
		t.Errorf("error %+v", f)
	}
	_, err := b.invoke("Nothing", `{}`)
	if err == nil || !strings.Contains(err.Error(), "InvalidRuntimeException") {
		t.Errorf("error %v", err)
	}
}

func TestProcessTimeout(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{Name: "Sum", Bootstrap: bootstrap(t), Timeout: time.Second})
	f := b.fails("Sum", `{"do":"hang"}`)
	if f.ErrorType != "Sandbox.Timedout" || !strings.HasSuffix(f.ErrorMessage, "Error: Task timed out after 1.00 seconds") {
		t.Errorf("error %+v", f)
	}
	if s := b.Stats("Sum"); s.Environments != 0 {
		t.Errorf("the process was not killed: %+v", s)
	}
	// A handler sees the deadline itself; whether its own answer comes before the kill is a race.
	if f := b.fails("Sum", `{"do":"wait"}`); f.ErrorType != "Sandbox.Timedout" && f.ErrorMessage != "context deadline exceeded" {
		t.Errorf("error %+v", f)
	}
}

func TestProcessKilled(t *testing.T) {
	t.Parallel()
	started := make(chan fakelambda.Invocation, 2)
	b := setup(t, fakelambda.Config{}, fakelambda.Function{
		Name: "Sum", Bootstrap: bootstrap(t), Timeout: 30 * time.Second,
		OnStart: func(inv fakelambda.Invocation) { started <- inv },
	})
	faults := make(chan fault, 1)
	go func() { faults <- b.fails("Sum", `{"do":"hang"}`) }()
	inv := <-started
	if n := b.Kill("Sum"); n != 1 {
		t.Errorf("%d processes killed", n)
	}
	f := <-faults
	want := "RequestId: " + inv.RequestID + " Error: Runtime exited with error: signal: killed"
	if f.ErrorType != "Runtime.ExitError" || f.ErrorMessage != want {
		t.Errorf("error %+v", f)
	}
	if r := b.ok("Sum", `{}`); r.Warm != 0 {
		t.Errorf("response %+v", r)
	}
}

func TestProcessResponseTooLarge(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{Name: "Sum", Bootstrap: bootstrap(t), Timeout: 30 * time.Second})
	if f := b.fails("Sum", `{"do":"large"}`); f.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("error %+v", f)
	}
}

func TestProcessesRunAtTheSameTimeUpToTheLimit(t *testing.T) {
	t.Parallel()
	started := make(chan fakelambda.Invocation, 2)
	b := setup(t, fakelambda.Config{}, fakelambda.Function{
		Name: "Sum", Bootstrap: bootstrap(t), Timeout: 30 * time.Second, Concurrency: 2,
		OnStart: func(inv fakelambda.Invocation) { started <- inv },
	})
	done := make(chan fault, 2)
	for range 2 {
		go func() { done <- b.fails("Sum", `{"do":"hang"}`) }()
	}
	<-started
	<-started
	_, err := b.invoke("Sum", `{}`)
	throttled := as[interface {
		error
		ErrorCode() string
	}](t, err)
	if throttled.ErrorCode() != "TooManyRequestsException" {
		t.Errorf("error %v", err)
	}
	if s := b.Stats("Sum"); s.ColdStarts != 2 || s.Throttles != 1 || s.Environments != 2 {
		t.Errorf("stats %+v", s)
	}
	b.Kill("Sum")
	<-done
	<-done
}

func TestCloseEndsWhatRuns(t *testing.T) {
	t.Parallel()
	started := make(chan fakelambda.Invocation, 1)
	b := setup(t, fakelambda.Config{RetryDelays: []time.Duration{time.Hour}},
		fakelambda.Function{
			Name: "Sum", Bootstrap: bootstrap(t), Timeout: 10 * time.Minute,
			OnStart: func(inv fakelambda.Invocation) { started <- inv },
		},
		fakelambda.Function{Name: "Sleeps", Bootstrap: bootstrap(t), Timeout: time.Minute})
	b.ok("Sleeps", `{}`) // its environment waits for more
	if _, err := b.client.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("Sleeps"), Payload: []byte(`{"do":"fail"}`), InvocationType: "Event", // waits for its second attempt
	}); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := b.invoke("Sum", `{"do":"hang"}`)
		failed <- err
	}()
	<-started
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the invocation was answered after the end")
	}
	for _, name := range []string{"Sum", "Sleeps"} {
		if s := b.Stats(name); s.Environments != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
