package swf_test

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestThousandsAreOpen: more items than this package has open at once, and 1,050 are more than SWF lets one run
// have. All of them end, and SWF never has to refuse one.
func TestThousandsAreOpen(t *testing.T) {
	t.Parallel()
	child := lambdabiz.Define("Child", func(o lambdabiz.Context, in int) (int, error) {
		return in, lambdabiz.Sleep(o, "nap", time.Second)
	})
	task := lambdabiz.NewTask("Item", func(_ context.Context, in int) (int, error) { return in, nil })
	for name, c := range map[string]struct {
		items int
		do    func(o lambdabiz.Context, i int) (int, error)
	}{
		"Lambda functions": {1050, func(o lambdabiz.Context, i int) (int, error) { return lambdabiz.CallTask[int](o, "f", "Remote", i) }},
		"Go tasks":         {920, func(o lambdabiz.Context, i int) (int, error) { return lambdabiz.Call(o, "t", task, i) }},
		"children":         {1050, func(o lambdabiz.Context, i int) (int, error) { return lambdabiz.CallChild(o, "c", child, i) }},
		"timers": {950, func(o lambdabiz.Context, i int) (int, error) {
			return i, lambdabiz.Sleep(o, "s", 5*time.Second+time.Duration(i)*time.Millisecond)
		}},
	} {
		ids := make([]int, c.items)
		for i := range ids {
			ids[i] = i
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wide := lambdabiz.Define("Wide", func(o lambdabiz.Context, _ int) (int, error) {
				got, err := lambdabiz.Map(o, "map", ids, strconv.Itoa, c.do)
				sum := 0
				for _, n := range got {
					sum += n
				}
				return sum, err
			})
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{Lambda: func(_ context.Context, _, input string) (string, error) {
					<-time.After(time.Second)
					return input, nil
				}})
				p := client(t, configFor(server)).workOn(wide, task, child)
				run, err := lambdabiz.Start(t.Context(), p.Engine, wide, "W", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				out := result(t, server, p.Engine, run, "W")
				if out != c.items*(c.items-1)/2 {
					t.Error("the sum is", out)
				}
				open, most := 0, 0
				for _, e := range server.Events("LambdaBiz", "W", "") {
					switch e.Type {
					case "ScheduleLambdaFunctionFailed", "ScheduleActivityTaskFailed", "StartTimerFailed",
						"StartChildWorkflowExecutionFailed":
						t.Fatalf("SWF has refused: %v", e.Attributes)
					case "LambdaFunctionScheduled", "ActivityTaskScheduled", "TimerStarted", "ChildWorkflowExecutionStarted":
						open++
					case "LambdaFunctionCompleted", "ActivityTaskCompleted", "TimerFired", "TimerCanceled",
						"ChildWorkflowExecutionCompleted":
						open--
					}
					most = max(most, open)
				}
				if most > 900 || most < 800 {
					t.Errorf("%d were open at once", most)
				}
				text, err := json.Marshal(server.Calls())
				t.Log(string(text), len(server.Events("LambdaBiz", "W", "")), err)
			})
		})
	}
}
