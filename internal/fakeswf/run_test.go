package fakeswf_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

func TestClosingWithUnhandledEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		decision types.Decision
		failed   string
	}{
		{complete("done"), "CompleteWorkflowExecutionFailed"},
		{fail("broken"), "FailWorkflowExecutionFailed"},
		{cancelRun(), "CancelWorkflowExecutionFailed"},
		{continueAsNew("more"), "ContinueAsNewWorkflowExecutionFailed"},
	} {
		t.Run(c.failed, func(t *testing.T) {
			t.Parallel()
			w := setup(t, fakeswf.Config{})
			id := w.start("r")
			task := w.poll()
			w.signal("r", "s", nil)
			w.respond(task, marker("m"), c.decision)
			w.wantKinds("r", id, "WorkflowExecutionStarted", "WorkflowExecutionSignaled", "MarkerRecorded", c.failed)
			w.decide(c.decision)
			if status := w.describe("r", id).ExecutionInfo.ExecutionStatus; status != types.ExecutionStatusClosed {
				t.Fatalf("the run is %s after the second attempt", status)
			}
		})
	}
}

func TestEventsDuringADecisionMakeOneMore(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	w.start("r")
	task := w.poll()
	w.signal("r", "one", nil)
	w.signal("r", "two", aws.String("x"))
	w.noDecision()
	w.respond(task)
	second := w.poll()
	wantEqual(t, "previous", second.PreviousStartedEventId, task.StartedEventId)
	signals := 0
	for _, e := range second.Events {
		if a := e.WorkflowExecutionSignaledEventAttributes; a != nil {
			signals++
		}
	}
	wantEqual(t, "signals", signals, 2)
	w.respond(second)
	w.noDecision()
}

func TestDecisionTokens(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	w.start("r")
	stale := w.poll()
	w.pass(time.Minute)
	fresh := w.poll()
	respond := func(token *string) error {
		_, err := w.client.RespondDecisionTaskCompleted(w.ctx(), &swf.RespondDecisionTaskCompletedInput{
			TaskToken: token, Decisions: []types.Decision{complete("late")},
		})
		return err
	}
	wantFault(t, respond(stale.TaskToken), "UnknownResourceFault")
	wantFault(t, respond(aws.String("nonsense")), "ValidationException")
	w.respond(fresh)
}

func TestClosedRunLeavesNoDecisionTask(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	w.start("r")
	ok(t)(nil, w.terminate("r"))
	w.noDecision()
	wantEqual(t, "token", aws.ToString(w.tryPoll().TaskToken), "")
}

func TestPreviousStartedIsOfACompletedTask(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	w.start("r")
	first := w.decide()
	w.signal("r", "s", nil)
	w.poll()
	w.pass(time.Minute)
	third := w.poll(func(in *swf.PollForDecisionTaskInput) { in.StartAtPreviousStartedEvent = true })
	wantEqual(t, "previous", third.PreviousStartedEventId, first.StartedEventId)
	wantEqual(t, "first event, of the same millisecond", third.Events[0].EventId, 1)
	last(t, third.Events, types.EventTypeDecisionTaskTimedOut)
	last(t, third.Events, types.EventTypeWorkflowExecutionSignaled)
}

func TestRequestCancelAndContext(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	id := w.start("r", func(in *swf.StartWorkflowExecutionInput) { in.TagList = []string{"a", "b"} })
	task := w.poll()
	ok(t)(w.client.RespondDecisionTaskCompleted(w.ctx(), &swf.RespondDecisionTaskCompletedInput{
		TaskToken: task.TaskToken, ExecutionContext: aws.String("half"),
	}))
	ok(t)(w.client.RequestCancelWorkflowExecution(w.ctx(), &swf.RequestCancelWorkflowExecutionInput{
		Domain: &w.domain, WorkflowId: aws.String("r"),
	}))
	d := w.describe("r", id)
	wantEqual(t, "context", *d.LatestExecutionContext, "half")
	wantEqual(t, "cancel requested", d.ExecutionInfo.CancelRequested, true)
	wantList(t, d.ExecutionInfo.TagList, "a", "b")
	w.decide(cancelRun())
	events := w.wantKinds("r", id, "WorkflowExecutionStarted", "WorkflowExecutionCancelRequested", "WorkflowExecutionCanceled")
	completed := last(t, events[:5], types.EventTypeDecisionTaskCompleted).DecisionTaskCompletedEventAttributes
	wantEqual(t, "context", *completed.ExecutionContext, "half")
	_, err := w.client.RequestCancelWorkflowExecution(w.ctx(), &swf.RequestCancelWorkflowExecutionInput{
		Domain: &w.domain, WorkflowId: aws.String("r"),
	})
	wantFault(t, err, "UnknownResourceFault")
}

