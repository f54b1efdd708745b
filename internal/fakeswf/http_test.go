package fakeswf_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestOverASocket runs a whole workflow over real HTTP and counts the calls.
func TestOverASocket(t *testing.T) {
	t.Parallel()
	srv := fakeswf.New(fakeswf.Config{PollWait: time.Millisecond, LogCalls: true})
	defer srv.Close()
	server := httptest.NewServer(srv)
	defer server.Close()
	w := newWorld(t, newClient(server.URL, server.Client()), "D")
	id := w.start("r")
	w.decide(complete("done"))
	wantEqual(t, "token", aws.ToString(w.tryPoll().TaskToken), "")
	w.wantKinds("r", id, "WorkflowExecutionStarted", "WorkflowExecutionCompleted")
	wantEqual(t, "polls", srv.Calls()["PollForDecisionTask"], 2)
	wantEqual(t, "events", len(srv.Events("D", "r", "")), 5)
	log := srv.CallLog()
	wantEqual(t, "calls", len(log), 8)
	wantEqual(t, "last", log[7].Action, "GetWorkflowExecutionHistory")
	if srv.Events("D", "nobody", "") != nil || srv.Events("nowhere", "r", "") != nil {
		t.Fatal("a history of nothing")
	}
}

// inBubble is a world on virtual time.
func inBubble(t *testing.T, cfg fakeswf.Config, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := fakeswf.New(cfg)
		defer srv.Close()
		w := newWorld(t, newClient("http://fake.invalid", &http.Client{Transport: checked{t, srv.Transport()}}), "D")
		w.srv = srv
		test(w)
	})
}

func TestLongPollInABubble(t *testing.T) {
	t.Parallel()
	inBubble(t, fakeswf.Config{}, func(w *world) {
		begin := time.Now()
		wantEqual(w.t, "token", aws.ToString(w.tryPoll().TaskToken), "")
		wantEqual(w.t, "an empty poll takes", time.Since(begin), time.Minute)
		w.start("r")
		w.decide(timer("t", "30"))
		begin = time.Now()
		w.poll()
		wantEqual(w.t, "a poll until the timer takes", time.Since(begin), 30*time.Second)
	})
}

func TestPollsEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, fakeswf.Config{}, func(w *world) {
		ctx, cancel := context.WithTimeout(w.ctx(), time.Second)
		defer cancel()
		_, err := w.client.PollForDecisionTask(ctx, &swf.PollForDecisionTaskInput{Domain: &w.domain, TaskList: list("list")})
		if !errors.Is(err, context.DeadlineExceeded) {
			w.t.Fatalf("got %v, want the context's error", err)
		}
		polled := make(chan *swf.PollForActivityTaskOutput)
		go func() {
			out, err := w.client.PollForActivityTask(w.ctx(), &swf.PollForActivityTaskInput{Domain: &w.domain, TaskList: list("work")})
			if err != nil {
				w.t.Error(err)
			}
			polled <- out
		}()
		synctest.Wait()
		w.srv.Close()
		if out := <-polled; out != nil && aws.ToString(out.TaskToken) != "" {
			w.t.Fatal("a task from a closed server")
		}
	})
}

// TestWaitingPollersAreServedInTurn: the one that waits longest gets the task.
func TestWaitingPollersAreServedInTurn(t *testing.T) {
	t.Parallel()
	inBubble(t, fakeswf.Config{Limits: fakeswf.Limits{Pollers: 2}}, func(w *world) {
		got := make(chan string, 2)
		for _, name := range []string{"first", "second"} {
			go func() {
				w.poll(func(in *swf.PollForDecisionTaskInput) { in.Identity = &name })
				got <- name
			}()
			synctest.Wait()
		}
		_, err := w.client.PollForDecisionTask(w.ctx(), &swf.PollForDecisionTaskInput{Domain: &w.domain, TaskList: list("list")})
		wantFault(w.t, err, "LimitExceededFault")
		w.start("a")
		wantEqual(w.t, "served", <-got, "first")
		w.start("b")
		wantEqual(w.t, "served", <-got, "second")
	})
}

func TestLambdaInABubble(t *testing.T) {
	t.Parallel()
	cfg := fakeswf.Config{Lambda: func(ctx context.Context, _, _ string) (string, error) {
		select {
		case <-time.After(20 * time.Second):
			return "slow", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}}
	inBubble(t, cfg, func(w *world) {
		w.start("r", withRole)
		w.decide(lambda("f", "x"), lambda("g", "x", func(a *types.ScheduleLambdaFunctionDecisionAttributes) {
			a.StartToCloseTimeout = aws.String("10")
		}))
		begin := time.Now()
		last(w.t, w.decide().Events, types.EventTypeLambdaFunctionTimedOut)
		wantEqual(w.t, "time-out after", time.Since(begin), 10*time.Second)
		last(w.t, w.decide().Events, types.EventTypeLambdaFunctionCompleted)
		wantEqual(w.t, "result after", time.Since(begin), 20*time.Second)
	})
}

// deafClock rings although it was stopped, as the timers of package time may when they are already on their way.
type deafClock struct{ *fakeswf.ManualClock }

func (c deafClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.ManualClock.AfterFunc(d, f)
	return func() bool { return false }
}

func TestAlarmsThatCannotBeStopped(t *testing.T) {
	t.Parallel()
	clock := fakeswf.NewManualClock(epoch)
	srv := fakeswf.New(fakeswf.Config{Clock: deafClock{clock}, PollWait: time.Millisecond})
	defer srv.Close()
	w := newWorld(t, newClient("http://fake.invalid", &http.Client{Transport: srv.Transport()}), "D")
	id := w.start("r")
	w.decide(timer("t", "10"), cancelTimer("t"))
	clock.Advance(time.Minute)
	w.wantKinds("r", id, "WorkflowExecutionStarted", "TimerStarted", "TimerCanceled")
	w.noDecision()
}

func TestManualClock(t *testing.T) {
	t.Parallel()
	clock := fakeswf.NewManualClock(epoch)
	var rang []time.Duration
	ring := func() { rang = append(rang, clock.Now().Sub(epoch)) }
	clock.AfterFunc(2*time.Second, func() {
		ring()
		clock.AfterFunc(time.Second, ring)
		clock.AfterFunc(time.Hour, ring)
	})
	clock.AfterFunc(time.Second, ring)
	stop := clock.AfterFunc(time.Second, ring)
	wantEqual(t, "stopped", stop(), true)
	wantEqual(t, "stopped again", stop(), false)
	clock.Advance(10 * time.Second)
	wantList(t, rang, time.Second, 2*time.Second, 3*time.Second)
	clock.Set(epoch)
	clock.Advance(-time.Second)
	wantEqual(t, "now", clock.Now(), epoch.Add(10*time.Second))
}
