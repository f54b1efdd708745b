package swf_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsswf "github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// The tests of this file prove what docs/aws.md says of Amazon SWF where it differs from the other homes.

// begin starts a run as a home without a store allows it.
func begin[In, Out any](
	t *testing.T, e *lambdabiz.Engine, d *lambdabiz.Definition[In, Out], id string, in In,
) *lambdabiz.Run[Out] {
	t.Helper()
	run, err := lambdabiz.Start(t.Context(), e, d, id, in, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// lookAt is the state of an orchestration.
func lookAt(t *testing.T, e *lambdabiz.Engine, id string) *lambdabiz.State {
	t.Helper()
	state, err := e.State(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// operationOf is one operation of a state.
func operationOf(t *testing.T, s *lambdabiz.State, id string) lambdabiz.Operation {
	t.Helper()
	for _, op := range s.Operations {
		if op.ID == id {
			return op
		}
	}
	t.Fatalf("%s has no operation %s", s.ID, id)
	return lambdabiz.Operation{}
}

// TestATimerGoesOnWhileItsRunIsPaused: SWF's timers know nothing of a pause.
func TestATimerGoesOnWhileItsRunIsPaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		nap := lambdabiz.Define("Nap", func(o lambdabiz.Context, _ int) (float64, error) {
			if err := lambdabiz.Sleep(o, "nap", time.Minute); err != nil {
				return 0, err
			}
			return lambdabiz.CallTask[float64](o, "sum", "Sum", numbers{1, 2})
		})
		server := newServer(t, fakeswf.Config{Lambda: lambdas})
		p := client(t, configFor(server)).workOn(nap)
		run := begin(t, p.Engine, nap, "N", 0)
		<-time.After(10 * time.Second)
		if err := p.Pause(t.Context(), "N", "wait"); err != nil {
			t.Fatal(err)
		}
		<-time.After(110 * time.Second)
		s := lookAt(t, p.Engine, "N")
		if !s.Paused || len(s.Operations) != 1 {
			t.Fatalf("paused: %+v", s)
		}
		if end := operationOf(t, s, "nap").EndedAt.Sub(started); end < time.Minute || end > 62*time.Second {
			t.Errorf("the timer ended after %v", end)
		}
		if err := p.Resume(t.Context(), "N"); err != nil {
			t.Fatal(err)
		}
		if out := result(t, server, p.Engine, run, "N"); out != 3 {
			t.Error(out)
		}
		if took := time.Since(started); took > 2*time.Minute+10*time.Second {
			t.Errorf("the timer began again: %v", took)
		}
	})
}

// TestARunningLambdaFunctionGoesOnAfterACancellation: SWF cannot stop it, and its result is dropped.
func TestARunningLambdaFunctionGoesOnAfterACancellation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started, ended := time.Now(), make(chan time.Time, 1)
		server := newServer(t, fakeswf.Config{Lambda: func(_ context.Context, name, _ string) (string, error) {
			<-time.After(10 * time.Minute)
			ended <- time.Now()
			return `"` + name + `"`, nil
		}})
		long := lambdabiz.Define("Long", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.CallTask[string](o, "long", "Export", 1)
		})
		p := client(t, configFor(server)).workOn(long)
		run := begin(t, p.Engine, long, "L", 0)
		<-time.After(time.Minute)
		if err := p.Cancel(t.Context(), "L", "too slow"); err != nil {
			t.Fatal(err)
		}
		if _, err := run.Result(t.Context()); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Fatal(err)
		}
		if took := time.Since(started); took > 70*time.Second {
			t.Errorf("the run ended after %v", took)
		}
		if took := (<-ended).Sub(started); took < 10*time.Minute {
			t.Errorf("the function was stopped after %v", took)
		}
		if op := operationOf(t, lookAt(t, p.Engine, "L"), "long"); op.Status != lambdabiz.StatusCancelled || op.Result != nil {
			t.Errorf("%s %s", op.Status, op.Result)
		}
	})
}

// TestALambdaFunctionGetsItsInputAndNothingElse: no idempotency key reaches it through SWF.
func TestALambdaFunctionGetsItsInputAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inputs := make(chan string, 2)
		server := newServer(t, fakeswf.Config{Lambda: func(_ context.Context, _, input string) (string, error) {
			inputs <- input
			return "1", nil
		}})
		d := lambdabiz.Define("Once", func(o lambdabiz.Context, in numbers) (int, error) {
			return lambdabiz.CallTask[int](o, "once", "Once", in, lambdabiz.IdempotencyKey("key-1"))
		})
		p := client(t, configFor(server)).workOn(d)
		result(t, server, p.Engine, begin(t, p.Engine, d, "O", numbers{15, 5}), "O")
		if input := <-inputs; input != `{"A":15,"B":5}` {
			t.Error(input)
		}
	})
}

