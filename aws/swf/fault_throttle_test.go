package swf_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// workerActions are the calls that a worker makes to drive the program.
var workerActions = []string{
	"PollForDecisionTask", "PollForActivityTask", "RespondDecisionTaskCompleted",
	"RespondActivityTaskCompleted", "SignalWorkflowExecution", "GetWorkflowExecutionHistory", "RegisterActivityType",
}

// runFaulty runs the program once with faults in the calls of its worker.
func runFaulty(t *testing.T, fault func(fakeswf.Call) fakeswf.Fault) {
	t.Helper()
	b := newBodies()
	server := newServer(t, fakeswf.Config{Lambda: b.lambdas, Fault: func(c fakeswf.Call) fakeswf.Fault {
		if !strings.Contains(c.Agent, "app/worker") {
			return fakeswf.Fault{}
		}
		return fault(c)
	}})
	p := newProgram(b)
	c := configFor(server)
	c.AWS.AppID = "worker"
	client(t, c).workOn(p.definition, p.task)
	two := client(t, configFor(server))
	run, err := lambdabiz.Start(t.Context(), two.Engine, p.definition, "P", numbers{15, 5}, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
	if err != nil {
		t.Fatal(err)
	}
	if err := two.RaiseEvent(t.Context(), "P", "Approve", "yes"); err != nil {
		t.Fatal(err)
	}
	checkProgram(t, server, "P", result(t, server, two.Engine, run, "P"))
	for name, n := range b.all() {
		if strings.HasPrefix(name, "lambda ") && n != 1 {
			t.Errorf("%s ran %d times", name, n)
		}
	}
}

// TestCallsFailAndAreRepeated gives the calls of a worker one kind of fault, action by action: some in a row, more
// than the SDK repeats, or every third.
func TestCallsFailAndAreRepeated(t *testing.T) {
	t.Parallel()
	faults := map[string]fakeswf.Fault{
		"throttled": {Throttle: true}, "answer lost": {Lose: true},
		"applied, then an internal error": {Status: http.StatusInternalServerError},
	}
	patterns := map[string]func(n int64) bool{
		"the first four": func(n int64) bool { return n <= 4 }, "two to five": func(n int64) bool { return n >= 2 && n <= 5 }, "every third": func(n int64) bool { return n%3 == 0 },
	}
	for _, action := range workerActions {
		for name, fault := range faults {
			for which, hit := range patterns {
				t.Run(fmt.Sprintf("%s %s %s", which, action, name), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						var calls atomic.Int64
						runFaulty(t, func(c fakeswf.Call) fakeswf.Fault {
							if c.Action == action && hit(calls.Add(1)) {
								return fault
							}
							return fakeswf.Fault{}
						})
					})
				})
			}
		}
	}
}

// TestSignalsNeverWork: the results of steps go another way then, be the signals refused or lost.
func TestSignalsNeverWork(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fakeswf.Fault{
		"throttled": {Throttle: true}, "answer lost": {Lose: true}, "applied twice": {Twice: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				runFaulty(t, func(c fakeswf.Call) fakeswf.Fault {
					if c.Action == "SignalWorkflowExecution" {
						return fault
					}
					return fakeswf.Fault{}
				})
			})
		})
	}
}
