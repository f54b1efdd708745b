package swf_test

import (
	"errors"
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