// TestSignalsOfOthersAreEvents: from the console, the AWS command line, and the original, whose signals to itself are
// no events.
func TestSignalsOfOthersAreEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		d := lambdabiz.Define("Asks", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.WaitForEvent[string](o, "Approve")
		})
		p := client(t, configFor(server)).workOn(d)
		run := begin(t, p.Engine, d, "a/b:c|d", 0)
		<-time.After(time.Minute)
		for _, s := range [][2]string{{"LambdaBizRunEvent", `"LambdaBizRunEvent"`}, {"Other", "not JSON"}, {"Approve", `"yes"`}} {
			_, err := sdk(server).SignalWorkflowExecution(t.Context(), &awsswf.SignalWorkflowExecutionInput{
				Domain: aws.String("LambdaBiz"), WorkflowId: aws.String("a%2Fb%3Ac%7Cd"), SignalName: &s[0], Input: &s[1],
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if out := result(t, server, p.Engine, run, "a/b:c|d"); out != "yes" {
			t.Error(out)
		}
		s := lookAt(t, p.Engine, "a/b:c|d")
		if len(s.Events) != 1 || s.Events[0].Name != "Other" || string(s.Events[0].Payload) != "not JSON" {
			t.Errorf("left over: %+v", s.Events)
		}
	})
}

// TestPurgeRemovesTheCopyAndLeavesTheHistory: SWF forgets a run by itself, and no sooner.
func TestPurgeRemovesTheCopyAndLeavesTheHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{Lambda: lambdas})
		c := configFor(server)
		c.Store = memory.NewStore()
		d := lambdabiz.Define("Sum", func(o lambdabiz.Context, in numbers) (float64, error) {
			return lambdabiz.CallTask[float64](o, "sum", "Sum", in)
		})
		p := client(t, c).workOn(d)
		for i := range 2 { // the id can be used again
			run, err := lambdabiz.Start(t.Context(), p.Engine, d, "P", numbers{float64(i), 1}, lambdabiz.OnUsedID(lambdabiz.RejectExisting))
			if err != nil {
				t.Fatal(err)
			}
			if out := result(t, server, p.Engine, run, "P"); out != float64(i+1) {
				t.Error(out)
			}
			if err := p.Purge(t.Context(), "P"); err != nil {
				t.Fatal(err)
			}
			if page, err := p.List(t.Context(), lambdabiz.Filter{}); err != nil || len(page.Runs) != 0 {
				t.Error(page, err)
			}
			if s := lookAt(t, p.Engine, "P"); s.RunID != run.RunID() || s.Status != lambdabiz.StatusSucceeded {
				t.Errorf("from the history: %+v", s.RunInfo)
			}
		}
	})
}

// TestAListWithAStoreHasTheLatestRunOfAnID and one without a store has all.
func TestAListWithAStoreHasTheLatestRunOfAnID(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]lambdabiz.Store{"store": memory.NewStore(), "no store": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				c := configFor(server)
				if store != nil {
					c.Store = memory.NewStore()
				}
				d := lambdabiz.Define("Empty", func(lambdabiz.Context, int) (int, error) { return 1, nil })
				p := client(t, c).workOn(d)
				for range 3 {
					result(t, server, p.Engine, begin(t, p.Engine, d, "R", 0), "R")
				}
				<-time.After(time.Minute) // SWF's lists lag
				page, err := p.List(t.Context(), lambdabiz.Filter{})
				if err != nil {
					t.Fatal(err)
				}
				if want := map[bool]int{true: 1, false: 3}[store != nil]; len(page.Runs) != want {
					t.Errorf("%d runs, not %d", len(page.Runs), want)
				}
			})
		})
	}
}

