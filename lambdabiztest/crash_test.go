package lambdabiztest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// journey has branches, a race, a compensation, a child, a loop of reminders, and continues as new once.
var journey = lambdabiz.Define("Journey", func(o lambdabiz.Context, leg int) (string, error) {
	booked, err := lambdabiz.Map(o, "book", []string{"flight", "hotel", "car"}, func(s string) string { return s },
		func(o lambdabiz.Context, s string) (string, error) {
			return lambdabiz.CallTask[string](o, "reserve", "Reserve", s, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Jitter: -1}))
		})
	if err != nil {
		return "", err
	}
	ok := lambdabiz.Go(o, "ok", func(o lambdabiz.Context) (bool, error) { return lambdabiz.WaitForEvent[bool](o, "Confirm") })
	late := lambdabiz.Go(o, "late", func(o lambdabiz.Context) (bool, error) {
		for day := range 3 {
			if err := lambdabiz.Sleep(o, fmt.Sprint("day-", day), 24*time.Hour); err != nil {
				return false, err
			}
			if err := lambdabiz.Do(o, fmt.Sprint("remind-", day), func(context.Context) error { return nil }); err != nil {
				return false, err
			}
		}
		return false, nil
	})
	first, err := lambdabiz.Race(o, "first", ok, late)
	if err != nil {
		return "", err
	}
	if first == 1 {
		return "", lambdabiz.Do(o, "undo", func(context.Context) error { return errors.New("too late") })
	}
	paid, err := lambdabiz.CallChild(o, "pay", payment, len(booked))
	if err != nil {
		return "", err
	}
	if leg == 1 {
		return "", lambdabiz.ContinueAsNew(o, 2)
	}
	return fmt.Sprintf("%v %s", booked, paid), nil
})

var payment = lambdabiz.Define("Payment", func(o lambdabiz.Context, n int) (string, error) {
	return lambdabiz.CallTask[string](o, "charge", "Charge", n)
})

func travel(t *testing.T, env *lambdabiztest.Env) {
	env.Register(journey, payment)
	slow := func(ctx context.Context, d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	lambdabiztest.Stub(env, "book/*/reserve", func(ctx context.Context, s string) (string, error) {
		slow(ctx, time.Duration(len(s))*time.Second) // the flight takes the longest
		if info, _ := lambdabiz.TaskInfoFrom(ctx); s == "hotel" && info.Attempt < 2 {
			return "", errors.New("no room")
		}
		return "a " + s, nil
	})
	lambdabiztest.Stub(env, "charge", func(_ context.Context, n int) (string, error) { return fmt.Sprint("payment of ", n), nil }).Times(2)
	env.Expect("first").Times(2)
	env.Expect("late/remind-1").Times(2)
	run := lambdabiztest.Start(env, journey, "trip", 1)
	for range 2 {
		env.Advance(60 * time.Hour) // two reminders
		env.Raise("trip", "Confirm", true)
		env.Advance(time.Hour)
	}
	if got, err := run.Result(); err != nil || got != "[a flight a hotel a car] payment of 3" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAJourneySurvivesACrashAtEveryCommit(t *testing.T) {
	done := lambdabiztest.CrashEverywhere(t, travel)
	campaign.Report(t, "KIT", []campaign.Count{
		{What: "commits", N: done.Commits}, {What: "cuts", N: done.Cuts}, {What: "bodies run again", N: done.Repeats},
	})
	if done.Cuts < done.Commits || done.Commits < 20 {
		t.Errorf("%+v: the journey has more commits than that", done)
	}
}

func TestAnOutageOfADayChangesNothing(t *testing.T) {
	lambdabiztest.CrashEverywhere(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(everything)
		lambdabiztest.StubStep(env, "day", func(context.Context) (time.Time, error) { return time.Unix(0, 0).UTC(), nil })
		lambdabiztest.StubDo(env, "log", func(context.Context) error { return nil })
		lambdabiztest.Stub(env, "parcels/*/pack", func(_ context.Context, s string) (string, error) { return s, nil })
		lambdabiztest.Stub(env, "survey", func(_ context.Context, n int) (int, error) { return n, nil })
		lambdabiztest.Stub(env, "later", func(_ context.Context, n int) (int, error) { return n, nil })
		lambdabiztest.Stub(env, "ask", func(context.Context, string) (string, error) { return "me", nil })
		got, err := lambdabiztest.Start(env, everything, "all", []string{"a", "b"}).Result()
		if err != nil || got != "1970 [a b] 2 me" {
			t.Errorf("got %q, %v", got, err)
		}
	}, lambdabiztest.Outage(24*time.Hour))
}

// hectic is cancelled in the middle: it has retries, a race whose loser cleans up, an event that it raises itself, items of
// a Map that are tried again, and a clean-up that outlives the cancellation.
var hectic = lambdabiz.Define("Hectic", func(o lambdabiz.Context, items []string) (string, error) {
	again := lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Jitter: -1})
	quick := lambdabiz.Go(o, "quick", func(o lambdabiz.Context) (string, error) {
		return lambdabiz.CallTask[string](o, "try", "Try", 1, again)
	})
	never := lambdabiz.Go(o, "never", func(o lambdabiz.Context) (string, error) {
		_, err := lambdabiz.WaitForEvent[bool](o, "Never")
		return "", err
	})
	if _, err := lambdabiz.Race(o, "race", quick, never); err != nil {
		return "", err
	}
	_, err := lambdabiz.Map(o, "items", items, func(s string) string { return s }, func(o lambdabiz.Context, s string) (string, error) {
		return lambdabiz.CallTask[string](o, "try", "Try", s, again)
	})
	if err != nil {
		return "", err
	}
	if err := lambdabiz.RaiseEvent(o, "tell", o.ID(), "Told", 1); err != nil {
		return "", err
	}
	if _, err := lambdabiz.WaitForEvent[int](o, "Told"); err != nil {
		return "", err
	}
	if _, err := lambdabiz.WaitForEvent[int](o, "Asked"); err != nil {
		return "", err
	}
	err = lambdabiz.Sleep(o, "nap", 3*time.Hour)
	if errors.Is(err, lambdabiz.ErrCancelled) {
		_, undone := lambdabiz.CallTask[string](lambdabiz.Detached(o), "undo", "Undo", 1, again)
		err = errors.Join(err, undone)
	}
	return "", err
})

