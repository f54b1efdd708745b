package lambdabiztest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
)

// export runs code until it waits, and returns its state as a file of it would be.
func export[In any, Out any](t *testing.T, d *lambdabiz.Definition[In, Out], in In, drive func(env *lambdabiztest.Env)) []byte {
	t.Helper()
	var exported []byte
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.AllowOpen("order-7")
		env.Register(d)
		lambdabiztest.Stub(env, "*", func(_ context.Context, _ lambdabiz.Payload) (lambdabiz.Payload, error) {
			return lambdabiz.Payload(`"done"`), nil
		}).Of("order-7").Optional()
		lambdabiztest.Start(env, d, "order-7", in)
		drive(env)
		text, err := json.MarshalIndent(env.State("order-7"), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		exported = text
	})
	return exported
}

// version makes a version of the code of one orchestration.
func version(f func(o lambdabiz.Context) (string, error)) *lambdabiz.Definition[Cart, string] {
	return lambdabiz.Define("Order", func(o lambdabiz.Context, _ Cart) (string, error) { return f(o) })
}

func task(o lambdabiz.Context, id, name string, in any) error {
	_, err := lambdabiz.CallTask[string](o, id, name, in)
	return err
}

// steps calls functions until one fails.
func steps(list ...func() error) (string, error) {
	for _, f := range list {
		if err := f(); err != nil {
			return "", err
		}
	}
	return "end", nil
}

var first = version(func(o lambdabiz.Context) (string, error) {
	return steps(
		func() error { return task(o, "check", "Check", 1) },
		func() error { return task(o, "charge", "Charge", Card{450}) },
		func() error { return lambdabiz.Sleep(o, "cool-off", 24*time.Hour) },
		func() error { _, err := lambdabiz.WaitForEvent[bool](o, "Approve"); return err },
		func() error { return task(o, "ship", "Ship", "tea") },
	)
})

func wantReport(t *testing.T, r *lambdabiztest.Report, want string) {
	t.Helper()
	if got := r.String(); got != want {
		t.Errorf("the report is\n%s\nwant\n%s", got, want)
	}
}

func TestResumeBySameCodeWaitsWhereItWas(t *testing.T) {
	state := export(t, first, Cart{"tea", 450}, func(env *lambdabiztest.Env) { env.Advance(time.Hour) })
	wantReport(t, lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, first), `Order order-7
waits for:
  cool-off  TIMER  until 2000-01-02T00:00:00Z
kept:
  charge  TASK "Charge"  SUCCEEDED
  check  TASK "Check"  SUCCEEDED
`)
	later := lambdabiztest.Recording{State: state, At: time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC)}
	wantReport(t, lambdabiztest.Resume(t, later, first), `Order order-7
waits for:
  Approve  EVENT "Approve"
goes on with:
  cool-off  TIMER  SUCCEEDED
kept:
  charge  TASK "Charge"  SUCCEEDED
  check  TASK "Check"  SUCCEEDED
`)
}

func TestResumeConsumesEventsAndHoldsWhatFollows(t *testing.T) {
	state := export(t, first, Cart{"tea", 450}, func(env *lambdabiztest.Env) { env.Raise("order-7", "Approve", true) })
	later := lambdabiztest.Recording{State: state, At: time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC)}
	wantReport(t, lambdabiztest.Resume(t, later, first), `Order order-7
next:
  ship  TASK "Ship"  input "tea"
goes on with:
  Approve  EVENT "Approve"  SUCCEEDED
  cool-off  TIMER  SUCCEEDED
kept:
  charge  TASK "Charge"  SUCCEEDED
  check  TASK "Check"  SUCCEEDED
`)
}

func TestResumeByChangedCode(t *testing.T) {
	state := export(t, first, Cart{"tea", 450}, func(env *lambdabiztest.Env) { env.Advance(time.Hour) })
	performed := false
	second := version(func(o lambdabiz.Context) (string, error) {
		return steps(
			func() error { return task(o, "charge", "Charge", Card{451}) }, // another input, and "check" is gone
			func() error {
				mails := lambdabiz.Go(o, "mails", func(o lambdabiz.Context) (int, error) {
					return 0, lambdabiz.Do(o, "thank", func(context.Context) error { performed = true; return nil })
				})
				tell := lambdabiz.Go(o, "tell", func(o lambdabiz.Context) (int, error) {
					return 0, lambdabiz.RaiseEvent(o, "kitchen", "kitchen", "Ordered", 7)
				})
				_, err := mails.Wait(o)
				if err == nil {
					_, err = tell.Wait(o)
				}
				return err
			},
			func() error { return lambdabiz.Sleep(o, "cool-off", 24*time.Hour) },
		)
	})
	wantReport(t, lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, second), `Order order-7
new:
  mails/thank  STEP
  tell/kitchen  RAISE "Ordered"  input 7
waits for:
  cool-off  TIMER  until 2000-01-02T00:00:00Z
kept:
  charge  TASK "Charge"  SUCCEEDED
changed:
  charge  TASK "Charge"  input {"Cents":451}, recorded {"Cents":450}
orphaned:
  check  TASK "Check"  SUCCEEDED
`)
	if performed {
		t.Error("a step was performed")
	}
}

