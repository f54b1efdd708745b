package fakeswf_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

func TestActivityTimeouts(t *testing.T) {
	t.Parallel()
	type attributes = types.ScheduleActivityTaskDecisionAttributes
	ten := aws.String("10")
	for _, c := range []struct {
		kind  types.ActivityTaskTimeoutType
		start bool
		set   func(*attributes)
	}{
		{types.ActivityTaskTimeoutTypeScheduleToStart, false, func(a *attributes) { a.ScheduleToStartTimeout = ten }},
		{types.ActivityTaskTimeoutTypeScheduleToClose, false, func(a *attributes) { a.ScheduleToCloseTimeout = ten }},
		{types.ActivityTaskTimeoutTypeScheduleToClose, true, func(a *attributes) { a.ScheduleToCloseTimeout = ten }},
		{types.ActivityTaskTimeoutTypeStartToClose, true, func(a *attributes) { a.StartToCloseTimeout = ten }},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			t.Parallel()
			w := setup(t, fakeswf.Config{})
			id := w.start("r")
			w.decide(activity("a", c.set))
			started := int64(0)
			if c.start {
				started = w.work().StartedEventId
			}
			w.pass(9 * time.Second)
			w.noDecision()
			w.pass(time.Second)
			task := w.poll()
			e := last(t, task.Events, types.EventTypeActivityTaskTimedOut)
			wantEqual(t, "kind", e.ActivityTaskTimedOutEventAttributes.TimeoutType, c.kind)
			wantEqual(t, "scheduled", e.ActivityTaskTimedOutEventAttributes.ScheduledEventId, 5)
			wantEqual(t, "started", e.ActivityTaskTimedOutEventAttributes.StartedEventId, started)
			wantEqual(t, "time", e.EventTimestamp.UTC(), epoch.Add(10*time.Second))
			wantEqual(t, "open", w.describe("r", id).OpenCounts.OpenActivityTasks, 0)
			out, err := w.client.PollForActivityTask(w.ctx(), &swf.PollForActivityTaskInput{Domain: &w.domain, TaskList: list("work")})
			ok(t)(out, err)
			wantEqual(t, "token", aws.ToString(out.TaskToken), "")
		})
	}
}

func TestStartedActivityWaitsNoMore(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	w.start("r")
	w.decide(activity("a", func(a *types.ScheduleActivityTaskDecisionAttributes) { a.ScheduleToStartTimeout = aws.String("10") }))
	task := w.work()
	w.pass(time.Minute)
	w.noDecision()
	ok(t)(w.client.RespondActivityTaskCompleted(w.ctx(), &swf.RespondActivityTaskCompletedInput{TaskToken: task.TaskToken}))
}

func TestHeartbeatPutsTheTimeoutOff(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	w.start("r")
	w.decide(activity("a", func(a *types.ScheduleActivityTaskDecisionAttributes) { a.HeartbeatTimeout = aws.String("10") }))
	task := w.work()
	for _, details := range []string{"20%", "40%"} {
		w.pass(9 * time.Second)
		ok(t)(w.client.RecordActivityTaskHeartbeat(w.ctx(), &swf.RecordActivityTaskHeartbeatInput{
			TaskToken: task.TaskToken, Details: &details,
		}))
	}
	w.noDecision()
	w.pass(10 * time.Second)
	got := last(t, w.poll().Events, types.EventTypeActivityTaskTimedOut).ActivityTaskTimedOutEventAttributes
	wantEqual(t, "kind", got.TimeoutType, types.ActivityTaskTimeoutTypeHeartbeat)
	wantEqual(t, "details", aws.ToString(got.Details), "40%")
	_, err := w.client.RecordActivityTaskHeartbeat(w.ctx(), &swf.RecordActivityTaskHeartbeatInput{TaskToken: task.TaskToken})
	wantFault(t, err, "UnknownResourceFault")
}

func TestCancelActivityThatNobodyHas(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	id := w.start("r")
	w.decide(activity("a"), cancelActivity("a"), cancelActivity("none"))
	events := w.wantKinds("r", id, "WorkflowExecutionStarted", "ActivityTaskScheduled", "ActivityTaskCancelRequested",
		"ActivityTaskCanceled", "RequestCancelActivityTaskFailed")
	canceled := last(t, events, types.EventTypeActivityTaskCanceled).ActivityTaskCanceledEventAttributes
	wantEqual(t, "request", canceled.LatestCancelRequestedEventId, 6)
	failed := last(t, events, types.EventTypeRequestCancelActivityTaskFailed).RequestCancelActivityTaskFailedEventAttributes
	wantEqual(t, "cause", failed.Cause, types.RequestCancelActivityTaskFailedCauseActivityIdUnknown)
	wantEqual(t, "waiting", w.pendingActivities(), 0)
	w.poll()
}

