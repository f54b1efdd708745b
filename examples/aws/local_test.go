package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/examples/aws/sequence"
	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// tasks are the Lambda functions of the example.
var tasks = []string{"Number", "Sum", "Difference", "Product", "Quotient"}

var functionsDir string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lambdabiz")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	functionsDir = dir
	return m.Run()
}

// functions compiles the functions, once for all tests.
var functions = sync.OnceValues(func() (string, error) { return functionsDir, compile(context.Background(), functionsDir) })

func forTest(t *testing.T, c settings) (settings, *record) {
	t.Helper()
	dir, err := functions()
	if err != nil {
		t.Fatal(err)
	}
	out := &record{}
	c.Out, c.DynamoDB, c.AccessKey, c.PollWait, c.Functions = out, standins.DynamoDB(t), rand.Text(), time.Second, dir
	return c, out
}

// record keeps what is printed.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write never fails.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// String is what was printed.
func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// begin starts the stand-ins for a test. dynalite is shared by the tests of this package.
func begin(t *testing.T, c settings) (*local, *record) {
	t.Helper()
	c, out := forTest(t, c)
	l, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(out)
		}
	})
	return l, out
}

func invocations(l *local) map[string]int {
	counts := map[string]int{}
	for _, name := range tasks {
		counts[name] = l.lambda.Stats(name).Invocations
	}
	return counts
}

func waits(s *lambdabiz.State, operation string) bool {
	return slices.ContainsFunc(s.WaitingFor, func(w lambdabiz.Waiting) bool { return w.Operation == operation })
}

