package swf_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// A parent that has closed cannot ask again.
func TestACancelledParentClosesAfterItsChildWasTold(t *testing.T) {
	t.Parallel()
	for _, cause := range []string{
		"REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_RATE_EXCEEDED", "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION",
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				refusals := 3
				server := newServer(t, fakeswf.Config{RefuseDecision: func(decision string, _ map[string]any) string {
					if decision != "RequestCancelExternalWorkflowExecution" || refusals == 0 {
						return ""
					}
					refusals--
					return cause
				}})
				config := configFor(server)
				config.Store = memory.NewStore()
				d := parents()["waits"]
				p := client(t, config).workOn(d, sleeper)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "parent", 1)
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(10 * time.Second)
				if err := p.Cancel(t.Context(), "parent", "because"); err != nil {
					t.Fatal(err)
				}
				if _, err := run.Result(t.Context()); !errors.Is(err, lambdabiz.ErrCancelled) {
					t.Errorf("the parent ended with %v", err)
				}
				<-time.After(time.Minute)
				if s, err := p.State(t.Context(), "child"); err != nil || s.Status != lambdabiz.StatusCancelled {
					t.Errorf("the child is %+v %v", s, err)
				}
				if refusals != 0 {
					t.Errorf("%d cancellations were not refused", refusals)
				}
			})
		})
	}
}

// Without a store SWF itself refuses a child whose id is in use, after the decision.
func TestACancelledParentLeavesAStrangerAloneWithoutAStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		d := lambdabiz.Define("Races", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Race(o, "first", lambdabiz.Go(o, "slow", func(o lambdabiz.Context) (string, error) {
				if err := lambdabiz.Sleep(o, "nap", time.Minute); err != nil {
					return "", err
				}
				return lambdabiz.CallChild(o, "child", sleeper, 1, lambdabiz.ChildID("payroll"))
			}), lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (int, error) {
				return 0, lambdabiz.Sleep(o, "timer", time.Minute)
			}))
		})
		p := client(t, configFor(server)).workOn(d, sleeper)
		policy := lambdabiz.OnUsedID(lambdabiz.RejectOpen)
		if _, err := lambdabiz.Start(t.Context(), p.Engine, sleeper, "payroll", 1, policy); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "parent", 1, policy)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.Result(t.Context()); err != nil {
			t.Error(err)
		}
		<-time.After(time.Minute)
		if s, err := p.State(t.Context(), "payroll"); err != nil || s.Status.Ended() || s.CancelRequested {
			t.Errorf("the stranger is %+v %v", s, err)
		}
	})
}

// The run that a parent has started goes when its retention is over, though the child goes on as another run.
func TestACancelledParentReachesAChildWhoseEarlierHistoriesAreGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stored, taken bool
		id            string
		opts          []lambdabiz.ChildOption
	}{
		"the child goes on, with a store":    {stored: true, id: "parent~-child"},
		"the child goes on, without a store": {id: "parent~-child"},
		"its id comes to a stranger meanwhile": {
			stored: true, taken: true, id: "child", opts: []lambdabiz.ChildOption{lambdabiz.ChildID("child")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var during atomic.Pointer[func()] // the parent's decision to cancel its child
				server := newServer(t, fakeswf.Config{Fault: func(call fakeswf.Call) fakeswf.Fault {
					if call.Action == "GetWorkflowExecutionHistory" && strings.Contains(string(call.Body), `"child"`) {
						if f := during.Swap(nil); f != nil {
							(*f)()
						}
					}
					return fakeswf.Fault{}
				}})
				config := configFor(server)
				if c.stored {
					config.Store = memory.NewStore()
				}
				d := lambdabiz.Define("Waits", func(o lambdabiz.Context, _ int) (int, error) {
					return lambdabiz.CallChild(o, "child", rounds, -100, c.opts...)
				})
				p := client(t, config).workOn(d, rounds)
				begin := func(d *lambdabiz.Definition[int, int], id string) *lambdabiz.Run[int] {
					run, err := lambdabiz.Start(t.Context(), p.Engine, d, id, -100, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
					if err != nil {
						t.Error(err)
					}
					return run
				}
				parent := begin(d, "parent")
				<-time.After(150 * time.Second)
				server.Expire("LambdaBiz")
				if c.taken {
					comes := func() {
						if err := p.Terminate(t.Context(), "child", "its place is needed"); err != nil {
							t.Error(err)
						}
						begin(rounds, "child")
						<-time.After(5 * time.Second) // lists know it
					}
					during.Store(&comes)
				}
				if err := p.Cancel(t.Context(), "parent", "because"); err != nil {
					t.Error(err)
				}
				if _, err := parent.Result(t.Context()); !errors.Is(err, lambdabiz.ErrCancelled) {
					t.Errorf("the parent ended with %v", err)
				}
				<-time.After(30 * time.Second)
				if s, err := p.State(t.Context(), c.id); err != nil || s.Status.Ended() == c.taken || s.CancelRequested == c.taken {
					t.Errorf("the child is %+v %v", s, err)
				}
				if during.Load() != nil {
					t.Error("nobody has looked at the child")
				}
			})
		})
	}
}

// TestAQueueMayBeginAndEndWithASpace: SWF refuses such a list, and the decision with it.
func TestAQueueMayBeginAndEndWithASpace(t *testing.T) {
	t.Parallel()
	child := lambdabiz.Define("Child", func(_ lambdabiz.Context, in int) (int, error) { return in, nil })
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
		return lambdabiz.StartChild(o, "c", child, 7, lambdabiz.OnQueue(" q "))
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(d, child)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		if id := result(t, server, p.Engine, run, "R"); id != "R~-c" {
			t.Error("the child is", id)
		}
	})
}
