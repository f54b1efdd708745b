package fakeswf_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"
	"github.com/aws/smithy-go"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestOperations: all of the model but the tags of resources.
func TestOperations(t *testing.T) {
	t.Parallel()
	ours, theirs := fakeswf.Actions()
	theirs = slices.DeleteFunc(theirs, func(action string) bool {
		return slices.Contains([]string{"TagResource", "UntagResource", "ListTagsForResource"}, action)
	})
	slices.Sort(ours)
	slices.Sort(theirs)
	wantList(t, ours, theirs...)
}

func TestRequestsAreChecked(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	start := func(change func(*swf.StartWorkflowExecutionInput)) func() error {
		return func() error {
			in := &swf.StartWorkflowExecutionInput{
				Domain: &w.domain, WorkflowId: aws.String("r"),
				WorkflowType: &types.WorkflowType{Name: aws.String("W"), Version: aws.String("1")},
			}
			change(in)
			_, err := w.client.StartWorkflowExecution(w.ctx(), in)
			return err
		}
	}
	w.start("open")
	task := w.poll()
	decide := func(decisions ...types.Decision) func() error {
		return func() error {
			_, err := w.client.RespondDecisionTaskCompleted(w.ctx(), &swf.RespondDecisionTaskCompletedInput{
				TaskToken: task.TaskToken, Decisions: decisions,
			})
			return err
		}
	}
	type in = swf.StartWorkflowExecutionInput
	long := strings.Repeat("x", 257)
	for name, c := range map[string]struct {
		call func() error
		want string // in the message
	}{
		"long id": {
			start(func(i *in) { i.WorkflowId = &long }),
			"at 'workflowId' failed to satisfy constraint: Member must have length less than or equal to 256",
		},
		"empty id": {start(func(i *in) { i.WorkflowId = aws.String("") }), "Member must have length greater than or equal to 1"},
		"colon":    {start(func(i *in) { i.WorkflowId = aws.String("a:b") }), "at 'workflowId'"},
		"slash":    {start(func(i *in) { i.WorkflowId = aws.String("a/b") }), "at 'workflowId'"},
		"bar":      {start(func(i *in) { i.WorkflowId = aws.String("a|b") }), "at 'workflowId'"},
		"control":  {start(func(i *in) { i.WorkflowId = aws.String("a\u0085b") }), "at 'workflowId'"},
		"arn":      {start(func(i *in) { i.WorkflowId = aws.String("arn") }), "at 'workflowId'"},
		"list":     {start(func(i *in) { i.TaskList = list("a:b") }), "at 'taskList.name'"},
		"input":    {start(func(i *in) { i.Input = aws.String(strings.Repeat("x", 32769)) }), "at 'input'"},
		"utf-16":   {start(func(i *in) { i.Input = aws.String(strings.Repeat("\U0001F600", 16385)) }), "at 'input'"},
		"tags":     {start(func(i *in) { i.TagList = make([]string, 6) }), "at 'tagList'"},
		"policy": {
			start(func(i *in) { i.ChildPolicy = "KEEP" }),
			"Member must satisfy enum value set: [TERMINATE, REQUEST_CANCEL, ABANDON]",
		},
		"long timeout": {start(func(i *in) { i.TaskStartToCloseTimeout = aws.String("123456789") }), "at 'taskStartToCloseTimeout'"},
		"fraction":     {start(func(i *in) { i.TaskStartToCloseTimeout = aws.String("1.5") }), "at 'taskStartToCloseTimeout'"},
		"none":         {start(func(i *in) { i.ExecutionStartToCloseTimeout = aws.String("NONE") }), "executionStartToCloseTimeout"},
		"over a year": {
			start(func(i *in) { i.ExecutionStartToCloseTimeout = aws.String("31536001") }),
			"executionStartToCloseTimeout",
		},
		"priority": {start(func(i *in) { i.TaskPriority = aws.String("high") }), "at 'taskPriority'"},
		"two": {
			start(func(i *in) { i.WorkflowId, i.Input = &long, aws.String(strings.Repeat("x", 32769)) }),
			"2 validation errors detected: ",
		},
		"no timer": {
			decide(types.Decision{DecisionType: types.DecisionTypeStartTimer}),
			"Value null at 'decisions.1.member.startTimerDecisionAttributes'",
		},
		"timer none":    {decide(timer("t", "NONE")), "startToFireTimeout"},
		"timer id":      {decide(marker("m"), timer("a/b", "1")), "at 'decisions.2.member.startTimerDecisionAttributes.timerId'"},
		"activity id":   {decide(activity("arn")), "activityId"},
		"function name": {decide(lambda("f", strings.Repeat("x", 65))), "less than or equal to 64"},
		"function timeout": {
			decide(lambda("f", "x", func(a *types.ScheduleLambdaFunctionDecisionAttributes) { a.StartToCloseTimeout = aws.String("901") })),
			"from 1 to 900",
		},
		"close not last": {decide(complete("done"), marker("m")), "Close must be last decision in list"},
		"unknown kind":   {decide(types.Decision{DecisionType: "Sleep"}), "at 'decisions.1.member.decisionType'"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.call()
			wantFault(t, err, "ValidationException")
			var api smithy.APIError
			if errors.As(err, &api) && !strings.Contains(api.ErrorMessage(), c.want) {
				t.Fatalf("the message is %q, want %q in it", api.ErrorMessage(), c.want)
			}
		})
	}
	w.respond(task, complete("done")) // nothing of the refused answers was applied
	w.wantKinds("open", *task.WorkflowExecution.RunId, "WorkflowExecutionStarted", "WorkflowExecutionCompleted")
}