// TestBranchesWaitForARunningStep: it runs inside the open decision, which only its end answers.
func TestBranchesWaitForARunningStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var called atomic.Int64
		server := newServer(t, fakeswf.Config{Lambda: func(context.Context, string, string) (string, error) {
			called.Store(int64(time.Since(started)))
			return "1", nil
		}})
		d := lambdabiz.Define("Two", func(o lambdabiz.Context, _ int) (int, error) {
			step := lambdabiz.Go(o, "step", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "slow", func(context.Context) (int, error) {
					<-time.After(30 * time.Second)
					return 1, nil
				})
			})
			task := lambdabiz.Go(o, "task", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.CallTask[int](o, "sum", "Sum", 1)
			})
			a, err := step.Wait(o)
			b, err2 := task.Wait(o)
			return a + b, errors.Join(err, err2)
		})
		p := client(t, configFor(server)).workOn(d)
		if out := result(t, server, p.Engine, begin(t, p.Engine, d, "T", 0), "T"); out != 2 {
			t.Error(out)
		}
		if at := time.Duration(called.Load()); at < 30*time.Second || at > 40*time.Second {
			t.Errorf("the function was called after %v", at)
		}
	})
}

// TestTakeOverByHandWaitsForTheDecisionOfADeadCaller: SWF gives no second decision while one is open.
func TestTakeOverByHandWaitsForTheDecisionOfADeadCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		var cut atomic.Bool
		one := client(t, through(server, roundTrip(func(r *http.Request) (*http.Response, error) {
			if cut.Load() {
				return nil, errCut
			}
			return server.Transport().RoundTrip(r)
		})))
		two := client(t, configFor(server))
		policy := lambdabiz.OnUsedID(lambdabiz.RestartEnded)
		first, err := one.Create(t.Context(), "H")
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Start(1, policy); err != nil {
			t.Fatal(err)
		}
		held := time.Now()
		cut.Store(true) // the first caller is cut off with its decision open
		<-time.After(10 * time.Second)
		second, err := two.Create(t.Context(), "H")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(held); took < time.Minute || took > 65*time.Second {
			t.Errorf("the second caller drives after %v", took)
		}
		if err := second.Complete("done"); err != nil {
			t.Fatal(err)
		}
		cut.Store(false)
		if err := first.Complete("mine"); !errors.Is(err, lambdabiz.ErrFenced) {
			t.Errorf("the first caller ends the run too: %v", err)
		}
		if s := lookAt(t, two.Engine, "H"); string(s.Result) != `"done"` {
			t.Errorf("%s", s.Result)
		}
	})
}

// TestAnUnknownDefinitionIsTriedAgain: SWF gives the decisions of a list to any worker of it.
func TestAnUnknownDefinitionIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		known := lambdabiz.Define("Known", func(lambdabiz.Context, int) (int, error) { return 1, nil })
		other := lambdabiz.Define("Other", func(lambdabiz.Context, int) (int, error) { return 2, nil })
		old := client(t, configFor(server)).workOn(other)
		run := begin(t, old.Engine, known, "K", 0)
		<-time.After(time.Minute)
		if s := lookAt(t, old.Engine, "K"); s.Blocked == nil || s.Status.Ended() {
			t.Fatalf("not blocked: %+v", s.RunInfo)
		}
		old.stop()
		p := client(t, configFor(server)).workOn(known, other)
		if out := result(t, server, p.Engine, run, "K"); out != 1 {
			t.Error(out)
		}
	})
}

// TestLimitsOfSWFAreCheckedAtTheDoor: what SWF would refuse is an error of the call, and nothing is recorded.
func TestLimitsOfSWFAreCheckedAtTheDoor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		call    func(o lambdabiz.Context) error
		feature lambdabiz.Feature // of an UnsupportedError
		is      error             // else
	}{
		"a payload": {is: lambdabiz.ErrTooLarge, call: func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallTask[int](o, "x", "Sum", strings.Repeat("x", 30_000))
			return err
		}},
		"a wait beyond a year": {feature: lambdabiz.FeatureLongWait, call: func(o lambdabiz.Context) error {
			return lambdabiz.Sleep(o, "x", 366*24*time.Hour)
		}},
		"a long step": {feature: lambdabiz.FeatureLongStep, call: func(o lambdabiz.Context) error {
			return lambdabiz.Do(o, "x", func(context.Context) error { return nil }, lambdabiz.Timeout(51*time.Second))
		}},
		"a heartbeat of a Lambda function": {feature: lambdabiz.FeatureHeartbeat, call: func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallTask[int](o, "x", "Sum", 1, lambdabiz.HeartbeatTimeout(time.Second))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{Lambda: lambdas})
				d := lambdabiz.Define("Door", func(o lambdabiz.Context, _ int) (string, error) {
					err := test.call(o)
					if unsupported, ok := errors.AsType[*lambdabiz.UnsupportedError](err); ok {
						return string(unsupported.Feature), nil
					}
					return fmt.Sprint(test.is != nil && errors.Is(err, test.is)), nil
				})
				p := client(t, configFor(server)).workOn(d)
				want := string(test.feature)
				if test.is != nil {
					want = "true"
				}
				if out := result(t, server, p.Engine, begin(t, p.Engine, d, "D", 0), "D"); out != want {
					t.Errorf("%q, not %q", out, want)
				}
			})
		})
	}
}

