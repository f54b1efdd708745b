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

// TestThousandsAreOpen: 2,000 items at once are more than SWF lets one run have open. All of them end, and SWF never
// has to refuse one.
func TestThousandsAreOpen(t *testing.T) {
	t.Parallel()
	const items = 2000
	ids := make([]int, items)
	for i := range ids {
		ids[i] = i
	}
	task := lambdabiz.NewTask("Item", func(_ context.Context, in int) (int, error) { return in, nil })
	for name, do := range map[string]func(o lambdabiz.Context, i int) (int, error){
		"Lambda functions": func(o lambdabiz.Context, i int) (int, error) { return lambdabiz.CallTask[int](o, "f", "Item", i) },
		"Go tasks":         func(o lambdabiz.Context, i int) (int, error) { return lambdabiz.Call(o, "t", task, i) },
		"timers": func(o lambdabiz.Context, i int) (int, error) {
			return i, lambdabiz.Sleep(o, "s", time.Minute+time.Duration(i)*time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wide := lambdabiz.Define("Wide", func(o lambdabiz.Context, _ int) (int, error) {
				got, err := lambdabiz.Map(o, "map", ids, strconv.Itoa, do)
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
				p := client(t, configFor(server)).workOn(wide, task)
				run, err := lambdabiz.Start(t.Context(), p.Engine, wide, "W", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				out := result(t, server, p.Engine, run, "W")
				if out != items*(items-1)/2 {
					t.Error("the sum is", out)
				}
				open, most := 0, 0
				for _, e := range server.Events("LambdaBiz", "W", "") {
					switch e.Type {
					case "ScheduleLambdaFunctionFailed", "ScheduleActivityTaskFailed", "StartTimerFailed":
						t.Fatalf("SWF has refused: %v", e.Attributes)
					case "LambdaFunctionScheduled", "ActivityTaskScheduled", "TimerStarted":
						open++
					case "LambdaFunctionCompleted", "ActivityTaskCompleted", "TimerFired", "TimerCanceled":
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
