package swf_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestWhatDoesNotFitIsRefusedOutside: the error names the orchestration, and SWF hears of nothing.
func TestWhatDoesNotFitIsRefusedOutside(t *testing.T) {
	t.Parallel()
	echo := lambdabiz.Define("Echo", func(o lambdabiz.Context, _ string) (string, error) {
		return lambdabiz.WaitForEvent[string](o, "go")
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(echo)
		policy := lambdabiz.OnUsedID(lambdabiz.RejectOpen)
		if _, err := lambdabiz.Start(t.Context(), p.Engine, echo, "open", "", policy); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		before := server.Calls()
		long := strings.Repeat("/", 100) // 300 characters when it is encoded
		start := func(id, in string) error {
			_, err := lambdabiz.Start(t.Context(), p.Engine, echo, id, in, policy)
			return err
		}
		for name, err := range map[string]error{
			"input":                    start("big", strings.Repeat("x", 32_768)),
			"input, escaped":           start("big", strings.Repeat("\x01", 6000)),
			"payload":                  p.RaiseEvent(t.Context(), "open", "go", strings.Repeat("x", 32_768)),
			"id that grows":            start(long, ""),
			"id of an event's target":  p.RaiseEvent(t.Context(), long, "go", "x"),
			"id of a cancellation":     p.Cancel(t.Context(), long, ""),
			"id that is asked for":     stateOf(t, p, long),
			"id of one to be restored": p.Resume(t.Context(), long),
		} {
			if !errors.Is(err, lambdabiz.ErrTooLarge) {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if text := err.Error(); !strings.Contains(text, "big") && !strings.Contains(text, "open") && !strings.Contains(text, long) {
				t.Errorf("%s: the error does not name the orchestration: %v", name, err)
			}
		}
		for _, action := range []string{"StartWorkflowExecution", "SignalWorkflowExecution", "RequestCancelWorkflowExecution"} {
			if after := server.Calls()[action]; after != before[action] {
				t.Errorf("%d calls of %s", after-before[action], action)
			}
		}
	})
}

func stateOf(t *testing.T, p *process, id string) error {
	_, err := p.State(t.Context(), id)
	return err
}

// TestWhatDoesNotFitIsRefusedInside: the operation's error names orchestration and operation, nothing is recorded, and
// the run goes on with what it makes of it.
func TestWhatDoesNotFitIsRefusedInside(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 32_768)
	local := lambdabiz.NewTask("Local", func(context.Context, string) (string, error) { return big, nil })
	text := lambdabiz.Define("Text", func(_ lambdabiz.Context, in string) (string, error) { return in, nil })
	for name, c := range map[string]struct {
		do          func(o lambdabiz.Context) error
		unsupported lambdabiz.Feature // empty for ErrTooLarge
		recorded    bool              // as a failed operation, because it has run
	}{
		"input of a Lambda function": {do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallTask[string](o, "op", "F", big)
			return err
		}},
		"input of a task": {do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.Call(o, "op", local, big)
			return err
		}},
		"result of a task": {recorded: true, do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.Call(o, "op", local, "")
			return err
		}},
		"result of a step": {recorded: true, do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.Step(o, "op", func(context.Context) (string, error) { return big, nil })
			return err
		}},
		"event": {do: func(o lambdabiz.Context) error { return lambdabiz.RaiseEvent(o, "op", "x", "e", big) }},
		"input of a child": {do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChild(o, "op", text, big)
			return err
		}},
		"name of a Lambda function": {do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallTask[string](o, "op", strings.Repeat("F", 65), 1)
			return err
		}},
		"time of a Lambda function": {unsupported: lambdabiz.FeatureLongTask, do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallTask[string](o, "op", "F", 1, lambdabiz.Timeout(901*time.Second))
			return err
		}},
		"time of a step": {unsupported: lambdabiz.FeatureLongStep, do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.Step(o, "op", one, lambdabiz.Timeout(time.Minute))
			return err
		}},
		"heartbeat of a Lambda function": {unsupported: lambdabiz.FeatureHeartbeat, do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallTask[string](o, "op", "F", 1, lambdabiz.HeartbeatTimeout(time.Second))
			return err
		}},
		"timer past a year": {unsupported: lambdabiz.FeatureLongWait, do: func(o lambdabiz.Context) error {
			return lambdabiz.Sleep(o, "op", 366*24*time.Hour)
		}},
		"wait past a year": {unsupported: lambdabiz.FeatureLongWait, do: func(o lambdabiz.Context) error {
			_, err := lambdabiz.WaitForEvent[int](o, "op", lambdabiz.Timeout(366*24*time.Hour))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				d := lambdabiz.Define("Big", func(o lambdabiz.Context, _ string) (string, error) {
					err := c.do(o)
					var unsupported *lambdabiz.UnsupportedError
					switch {
					case c.unsupported == "" && !errors.Is(err, lambdabiz.ErrTooLarge),
						c.unsupported != "" && (!errors.As(err, &unsupported) || unsupported.Feature != c.unsupported):
						return "", errors.Join(errRefused, err)
					}
					return err.Error(), nil
				})
				p := client(t, configFor(server)).workOn(d, local, text)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "Run", "", lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				out := result(t, server, p.Engine, run, "Run")
				if !strings.Contains(out, "op") {
					t.Errorf("the error does not name its operation: %s", out)
				}
				state, err := p.State(t.Context(), "Run")
				if err != nil || (len(state.Operations) > 0) != c.recorded {
					t.Errorf("recorded is %+v %v", state.Operations, err)
				}
				for _, kind := range []types.EventType{types.EventTypeLambdaFunctionScheduled, types.EventTypeTimerStarted} {
					if countOf(wantSound(t, server, "Run"), kind) > 0 {
						t.Errorf("there is a %s", kind)
					}
				}
			})
		})
	}
}

