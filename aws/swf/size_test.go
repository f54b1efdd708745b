package swf_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// atOnce runs n items as branches.
func atOnce[T any](o lambdabiz.Context, n int, do func(o lambdabiz.Context, i int) (T, error)) ([]T, error) {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	return lambdabiz.Map(o, "map", ids, func(i int) string { return fmt.Sprint(i) }, do)
}

// TestWhatGoesOutTogetherFitsIntoRequests: SWF takes a request of 1 MB, and refused all of a larger one, for ever.
func TestWhatGoesOutTogetherFitsIntoRequests(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x\"", 12_500) // twice as long in JSON
	text := strings.Repeat("x", 25_000)
	child := lambdabiz.Define("Child", func(_ lambdabiz.Context, in string) (int, error) { return len(in), nil })
	sink := lambdabiz.Define("Sink", func(o lambdabiz.Context, n int) (int, error) {
		for i := range n {
			if _, err := lambdabiz.WaitForEvent[string](o, fmt.Sprint("e", i), lambdabiz.Named("e")); err != nil {
				return i, err
			}
		}
		return n, nil
	})
	echo := lambdabiz.NewTask("Echo", func(_ context.Context, in string) (string, error) { return in, nil })
	step := func(value string) func(o lambdabiz.Context, i int) (int, error) {
		return func(o lambdabiz.Context, _ int) (int, error) {
			out, err := lambdabiz.Step(o, "s", func(context.Context) (string, error) { return value, nil })
			return len(out), err
		}
	}
	for name, c := range map[string]struct {
		n    int
		do   func(o lambdabiz.Context, i int) (int, error)
		want int
	}{
		"results of steps":            {n: 50, want: 25_000, do: step(text)},
		"results of steps with marks": {n: 80, want: 13_000, do: step(big[:13_000])},
		"inputs of children": {n: 45, want: 25_000, do: func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallChild(o, "c", child, text)
		}},
		"inputs of children that are left alone": {n: 45, do: func(o lambdabiz.Context, _ int) (int, error) {
			_, err := lambdabiz.StartChild(o, "c", child, text)
			return 0, err
		}},
		"raised events": {n: 45, do: func(o lambdabiz.Context, _ int) (int, error) {
			return 0, lambdabiz.RaiseEvent(o, "r", "Sink", "e", text)
		}},
		"tasks": {n: 45, want: 25_000, do: func(o lambdabiz.Context, _ int) (int, error) {
			out, err := lambdabiz.Call(o, "t", echo, text)
			return len(out), err
		}},
		"all of them": {n: 45, do: func(o lambdabiz.Context, i int) (int, error) {
			if _, err := step(text)(o, i); err != nil {
				return 0, err
			}
			if err := lambdabiz.RaiseEvent(o, "r", "Sink", "e", text); err != nil {
				return 0, err
			}
			if _, err := lambdabiz.CallChild(o, "c", child, text); err != nil {
				return 0, err
			}
			_, err := lambdabiz.Call(o, "t", echo, text)
			return 0, err
		}},
	} {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			got, err := atOnce(o, c.n, c.do)
			for _, n := range got {
				if n != c.want {
					return 0, fmt.Errorf("a length is %d", n)
				}
			}
			return len(got), err
		})
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				config := configFor(server)
				config.Store = memory.NewStore()
				p := client(t, config).workOn(d, child, sink, echo)
				if _, err := lambdabiz.Start(t.Context(), p.Engine, sink, "Sink", 45); err != nil {
					t.Fatal(err)
				}
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
				defer cancel()
				if out, err := run.Result(ctx); err != nil || out != c.n {
					state, errState := p.State(t.Context(), "R")
					t.Fatalf("%v, %v; it is %v, %v", out, err, state.Blocked, errState)
				}
				wantSound(t, server, "R")
			})
		})
	}
}

// TestChildrenThatSWFHasNoRoomForAreStartedLater: as raised events are sent again.
func TestChildrenThatSWFHasNoRoomForAreStartedLater(t *testing.T) {
	t.Parallel()
	child := lambdabiz.Define("Child", func(_ lambdabiz.Context, in int) (int, error) { return in, nil })
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		got, err := atOnce(o, 3, func(o lambdabiz.Context, i int) (int, error) {
			return lambdabiz.CallChild(o, "c", child, i, lambdabiz.Tags(map[string]string{"a": "b"}))
		})
		if err != nil {
			return 0, err
		}
		id, err := lambdabiz.StartChild(o, "left", child, 7, lambdabiz.ChildID("left"))
		if id != "left" {
			err = errors.Join(err, fmt.Errorf("the child is %q", id))
		}
		return got[0] + got[1] + got[2], err
	})
	for _, cause := range []string{
		"CHILD_CREATION_RATE_EXCEEDED", "OPEN_CHILDREN_LIMIT_EXCEEDED", "OPEN_WORKFLOWS_LIMIT_EXCEEDED",
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				refusals := 10
				server := newServer(t, fakeswf.Config{RefuseDecision: func(kind string, _ map[string]any) string {
					if kind != "StartChildWorkflowExecution" || refusals == 0 {
						return ""
					}
					refusals--
					return cause
				}})
				config := configFor(server)
				config.Store = memory.NewStore()
				p := client(t, config).workOn(d, child)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0)
				if err != nil {
					t.Fatal(err)
				}
				if out := result(t, server, p.Engine, run, "R"); out != 3 || refusals > 0 {
					t.Errorf("the result is %d, and %d starts were not refused", out, refusals)
				}
				events := wantSound(t, server, "R")
				if len(events) > 120 {
					t.Errorf("it took %d events", len(events))
				}
			})
		})
	}
}

// TestALotOfInputFits: SWF takes 1 MB in a request.
func TestALotOfInputFits(t *testing.T) {
	t.Parallel()
	ids := make([]int, 60)
	for i := range ids {
		ids[i] = i
	}
	task := lambdabiz.NewTask("T", func(context.Context, string) (int, error) { return 1, nil })
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		got, err := lambdabiz.Map(o, "map", ids, strconv.Itoa, func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Call(o, "t", task, strings.Repeat("x", 25_000))
		})
		return len(got), err
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(d, task)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		if out := result(t, server, p.Engine, run, "R"); out != 60 {
			t.Error("the result is", out)
		}
	})
}
