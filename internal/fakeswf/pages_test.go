package fakeswf_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

func ids(events []types.HistoryEvent) []int64 {
	var list []int64
	for _, e := range events {
		list = append(list, e.EventId)
	}
	return list
}

func TestPagesOfADecisionTask(t *testing.T) {
	t.Parallel()
	for _, reverse := range []bool{false, true} {
		t.Run(fmt.Sprint("reverse ", reverse), func(t *testing.T) {
			t.Parallel()
			w := setup(t, fakeswf.Config{})
			w.start("r")
			w.signal("r", "a", nil)
			w.signal("r", "b", nil)
			options := func(in *swf.PollForDecisionTaskInput) { in.MaximumPageSize, in.ReverseOrder = 2, reverse }
			first := w.poll(options)
			w.signal("r", "late", nil) // is not in the task's history
			events := first.Events
			page := first
			for page.NextPageToken != nil {
				page = w.poll(options, func(in *swf.PollForDecisionTaskInput) { in.NextPageToken = page.NextPageToken })
				wantEqual(t, "token", *page.TaskToken, *first.TaskToken)
				wantEqual(t, "started", page.StartedEventId, first.StartedEventId)
				events = append(events, page.Events...)
			}
			if reverse {
				wantList(t, ids(events), 5, 4, 3, 2, 1)
			} else {
				wantList(t, ids(events), 1, 2, 3, 4, 5)
			}
			_, err := w.client.GetWorkflowExecutionHistory(w.ctx(), &swf.GetWorkflowExecutionHistoryInput{
				Domain: &w.domain, Execution: first.WorkflowExecution, NextPageToken: first.NextPageToken,
			})
			wantFault(t, err, "ValidationException")
			w.respond(first)
		})
	}
}

func TestStartAtPreviousStartedEvent(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	w.start("r")
	w.pass(time.Second)
	first := w.poll(func(in *swf.PollForDecisionTaskInput) { in.StartAtPreviousStartedEvent = true })
	wantEqual(t, "first event", first.Events[0].EventId, 1)
	w.pass(time.Second)
	w.respond(first, marker("m"))
	w.pass(time.Second)
	w.signal("r", "s", nil)
	second := w.poll(func(in *swf.PollForDecisionTaskInput) { in.StartAtPreviousStartedEvent, in.MaximumPageSize = true, 4 })
	third := w.poll(func(in *swf.PollForDecisionTaskInput) {
		in.StartAtPreviousStartedEvent, in.MaximumPageSize, in.NextPageToken = true, 4, second.NextPageToken
	})
	wantList(t, ids(append(second.Events, third.Events...)), 3, 4, 5, 6, 7, 8)
}

func TestPagesOfAHistory(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{Limits: fakeswf.Limits{PageSize: 3}})
	id := w.start("r")
	for range 5 {
		w.signal("r", "s", nil)
	}
	if got := len(w.history("r", id)); got != 7 {
		t.Fatalf("%d events, want 7", got)
	}
	out, err := w.client.GetWorkflowExecutionHistory(w.ctx(), &swf.GetWorkflowExecutionHistoryInput{
		Domain: &w.domain, Execution: &types.WorkflowExecution{WorkflowId: aws.String("r"), RunId: &id}, MaximumPageSize: 1000,
	})
	ok(t)(out, err)
	wantList(t, ids(out.Events), 1, 2, 3)
	_, err = w.client.GetWorkflowExecutionHistory(w.ctx(), &swf.GetWorkflowExecutionHistoryInput{
		Domain: &w.domain, Execution: &types.WorkflowExecution{WorkflowId: aws.String("r"), RunId: aws.String("other")},
	})
	wantFault(t, err, "UnknownResourceFault")
}

func TestLongHistory(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	id := w.start("r")
	for range 20 {
		markers := make([]types.Decision, 0, 1000)
		for range 1000 {
			markers = append(markers, marker("m"))
		}
		w.respond(w.poll(func(in *swf.PollForDecisionTaskInput) { in.MaximumPageSize = 1 }), markers...)
		w.signal("r", "s", nil)
	}
	events := w.history("r", id)
	if len(events) < 20_000 || events[len(events)-1].EventId != int64(len(events)) {
		t.Fatalf("%d events", len(events))
	}
}