// What the kit counts is the same wherever the process dies: calls, attempts, effects by their keys.
func TestCallsAreCountedRightAtEachCut(t *testing.T) {
	done := mustSurvive(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(hectic)
		var mu sync.Mutex // branches call stubs at the same time
		effects := map[string]int{}
		busy := func(ctx context.Context, _ lambdabiz.Payload) (string, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			env.Effect(ctx, "a call")
			mu.Lock()
			effects[info.OperationID] = info.Attempt
			mu.Unlock()
			if info.Attempt < 3 {
				return "", errors.New("busy")
			}
			return "done", nil
		}
		lambdabiztest.Stub(env, "quick/try", busy).Times(3)
		lambdabiztest.Stub(env, "items/*/try", busy).Times(6)
		lambdabiztest.Stub(env, "undo", busy).Times(3)
		for path, n := range map[string]int{"race": 1, "never/Never": 1, "tell": 1, "Told": 1, "Asked": 1, "nap": 1} {
			env.Expect(path).Times(n)
		}
		run := lambdabiztest.Start(env, hectic, "hectic", []string{"a", "b"})
		env.Advance(time.Hour)
		env.Raise("hectic", "Asked", 1)
		env.Advance(time.Hour)
		if err := env.Engine().Cancel(env.Context(), "hectic", "enough"); err != nil {
			t.Error(err)
		}
		if _, err := run.Result(); err == nil {
			t.Error("it has succeeded")
		}
		env.Same("effects", effects)
	})
	if done.Repeats < 6 {
		t.Errorf("%+v: half of the 12 attempts are repeated at least, however commits come together", done)
	}
}

// broken is an orchestration that breaks a rule between two operations.
func broken(rule func(o lambdabiz.Context) string) *lambdabiz.Definition[int, string] {
	return lambdabiz.Define("Broken", func(o lambdabiz.Context, _ int) (string, error) {
		if _, err := lambdabiz.CallTask[string](o, "before", "T", 1); err != nil {
			return "", err
		}
		way := rule(o)
		if _, err := lambdabiz.CallTask[string](o, "then-"+way, "T", 2); err != nil {
			return "", err
		}
		return way, lambdabiz.Sleep(o, "rest", time.Minute)
	})
}

// wantRed runs a broken orchestration through CrashEverywhere, which must fail with all of the texts.
func wantRed(
	t *testing.T, rule string, scenario func(t *testing.T, env *lambdabiztest.Env), opts []lambdabiztest.CrashOption, texts ...string,
) {
	t.Helper()
	_, said, failed := lambdabiztest.TryCrashEverywhere(t, scenario, opts...)
	complaint := ""
	for line := range strings.Lines(said) {
		if failed && strings.Contains(line, "the process died") {
			complaint = strings.TrimSpace(line)
			break
		}
	}
	campaign.Red(t, "KIT", rule, complaint)
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("it does not say %q, but\n%s", text, said)
		}
	}
}