// TestTheOriginalProgramIsCutTwiceAndKilledOnce runs the compiled functions until the orchestration has ended.
func TestTheOriginalProgramIsCutTwiceAndKilledOnce(t *testing.T) {
	t.Parallel()
	var l *local
	var kill sync.Once
	ready := make(chan struct{})
	var killed atomic.Int64
	l, out := begin(t, settings{
		Timeout: 13 * time.Second, Margin: 10 * time.Second, // 3 s to work in, and long enough to end on a busy machine
		BeforeTask: func(name string) {
			<-ready
			if name == "Product" {
				kill.Do(func() { killed.Add(int64(l.lambda.Kill("Process"))) })
			}
		},
	})
	close(ready)
	input := sequence.Input{Numbers: sequence.Numbers{Number1: 15, Number2: 5}, CoolDownSeconds: 9}
	cuts, deaths := 0, 0
	var state *lambdabiz.State
	for state == nil || !state.Status.Ended() {
		got, err := l.drive(t.Context(), "Sequence", "Sequence3", input)
		if fault, ok := errors.AsType[*functionError](err); ok {
			if fault.Type != "Runtime.ExitError" || !strings.HasSuffix(fault.Message, "signal: killed") {
				t.Fatal(fault)
			}
			deaths++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		state = got
		switch {
		case state.Status.Ended():
		case waits(state, "Approve"):
			if err := l.approve(t.Context(), "Sequence3"); err != nil {
				t.Fatal(err)
			}
		default:
			cuts++
		}
	}
	if state.Status != lambdabiz.StatusSucceeded || string(state.Result) != `{"Number1":15,"Number2":5,"Result":3}` {
		t.Errorf("%v, result %s, error %v", state.Status, state.Result, state.Error)
	}
	if cuts < 2 || deaths != 1 || killed.Load() != 1 {
		t.Errorf("%d cuts, %d of %d kills, want 2 or more, and 1", cuts, deaths, killed.Load())
	}
	for name, n := range invocations(l) {
		if n != 1 {
			t.Errorf("%s was invoked %d times", name, n)
		}
	}
	stats := l.lambda.Stats("Process")
	if stats.ColdStarts != 2 || stats.WarmStarts < 3 {
		t.Errorf("%+v, want cold starts at the beginning and after the kill", stats)
	}
	if !strings.Contains(out.String(), "the REST service gets DELETE /api/v1/delete/21") {
		t.Error("the REST service was not called")
	}
	sameInStore(t, l, state)
	shownByTheProgram(t, l)
}

// client is another process's engine.
func client(t *testing.T, l *local) *lambdabiz.Engine {
	t.Helper()
	store, err := dynamodb.Open(t.Context(), dynamodb.Config{AWS: l.awsConfig(), Table: table, Endpoint: l.DynamoDB})
	if err != nil {
		t.Fatal(err)
	}
	backend, err := swf.Open(t.Context(), swf.Config{
		AWS: l.awsConfig(), Endpoint: l.endpoint.url, Store: store, LambdaRole: role,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	engine, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// sameInStore compares with what another process reads from the table.
func sameInStore(t *testing.T, l *local, want *lambdabiz.State) {
	t.Helper()
	got, err := client(t, l).State(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := json.MarshalIndent(got, "", " ")
	y, _ := json.MarshalIndent(want, "", " ")
	if !bytes.Equal(x, y) {
		t.Errorf("the store has\n%s\nthe function answered\n%s", x, y)
	}
	if len(got.Operations) != 7 {
		t.Errorf("%d operations, want five tasks, a timer and an event", len(got.Operations))
	}
}

// shownByTheProgram runs "lambdabiz show" on the table.
func shownByTheProgram(t *testing.T, l *local) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "run", module+"/cmd/lambdabiz", "show", "Sequence3",
		"--store", "dynamodb:"+table+"?endpoint="+l.DynamoDB+"&region="+region)
	cmd.Env = append(cmd.Environ(), "AWS_ACCESS_KEY_ID="+l.AccessKey, "AWS_SECRET_ACCESS_KEY="+l.AccessKey)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range append([]string{"Sequence3", "SUCCEEDED", "30SecTimer", "Approve"}, tasks...) {
		if !strings.Contains(string(out), want) {
			t.Errorf("lambdabiz show does not say %s:\n%s", want, out)
		}
	}
}

// TestTheFunctionAnswersErrorsAsJSON invokes the compiled function with what it cannot do.
func TestTheFunctionAnswersErrorsAsJSON(t *testing.T) {
	t.Parallel()
	l, _ := begin(t, settings{Timeout: 40 * time.Second, Margin: 10 * time.Second})
	for payload, want := range map[string]string{
		`{}`: "RequestError: request: orchestrationId: it is missing",
		`{"orchestrationId":"x","name":"Secret"}`:     `RequestError: request: name: "Secret" is none of ["Sequence" "RESTSequence"]`,
		`{"orchestrationId":"x","lambdaRole":"mine"}`: `RequestError: request: lambdaRole: "mine" is not allowed`,
		`{"orchestrationId":7}`:                       "UnmarshalTypeError: json: cannot unmarshal",
	} {
		_, err := l.invoke(t.Context(), "Process", []byte(payload))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", payload, err, want)
		}
	}
	// A division by zero fails the orchestration; the function succeeds, and its answer says so.
	state, err := l.drive(t.Context(), "Sequence", "Division", sequence.Input{Numbers: sequence.Numbers{Number1: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if state.Status != lambdabiz.StatusFailed || state.Error == nil || !strings.Contains(state.Error.Message, "division by zero") {
		t.Errorf("%v, error %+v", state.Status, state.Error)
	}
	if stats := l.lambda.Stats("Process"); stats.ColdStarts != 1 {
		t.Errorf("%+v, want one process", stats)
	}
}

// TestTheProgramTellsItsStory runs what "go run ./examples/aws" runs.
func TestTheProgramTellsItsStory(t *testing.T) {
	t.Parallel()
	c, out := forTest(t, settings{Timeout: 15 * time.Second, Margin: 10 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // against hanging
	defer cancel()
	if err := run(ctx, c, 2*time.Second); err != nil {
		t.Fatal(err, out)
	}
	for _, want := range []string{
		"call Process for Sequence3", "SWF invokes Quotient", "waiting for Approve", "gets GET /api/v1/employees",
		"Sequence3 (Sequence) SUCCEEDED", "Approve     EVENT",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}