func TestResumeFindsOrphansAtTheEnd(t *testing.T) {
	state := export(t, first, Cart{"tea", 450}, func(env *lambdabiztest.Env) { env.Advance(time.Hour) })
	short := version(func(o lambdabiz.Context) (string, error) {
		return steps(func() error { return task(o, "charge", "Charge", Card{450}) })
	})
	r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, short)
	wantReport(t, r, `Order order-7
kept:
  charge  TASK "Charge"  SUCCEEDED
orphaned:
  check  TASK "Check"  SUCCEEDED
  cool-off  TIMER  STARTED
ends: SUCCEEDED with "end"
`)
	failing := version(func(lambdabiz.Context) (string, error) { return "", errors.New("no more") })
	if r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, failing); r.Ends != "FAILED: no more" || len(r.Orphaned) != 3 {
		t.Errorf("the report is\n%s", r)
	}
	again := version(func(o lambdabiz.Context) (string, error) { return "", lambdabiz.ContinueAsNew(o, Cart{"milk", 1}) })
	r = lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, again)
	if r.Ends != `continues as new with input {"Item":"milk","Cents":1}` {
		t.Errorf("the report is\n%s", r)
	}
}

func TestResumeReportsWhatBlocks(t *testing.T) {
	state := export(t, first, Cart{"tea", 450}, func(env *lambdabiztest.Env) { env.Advance(time.Hour) })
	for name, f := range map[string]func(o lambdabiz.Context) error{
		`recorded as TASK "Charge", the code has TASK "Pay" now`: func(o lambdabiz.Context) error { return task(o, "charge", "Pay", 1) },
		`recorded as TASK "Charge", the code has TIMER "" now`: func(o lambdabiz.Context) error {
			return lambdabiz.Sleep(o, "charge", 1)
		},
		"panic: oh": func(lambdabiz.Context) error { panic("oh") },
		"its record cannot be read": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallTask[int](o, "charge", "Charge", Card{450})
			return err
		},
	} {
		code := version(func(o lambdabiz.Context) (string, error) { return "", f(o) })
		r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, code)
		if r.Blocked == nil || !strings.Contains(r.Blocked.Reason, name) || !strings.Contains(r.String(), "blocked: ") {
			t.Errorf("want %q, the report is\n%s", name, r)
		}
		if r.Blocked != nil && !strings.Contains(r.Blocked.Source, "resume_test.go:") {
			t.Errorf("%s: the source is %q", name, r.Blocked.Source)
		}
	}
}

// loud has a child, a task that fails and is tried again, a race, and a task that was cut in the middle.
var loud = version(func(o lambdabiz.Context) (string, error) {
	return steps(
		func() error {
			a := lambdabiz.Go(o, "a", func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Sleep(o, "short", time.Second) })
			b := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Sleep(o, "long", time.Hour) })
			_, err := lambdabiz.Race(o, "race", a, b)
			return err
		},
		func() error { _, err := lambdabiz.StartChild(o, "child", survey, 1); return err },
		func() error {
			patient := lambdabiz.Retry(lambdabiz.Backoff{Attempts: 9, Initial: time.Hour, Jitter: -1})
			_, err := lambdabiz.CallTask[string](o, "busy", "Busy", 1, patient)
			return err
		},
	)
})

func TestResumeOfAttemptsAndRaces(t *testing.T) {
	var state []byte
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.AllowOpen("order-7")
		env.Register(loud)
		lambdabiztest.Stub(env, "child", func(context.Context, int) (int, error) { return 1, nil })
		lambdabiztest.Stub(env, "busy", func(context.Context, int) (string, error) { return "", errors.New("busy") })
		lambdabiztest.Start(env, loud, "order-7", Cart{})
		env.Advance(time.Minute)
		var err error
		if state, err = json.Marshal(env.State("order-7")); err != nil {
			t.Fatal(err)
		}
	})
	wantReport(t, lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, loud), `Order order-7
next:
  busy  TASK "Busy"  input 1, attempt 2 at 2000-01-01T00:01:01Z
kept:
  a/short  TIMER  SUCCEEDED
  child  CHILD "Survey"  SUCCEEDED
  race  RACE  SUCCEEDED
`)
	text := strings.Replace(string(state), `"name":"Busy","status":"SCHEDULED"`, `"name":"Busy","status":"STARTED"`, 1)
	text = strings.Replace(text, `"id":"child","kind":"CHILD"`, `"id":"child-of-old","kind":"CHILD"`, 1)
	r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: []byte(text)}, loud)
	if len(r.Repeated) != 1 || r.Repeated[0].String() != `child  CHILD "Survey"  as child-of-old, SUCCEEDED` || len(r.Next) != 1 ||
		r.Blocked == nil || r.Blocked.Operation != "child" || r.Fits() {
		t.Errorf("the report is\n%s", r)
	}
}