// TestWhatDoesNotFitWithItsNamesFailsItsOperation: the run goes on instead of asking for the same again and again.
func TestWhatDoesNotFitWithItsNamesFailsItsOperation(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("/", 100) // 300 characters when it is encoded
	odd := lambdabiz.NewTask(name, func(context.Context, string) (string, error) { return "", nil })
	child := lambdabiz.Define("Child", func(_ lambdabiz.Context, _ string) (string, error) { return "", nil })
	tags := map[string]string{}
	for _, c := range "abcdef" {
		tags[strings.Repeat(string(c), 250)] = strings.Repeat("v", 250)
	}
	for what, do := range map[string]func(o lambdabiz.Context) error{
		"name of a task": func(o lambdabiz.Context) error { _, err := lambdabiz.Call(o, "op", odd, ""); return err },
		"name of a child": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChildByName[string](o, "op", name, "")
			return err
		},
		"input of a child with tags": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChild(o, "op", child, strings.Repeat("x", 29_990),
				lambdabiz.Tags(tags))
			return err
		},
		"queue of a child": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChild(o, "op", child, "", lambdabiz.OnQueue(name))
			return err
		},
		"queue of a child's services": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChild(o, "op", child, "", lambdabiz.OnQueue(strings.Repeat("q", 254)))
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
				if err := do(o); !errors.Is(err, lambdabiz.ErrTooLarge) {
					return 0, fmt.Errorf("it is %w", err)
				}
				return 7, nil
			})
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				p := client(t, configFor(server)).workOn(d, odd, child)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				if out := result(t, server, p.Engine, run, "R"); out != 7 {
					t.Error("the result is", out)
				}
			})
		})
	}
}

// TestALongTimeIsNoHindrance: SWF takes times of eight digits.
func TestALongTimeIsNoHindrance(t *testing.T) {
	t.Parallel()
	task := lambdabiz.NewTask("T", func(context.Context, int) (int, error) { return 7, nil })
	for name, c := range map[string]struct {
		call  []lambdabiz.CallOption
		start []lambdabiz.StartOption
	}{
		"attempt of ten years":   {call: []lambdabiz.CallOption{lambdabiz.Timeout(87600 * time.Hour)}},
		"attempt without end":    {call: []lambdabiz.CallOption{lambdabiz.Timeout(math.MaxInt64)}},
		"operation of ten years": {call: []lambdabiz.CallOption{lambdabiz.Deadline(87600 * time.Hour)}},
		"run of ten years":       {start: []lambdabiz.StartOption{lambdabiz.Deadline(87600 * time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
				return lambdabiz.Call(o, "t", task, 0, c.call...)
			})
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				p := client(t, configFor(server)).workOn(d, task)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, append(c.start, lambdabiz.OnUsedID(lambdabiz.RejectOpen))...)
				if err != nil {
					t.Fatal(err)
				}
				if out := result(t, server, p.Engine, run, "R"); out != 7 {
					t.Error("the result is", out)
				}
			})
		})
	}
}

// TestRunsByHandHaveOneType: each had one of its own, named as it is, and a domain has 10,000 for ever.
func TestRunsByHandHaveOneType(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{Limits: fakeswf.Limits{Types: 2}})
		p := client(t, configFor(server))
		for i := range 20 {
			id := fmt.Sprint("order ", i)
			o, err := p.Create(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Start("go", lambdabiz.OnUsedID(lambdabiz.RejectOpen)); err != nil {
				t.Fatal(err)
			}
			if s := lookAt(t, p.Engine, id); s.Name != id || s.Mode != lambdabiz.ModeHand {
				t.Fatalf("the state is %+v", s.RunInfo)
			}
		}
		<-time.After(time.Minute)
		page, err := p.List(t.Context(), lambdabiz.Filter{})
		if err != nil || len(page.Runs) != 20 {
			t.Fatal(len(page.Runs), err)
		}
		for _, r := range page.Runs {
			if r.Name != r.ID {
				t.Errorf("%s is listed with the name %s", r.ID, r.Name)
			}
		}
	})
}