func TestSignalWithRunID(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	first := w.start("r")
	w.decide(complete("done"))
	second := w.start("r")
	send := func(run string) error {
		_, err := w.client.SignalWorkflowExecution(w.ctx(), &swf.SignalWorkflowExecutionInput{
			Domain: &w.domain, WorkflowId: aws.String("r"), RunId: &run, SignalName: aws.String("s"),
		})
		return err
	}
	wantFault(t, send(first), "UnknownResourceFault")
	ok(t)(nil, send(second))
	w.wantKinds("r", second, "WorkflowExecutionStarted", "WorkflowExecutionSignaled")
}

func TestContinueAsNew(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	first := w.start("r", func(in *swf.StartWorkflowExecutionInput) { in.LambdaRole = aws.String("arn:role") })
	w.decide(timer("t", "60"), continueAsNew("more"))
	end := last(t, w.history("r", first), types.EventTypeWorkflowExecutionContinuedAsNew).WorkflowExecutionContinuedAsNewEventAttributes
	second := *end.NewExecutionRunId
	begin := w.history("r", second)[0].WorkflowExecutionStartedEventAttributes
	wantEqual(t, "continued", *begin.ContinuedExecutionRunId, first)
	wantEqual(t, "input", *begin.Input, "more")
	wantEqual(t, "role", aws.ToString(begin.LambdaRole), "")
	wantEqual(t, "status", w.describe("r", first).ExecutionInfo.CloseStatus, types.CloseStatusContinuedAsNew)
	w.pass(time.Minute)
	task := w.poll()
	wantEqual(t, "run", *task.WorkflowExecution.RunId, second)
	w.respond(task, types.Decision{
		DecisionType: types.DecisionTypeContinueAsNewWorkflowExecution,
		ContinueAsNewWorkflowExecutionDecisionAttributes: &types.ContinueAsNewWorkflowExecutionDecisionAttributes{
			WorkflowTypeVersion: aws.String("9"),
		},
	})
	failed := last(t, w.history("r", second), types.EventTypeContinueAsNewWorkflowExecutionFailed)
	wantEqual(t, "cause", failed.ContinueAsNewWorkflowExecutionFailedEventAttributes.Cause,
		types.ContinueAsNewWorkflowExecutionFailedCauseWorkflowTypeDoesNotExist)
	w.poll()
}

func TestStickyTaskList(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	id := w.start("r")
	mine := func(in *swf.PollForDecisionTaskInput) { in.TaskList = list("mine") }
	override := func(task *swf.PollForDecisionTaskOutput, timeout *string) {
		ok(t)(w.client.RespondDecisionTaskCompleted(w.ctx(), &swf.RespondDecisionTaskCompletedInput{
			TaskToken: task.TaskToken, TaskList: list("mine"), TaskListScheduleToStartTimeout: timeout,
		}))
	}
	override(w.poll(), aws.String("10"))
	w.signal("r", "one", nil)
	w.noDecision()
	override(w.poll(mine), aws.String("10"))
	w.signal("r", "two", nil)
	w.pass(10 * time.Second)
	timedOut := last(t, w.history("r", id), types.EventTypeDecisionTaskTimedOut).DecisionTaskTimedOutEventAttributes
	wantEqual(t, "kind", timedOut.TimeoutType, types.DecisionTaskTimeoutTypeScheduleToStart)
	wantEqual(t, "token", aws.ToString(w.tryPoll(mine).TaskToken), "")
	override(w.poll(), nil)
	w.signal("r", "three", nil)
	w.pass(time.Minute)
	w.poll(mine)
}

func TestTimers(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{Limits: fakeswf.Limits{OpenTimers: 2}})
	id := w.start("r")
	w.decide(timer("now", "0"), timer("b", "20"), timer("c", "5"), cancelTimer("b"), cancelTimer("b"), timer("d", "10"))
	events := w.wantKinds("r", id, "WorkflowExecutionStarted", "TimerStarted", "TimerStarted", "StartTimerFailed", "TimerCanceled",
		"CancelTimerFailed", "TimerStarted", "TimerFired")
	wantEqual(t, "cause", last(t, events, types.EventTypeStartTimerFailed).StartTimerFailedEventAttributes.Cause,
		types.StartTimerFailedCauseOpenTimersLimitExceeded)
	wantEqual(t, "cause", last(t, events, types.EventTypeCancelTimerFailed).CancelTimerFailedEventAttributes.Cause,
		types.CancelTimerFailedCauseTimerIdUnknown)
	wantEqual(t, "canceled", *last(t, events, types.EventTypeTimerCanceled).TimerCanceledEventAttributes.TimerId, "b")
	wantEqual(t, "fired", *last(t, events, types.EventTypeTimerFired).TimerFiredEventAttributes.TimerId, "now")
	w.decide()
	w.noDecision()
	wantEqual(t, "open timers", w.describe("r", id).OpenCounts.OpenTimers, 1)
	w.pass(time.Hour - time.Second)
	wantEqual(t, "open timers", w.describe("r", id).OpenCounts.OpenTimers, 0)
	fired := last(t, w.poll().Events, types.EventTypeTimerFired)
	wantEqual(t, "time", fired.EventTimestamp.UTC(), epoch.Add(10*time.Second))
}

