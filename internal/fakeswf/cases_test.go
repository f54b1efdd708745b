package fakeswf_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// swfCase is something that another implementation of SWF can do too. It gets a domain of its own.
type swfCase struct {
	name string
	run  func(t *testing.T, w *world)
}

// TestCases runs the overlap with other implementations on the fake.
func TestCases(t *testing.T) {
	t.Parallel()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, setup(t, fakeswf.Config{}))
		})
	}
}

// cases is the overlap of the fake with moto. Whoever adds to it keeps to what moto can do: signals have an input, decisions have
// finite timeouts, histories have one page.
func cases() []swfCase {
	return []swfCase{
		{"register domain twice", func(t *testing.T, w *world) {
			_, err := w.client.RegisterDomain(w.ctx(), &swf.RegisterDomainInput{
				Name: &w.domain, WorkflowExecutionRetentionPeriodInDays: aws.String("7"),
			})
			wantFault(t, err, "DomainAlreadyExistsFault")
		}},
		{"register types twice", func(t *testing.T, w *world) {
			_, err := w.client.RegisterWorkflowType(w.ctx(), &swf.RegisterWorkflowTypeInput{
				Domain: &w.domain, Name: aws.String("W"), Version: aws.String("1"),
			})
			wantFault(t, err, "TypeAlreadyExistsFault")
			_, err = w.client.RegisterActivityType(w.ctx(), &swf.RegisterActivityTypeInput{
				Domain: &w.domain, Name: aws.String("A"), Version: aws.String("1"),
			})
			wantFault(t, err, "TypeAlreadyExistsFault")
		}},
		{"start twice", func(t *testing.T, w *world) {
			w.start("r")
			_, err := w.client.StartWorkflowExecution(w.ctx(), &swf.StartWorkflowExecutionInput{
				Domain: &w.domain, WorkflowId: aws.String("r"),
				WorkflowType: &types.WorkflowType{Name: aws.String("W"), Version: aws.String("1")},
			})
			wantFault(t, err, "WorkflowExecutionAlreadyStartedFault")
		}},
		{"start an unknown type", func(t *testing.T, w *world) {
			_, err := w.client.StartWorkflowExecution(w.ctx(), &swf.StartWorkflowExecutionInput{
				Domain: &w.domain, WorkflowId: aws.String("r"),
				WorkflowType: &types.WorkflowType{Name: aws.String("none"), Version: aws.String("1")},
			})
			wantFault(t, err, "UnknownResourceFault")
		}},
		{"start without a default", startWithoutDefault},
		{"start again after the end", func(t *testing.T, w *world) {
			first := w.start("r")
			w.decide(complete("done"))
			if second := w.start("r"); second == first {
				t.Fatal("two runs have one run id")
			}
		}},
		{"decision task", decisionTaskCase},
		{"marker and completion", func(_ *testing.T, w *world) {
			id := w.start("r")
			w.decide(marker("m"), complete("done"))
			w.wantKinds("r", id, "WorkflowExecutionStarted", "MarkerRecorded", "WorkflowExecutionCompleted")
		}},
		{"failure", func(t *testing.T, w *world) {
			id := w.start("r")
			w.decide(fail("broken"))
			events := w.wantKinds("r", id, "WorkflowExecutionStarted", "WorkflowExecutionFailed")
			got := last(t, events, types.EventTypeWorkflowExecutionFailed).WorkflowExecutionFailedEventAttributes
			wantEqual(t, "reason", *got.Reason, "broken")
			wantEqual(t, "details", *got.Details, "why")
		}},
		{"cancellation", func(t *testing.T, w *world) {
			id := w.start("r")
			w.decide(cancelRun())
			w.wantKinds("r", id, "WorkflowExecutionStarted", "WorkflowExecutionCanceled")
			wantEqual(t, "status", w.describe("r", id).ExecutionInfo.CloseStatus, types.CloseStatusCanceled)
		}},
		{"timer", timerCase},
		{"timer id in use", func(t *testing.T, w *world) {
			id := w.start("r")
			w.decide(timer("t", "60"), timer("t", "60"))
			events := w.wantKinds("r", id, "WorkflowExecutionStarted", "TimerStarted", "StartTimerFailed")
			got := last(t, events, types.EventTypeStartTimerFailed).StartTimerFailedEventAttributes
			wantEqual(t, "cause", got.Cause, types.StartTimerFailedCauseTimerIdAlreadyInUse)
		}},
		{"signal", signalCase},
		{"signal to nobody", func(t *testing.T, w *world) {
			_, err := w.client.SignalWorkflowExecution(w.ctx(), &swf.SignalWorkflowExecutionInput{
				Domain: &w.domain, WorkflowId: aws.String("nobody"), SignalName: aws.String("s"), Input: aws.String("x"),
			})
			wantFault(t, err, "UnknownResourceFault")
		}},
		{"activity that completes", activityCase},
		{"activity that fails", func(t *testing.T, w *world) {
			id := w.start("r")
			w.decide(activity("a"))
			ok(t)(w.client.RespondActivityTaskFailed(w.ctx(), &swf.RespondActivityTaskFailedInput{
				TaskToken: w.work().TaskToken, Reason: aws.String("bad"), Details: aws.String("worse"),
			}))
			events := w.wantKinds("r", id,
				"WorkflowExecutionStarted", "ActivityTaskScheduled", "ActivityTaskStarted", "ActivityTaskFailed")
			got := last(t, events, types.EventTypeActivityTaskFailed).ActivityTaskFailedEventAttributes
			wantEqual(t, "reason", *got.Reason, "bad")
			wantEqual(t, "details", *got.Details, "worse")
		}},
		{"activity of an unknown type", func(t *testing.T, w *world) {
			id := w.start("r")
			w.decide(activity("a", func(a *types.ScheduleActivityTaskDecisionAttributes) { a.ActivityType.Name = aws.String("none") }))
			events := w.wantKinds("r", id, "WorkflowExecutionStarted", "ScheduleActivityTaskFailed")
			got := last(t, events, types.EventTypeScheduleActivityTaskFailed).ScheduleActivityTaskFailedEventAttributes
			wantEqual(t, "cause", got.Cause, types.ScheduleActivityTaskFailedCauseActivityTypeDoesNotExist)
		}},
		{"activity without a heartbeat", func(t *testing.T, w *world) {
			id := w.start("r")
			w.decide(activity("a", func(a *types.ScheduleActivityTaskDecisionAttributes) { a.HeartbeatTimeout = aws.String("1") }))
			w.work()
			w.pass(1500 * time.Millisecond)
			w.poll()
			events := w.history("r", id)
			got := last(t, events, types.EventTypeActivityTaskTimedOut).ActivityTaskTimedOutEventAttributes
			wantEqual(t, "kind", got.TimeoutType, types.ActivityTaskTimeoutTypeHeartbeat)
		}},
		{"decision that times out", decisionTimeoutCase},
		{"decision answered twice", func(t *testing.T, w *world) {
			w.start("r")
			task := w.decide()
			_, err := w.client.RespondDecisionTaskCompleted(w.ctx(), &swf.RespondDecisionTaskCompletedInput{TaskToken: task.TaskToken})
			wantFault(t, err, "UnknownResourceFault")
		}},
		{"decision of a closed run", func(t *testing.T, w *world) {
			w.start("r")
			task := w.poll()
			ok(t)(nil, w.terminate("r"))
			_, err := w.client.RespondDecisionTaskCompleted(w.ctx(), &swf.RespondDecisionTaskCompletedInput{TaskToken: task.TaskToken})
			wantFault(t, err, "UnknownResourceFault")
		}},
		{"run that times out", func(t *testing.T, w *world) {
			id := w.start("r", func(in *swf.StartWorkflowExecutionInput) { in.ExecutionStartToCloseTimeout = aws.String("1") })
			w.pass(1500 * time.Millisecond)
			wantEqual(t, "status", w.describe("r", id).ExecutionInfo.CloseStatus, types.CloseStatusTimedOut)
			last(t, w.history("r", id), types.EventTypeWorkflowExecutionTimedOut)
		}},
		{"termination", func(t *testing.T, w *world) {
			id := w.start("r")
			ok(t)(w.client.TerminateWorkflowExecution(w.ctx(), &swf.TerminateWorkflowExecutionInput{
				Domain: &w.domain, WorkflowId: aws.String("r"), Reason: aws.String("enough"), Details: aws.String("d"),
			}))
			got := last(t, w.history("r", id), types.EventTypeWorkflowExecutionTerminated).WorkflowExecutionTerminatedEventAttributes
			wantEqual(t, "reason", *got.Reason, "enough")
			wantEqual(t, "cause", got.Cause, types.WorkflowExecutionTerminatedCauseOperatorInitiated)
		}},
		{"reverse history", func(t *testing.T, w *world) {
			id := w.start("r")
			out, err := w.client.GetWorkflowExecutionHistory(w.ctx(), &swf.GetWorkflowExecutionHistoryInput{
				Domain: &w.domain, Execution: &types.WorkflowExecution{WorkflowId: aws.String("r"), RunId: &id}, ReverseOrder: true,
			})
			ok(t)(out, err)
			wantEqual(t, "first", out.Events[0].EventType, types.EventTypeDecisionTaskScheduled)
			wantEqual(t, "its id", out.Events[0].EventId, 2)
		}},
	}
}