func TestCancelActivityAtItsWorker(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	id := w.start("r")
	w.decide(activity("a"), timer("t", "1"))
	task := w.work()
	w.pass(time.Second)
	w.decide(cancelActivity("a"))
	beat, err := w.client.RecordActivityTaskHeartbeat(w.ctx(), &swf.RecordActivityTaskHeartbeatInput{TaskToken: task.TaskToken})
	ok(t)(beat, err)
	wantEqual(t, "cancel requested", beat.CancelRequested, true)
	w.noDecision()
	ok(t)(w.client.RespondActivityTaskCanceled(w.ctx(), &swf.RespondActivityTaskCanceledInput{
		TaskToken: task.TaskToken, Details: aws.String("stopped"),
	}))
	got := last(t, w.history("r", id), types.EventTypeActivityTaskCanceled).ActivityTaskCanceledEventAttributes
	wantEqual(t, "details", *got.Details, "stopped")
	wantEqual(t, "started", got.StartedEventId, task.StartedEventId)
	w.decide(complete("done"))
}

func TestScheduleActivityFails(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{Limits: fakeswf.Limits{OpenActivities: 1}})
	ok(t)(w.client.RegisterActivityType(w.ctx(), &swf.RegisterActivityTypeInput{
		Domain: &w.domain, Name: aws.String("bare"), Version: aws.String("1"),
	}))
	ok(t)(w.client.DeprecateActivityType(w.ctx(), &swf.DeprecateActivityTypeInput{
		Domain: &w.domain, ActivityType: &types.ActivityType{Name: aws.String("bare"), Version: aws.String("1")},
	}))
	type attributes = types.ScheduleActivityTaskDecisionAttributes
	bare := func(a *attributes) { a.ActivityType.Name = aws.String("bare") }
	id := w.start("r")
	w.decide(activity("a"), activity("a"), activity("b"), activity("c", bare), cancelActivity("a"))
	ok(t)(w.client.UndeprecateActivityType(w.ctx(), &swf.UndeprecateActivityTypeInput{
		Domain: &w.domain, ActivityType: &types.ActivityType{Name: aws.String("bare"), Version: aws.String("1")},
	}))
	none := aws.String("NONE")
	w.decide(
		activity("d", bare),
		activity("e", bare, func(a *attributes) { a.TaskList = list("work") }),
		activity("f", bare, func(a *attributes) { a.TaskList, a.ScheduleToCloseTimeout = list("work"), none }),
		activity("g", bare, func(a *attributes) {
			a.TaskList, a.ScheduleToCloseTimeout, a.ScheduleToStartTimeout = list("work"), none, none
		}),
		activity("h", bare, func(a *attributes) {
			a.TaskList, a.ScheduleToCloseTimeout, a.ScheduleToStartTimeout, a.StartToCloseTimeout = list("work"), none, none, none
		}),
	)
	var got []types.ScheduleActivityTaskFailedCause
	for _, e := range w.history("r", id) {
		if a := e.ScheduleActivityTaskFailedEventAttributes; a != nil {
			got = append(got, a.Cause)
		}
	}
	wantList(t, got,
		types.ScheduleActivityTaskFailedCauseActivityIdAlreadyInUse, types.ScheduleActivityTaskFailedCauseOpenActivitiesLimitExceeded,
		types.ScheduleActivityTaskFailedCauseActivityTypeDeprecated, types.ScheduleActivityTaskFailedCauseDefaultTaskListUndefined,
		types.ScheduleActivityTaskFailedCauseDefaultScheduleToCloseTimeoutUndefined,
		types.ScheduleActivityTaskFailedCauseDefaultScheduleToStartTimeoutUndefined,
		types.ScheduleActivityTaskFailedCauseDefaultStartToCloseTimeoutUndefined,
		types.ScheduleActivityTaskFailedCauseDefaultHeartbeatTimeoutUndefined)
}

func TestActivityOfAClosedRun(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	id := w.start("r")
	w.decide(activity("a"), activity("b"))
	task := w.work()
	ok(t)(nil, w.terminate("r"))
	for _, respond := range []func() error{
		func() error {
			_, err := w.client.RespondActivityTaskCompleted(w.ctx(), &swf.RespondActivityTaskCompletedInput{TaskToken: task.TaskToken})
			return err
		},
		func() error {
			_, err := w.client.RespondActivityTaskFailed(w.ctx(), &swf.RespondActivityTaskFailedInput{TaskToken: task.TaskToken})
			return err
		},
		func() error {
			_, err := w.client.RespondActivityTaskCanceled(w.ctx(), &swf.RespondActivityTaskCanceledInput{TaskToken: task.TaskToken})
			return err
		},
	} {
		wantFault(t, respond(), "UnknownResourceFault")
	}
	wantEqual(t, "open", w.describe("r", id).OpenCounts.OpenActivityTasks, 0)
	out, err := w.client.PollForActivityTask(w.ctx(), &swf.PollForActivityTaskInput{Domain: &w.domain, TaskList: list("work")})
	ok(t)(out, err)
	wantEqual(t, "token", aws.ToString(out.TaskToken), "")
}

func TestPriorityComesFirst(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	w.start("r")
	priority := func(p string) func(*types.ScheduleActivityTaskDecisionAttributes) {
		return func(a *types.ScheduleActivityTaskDecisionAttributes) { a.TaskPriority = &p }
	}
	w.decide(activity("a"), activity("b", priority("5")), activity("c", priority("-1")), activity("d", priority("5")))
	var got []string
	for range 4 {
		got = append(got, *w.work().ActivityId)
	}
	wantList(t, got, "b", "d", "a", "c")
}
