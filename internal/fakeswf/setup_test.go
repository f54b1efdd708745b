package fakeswf_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"
	"github.com/aws/smithy-go"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// newClient is the real SDK for an endpoint; without retries, so that a fault is seen where it happens.
func newClient(endpoint string, client *http.Client) *swf.Client {
	return swf.New(swf.Options{
		BaseEndpoint: aws.String(endpoint), Region: "us-east-1", HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""), RetryMaxAttempts: 1,
	})
}

// checked fails the test if an answer of the fake is not of the service model's shape.
type checked struct {
	t    *testing.T
	next http.RoundTripper
}

func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.next.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "SimpleWorkflowService.")
	problems, err := fakeswf.CheckAnswer(action, body)
	if err != nil || problems != nil {
		c.t.Errorf("%s answers out of shape: %v %v", action, problems, err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// world is a domain with types, and the means to play decider, worker and time. The types W/1 and A/1 have all defaults:
// the task list "list", decisions of 60 s, runs of an hour, children that are terminated, activities without timeouts.
type world struct {
	t      *testing.T
	client *swf.Client
	domain string
	pass   func(time.Duration) // lets time go by
	srv    *fakeswf.Server     // nil against another endpoint
	clock  *fakeswf.ManualClock
}

func newWorld(t *testing.T, client *swf.Client, domain string) *world {
	t.Helper()
	w := &world{t: t, client: client, domain: domain}
	ok(t)(client.RegisterDomain(t.Context(), &swf.RegisterDomainInput{
		Name: &w.domain, WorkflowExecutionRetentionPeriodInDays: aws.String("7"),
	}))
	ok(t)(client.RegisterWorkflowType(t.Context(), &swf.RegisterWorkflowTypeInput{
		Domain: &w.domain, Name: aws.String("W"), Version: aws.String("1"), DefaultTaskList: list("list"),
		DefaultChildPolicy: types.ChildPolicyTerminate, DefaultTaskStartToCloseTimeout: aws.String("60"),
		DefaultExecutionStartToCloseTimeout: aws.String("3600"),
	}))
	ok(t)(client.RegisterActivityType(t.Context(), &swf.RegisterActivityTypeInput{
		Domain: &w.domain, Name: aws.String("A"), Version: aws.String("1"), DefaultTaskList: list("work"),
		DefaultTaskHeartbeatTimeout: aws.String("NONE"), DefaultTaskScheduleToCloseTimeout: aws.String("NONE"),
		DefaultTaskScheduleToStartTimeout: aws.String("NONE"), DefaultTaskStartToCloseTimeout: aws.String("NONE"),
	}))
	return w
}

// setup is a world on a fake with a manual clock.
func setup(t *testing.T, cfg fakeswf.Config) *world {
	t.Helper()
	clock := fakeswf.NewManualClock(epoch)
	cfg.Clock = clock
	if cfg.PollWait == 0 {
		cfg.PollWait = 5 * time.Millisecond
	}
	srv := fakeswf.New(cfg)
	t.Cleanup(srv.Close)
	w := newWorld(t, newClient("http://fake.invalid", &http.Client{Transport: checked{t, srv.Transport()}}), "D")
	w.srv, w.clock, w.pass = srv, clock, clock.Advance
	return w
}

// ok fails the test on an error.
func ok(t *testing.T) func(_ any, err error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func list(name string) *types.TaskList { return &types.TaskList{Name: &name} }

func (w *world) ctx() context.Context { return w.t.Context() }

// start starts a run of W/1, changed by the options.
func (w *world) start(id string, options ...func(*swf.StartWorkflowExecutionInput)) (runID string) {
	w.t.Helper()
	in := &swf.StartWorkflowExecutionInput{
		Domain: &w.domain, WorkflowId: &id, WorkflowType: &types.WorkflowType{Name: aws.String("W"), Version: aws.String("1")},
		Input: aws.String("in"),
	}
	for _, option := range options {
		option(in)
	}
	out, err := w.client.StartWorkflowExecution(w.ctx(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.RunId
}

// poll takes a decision task of the list, which must be there.
func (w *world) poll(options ...func(*swf.PollForDecisionTaskInput)) *swf.PollForDecisionTaskOutput {
	w.t.Helper()
	out := w.tryPoll(options...)
	if aws.ToString(out.TaskToken) == "" {
		w.t.Fatal("no decision task")
	}
	return out
}

func (w *world) tryPoll(options ...func(*swf.PollForDecisionTaskInput)) *swf.PollForDecisionTaskOutput {
	w.t.Helper()
	in := &swf.PollForDecisionTaskInput{Domain: &w.domain, TaskList: list("list"), Identity: aws.String("decider")}
	for _, option := range options {
		option(in)
	}
	out, err := w.client.PollForDecisionTask(w.ctx(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) noDecision() {
	w.t.Helper()
	wantEqual(w.t, "waiting decisions", w.pendingDecisions(), 0)
}

func (w *world) pendingDecisions() int32 {
	w.t.Helper()
	count, err := w.client.CountPendingDecisionTasks(w.ctx(), &swf.CountPendingDecisionTasksInput{
		Domain: &w.domain, TaskList: list("list"),
	})
	ok(w.t)(count, err)
	return count.Count
}

func (w *world) pendingActivities() int32 {
	w.t.Helper()
	count, err := w.client.CountPendingActivityTasks(w.ctx(), &swf.CountPendingActivityTasksInput{
		Domain: &w.domain, TaskList: list("work"),
	})
	ok(w.t)(count, err)
	return count.Count
}

// terminate ends the open run of an id, if it can.
func (w *world) terminate(id string) error {
	_, err := w.client.TerminateWorkflowExecution(w.ctx(), &swf.TerminateWorkflowExecutionInput{Domain: &w.domain, WorkflowId: &id})
	return err
}

// respond answers a decision task.
func (w *world) respond(task *swf.PollForDecisionTaskOutput, decisions ...types.Decision) {
	w.t.Helper()
	ok(w.t)(w.client.RespondDecisionTaskCompleted(w.ctx(), &swf.RespondDecisionTaskCompletedInput{
		TaskToken: task.TaskToken, Decisions: decisions,
	}))
}

// decide takes the next decision task and answers it.
func (w *world) decide(decisions ...types.Decision) *swf.PollForDecisionTaskOutput {
	w.t.Helper()
	task := w.poll()
	w.respond(task, decisions...)
	return task
}

// work takes an activity task, which must be there.
func (w *world) work() *swf.PollForActivityTaskOutput {
	w.t.Helper()
	out, err := w.client.PollForActivityTask(w.ctx(), &swf.PollForActivityTaskInput{
		Domain: &w.domain, TaskList: list("work"), Identity: aws.String("worker"),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if aws.ToString(out.TaskToken) == "" {
		w.t.Fatal("no activity task")
	}
	return out
}

func (w *world) signal(id, name string, input *string) {
	w.t.Helper()
	ok(w.t)(w.client.SignalWorkflowExecution(w.ctx(), &swf.SignalWorkflowExecutionInput{
		Domain: &w.domain, WorkflowId: &id, SignalName: &name, Input: input,
	}))
}

// history reads all events of a run.
func (w *world) history(id, runID string) []types.HistoryEvent {
	w.t.Helper()
	var events []types.HistoryEvent
	pages := swf.NewGetWorkflowExecutionHistoryPaginator(w.client, &swf.GetWorkflowExecutionHistoryInput{
		Domain: &w.domain, Execution: &types.WorkflowExecution{WorkflowId: &id, RunId: &runID},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(w.ctx())
		if err != nil {
			w.t.Fatal(err)
		}
		events = append(events, page.Events...)
	}
	return events
}

// kinds are the types of events, without those of decision tasks.
func kinds(events []types.HistoryEvent) []string {
	var names []string
	for _, e := range events {
		if name := string(e.EventType); !strings.HasPrefix(name, "DecisionTask") {
			names = append(names, name)
		}
	}
	return names
}

// wantKinds compares the history of a run, without the events of decision tasks.
func (w *world) wantKinds(id, runID string, want ...string) []types.HistoryEvent {
	w.t.Helper()
	events := w.history(id, runID)
	if got := kinds(events); !slices.Equal(got, want) {
		w.t.Fatalf("the history of %s is\n%v\nwant\n%v", id, got, want)
	}
	return events
}

// last finds the last event of a type.
func last(t *testing.T, events []types.HistoryEvent, kind types.EventType) types.HistoryEvent {
	t.Helper()
	for _, e := range slices.Backward(events) {
		if e.EventType == kind {
			return e
		}
	}
	t.Fatalf("no %s in %v", kind, kinds(events))
	return types.HistoryEvent{}
}

func (w *world) describe(id, runID string) *swf.DescribeWorkflowExecutionOutput {
	w.t.Helper()
	out, err := w.client.DescribeWorkflowExecution(w.ctx(), &swf.DescribeWorkflowExecutionInput{
		Domain: &w.domain, Execution: &types.WorkflowExecution{WorkflowId: &id, RunId: &runID},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// wantFault checks the kind of an error of the API.
func wantFault(t *testing.T, err error, kind string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != kind {
		t.Fatalf("got %v, want %s", err, kind)
	}
}

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s is %v, want %v", what, got, want)
	}
}

func wantList[T comparable](t *testing.T, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got\n%v\nwant\n%v", got, want)
	}
}