func TestListAndCountExecutions(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	for i := range 5 {
		w.start(fmt.Sprint("run-", i), func(in *swf.StartWorkflowExecutionInput) { in.TagList = []string{fmt.Sprint("tag-", i%2)} })
		w.pass(time.Second)
	}
	w.decide(complete("done")) // run-0
	w.pass(time.Second)
	w.decide(fail("broken")) // run-1
	since := func(d time.Duration) *types.ExecutionTimeFilter {
		return &types.ExecutionTimeFilter{OldestDate: aws.Time(epoch.Add(d))}
	}
	open := func(change func(*swf.ListOpenWorkflowExecutionsInput)) []string {
		in := &swf.ListOpenWorkflowExecutionsInput{Domain: &w.domain, StartTimeFilter: since(0), MaximumPageSize: 2}
		change(in)
		var found []string
		pages := swf.NewListOpenWorkflowExecutionsPaginator(w.client, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(w.ctx())
			ok(t)(page, err)
			for _, info := range page.ExecutionInfos {
				found = append(found, *info.Execution.WorkflowId)
			}
		}
		return found
	}
	closed := func(change func(*swf.ListClosedWorkflowExecutionsInput)) []string {
		in := &swf.ListClosedWorkflowExecutionsInput{Domain: &w.domain, CloseTimeFilter: since(0)}
		change(in)
		page, err := w.client.ListClosedWorkflowExecutions(w.ctx(), in)
		ok(t)(page, err)
		var found []string
		for _, info := range page.ExecutionInfos {
			found = append(found, *info.Execution.WorkflowId)
		}
		return found
	}
	wantList(t, open(func(*swf.ListOpenWorkflowExecutionsInput) {}), "run-4", "run-3", "run-2")
	wantList(t, open(func(in *swf.ListOpenWorkflowExecutionsInput) { in.ReverseOrder = true }), "run-2", "run-3", "run-4")
	wantList(t, open(func(in *swf.ListOpenWorkflowExecutionsInput) {
		in.TagFilter = &types.TagFilter{Tag: aws.String("tag-1")}
	}), "run-3")
	wantList(t, open(func(in *swf.ListOpenWorkflowExecutionsInput) { in.StartTimeFilter = since(4 * time.Second) }), "run-4")
	wantList(t, open(func(in *swf.ListOpenWorkflowExecutionsInput) {
		in.StartTimeFilter.LatestDate = aws.Time(epoch.Add(2 * time.Second))
	}), "run-2")
	wantList(t, open(func(in *swf.ListOpenWorkflowExecutionsInput) {
		in.ExecutionFilter = &types.WorkflowExecutionFilter{WorkflowId: aws.String("run-3")}
	}), "run-3")
	wantList(t, open(func(in *swf.ListOpenWorkflowExecutionsInput) {
		in.TypeFilter = &types.WorkflowTypeFilter{Name: aws.String("W"), Version: aws.String("2")}
	}))
	wantList(t, closed(func(*swf.ListClosedWorkflowExecutionsInput) {}), "run-1", "run-0")
	wantList(t, closed(func(in *swf.ListClosedWorkflowExecutionsInput) {
		in.CloseStatusFilter = &types.CloseStatusFilter{Status: types.CloseStatusFailed}
	}), "run-1")
	wantList(t, closed(func(in *swf.ListClosedWorkflowExecutionsInput) {
		in.CloseTimeFilter, in.StartTimeFilter = nil, since(0)
		in.TypeFilter = &types.WorkflowTypeFilter{Name: aws.String("W")}
	}), "run-1", "run-0")
	openCount, err := w.client.CountOpenWorkflowExecutions(w.ctx(), &swf.CountOpenWorkflowExecutionsInput{
		Domain: &w.domain, StartTimeFilter: since(0),
	})
	ok(t)(openCount, err)
	wantEqual(t, "open", openCount.Count, 3)
	closedCount, err := w.client.CountClosedWorkflowExecutions(w.ctx(), &swf.CountClosedWorkflowExecutionsInput{
		Domain: &w.domain, StartTimeFilter: since(0),
	})
	ok(t)(closedCount, err)
	wantEqual(t, "closed", closedCount.Count, 2)
	_, err = w.client.ListClosedWorkflowExecutions(w.ctx(), &swf.ListClosedWorkflowExecutionsInput{Domain: &w.domain})
	wantFault(t, err, "ValidationException")
	_, err = w.client.ListOpenWorkflowExecutions(w.ctx(), &swf.ListOpenWorkflowExecutionsInput{
		Domain: &w.domain, StartTimeFilter: since(0), TagFilter: &types.TagFilter{Tag: aws.String("t")},
		ExecutionFilter: &types.WorkflowExecutionFilter{WorkflowId: aws.String("r")},
	})
	wantFault(t, err, "ValidationException")
}

// TestListsAreBehind: an execution is in the open ones only some time after its start, and stays there after its end.
func TestListsAreBehind(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{ListLag: 2 * time.Second})
	since := &types.ExecutionTimeFilter{OldestDate: aws.Time(epoch)}
	counts := func() [2]int32 {
		open, err := w.client.CountOpenWorkflowExecutions(w.ctx(), &swf.CountOpenWorkflowExecutionsInput{
			Domain: &w.domain, StartTimeFilter: since,
		})
		ok(t)(open, err)
		closed, err := w.client.CountClosedWorkflowExecutions(w.ctx(), &swf.CountClosedWorkflowExecutionsInput{
			Domain: &w.domain, StartTimeFilter: since,
		})
		ok(t)(closed, err)
		return [2]int32{open.Count, closed.Count}
	}
	w.start("R")
	if got := counts(); got != [2]int32{0, 0} {
		t.Error("at its start the lists have", got)
	}
	w.clock.Advance(2 * time.Second)
	if got := counts(); got != [2]int32{1, 0} {
		t.Error("2 s later the lists have", got)
	}
	ok(t)(nil, w.terminate("R"))
	if got := counts(); got != [2]int32{1, 0} {
		t.Error("at its end the lists have", got)
	}
	w.clock.Advance(3 * time.Second)
	if got := counts(); got != [2]int32{0, 1} {
		t.Error("3 s later the lists have", got)
	}
}
