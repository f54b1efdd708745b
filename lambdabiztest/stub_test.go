package lambdabiztest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
	"github.com/lambdabiz/lambdabiz/rest"
)

// wantFailure runs a test that must fail with all of the texts.
func wantFailure(t *testing.T, f func(t *testing.T, env *lambdabiztest.Env), texts ...string) {
	t.Helper()
	said, failed := lambdabiztest.TryRun(t, f)
	if !failed {
		t.Errorf("it did not fail; it said\n%s", said)
	}
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("it does not say %q, but\n%s", text, said)
		}
	}
}

// pay is a stub of charge that works.
func pay(env *lambdabiztest.Env) *lambdabiztest.Call {
	return lambdabiztest.Stub(env, "charge", func(context.Context, Card) (string, error) { return "payment-1", nil })
}

// send is a stub of ship that works.
func send(env *lambdabiztest.Env) *lambdabiztest.Call {
	return lambdabiztest.Stub(env, "ship", func(_ context.Context, item string) (string, error) { return "parcel of " + item, nil })
}

// through drives an order to its end.
func through(env *lambdabiztest.Env) (Receipt, error) {
	run := lambdabiztest.Start(env, order, "order-7", Cart{"tea", 450})
	env.Advance(time.Hour)
	env.Raise("order-7", "Approve", true)
	return run.Result()
}

func TestAMonthTakesNoTime(t *testing.T) {
	began := time.Now()
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		pay(env)
		began := time.Now()
		run := lambdabiztest.Start(env, order, "order-7", Cart{"tea", 450})
		_, err := run.Result()
		if late, ok := errors.AsType[*lambdabiz.EventTimeoutError](err); !ok || late.Event != "Approve" {
			t.Errorf("got %v, want the time-out of Approve", err)
		}
		if passed := time.Since(began); passed < 90*24*time.Hour {
			t.Errorf("%v have passed, want 90 days", passed)
		}
	})
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

func TestRetriesOfAStubAreCounted(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		lambdabiztest.Stub(env, "charge", func(ctx context.Context, _ Card) (string, error) {
			if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt < 3 {
				return "", errors.New("the bank is busy")
			}
			return "payment-1", nil
		}).Times(3)
		send(env).Times(1)
		if got, err := through(env); err != nil || got.Payment != "payment-1" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// everything has an operation of every kind.
var everything = lambdabiz.Define("Everything", func(o lambdabiz.Context, items []string) (string, error) {
	day, err := lambdabiz.Step(o, "day", func(context.Context) (time.Time, error) { return time.Now(), nil })
	if err != nil {
		return "", err
	}
	if err := lambdabiz.Do(o, "log", func(context.Context) error { return errors.New("no log") }); err != nil {
		return "", err
	}
	packed, err := lambdabiz.Map(o, "parcels", items, func(s string) string { return s },
		func(o lambdabiz.Context, s string) (string, error) {
			return lambdabiz.CallTask[string](o, "pack", "Pack", s)
		})
	if err != nil {
		return "", err
	}
	out, err := lambdabiz.CallChild(o, "survey", survey, len(items))
	if err != nil {
		return "", err
	}
	if _, err := lambdabiz.StartChild(o, "later", survey, 1); err != nil {
		return "", err
	}
	if err := lambdabiz.RaiseEvent(o, "tell", o.ID(), "Told", 7); err != nil {
		return "", err
	}
	if _, err := lambdabiz.WaitForEvent[int](o, "Told"); err != nil {
		return "", err
	}
	ask, err := lambdabiz.Call(o, "ask", service, "who")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %v %d %s", day.Year(), packed, out, ask), lambdabiz.Sleep(o, "rest", time.Hour)
})

var survey = lambdabiz.Define("Survey", func(lambdabiz.Context, int) (int, error) { return 0, errors.New("the real survey ran") })

var service = lambdabiz.NewService("ASK", func(context.Context, string) (string, error) {
	return "", errors.New("the real service was called")
})

func TestEveryKindWithABodyCanBeStubbed(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(everything) // and not survey: it is stubbed
		day := lambdabiztest.StubStep(env, "day", func(context.Context) (time.Time, error) {
			return time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC), nil
		}).Times(1)
		lambdabiztest.StubDo(env, "log", func(context.Context) error { return nil }).Times(1)
		lambdabiztest.Stub(env, "parcels/*/pack", func(_ context.Context, s string) (string, error) { return "<" + s + ">", nil }).Times(3)
		lambdabiztest.Stub(env, "parcels/b/pack", func(context.Context, string) (string, error) { return "B", nil }).Times(1)
		child := lambdabiztest.Stub(env, "survey", func(_ context.Context, n int) (int, error) { return 10 * n, nil }).Times(1).Input(3)
		lambdabiztest.Stub(env, "later", func(context.Context, int) (int, error) { return 0, nil }).Times(1).Of("all")
		asked := lambdabiztest.Stub(env, "ask", func(context.Context, string) (string, error) { return "me", nil }).Times(1)
		rest := env.Expect("rest").Times(1)
		env.Expect("never").Times(0)
		lambdabiztest.InOrder(day, child, env.Expect("tell").Input(7), env.Expect("Told"), asked, rest)
		got, err := lambdabiztest.Start(env, everything, "all", []string{"a", "b", "c"}).Result()
		if want := "2031 [<a> B <c>] 30 me"; err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	})
}