func TestEventLimit(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{Limits: fakeswf.Limits{HistoryEvents: 10}})
	id := w.start("r")
	w.decide(marker("1"), marker("2"), marker("3"), marker("4"), marker("5"), marker("6"))
	events := w.history("r", id)
	wantEqual(t, "events", len(events), 10)
	got := events[9].WorkflowExecutionTerminatedEventAttributes
	wantEqual(t, "cause", got.Cause, types.WorkflowExecutionTerminatedCauseEventLimitExceeded)
	wantEqual(t, "status", w.describe("r", id).ExecutionInfo.CloseStatus, types.CloseStatusTerminated)
}

func TestRefuseDecisionHook(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{RefuseDecision: func(decision string, attributes map[string]any) string {
		if decision == "StartTimer" && attributes["timerId"] == "t" {
			return "TIMER_CREATION_RATE_EXCEEDED"
		}
		if decision == "RecordMarker" || decision == "CompleteWorkflowExecution" {
			return "OPERATION_NOT_PERMITTED"
		}
		return ""
	}})
	id := w.start("r")
	w.decide(timer("t", "1"), timer("u", "1"), marker("m"), complete("done"))
	w.wantKinds("r", id, "WorkflowExecutionStarted", "StartTimerFailed", "TimerStarted", "RecordMarkerFailed",
		"CompleteWorkflowExecutionFailed")
	w.poll()
}

func TestRunMayLastAYear(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	id := w.start("r", func(in *swf.StartWorkflowExecutionInput) { in.ExecutionStartToCloseTimeout = aws.String("31536000") })
	w.pass(365*24*time.Hour - time.Second)
	wantEqual(t, "status", w.describe("r", id).ExecutionInfo.ExecutionStatus, types.ExecutionStatusOpen)
	w.pass(time.Second)
	wantEqual(t, "status", w.describe("r", id).ExecutionInfo.CloseStatus, types.CloseStatusTimedOut)
}

func TestDecisionWithoutTimeout(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	w.start("r", func(in *swf.StartWorkflowExecutionInput) { in.TaskStartToCloseTimeout = aws.String("NONE") })
	task := w.poll()
	w.pass(59 * time.Minute)
	w.respond(task, complete("done"))
}

func TestOpenExecutionsLimit(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{Limits: fakeswf.Limits{OpenExecutions: 1}})
	id := w.start("r")
	_, err := w.client.StartWorkflowExecution(w.ctx(), &swf.StartWorkflowExecutionInput{
		Domain: &w.domain, WorkflowId: aws.String("s"), WorkflowType: &types.WorkflowType{Name: aws.String("W"), Version: aws.String("1")},
	})
	wantFault(t, err, "LimitExceededFault")
	w.decide(childRun("s"))
	failed := last(t, w.history("r", id), types.EventTypeStartChildWorkflowExecutionFailed)
	wantEqual(t, "cause", failed.StartChildWorkflowExecutionFailedEventAttributes.Cause,
		types.StartChildWorkflowExecutionFailedCauseOpenWorkflowsLimitExceeded)
}

// TestContinueAsNewIntoAChangedType: the type's own state is checked again.
func TestContinueAsNewIntoAChangedType(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	bare := &types.WorkflowType{Name: aws.String("W"), Version: aws.String("bare")}
	ok(t)(w.client.RegisterWorkflowType(w.ctx(), &swf.RegisterWorkflowTypeInput{
		Domain: &w.domain, Name: bare.Name, Version: bare.Version,
	}))
	again := types.Decision{
		DecisionType: types.DecisionTypeContinueAsNewWorkflowExecution,
		ContinueAsNewWorkflowExecutionDecisionAttributes: &types.ContinueAsNewWorkflowExecutionDecisionAttributes{
			WorkflowTypeVersion: bare.Version,
		},
	}
	id := w.start("r")
	w.decide(again)
	ok(t)(w.client.DeprecateWorkflowType(w.ctx(), &swf.DeprecateWorkflowTypeInput{Domain: &w.domain, WorkflowType: bare}))
	w.decide(again)
	var causes []types.ContinueAsNewWorkflowExecutionFailedCause
	for _, e := range w.history("r", id) {
		if a := e.ContinueAsNewWorkflowExecutionFailedEventAttributes; a != nil {
			causes = append(causes, a.Cause)
		}
	}
	wantList(t, causes,
		types.ContinueAsNewWorkflowExecutionFailedCauseDefaultExecutionStartToCloseTimeoutUndefined,
		types.ContinueAsNewWorkflowExecutionFailedCauseWorkflowTypeDeprecated)
}