// raw sends a request that the SDK would not.
func raw(t *testing.T, srv http.RoundTripper, target, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://fake.invalid", strings.NewReader(body))
	ok(t)(r, err)
	r.Header.Set("X-Amz-Target", target)
	answer, err := srv.RoundTrip(r)
	ok(t)(answer, err)
	ok(t)(nil, answer.Body.Close())
	return answer.StatusCode
}

func TestRawRequests(t *testing.T) {
	t.Parallel()
	srv := fakeswf.New(fakeswf.Config{Limits: fakeswf.Limits{RequestBytes: 1000}})
	defer srv.Close()
	for body, want := range map[string]int{
		`{"registrationStatus":"REGISTERED"}`: http.StatusOK,
		`{}`:                                  http.StatusBadRequest,
		`{"registrationStatus":5}`:            http.StatusBadRequest,
		`{"registrationStatus":"REGISTERED","maximumPageSize":1001}`: http.StatusBadRequest,
		`{"registrationStatus":"REGISTERED","maximumPageSize":"x"}`:  http.StatusBadRequest,
		`{"registrationStatus":"REGISTERED","reverseOrder":"x"}`:     http.StatusBadRequest,
		`{"registrationStatus":"REGISTERED","nextPageToken":"x"}`:    http.StatusBadRequest,
		`[`:                       http.StatusBadRequest,
		strings.Repeat(" ", 1001): http.StatusRequestEntityTooLarge,
	} {
		if got := raw(t, srv.Transport(), "SimpleWorkflowService.ListDomains", body); got != want {
			t.Errorf("%.60s: status %d, want %d", body, got, want)
		}
	}
	wantEqual(t, "unknown", raw(t, srv.Transport(), "SimpleWorkflowService.TagResource", "{}"), http.StatusBadRequest)
	srv.Close()
	wantEqual(t, "closed", raw(t, srv.Transport(), "SimpleWorkflowService.ListDomains", `{"registrationStatus":"REGISTERED"}`),
		http.StatusServiceUnavailable)
}

