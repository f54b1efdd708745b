package lambdabiztest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
)

// wait waits for one event.
var wait = lambdabiz.Define("Wait", func(o lambdabiz.Context, _ int) (bool, error) {
	return lambdabiz.WaitForEvent[bool](o, "Approve")
})

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
				"operation: Approve", "env_test.go:")
		})
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

func TestABlockedRunEndsTheTestAtOnce(t *testing.T) {
	went := false
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		d := lambdabiz.Define("Twice", func(o lambdabiz.Context, _ int) (int, error) {
			if err := lambdabiz.Sleep(o, "nap", time.Hour); err != nil {
				return 0, err
			}
			return 0, lambdabiz.Sleep(o, "nap", time.Hour)
		})
		env.Register(d)
		lambdabiztest.Start(env, d, "d", 1)
		env.Advance(1000 * time.Hour)
		went = true
	}, `orchestration d is blocked: the same id twice: operation "nap" is also at`, "operation: nap", "env_test.go:")
	if went {
		t.Error("the test went on")
	}
}

func TestAResultThatNeverComesSaysWhatItWaitsFor(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		d := lambdabiz.Define("Wait", func(o lambdabiz.Context, _ int) (bool, error) { return lambdabiz.WaitForEvent[bool](o, "Approve") })
		env.Register(d)
		_, _ = lambdabiztest.Start(env, d, "d", 1).Result()
	}, `orchestration d has not ended after ten virtual years: it is STARTED, operation "Approve" waits for EVENT "Approve"`)
}

func TestAnEventForNobodyFails(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		env.Raise("order-7", "Approve", true)
	}, "orchestration not found")
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) { env.State("order-7") }, "orchestration not found")
}

func TestTheConfigurationIsTheEngines(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		attempts, operations := 0, 0
		env.Configure(lambdabiz.Config{Hooks: lambdabiz.Hooks{
			Attempt: func(ctx context.Context, _ lambdabiz.TaskInfo) (context.Context, func(error)) {
				attempts++
				return ctx, func(error) {}
			},
			Operation: func(lambdabiz.OperationEvent) { operations++ },
		}, MaxPayloadBytes: 1000})
		env.Register(order)
		pay(env)
		send(env)
		if _, err := through(env); err != nil {
			t.Error(err)
		}
		env.Settle()
		if attempts != 2 || operations < 3 {
			t.Errorf("%d attempts, %d operations", attempts, operations)
		}
		_, err := env.Engine().StartByName(env.Context(), "Order", "big", strings.Repeat("x", 2000))
		if !errors.Is(err, lambdabiz.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
	})
}
