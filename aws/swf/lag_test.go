package swf_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// TestAStartByHandNeedsNoList: SWF's lists of executions lag by seconds, and "orchestration not found" was the answer.
func TestAStartByHandNeedsNoList(t *testing.T) {
	t.Parallel()
	for _, lag := range []time.Duration{-1, 500 * time.Millisecond, 2 * time.Second, time.Hour} {
		for name, store := range map[string]bool{"store": true, "no store": false} {
			t.Run(name+" "+lag.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server := newServer(t, fakeswf.Config{ListLag: lag})
					c := configFor(server)
					start := []lambdabiz.StartOption{lambdabiz.OnUsedID(lambdabiz.RejectOpen)}
					if store {
						c.Store, start = memory.NewStore(), nil
					}
					p, other := client(t, c), client(t, c)
					o, err := p.Create(t.Context(), "H")
					if err != nil {
						t.Fatal(err)
					}
					if err := o.Start("go", start...); err != nil {
						t.Fatal(err)
					}
					drivers := []*process{p}
					if store { // the store tells other processes
						drivers = append(drivers, other)
					}
					for _, driver := range drivers {
						o, err := driver.Create(t.Context(), "H")
						if err != nil {
							t.Fatal(err)
						}
						if err := lambdabiz.Sleep(o, "nap", time.Second); err != nil {
							t.Fatal(err)
						}
					}
					if o, err = drivers[len(drivers)-1].Create(t.Context(), "H"); err != nil {
						t.Fatal(err)
					}
					if err := o.Complete(7); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	}
}

// TestARepeatedEventIsNotKeptWhileTheLookUpFails: it came to the run that had ended, and to the next one too.
func TestARepeatedEventIsNotKeptWhileTheLookUpFails(t *testing.T) {
	t.Parallel()
	target := lambdabiz.Define("Target", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "go", lambdabiz.Timeout(time.Hour))
	})
	for _, call := range []string{
		"ListOpenWorkflowExecutions", "ListClosedWorkflowExecutions", "DescribeWorkflowExecution", "GetWorkflowExecutionHistory", "store",
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				failing := &unreadable{action: call}
				server := newServer(t, fakeswf.Config{Fault: failing.fault})
				store := &failingStore{Store: memory.NewStore()}
				c := configFor(server)
				c.Store = store
				p, worker := client(t, c), client(t, c).workOn(target)
				start := func() *lambdabiz.Run[int] {
					run, err := lambdabiz.Start(t.Context(), worker.Engine, target, "T", 0, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
					if err != nil {
						t.Fatal(err)
					}
					return run
				}
				raise := func() error {
					return p.RaiseEvent(t.Context(), "T", "go", 7, lambdabiz.Key("k"), lambdabiz.BeforeStart(time.Hour))
				}
				run := start()
				if err := raise(); err != nil {
					t.Fatal(err)
				}
				result(t, server, worker.Engine, run, "T")
				failing.on.Store(true)
				if call == "store" {
					store.gets.Store(1)
				}
				_ = raise() // it may fail, and must not do more
				failing.on.Store(false)
				if err := raise(); err != nil {
					t.Error("the repeated event is not acknowledged:", err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
				defer cancel()
				var late *lambdabiz.EventTimeoutError
				if out, err := start().Result(ctx); !errors.As(err, &late) {
					t.Errorf("the next run got the event of the first one: %v, %v", out, err)
				}
			})
		})
	}
}

// TestARaiseToARunThatHasJustBegunIsNotClosed: it began between the raise and the look-up.
func TestARaiseToARunThatHasJustBegunIsNotClosed(t *testing.T) {
	t.Parallel()
	target := lambdabiz.Define("Target", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "go", lambdabiz.Timeout(time.Minute))
	})
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
		if err := lambdabiz.RaiseEvent(o, "r", "T", "go", 7); err != nil {
			return err.Error(), nil //nolint:nilerr // the test reads it
		}
		return "raised", nil
	})
	for name, inside := range map[string]bool{"from inside": true, "from outside": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{ListLag: -1})
				starter := client(t, configFor(server))
				if err := starter.Register(target); err != nil {
					t.Fatal(err)
				}
				var once sync.Once
				begins := func() {
					once.Do(func() {
						if _, err := lambdabiz.Start(t.Context(), starter.Engine, target, "T", 0,
							lambdabiz.OnUsedID(lambdabiz.RejectOpen)); err != nil {
							t.Error(err)
						}
					})
				}
				p := client(t, through(server, roundTrip(func(r *http.Request) (*http.Response, error) {
					name, body := action(r)
					if strings.HasPrefix(name, "ListOpen") && strings.Contains(body, `"T"`) {
						begins()
					}
					return server.Transport().RoundTrip(r)
				})))
				if !inside {
					if err := p.RaiseEvent(t.Context(), "T", "go", 7); err != nil {
						t.Error("the raise says", err)
					}
					return
				}
				p.workOn(d)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				if out := result(t, server, p.Engine, run, "R"); strings.Contains(out, "ended") || !strings.Contains(out, "not found") {
					t.Errorf("the raise says %q", out)
				}
			})
		})
	}
}