func TestUnknownResources(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	nowhere, r := aws.String("nowhere"), aws.String("r")
	since := &types.ExecutionTimeFilter{OldestDate: aws.Time(epoch)}
	execution := &types.WorkflowExecution{WorkflowId: r, RunId: r}
	for name, call := range map[string]func(context.Context) error{
		"describe domain": func(ctx context.Context) error {
			_, err := w.client.DescribeDomain(ctx, &swf.DescribeDomainInput{Name: nowhere})
			return err
		},
		"poll": func(ctx context.Context) error {
			_, err := w.client.PollForDecisionTask(ctx, &swf.PollForDecisionTaskInput{Domain: nowhere, TaskList: list("l")})
			return err
		},
		"register": func(ctx context.Context) error {
			_, err := w.client.RegisterWorkflowType(ctx, &swf.RegisterWorkflowTypeInput{Domain: nowhere, Name: r, Version: r})
			return err
		},
		"count tasks": func(ctx context.Context) error {
			_, err := w.client.CountPendingActivityTasks(ctx, &swf.CountPendingActivityTasksInput{Domain: nowhere, TaskList: list("l")})
			return err
		},
		"list": func(ctx context.Context) error {
			_, err := w.client.ListOpenWorkflowExecutions(ctx, &swf.ListOpenWorkflowExecutionsInput{
				Domain: nowhere, StartTimeFilter: since,
			})
			return err
		},
		"count": func(ctx context.Context) error {
			_, err := w.client.CountOpenWorkflowExecutions(ctx, &swf.CountOpenWorkflowExecutionsInput{
				Domain: nowhere, StartTimeFilter: since,
			})
			return err
		},
		"describe": func(ctx context.Context) error {
			_, err := w.client.DescribeWorkflowExecution(ctx, &swf.DescribeWorkflowExecutionInput{Domain: &w.domain, Execution: execution})
			return err
		},
		"terminate": func(ctx context.Context) error {
			_, err := w.client.TerminateWorkflowExecution(ctx, &swf.TerminateWorkflowExecutionInput{Domain: &w.domain, WorkflowId: r})
			return err
		},
		"describe type": func(ctx context.Context) error {
			_, err := w.client.DescribeActivityType(ctx, &swf.DescribeActivityTypeInput{
				Domain: &w.domain, ActivityType: &types.ActivityType{Name: nowhere, Version: r},
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantFault(t, call(t.Context()), "UnknownResourceFault")
		})
	}
}

func TestTypesComeAndGo(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	kind := &types.WorkflowType{Name: aws.String("W"), Version: aws.String("1")}
	described, err := w.client.DescribeWorkflowType(w.ctx(), &swf.DescribeWorkflowTypeInput{Domain: &w.domain, WorkflowType: kind})
	ok(t)(described, err)
	wantEqual(t, "status", described.TypeInfo.Status, types.RegistrationStatusRegistered)
	wantEqual(t, "default", *described.Configuration.DefaultTaskStartToCloseTimeout, "60")
	_, err = w.client.DeleteWorkflowType(w.ctx(), &swf.DeleteWorkflowTypeInput{Domain: &w.domain, WorkflowType: kind})
	wantFault(t, err, "TypeNotDeprecatedFault")
	w.pass(time.Second)
	ok(t)(w.client.DeprecateWorkflowType(w.ctx(), &swf.DeprecateWorkflowTypeInput{Domain: &w.domain, WorkflowType: kind}))
	_, err = w.client.DeprecateWorkflowType(w.ctx(), &swf.DeprecateWorkflowTypeInput{Domain: &w.domain, WorkflowType: kind})
	wantFault(t, err, "TypeDeprecatedFault")
	_, err = w.client.StartWorkflowExecution(w.ctx(), &swf.StartWorkflowExecutionInput{
		Domain: &w.domain, WorkflowId: aws.String("r"), WorkflowType: kind,
	})
	wantFault(t, err, "TypeDeprecatedFault")
	listed, err := w.client.ListWorkflowTypes(w.ctx(), &swf.ListWorkflowTypesInput{
		Domain: &w.domain, RegistrationStatus: types.RegistrationStatusDeprecated,
	})
	ok(t)(listed, err)
	wantEqual(t, "deprecated", listed.TypeInfos[0].DeprecationDate.UTC(), epoch.Add(time.Second))
	ok(t)(w.client.UndeprecateWorkflowType(w.ctx(), &swf.UndeprecateWorkflowTypeInput{Domain: &w.domain, WorkflowType: kind}))
	_, err = w.client.UndeprecateWorkflowType(w.ctx(), &swf.UndeprecateWorkflowTypeInput{Domain: &w.domain, WorkflowType: kind})
	wantFault(t, err, "TypeAlreadyExistsFault")
	ok(t)(w.client.DeprecateWorkflowType(w.ctx(), &swf.DeprecateWorkflowTypeInput{Domain: &w.domain, WorkflowType: kind}))
	ok(t)(w.client.DeleteWorkflowType(w.ctx(), &swf.DeleteWorkflowTypeInput{Domain: &w.domain, WorkflowType: kind}))
	activities, err := w.client.ListActivityTypes(w.ctx(), &swf.ListActivityTypesInput{
		Domain: &w.domain, RegistrationStatus: types.RegistrationStatusRegistered, Name: aws.String("A"),
	})
	ok(t)(activities, err)
	wantEqual(t, "activities", len(activities.TypeInfos), 1)
	ok(t)(w.client.DeprecateDomain(w.ctx(), &swf.DeprecateDomainInput{Name: &w.domain}))
	_, err = w.client.DeprecateDomain(w.ctx(), &swf.DeprecateDomainInput{Name: &w.domain})
	wantFault(t, err, "DomainDeprecatedFault")
	domain, err := w.client.DescribeDomain(w.ctx(), &swf.DescribeDomainInput{Name: &w.domain})
	ok(t)(domain, err)
	wantEqual(t, "retention", *domain.Configuration.WorkflowExecutionRetentionPeriodInDays, "7")
	ok(t)(w.client.UndeprecateDomain(w.ctx(), &swf.UndeprecateDomainInput{Name: &w.domain}))
}