func TestAFailingStubOfAChildFailsTheParentsCall(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		parent := lambdabiz.Define("Parent", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallChild(o, "survey", survey, 1)
		})
		env.Register(parent)
		lambdabiztest.Stub(env, "survey", func(context.Context, int) (int, error) { return 0, errors.New("nobody answers") })
		_, err := lambdabiztest.Start(env, parent, "p", 1).Result()
		child, ok := errors.AsType[*lambdabiz.OrchestrationError](errors.Unwrap(err))
		if !ok || child.ID != "p~-survey" || !strings.Contains(err.Error(), "nobody answers") {
			t.Errorf("got %v", err)
		}
	})
}

func TestPayloadFitsEveryType(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		lambdabiztest.Stub(env, "charge", func(_ context.Context, in lambdabiz.Payload) (lambdabiz.Payload, error) {
			if string(in) != `{"Cents":450}` {
				t.Errorf("input is %s", in)
			}
			return lambdabiz.Payload(`"payment-2"`), nil
		})
		send(env)
		if got, err := through(env); err != nil || got.Payment != "payment-2" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestRESTCallsAreStubbed(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		type rate struct{ Cents int }
		d := lambdabiz.Define("Rates", func(o lambdabiz.Context, currency string) (int, error) {
			r, err := rest.Get[rate](o, "rate", "https://rates.example/"+currency, rest.Query("day", "today"))
			return r.Cents, err
		})
		env.Register(d)
		lambdabiztest.Stub(env, "rate", func(_ context.Context, r rest.Request) (rest.Response, error) {
			if r.Method != http.MethodGet || r.URL != "https://rates.example/EUR" {
				t.Errorf("the request is %+v", r)
			}
			return rest.Response{Status: 200, Body: []byte(`{"Cents": 117}`)}, nil
		}).Times(1)
		if got, err := lambdabiztest.Start(env, d, "rates", "EUR").Result(); err != nil || got != 117 {
			t.Errorf("got %d, %v", got, err)
		}
	})
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		d := lambdabiz.Define("Rates", func(o lambdabiz.Context, _ int) (int, error) {
			return rest.Get[int](o, "rate", "https://rates.example/EUR")
		})
		env.Register(d)
		_, _ = lambdabiztest.Start(env, d, "rates", 1).Result()
	}, `the service "GET" is neither stubbed nor registered`, "stub_test.go:")
}

func TestARegisteredTaskIsPerformed(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		double := lambdabiz.NewTask("Double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
		d := lambdabiz.Define("D", func(o lambdabiz.Context, n int) (int, error) { return lambdabiz.Call(o, "double", double, n) })
		byName := lambdabiz.Define("ByName", func(o lambdabiz.Context, n int) (int, error) {
			return lambdabiz.CallTask[int](o, "half", "Half", n)
		})
		env.Register(d, double, byName, lambdabiz.NewTaskResolver(func(name string) lambdabiz.TaskFunc {
			if name != "Half" {
				return nil
			}
			return func(context.Context, lambdabiz.Payload) (lambdabiz.Payload, error) {
				return lambdabiz.Payload("10"), nil
			}
		}))
		env.Expect("double").Times(1).Input(21)
		if got, err := lambdabiztest.Start(env, d, "d", 21).Result(); err != nil || got != 42 {
			t.Errorf("got %d, %v", got, err)
		}
		if got, err := lambdabiztest.Start(env, byName, "n", 20).Result(); err != nil || got != 10 {
			t.Errorf("got %d, %v, from a resolver", got, err)
		}
	})
}

// Misuse. Each of these tests must fail, and say what to do.

func TestATaskWithoutAStubFails(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		_, _ = through(env)
	}, `orchestration order-7 is blocked: the task "Charge" is neither stubbed nor registered: call lambdabiztest.Stub(env, "charge", ...)`,
		"operation: charge", "example_test.go:", `order-7  charge  TASK "Charge"  not begun`)
}

func TestTypesThatDoNotFitNameTheOperation(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		lambdabiztest.Stub(env, "charge", func(context.Context, int) (string, error) { return "", nil })
		_, _ = through(env)
	}, `the stub of "charge" takes int, and the code calls it with lambdabiztest_test.Card`, "example_test.go:")
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		lambdabiztest.Stub(env, "charge", func(context.Context, Card) (Receipt, error) { return Receipt{}, nil })
		_, _ = through(env)
	}, `the stub of "charge" returns lambdabiztest_test.Receipt, and the code wants string`)
	do := lambdabiz.Define("Do", func(o lambdabiz.Context, _ int) (int, error) {
		return 0, lambdabiz.Do(o, "log", func(context.Context) error { return nil })
	})
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(do)
		lambdabiztest.StubStep(env, "log", func(context.Context) (int, error) { return 0, nil })
		lambdabiztest.Start(env, do, "d", 1)
		env.Settle()
	}, `the stub of "log" returns int, and the code calls lambdabiz.Do: use StubDo`)
}