func runBroken(rule func(env *lambdabiztest.Env, o lambdabiz.Context) string) func(t *testing.T, env *lambdabiztest.Env) {
	return func(_ *testing.T, env *lambdabiztest.Env) {
		d := broken(func(o lambdabiz.Context) string { return rule(env, o) })
		env.Register(d)
		lambdabiztest.Stub(env, "*", func(context.Context, int) (string, error) { return "", nil })
		_, _ = lambdabiztest.Start(env, d, "order-1", 0).Result()
	}
}

func TestSabotageEffectBetweenOperations(t *testing.T) {
	wantRed(t, "rule 2 (effects belong in operations)", runBroken(func(env *lambdabiztest.Env, o lambdabiz.Context) string {
		env.Effect(o, "mail")
		return "on"
	}), nil, `effect "mail", outside of operations, happened 2 times, undisturbed once`)
}

func TestSabotageEffectWithoutAnIdempotencyKey(t *testing.T) {
	wantRed(t, "the idempotency key", func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		charged := 0
		lambdabiztest.Stub(env, "charge", func(_ context.Context, c Card) (string, error) {
			charged += c.Cents
			return "payment-1", nil
		})
		send(env)
		_, _ = through(env)
		env.Same("the sum charged", charged)
	}, nil, "the sum charged is 900, undisturbed 450", "the process died before commit 1 (order-7: charge SUCCEEDED")
}

func TestSabotageDecisionOnTheClock(t *testing.T) {
	wantRed(t, "rule 4 (no decision on the clock)", runBroken(func(*lambdabiztest.Env, lambdabiz.Context) string {
		if time.Now().Hour() < 1 {
			return "early"
		}
		return "late"
	}), []lambdabiztest.CrashOption{lambdabiztest.Outage(time.Hour)},
		`operation "then-late" is recorded`, `the outcome is result "late", undisturbed result "early"`)
}

func TestSabotageDecisionOnChance(t *testing.T) {
	wantRed(t, "rule 4 (no decision on chance)", runBroken(func(*lambdabiztest.Env, lambdabiz.Context) string {
		return fmt.Sprint(rand.Uint64())
	}), nil, "orchestration order-1: the outcome is result", "undisturbed it is not", "three cuts have failed, no more are tried")
}

func TestSabotageStateOutsideOfTheRecord(t *testing.T) {
	wantRed(t, "rule 2 (state belongs in the record)", func(_ *testing.T, env *lambdabiztest.Env) {
		seen := 0 // a counter in memory, which a new process would not have
		d := broken(func(lambdabiz.Context) string { seen++; return fmt.Sprint("pass-", seen) })
		env.Register(d)
		lambdabiztest.Stub(env, "*", func(context.Context, int) (string, error) { return "", nil })
		_, _ = lambdabiztest.Start(env, d, "order-1", 0).Result()
	}, nil, `operation "then-pass-2" is recorded`, `operation "then-pass-1" is not recorded`)
}

func TestACrashNamesTheCommit(t *testing.T) {
	_, said, failed := lambdabiztest.TryCrashEverywhere(t, runBroken(func(*lambdabiztest.Env, lambdabiz.Context) string {
		return fmt.Sprint(rand.Uint64())
	}))
	if !failed || !strings.Contains(said, "lambdabiztest: the process died before commit 1 (order-1: before SUCCEEDED") ||
		!strings.Contains(said, "the process died after commit 1 (order-1: before SUCCEEDED") {
		t.Errorf("it says\n%s", said)
	}
}

func TestACrashOfNothingFails(t *testing.T) {
	_, said, failed := lambdabiztest.TryCrashEverywhere(t, func(*testing.T, *lambdabiztest.Env) {})
	if !failed || !strings.Contains(said, "the scenario makes no commit") {
		t.Errorf("it says\n%s", said)
	}
}

func TestAScenarioThatFailsUndisturbedIsNotCut(t *testing.T) {
	lives := 0
	done, said, failed := lambdabiztest.TryCrashEverywhere(t, func(_ *testing.T, env *lambdabiztest.Env) {
		lives++
		env.Register(order)
		_, _ = through(env)
	})
	if !failed || lives != 1 || done.Cuts != 0 || !strings.Contains(said, "neither stubbed nor registered") {
		t.Errorf("%d lives, %+v, it says\n%s", lives, done, said)
	}
}

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