func startWithoutDefault(t *testing.T, w *world) {
	ok(t)(w.client.RegisterWorkflowType(w.ctx(), &swf.RegisterWorkflowTypeInput{
		Domain: &w.domain, Name: aws.String("bare"), Version: aws.String("1"),
	}))
	_, err := w.client.StartWorkflowExecution(w.ctx(), &swf.StartWorkflowExecutionInput{
		Domain: &w.domain, WorkflowId: aws.String("r"),
		WorkflowType: &types.WorkflowType{Name: aws.String("bare"), Version: aws.String("1")},
		ChildPolicy:  types.ChildPolicyAbandon, ExecutionStartToCloseTimeout: aws.String("60"), TaskStartToCloseTimeout: aws.String("60"),
	})
	wantFault(t, err, "DefaultUndefinedFault")
}

func decisionTaskCase(t *testing.T, w *world) {
	id := w.start("r")
	wantEqual(t, "waiting", w.pendingDecisions(), 1)
	first := w.poll()
	wantEqual(t, "run", *first.WorkflowExecution.RunId, id)
	wantEqual(t, "started", first.StartedEventId, 3)
	wantEqual(t, "previous", first.PreviousStartedEventId, 0)
	wantEqual(t, "events", len(first.Events), 3)
	wantEqual(t, "open decisions", w.describe("r", id).OpenCounts.OpenDecisionTasks, 1)
	w.respond(first)
	wantEqual(t, "open decisions", w.describe("r", id).OpenCounts.OpenDecisionTasks, 0)
	w.signal("r", "s", aws.String("x"))
	second := w.poll()
	wantEqual(t, "previous", second.PreviousStartedEventId, 3)
	wantEqual(t, "started", second.StartedEventId, 7)
}

