package swf_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestARaiseThatSWFHasNoRoomForIsRepeated: with the same key, until it is taken.
func TestARaiseThatSWFHasNoRoomForIsRepeated(t *testing.T) {
	t.Parallel()
	target := lambdabiz.Define("Target", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "go")
	})
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		return 1, lambdabiz.RaiseEvent(o, "r", "T", "go", 7, lambdabiz.Key("k"))
	})
	synctest.Test(t, func(t *testing.T) {
		var once sync.Once
		server := newServer(t, fakeswf.Config{RefuseDecision: func(kind string, _ map[string]any) (cause string) {
			if kind == "SignalExternalWorkflowExecution" {
				once.Do(func() { cause = "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_RATE_EXCEEDED" })
			}
			return cause
		}})
		p := client(t, configFor(server)).workOn(d, target)
		waits, err := lambdabiz.Start(t.Context(), p.Engine, target, "T", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		result(t, server, p.Engine, run, "R")
		if out := result(t, server, p.Engine, waits, "T"); out != 7 {
			t.Error("the event is", out)
		}
	})
}