func TestTheWrongFunctionForTheKindFails(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		lambdabiztest.StubDo(env, "charge", func(context.Context) error { return nil })
		_, _ = through(env)
	}, `operation "charge" is a TASK: use Stub instead of StubDo`)
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		pay(env)
		lambdabiztest.StubDo(env, "Approve", func(context.Context) error { return nil })
		_, _ = through(env)
	}, `operation "Approve" is of kind EVENT, which cannot be stubbed: use env.Expect`)
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(everything)
		lambdabiztest.Stub(env, "day", func(context.Context, int) (time.Time, error) { return time.Time{}, nil })
		lambdabiztest.Start(env, everything, "all", nil)
		env.Settle()
	}, `operation "day" is a STEP: use StubStep or StubDo instead of Stub`)
}

func TestUnusedStubsAndUnmetExpectationsFail(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		pay(env)
		send(env)
		lambdabiztest.Stub(env, "shop", func(context.Context, string) (string, error) { return "", nil })
		lambdabiztest.Stub(env, "ship", func(context.Context, string) (string, error) { return "", nil }).Of("order-8")
		env.Expect("refund")
		_, _ = through(env)
	}, `the stub of "shop" was not used`,
		`the stub of "ship" in orchestration order-8 was not used`, `the expectation of "refund" was not used`,
		"what was called:", `order-7  charge  TASK "Charge"  attempts: 1  SUCCEEDED  input {"Cents":450}`,
		`order-7  Approve  EVENT "Approve"`)
}

func TestTheNumberOfCallsIsChecked(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		pay(env).Times(2)
		send(env).Times(0)
		env.Expect("refund").Times(1)
		_, _ = through(env)
	}, `the stub of "charge" was called once, expected 2 times`, `the stub of "ship" was called once, expected never`,
		`the expectation of "refund" was called never, expected once`)
}

func TestTheInputIsChecked(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		pay(env).Input(Card{451})
		_, _ = through(env)
	}, `orchestration order-7 calls operation "charge" with another input than expected`, `got:      {"Cents":450}`,
		`expected: {"Cents":451}`, "example_test.go:")
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		pay(env).Input(func() {})
	}, `encode the expected input of "charge"`)
}

func TestTheOrderIsChecked(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		lambdabiztest.InOrder(send(env), pay(env))
		_, _ = through(env)
	}, `operation "charge" of orchestration order-7 began before operation "ship" of orchestration order-7 had ended`)
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		lambdabiztest.InOrder(pay(env), env.Expect("refund").Times(0), send(env))
		_, _ = through(env)
	}, `the expectation of "refund" has a place in an order, and was never called`)
}

func TestWhatIsNotRegisteredIsNamed(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		lambdabiztest.Start(env, order, "order-7", Cart{})
	}, `its definition "Order" is not registered (call env.Register first)`)
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		parent := lambdabiz.Define("Parent", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallChild(o, "survey", survey, 1)
		})
		env.Register(parent)
		_, _ = lambdabiztest.Start(env, parent, "p", 1).Result()
	}, `orchestration p starts a child at operation "survey", and its definition "Survey" is not registered`)
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Engine()
		env.Register(order)
	}, "Register comes too late")
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Engine()
		env.Configure(lambdabiz.Config{})
	}, "Configure comes too late")
}

func TestATestThatFailsListsWhatWasCalled(t *testing.T) {
	wantFailure(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		lambdabiztest.Stub(env, "charge", func(context.Context, Card) (string, error) { return "", errors.New("no money") })
		_, _ = lambdabiztest.Start(env, order, "order-7", Cart{}).Result()
		env.Expect("ship")
	}, "attempts: 3  FAILED")
}

func TestOrchestrationsDrivenByHandAreStubbedToo(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		pay(env).Times(1)
		o, err := env.Engine().Create(env.Context(), "by-hand")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start("in"); err != nil {
			t.Fatal(err)
		}
		if got, err := lambdabiz.Call(o, "charge", charge, Card{1}); err != nil || got != "payment-1" {
			t.Errorf("got %q, %v", got, err)
		}
		env.AllowOpen("by-hand")
		if _, err := lambdabiz.Call(o, "ship", ship, "tea"); !strings.Contains(fmt.Sprint(err), "neither stubbed nor registered") {
			t.Errorf("got %v", err)
		}
	})
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
	if failed || !strings.Contains(said, `the stub of "charge" panics: no bank`) || !strings.Contains(said, "stub_test.go:") {
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