func timerCase(t *testing.T, w *world) {
	id := w.start("r")
	w.decide(timer("t", "1"))
	w.pass(1500 * time.Millisecond)
	w.poll()
	got := last(t, w.history("r", id), types.EventTypeTimerFired).TimerFiredEventAttributes
	wantEqual(t, "timer", *got.TimerId, "t")
	wantEqual(t, "started by", got.StartedEventId, 5)
}

func signalCase(t *testing.T, w *world) {
	id := w.start("r")
	w.decide()
	w.signal("r", "approve", aws.String("yes"))
	got := last(t, w.poll().Events, types.EventTypeWorkflowExecutionSignaled).WorkflowExecutionSignaledEventAttributes
	wantEqual(t, "name", *got.SignalName, "approve")
	wantEqual(t, "input", *got.Input, "yes")
	w.wantKinds("r", id, "WorkflowExecutionStarted", "WorkflowExecutionSignaled")
}

func activityCase(t *testing.T, w *world) {
	id := w.start("r")
	w.decide(activity("a"))
	wantEqual(t, "waiting", w.pendingActivities(), 1)
	task := w.work()
	wantEqual(t, "activity", *task.ActivityId, "a")
	wantEqual(t, "input", *task.Input, "in")
	beat, err := w.client.RecordActivityTaskHeartbeat(w.ctx(), &swf.RecordActivityTaskHeartbeatInput{TaskToken: task.TaskToken})
	ok(t)(beat, err)
	wantEqual(t, "cancel requested", beat.CancelRequested, false)
	ok(t)(w.client.RespondActivityTaskCompleted(w.ctx(), &swf.RespondActivityTaskCompletedInput{
		TaskToken: task.TaskToken, Result: aws.String("out"),
	}))
	events := w.wantKinds("r", id,
		"WorkflowExecutionStarted", "ActivityTaskScheduled", "ActivityTaskStarted", "ActivityTaskCompleted")
	got := last(t, events, types.EventTypeActivityTaskCompleted).ActivityTaskCompletedEventAttributes
	wantEqual(t, "result", *got.Result, "out")
	wantEqual(t, "scheduled", got.ScheduledEventId, 5)
	wantEqual(t, "started", got.StartedEventId, 6)
	w.decide(complete("done"))
}

func decisionTimeoutCase(t *testing.T, w *world) {
	id := w.start("r", func(in *swf.StartWorkflowExecutionInput) { in.TaskStartToCloseTimeout = aws.String("3") })
	w.poll()
	w.pass(3500 * time.Millisecond)
	w.respond(w.poll(), complete("done")) // at once: it has a time-out, too
	timedOut := last(t, w.history("r", id), types.EventTypeDecisionTaskTimedOut).DecisionTaskTimedOutEventAttributes
	wantEqual(t, "kind", timedOut.TimeoutType, types.DecisionTaskTimeoutTypeStartToClose)
	wantEqual(t, "started", timedOut.StartedEventId, 3)
	wantEqual(t, "status", w.describe("r", id).ExecutionInfo.CloseStatus, types.CloseStatusCompleted)
}
