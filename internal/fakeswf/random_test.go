package fakeswf_test

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestRandomHistoriesAreSound answers decision tasks at random, on executions with few events, and checks what holds for every
// history. The seed stands in the name of the subtest: -run 'TestRandomHistoriesAreSound/seed_7' repeats it.
func TestRandomHistoriesAreSound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			limit := 6 + random.IntN(40)
			w := setup(t, fakeswf.Config{PollWait: time.Millisecond, Limits: fakeswf.Limits{HistoryEvents: limit}})
			for i := range 3 {
				w.start(fmt.Sprint("r", i))
			}
			for range 40 {
				step(w, random)
			}
			runs := 0
			for _, id := range []string{"r0", "r1", "r2", "kid"} {
				if events := w.srv.Events(w.domain, id, ""); events != nil {
					runs++
					checkHistory(t, events, limit)
				}
			}
			if runs < 3 {
				t.Fatalf("%d runs", runs)
			}
		})
	}
}

// step does one thing at random; whether the service can do it does not matter.
func step(w *world, random *rand.Rand) {
	w.t.Helper()
	id := fmt.Sprint("r", random.IntN(3))
	switch random.IntN(8) {
	case 0:
		w.pass(time.Duration(random.IntN(90)) * time.Second)
	case 1:
		_, _ = w.client.SignalWorkflowExecution(w.ctx(), &swf.SignalWorkflowExecutionInput{
			Domain: &w.domain, WorkflowId: &id, SignalName: aws.String("s"),
		})
	case 2:
		out, err := w.client.PollForActivityTask(w.ctx(), &swf.PollForActivityTaskInput{Domain: &w.domain, TaskList: list("work")})
		ok(w.t)(out, err)
		if aws.ToString(out.TaskToken) != "" && random.IntN(3) > 0 {
			ok(w.t)(w.client.RespondActivityTaskCompleted(w.ctx(), &swf.RespondActivityTaskCompletedInput{TaskToken: out.TaskToken}))
		}
	case 3:
		if random.IntN(6) == 0 {
			_ = w.terminate(id)
		}
	default:
		task := w.tryPoll(func(in *swf.PollForDecisionTaskInput) {
			in.TaskList = list([]string{"list", "children"}[random.IntN(2)])
		})
		if aws.ToString(task.TaskToken) != "" {
			w.respond(task, randomDecisions(random)...)
		}
	}
}

func randomDecisions(random *rand.Rand) []types.Decision {
	name := fmt.Sprint("x", random.IntN(3))
	all := []types.Decision{
		marker("m"), timer(name, "0"), timer(name, "10"), cancelTimer(name), activity(name), cancelActivity(name),
		childRun("kid"), signalExternal("r0"), cancelExternal("kid"), lambda(name, "f"),
	}
	var decisions []types.Decision
	for range random.IntN(5) {
		decisions = append(decisions, all[random.IntN(len(all))])
	}
	switch random.IntN(12) {
	case 0:
		decisions = append(decisions, complete("done"))
	case 1:
		decisions = append(decisions, continueAsNew("more"))
	}
	return decisions
}

// checkHistory: ids count up, time does not go back, nothing follows the end, every id that an event names is of an earlier event,
// and at most one decision task is open.
func checkHistory(t *testing.T, events []fakeswf.Event, limit int) {
	t.Helper()
	if len(events) > limit {
		t.Fatalf("%d events, the limit is %d", len(events), limit)
	}
	ends := map[string]bool{}
	for _, kind := range []string{"Completed", "Failed", "TimedOut", "Canceled", "ContinuedAsNew", "Terminated"} {
		ends["WorkflowExecution"+kind] = true
	}
	open := 0
	for i, e := range events {
		if e.ID != int64(i+1) || i > 0 && e.Time.Before(events[i-1].Time) {
			t.Fatalf("event %d is out of order: %+v", i+1, e)
		}
		if ends[e.Type] && i < len(events)-1 {
			t.Fatalf("%s is followed by %s", e.Type, events[i+1].Type)
		}
		for member, value := range e.Attributes {
			foreign := strings.HasPrefix(member, "external") || strings.HasPrefix(member, "parent") // ids of another history
			if id, isID := value.(int64); isID && !foreign && id >= e.ID {
				t.Fatalf("%s names the later event %d as %s", e.Type, id, member)
			}
		}
		switch e.Type {
		case "DecisionTaskScheduled":
			open++
		case "DecisionTaskCompleted", "DecisionTaskTimedOut":
			open--
		}
		if open > 1 {
			t.Fatalf("two decision tasks are open at event %d", e.ID)
		}
	}
}

// TestManyWorkersAndRuns: in real time and over sockets, each run is decided and worked on to its end by whoever comes first.
func TestManyWorkersAndRuns(t *testing.T) {
	t.Parallel()
	const runs, workers = 40, 4
	srv := fakeswf.New(fakeswf.Config{PollWait: 50 * time.Millisecond})
	server := httptest.NewServer(srv)
	defer server.Close()
	defer srv.Close()
	w := newWorld(t, newClient(server.URL, server.Client()), "D")
	var group sync.WaitGroup
	closed := make(chan struct{}, runs)
	done := make(chan struct{})
	serve := func(once func() bool) {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if once() {
					closed <- struct{}{}
				}
			}
		})
	}
	for range workers {
		serve(func() bool { return decideOnce(w) })
		serve(func() bool { return workOnce(w) })
	}
	for i := range runs {
		w.start(fmt.Sprint("run-", i))
	}
	for range runs {
		<-closed
	}
	close(done)
	group.Wait()
	count, err := w.client.CountClosedWorkflowExecutions(w.ctx(), &swf.CountClosedWorkflowExecutionsInput{
		Domain: &w.domain, CloseStatusFilter: &types.CloseStatusFilter{Status: types.CloseStatusCompleted},
		CloseTimeFilter: &types.ExecutionTimeFilter{OldestDate: aws.Time(time.Now().Add(-time.Hour))},
	})
	ok(t)(count, err)
	wantEqual(t, "closed", count.Count, runs)
}

// decideOnce schedules the activity of a run, or completes the run when it has the result; then it returns true.
func decideOnce(w *world) bool {
	task, err := w.client.PollForDecisionTask(w.ctx(), &swf.PollForDecisionTaskInput{Domain: &w.domain, TaskList: list("list")})
	if err != nil {
		w.t.Error(err)
		return true
	}
	if aws.ToString(task.TaskToken) == "" {
		return false
	}
	decision := activity("a")
	for _, e := range task.Events {
		if e.EventType == types.EventTypeActivityTaskCompleted {
			decision = complete("done")
		}
	}
	_, err = w.client.RespondDecisionTaskCompleted(w.ctx(), &swf.RespondDecisionTaskCompletedInput{
		TaskToken: task.TaskToken, Decisions: []types.Decision{decision},
	})
	if err != nil {
		w.t.Error(err)
	}
	return decision.DecisionType == types.DecisionTypeCompleteWorkflowExecution
}

func workOnce(w *world) bool {
	task, err := w.client.PollForActivityTask(w.ctx(), &swf.PollForActivityTaskInput{Domain: &w.domain, TaskList: list("work")})
	if err == nil && aws.ToString(task.TaskToken) != "" {
		_, err = w.client.RespondActivityTaskCompleted(w.ctx(), &swf.RespondActivityTaskCompletedInput{TaskToken: task.TaskToken})
	}
	if err != nil {
		w.t.Error(err)
	}
	return false
}
