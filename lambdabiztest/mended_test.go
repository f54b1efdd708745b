package lambdabiztest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
)

// These tests are named after what went wrong.

// wait waits for one event.
var wait = lambdabiz.Define("Wait", func(o lambdabiz.Context, _ int) (bool, error) {
	return lambdabiz.WaitForEvent[bool](o, "Approve")
})

// mustSurvive wants CrashEverywhere to find nothing.
func mustSurvive(t *testing.T, scenario func(t *testing.T, env *lambdabiztest.Env)) lambdabiztest.Crashes {
	t.Helper()
	done, said, failed := lambdabiztest.TryCrashEverywhere(t, scenario)
	if failed || done.Cuts < done.Commits {
		t.Errorf("%+v, it says\n%s", done, said)
	}
	return done
}

func TestNoLifeIsLedForACommitThatThereIsNot(t *testing.T) {
	t.Parallel()
	lives := 0
	done := mustSurvive(t, func(_ *testing.T, env *lambdabiztest.Env) {
		lives++
		env.Register(order)
		pay(env)
		send(env)
		_, _ = through(env)
	})
	if done.Cuts != 2*done.Commits || lives != 1+2*done.Commits {
		t.Errorf("%d lives for %+v", lives, done)
	}
}

func TestTheStateIsReadWhenAProcessIsThereAgain(t *testing.T) {
	t.Parallel()
	mustSurvive(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		pay(env)
		send(env)
		run := lambdabiztest.Start(env, order, "order-7", Cart{"tea", 450})
		if s := run.State(); len(s.WaitingFor) != 1 || s.WaitingFor[0].Operation != "Approve" {
			t.Errorf("it waits for %+v", s.WaitingFor)
		}
		env.Raise("order-7", "Approve", true)
		if s := run.State(); s.Status != lambdabiz.StatusSucceeded {
			t.Errorf("it is %v", s.Status)
		}
	})
}

func TestKeysAndRunIdsAreTheSameInEachLife(t *testing.T) {
	t.Parallel()
	parent := lambdabiz.Define("Parent", func(o lambdabiz.Context, n int) (string, error) {
		if _, err := lambdabiz.CallTask[string](o, "charge", "Charge", o.RunID()); err != nil {
			return "", err
		}
		child, err := lambdabiz.CallChild(o, "pay", payment, n)
		if err == nil && n < 2 {
			return "", lambdabiz.ContinueAsNew(o, n+1)
		}
		return child + o.RunID(), err
	})
	seen := map[string]bool{}
	mustSurvive(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(parent, payment)
		charges := map[string]any{}
		lambdabiztest.Stub(env, "charge", func(ctx context.Context, in lambdabiz.Payload) (string, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			charges[info.IdempotencyKey] = string(in)
			seen[info.RunID] = true
			return "payment-" + info.IdempotencyKey, nil
		}).Times(4)
		if _, err := lambdabiztest.Start(env, parent, "p", 1).Result(); err != nil {
			t.Error(err)
		}
		if len(charges) != 4 {
			t.Errorf("%d charges: %v", len(charges), charges)
		}
		env.Same("charges", charges)
	})
	if len(seen) != 4 {
		t.Errorf("two runs with a child each have %d run ids", len(seen))
	}
}

func TestASlowStubDoesNotEndTheTestsProcess(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("Slow", func(o lambdabiz.Context, _ int) (bool, error) {
		_, err := lambdabiz.CallTask[string](o, "slow", "Slow", 1, lambdabiz.Timeout(time.Minute))
		return errors.Is(err, context.DeadlineExceeded), nil
	})
	returned := false
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(d)
		lambdabiztest.Stub(env, "slow", func(context.Context, int) (string, error) {
			<-time.After(time.Hour) // it does not look at its context
			returned = true
			return "", nil
		})
		if late, err := lambdabiztest.Start(env, d, "slow-1", 1).Result(); err != nil || !late {
			t.Errorf("got %v, %v", late, err)
		}
	})
	if !returned {
		t.Error("the stub has not returned")
	}
}

func TestAllRunsAreCompared(t *testing.T) {
	t.Parallel()
	const runs = 1010
	d := lambdabiz.Define("Loop", func(o lambdabiz.Context, n int) (int, error) {
		if n < runs {
			return 0, lambdabiz.ContinueAsNew(o, n+1)
		}
		return n, nil
	})
	outcomes := lambdabiztest.Outcomes(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(d)
		_, _ = lambdabiztest.Start(env, d, "loop", 1).Result()
	})
	if outcomes != runs {
		t.Errorf("%d of %d runs are compared", outcomes, runs)
	}
}

func TestALoopWithoutAnEndEndsTheTest(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("Poll", func(o lambdabiz.Context, n int) (int, error) {
		if err := lambdabiz.Sleep(o, "nap", time.Second); err != nil {
			return 0, err
		}
		return 0, lambdabiz.ContinueAsNew(o, n+1)
	})
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		lambdabiztest.Restless(env, 1000)
		env.Register(d)
		_, _ = lambdabiztest.Start(env, d, "poll", 1).Result()
	}, `orchestration poll has not ended in 16m`, `though something was stored at 1000 moments: it is `,
		"operations more ...")
}

func TestAResultThatNeverComesSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(wait)
		run := lambdabiztest.Start(env, wait, "w", 1)
		env.Settle()
		env.Raise("w", "Aprove", true)
		if err := env.Engine().Pause(env.Context(), "w", "audit"); err != nil {
			t.Error(err)
		}
		_, _ = run.Result()
	}, `orchestration w has not ended after ten virtual years: it is STARTED and paused`,
		`operation "Approve" waits for EVENT "Approve"`, `nobody has taken event 1 ("Aprove")`)
}

func TestAnEventThatCannotBeReadEndsTheTest(t *testing.T) {
	t.Parallel()
	for name, drive := range map[string]func(env *lambdabiztest.Env, run *lambdabiztest.Started[bool]){
		"Result": func(_ *lambdabiztest.Env, run *lambdabiztest.Started[bool]) { _, _ = run.Result() },
		"State":  func(_ *lambdabiztest.Env, run *lambdabiztest.Started[bool]) { run.State() },
		"end":    func(*lambdabiztest.Env, *lambdabiztest.Started[bool]) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
				env.Register(wait)
				run := lambdabiztest.Start(env, wait, "w", 1)
				env.Raise("w", "Approve", "perhaps")
				drive(env, run)
			}, `orchestration w is blocked: event 1 ("Approve") cannot be read by the code that waits for it`, "type bool",
				"operation: Approve", "mended_test.go:")
		})
	}
}

// Events keep the numbers that they have in production, and what was dropped is not in a recording.
func TestARecordingKeepsTheNumbersOfEvents(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("Order", func(o lambdabiz.Context, _ Cart) (string, error) {
		if err := lambdabiz.Sleep(o, "cool-off", time.Hour); err != nil {
			return "", err
		}
		yes, err := lambdabiz.WaitForEvent[bool](o, "Approve")
		return fmt.Sprint(yes), err
	})
	state := export(t, d, Cart{}, func(env *lambdabiztest.Env) {
		for _, payload := range []any{"never", "perhaps", true} {
			env.Raise("order-7", "Approve", payload)
		}
		env.Settle()
		if err := env.Engine().DropEvent(env.Context(), "order-7", 1); err != nil {
			t.Error(err)
		}
		env.Settle()
	})
	var s lambdabiz.State
	if err := json.Unmarshal(state, &s); err != nil || len(s.Events) != 2 || s.Events[0].Number != 2 {
		t.Fatalf("the recording has the events %+v, %v", s.Events, err)
	}
	later := lambdabiztest.Recording{State: state, At: time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC)}
	r := lambdabiztest.Resume(t, later, d)
	if r.Blocked == nil || !strings.Contains(r.Blocked.Reason, `event 2 ("Approve") cannot be read`) || r.Ends != "" {
		t.Errorf("the report is\n%s", r)
	}
	reads := lambdabiz.Define("Order", func(o lambdabiz.Context, _ Cart) (string, error) {
		if err := lambdabiz.Sleep(o, "cool-off", time.Hour); err != nil {
			return "", err
		}
		return lambdabiz.WaitForEvent[string](o, "Approve")
	})
	if r := lambdabiztest.Resume(t, later, reads); r.Blocked != nil || r.Ends != `SUCCEEDED with "perhaps"` {
		t.Errorf("by code that reads it the report is\n%s", r)
	}
}

// A recording of an engine that wrote no numbers has none.
func TestEventsWithoutNumbersAreCounted(t *testing.T) {
	t.Parallel()
	state := export(t, wait, 1, func(env *lambdabiztest.Env) {
		env.Raise("order-7", "Other", 1)
		env.Settle()
	})
	text := strings.ReplaceAll(string(state), `"number": 1,`, "")
	text = strings.Replace(text, `"name": "Other"`, `"name": "Approve"`, 1)
	if text == string(state) {
		t.Fatal("the recording has no event")
	}
	r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: []byte(text)}, wait)
	if r.Blocked == nil || !strings.Contains(r.Blocked.Reason, `event 1 ("Approve") cannot be read`) {
		t.Errorf("the report is\n%s", r)
	}
}

// A cancellation comes after the events.
func TestACancelledRecordingWithNumberedEvents(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("Order", func(o lambdabiz.Context, _ Cart) (string, error) {
		yes, err := lambdabiz.WaitForEvent[bool](o, "Approve")
		return fmt.Sprint(yes), err
	})
	state := export(t, d, Cart{}, func(env *lambdabiztest.Env) {
		env.Settle()
		if err := env.Engine().Pause(env.Context(), "order-7", "to look at it"); err != nil {
			t.Error(err)
		}
		env.Settle()
		for n := range 3 {
			env.Raise("order-7", "Other", n)
		}
		if err := env.Engine().DropEvent(env.Context(), "order-7", 2); err != nil {
			t.Error(err)
		}
		if err := env.Engine().Cancel(env.Context(), "order-7", "no need"); err != nil {
			t.Error(err)
		}
	})
	r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, d)
	if !strings.HasPrefix(r.Ends, "CANCELLED") {
		t.Errorf("the report is\n%s", r)
	}
}

