package fakeswf_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// on gives one call of an action a fault.
func on(action string, number int, fault fakeswf.Fault) func(fakeswf.Call) fakeswf.Fault {
	return func(c fakeswf.Call) fakeswf.Fault {
		if c.Action == action && c.Number == number {
			return fault
		}
		return fakeswf.Fault{}
	}
}

func (w *world) trySignal() error {
	_, err := w.client.SignalWorkflowExecution(w.ctx(), &swf.SignalWorkflowExecutionInput{
		Domain: &w.domain, WorkflowId: aws.String("r"), SignalName: aws.String("s"),
	})
	return err
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   fakeswf.Fault
		failed  bool
		signals int
	}{
		"throttled":               {fakeswf.Fault{Throttle: true}, true, 0},
		"applied, answer lost":    {fakeswf.Fault{Lose: true}, true, 1},
		"applied, internal error": {fakeswf.Fault{Status: http.StatusInternalServerError}, true, 1},
		"applied twice":           {fakeswf.Fault{Twice: true}, false, 2},
		"delayed":                 {fakeswf.Fault{Delay: time.Millisecond}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, fakeswf.Config{Fault: on("SignalWorkflowExecution", 1, c.fault)})
			id := w.start("r")
			err := w.trySignal()
			wantEqual(t, "failed", err != nil, c.failed)
			if c.fault.Throttle {
				wantFault(t, err, "ThrottlingException")
			}
			wantEqual(t, "signals", len(kinds(w.history("r", id)))-1, c.signals)
			ok(t)(nil, w.trySignal())
		})
	}
}

func TestLostPoll(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{Fault: on("PollForDecisionTask", 1, fakeswf.Fault{Lose: true})})
	id := w.start("r")
	_, err := w.client.PollForDecisionTask(w.ctx(), &swf.PollForDecisionTaskInput{Domain: &w.domain, TaskList: list("list")})
	if err == nil {
		t.Fatal("the poll got its answer")
	}
	wantEqual(t, "last event", last(t, w.history("r", id), types.EventTypeDecisionTaskStarted).EventId, 3)
	wantEqual(t, "token", aws.ToString(w.tryPoll().TaskToken), "")
	w.pass(time.Minute)
	w.decide(complete("done"))
}

// TestLostOverASocket: the connection breaks, the SDK sends the signal again, and it is there twice.
func TestLostOverASocket(t *testing.T) {
	t.Parallel()
	srv := fakeswf.New(fakeswf.Config{Fault: on("SignalWorkflowExecution", 1, fakeswf.Fault{Lose: true})})
	defer srv.Close()
	server := httptest.NewServer(srv)
	defer server.Close()
	client := newClient(server.URL, server.Client())
	w := newWorld(t, client, "D")
	id := w.start("r")
	ok(t)(client.SignalWorkflowExecution(w.ctx(), &swf.SignalWorkflowExecutionInput{
		Domain: &w.domain, WorkflowId: aws.String("r"), SignalName: aws.String("s"),
	}, func(o *swf.Options) { o.RetryMaxAttempts = 3 }))
	w.wantKinds("r", id, "WorkflowExecutionStarted", "WorkflowExecutionSignaled", "WorkflowExecutionSignaled")
}

func TestStaleHistory(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{Fault: on("GetWorkflowExecutionHistory", 1, fakeswf.Fault{Stale: 1})})
	id := w.start("r")
	wantEqual(t, "events", len(w.history("r", id)), 1)
	wantEqual(t, "events", len(w.history("r", id)), 2)
}