func TestResumeOfACancelledRunCleansUp(t *testing.T) {
	undoing := version(func(o lambdabiz.Context) (string, error) {
		err := lambdabiz.Sleep(o, "nap", time.Hour)
		if errors.Is(err, lambdabiz.ErrCancelled) {
			err = errors.Join(err, task(lambdabiz.Detached(o), "undo", "Undo", 1))
		}
		return "", err
	})
	state := export(t, undoing, Cart{}, func(env *lambdabiztest.Env) {
		env.Settle()
		if err := env.Engine().Pause(env.Context(), "order-7", "to cancel it while nobody looks"); err != nil {
			t.Fatal(err)
		}
		env.Settle()
		if err := env.Engine().Cancel(env.Context(), "order-7", "no need"); err != nil {
			t.Fatal(err)
		}
	})
	wantReport(t, lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, undoing), `Order order-7
next:
  undo  TASK "Undo"  input 1
goes on with:
  nap  TIMER  CANCELLED
`)
}

func TestResumeOfAnEndedRun(t *testing.T) {
	state := export(t, first, Cart{"tea", 450}, func(env *lambdabiztest.Env) {
		env.Advance(25 * time.Hour)
		env.Raise("order-7", "Approve", true)
	})
	r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, first)
	if r.Ends != `SUCCEEDED with "end"` || len(r.Kept) != 5 || len(r.Next) != 0 {
		t.Errorf("the report is\n%s", r)
	}
}

// swapping is a codec whose payloads are not JSON.
type swapping struct{}

func (swapping) Encode(v any) (lambdabiz.Payload, error) {
	p, err := json.Marshal(v)
	return append([]byte{0xff}, p...), err
}

func (swapping) Decode(p lambdabiz.Payload, v any) error {
	if !bytes.HasPrefix(p, []byte{0xff}) {
		return errors.New("made by another codec")
	}
	return json.Unmarshal(p[1:], v)
}

func TestResumeWithAnotherCodec(t *testing.T) {
	var state []byte
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.AllowOpen("order-7")
		env.Configure(lambdabiz.Config{Codec: swapping{}})
		env.Register(first)
		for _, id := range []string{"check", "charge"} {
			lambdabiztest.Stub(env, id, func(context.Context, lambdabiz.Payload) (string, error) { return "done", nil })
		}
		lambdabiztest.Start(env, first, "order-7", Cart{"tea", 450})
		var err error
		if state, err = json.Marshal(env.State("order-7")); err != nil {
			t.Fatal(err)
		}
	})
	if !bytes.Contains(state, []byte(base64.StdEncoding.EncodeToString(append([]byte{0xff}, `"done"`...)))) {
		t.Fatalf("the payloads are no base64: %s", state)
	}
	r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: state, Codec: swapping{}}, first)
	if r.Blocked != nil || len(r.Kept) != 2 || len(r.Changed) != 0 {
		t.Errorf("the report is\n%s", r)
	}
}

func TestRecordingsOfTheCommandResume(t *testing.T) {
	state, err := os.ReadFile(filepath.Join("testdata", "order-7.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "order-7.txt"))
	if err != nil {
		t.Fatal(err)
	}
	wantReport(t, lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, order), string(want))
}

func TestBadRecordingsAreRefused(t *testing.T) {
	good := export(t, first, Cart{"tea", 450}, func(*lambdabiztest.Env) {})
	other := lambdabiz.Define("Other", func(lambdabiz.Context, int) (int, error) { return 0, nil })
	byHand := strings.Replace(string(good), `"mode": "worker"`, `"mode": "hand"`, 1)
	for want, c := range map[string]struct {
		state string
		item  lambdabiz.Registrable
	}{
		"read the recording: unexpected end of JSON input":          {"{", first},
		"it is no state of an orchestration":                        {`{"runs": []}`, first},
		`no definition with the name "Order" is among the items`:    {string(good), other},
		"it is driven by hand":                                      {byHand, first},
		`parse status: "DONE" is none of`:                           {strings.Replace(string(good), `"STARTED"`, `"DONE"`, 1), first},
		"register: task resolver: its function is nil":              {string(good), (*lambdabiz.TaskResolver)(nil)},
		fmt.Sprintf("definition %q is registered already", "Order"): {string(good), lambdabiz.Registrables{first, order}},
	} {
		err := lambdabiztest.TryResume(t, lambdabiztest.Recording{State: []byte(c.state)}, c.item)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
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