func TestAnOrchestrationThatIsLeftOpenFailsTheTest(t *testing.T) {
	t.Parallel()
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(wait)
		lambdabiztest.Start(env, wait, "w-1", 1)
		lambdabiztest.Start(env, wait, "w-2", 1)
		env.Raise("w-1", "Approve", true)
		env.Raise("w-2", "Aprove", true)
	}, `orchestration w-2 (Wait) is still open at the end of the test: it is STARTED, operation "Approve" waits for EVENT "Approve"`,
		`nobody has taken event 2 ("Aprove")`, `env.AllowOpen("w-2")`)
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) { // a child that nobody waits for
		d := lambdabiz.Define("Parent", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.StartChild(o, "child", wait, 1)
		})
		env.Register(d, wait)
		if _, err := lambdabiztest.Start(env, d, "p", 1).Result(); err != nil {
			t.Error(err)
		}
	}, `orchestration p~-child (Wait) is still open`)
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) { // another one may be
		env.Register(wait)
		env.AllowOpen("w-2")
		lambdabiztest.Start(env, wait, "w-1", 1)
		lambdabiztest.Start(env, wait, "w-2", 1)
	}, `orchestration w-1 (Wait) is still open`)
	_, said, failed := lambdabiztest.TryCrashEverywhere(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(wait)
		lambdabiztest.Start(env, wait, "w", 1)
	})
	if !failed || !strings.Contains(said, "orchestration w (Wait) is still open") {
		t.Errorf("it says\n%s", said)
	}
}

func TestAnOrchestrationThatMayBeOpenDoesNotFailTheTest(t *testing.T) {
	t.Parallel()
	for name, ids := range map[string][]string{"by id": {"w-0", "w-1", "w-2"}, "all": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lambdabiztest.Run(t, func(_ *testing.T, env *lambdabiztest.Env) {
				env.Register(wait)
				env.AllowOpen(ids...)
				lambdabiztest.Start(env, wait, "w-1", 1)
				lambdabiztest.Start(env, wait, "w-2", 1)
				env.Raise("w-1", "Approve", true)
			})
		})
	}
}

func TestAPanicOfAStubIsShown(t *testing.T) {
	t.Parallel()
	said, failed := lambdabiztest.TryRun(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		lambdabiztest.Stub(env, "charge", func(context.Context, Card) (string, error) { panic("no bank") })
		_, err := lambdabiztest.Start(env, order, "order-7", Cart{}).Result()
		if !strings.Contains(fmt.Sprint(err), "panic: no bank") {
			t.Errorf("got %v", err)
		}
	})
	if failed || !strings.Contains(said, `the stub of "charge" panics: no bank`) || !strings.Contains(said, "mended_test.go:") {
		t.Errorf("failed: %t, it says\n%s", failed, said)
	}
}

func TestAStubThatNeverReturnsIsNamed(t *testing.T) {
	t.Parallel()
	release := make(chan struct{}, 1)
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		d := lambdabiz.Define("Slow", func(o lambdabiz.Context, _ int) (bool, error) {
			_, err := lambdabiz.CallTask[string](o, "slow", "Slow", 1, lambdabiz.Timeout(time.Minute))
			return errors.Is(err, context.DeadlineExceeded), nil
		})
		env.Register(d)
		gate := time.NewTimer(20 * 365 * 24 * time.Hour)
		lambdabiztest.Stub(env, "slow", func(context.Context, int) (string, error) {
			<-gate.C
			return "", nil
		})
		go func() { // the complaint lets it go
			<-env.Context().Done()
			gate.Reset(0)
			release <- struct{}{}
		}()
		_, _ = lambdabiztest.Start(env, d, "slow-1", 1).Result()
	}, `the stub of "slow" has not returned ten virtual years after the end of the test`)
	<-release
}

// A test that removes what has ended, as production does, waits for its loop all the same.
func TestResultFollowsALoopWhoseEarlierRunsThePurgeTook(t *testing.T) {
	t.Parallel()
	loop := lambdabiz.Define("Loop", func(o lambdabiz.Context, round int) (int, error) {
		if _, err := lambdabiz.WaitForEvent[bool](o, "go on"); err != nil || round == 3 {
			return round, err
		}
		return 0, lambdabiz.ContinueAsNew(o, round+1)
	})
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(loop)
		run := lambdabiztest.Start(env, loop, "x", 0)
		for range 3 {
			env.Raise("x", "go on", true)
			env.Settle()
		}
		n, err := env.Engine().PurgeEnded(env.Context(), time.Now().Add(time.Hour), 0)
		if n != 3 || err != nil {
			t.Errorf("%d runs are gone: %v", n, err)
		}
		env.Raise("x", "go on", true)
		if out, err := run.Result(); out != 3 || err != nil {
			t.Errorf("the result is %d, %v", out, err)
		}
	})
}