// TestTooLongANameOfALambdaFunctionIsRefused: SWF knows functions by names of 64 characters, and by no ARN.
func TestTooLongANameOfALambdaFunctionIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{Lambda: lambdas})
		d := lambdabiz.Define("Long", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallTask[int](o, "x", strings.Repeat("x", 65), 1)
		})
		p := client(t, configFor(server)).workOn(d)
		begin(t, p.Engine, d, "L", 0)
		<-time.After(time.Minute)
		s := lookAt(t, p.Engine, "L")
		if s.Error == nil || !strings.Contains(s.Error.Message, "65 bytes, the limit of the home (swf) is 64") || len(s.Operations) != 0 {
			t.Errorf("%+v %+v", s.Error, s.Operations)
		}
	})
}

// TestNoMoreThan900AreOpen: the rest waits for room.
func TestNoMoreThan900AreOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var open, most atomic.Int64
		server := newServer(t, fakeswf.Config{Lambda: func(context.Context, string, string) (string, error) {
			if n := open.Add(1); n > most.Load() {
				most.Store(n)
			}
			<-time.After(time.Minute)
			open.Add(-1)
			return "1", nil
		}})
		d := lambdabiz.Define("Many", func(o lambdabiz.Context, n int) (int, error) {
			items := make([]int, n)
			for i := range items {
				items[i] = i
			}
			out, err := lambdabiz.Map(o, "items", items, func(i int) string { return fmt.Sprint(i) },
				func(o lambdabiz.Context, i int) (int, error) { return lambdabiz.CallTask[int](o, "one", "One", i) })
			return len(out), err
		})
		p := client(t, configFor(server)).workOn(d)
		if out := result(t, server, p.Engine, begin(t, p.Engine, d, "M", 910), "M"); out != 910 {
			t.Error(out)
		}
		if most.Load() != 900 {
			t.Errorf("%d were open", most.Load())
		}
	})
}

// TestRunsGetAYearAndHistoriesNinetyDays: runs also get a year and a finite time for decisions.
func TestRunsGetAYearAndHistoriesNinetyDays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		d := lambdabiz.Define("Empty", func(lambdabiz.Context, int) (int, error) { return 1, nil })
		p := client(t, configFor(server))
		begin(t, p.Engine, d, "Y", 0)
		domain, err := sdk(server).DescribeDomain(t.Context(), &awsswf.DescribeDomainInput{Name: aws.String("LambdaBiz")})
		if err != nil || *domain.Configuration.WorkflowExecutionRetentionPeriodInDays != "90" {
			t.Error(domain, err)
		}
		for _, e := range historyOf(t, server, "Y") {
			if a := e.WorkflowExecutionStartedEventAttributes; a != nil {
				if *a.ExecutionStartToCloseTimeout != "31536000" || *a.TaskStartToCloseTimeout != "60" ||
					*a.TaskList.Name != "lambdabiz" || *a.LambdaRole != role || a.ChildPolicy != types.ChildPolicyAbandon {
					t.Errorf("%+v", a)
				}
			}
		}
	})
}

// TestTheStateOfAStartHasItsTaskList: a REST worker of one orchestration asks for it, maybe before anything else has
// happened.
func TestTheStateOfAStartHasItsTaskList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		c := configFor(server)
		c.Store = memory.NewStore()
		d := lambdabiz.Define("Empty", func(lambdabiz.Context, int) (int, error) { return 1, nil })
		p := client(t, c)
		byHand, err := p.Create(t.Context(), "by/hand")
		if err != nil {
			t.Fatal(err)
		}
		if err := byHand.Start(1); err != nil {
			t.Fatal(err)
		}
		begin(t, p.Engine, d, "default", 0)
		if _, err := lambdabiz.Start(t.Context(), p.Engine, d, "own", 0, lambdabiz.OnQueue("a:b")); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]string{"by/hand": "lambdabiz-by/hand", "default": "lambdabiz", "own": "a:b"} {
			if s := lookAt(t, p.Engine, id); s.Queue != want {
				t.Errorf("%s is on %q, not %q", id, s.Queue, want)
			}
		}
	})
}
