package swf_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
)

// poke is what the original sent itself on every wait: it makes a history long, and nobody else cares.
const poke = "LambdaBizRunEvent"

// listener waits for three events.
var listener = lambdabiz.Define("Listener", func(o lambdabiz.Context, _ int) (string, error) {
	var all string
	for _, id := range []string{"a", "b", "c"} {
		got, err := lambdabiz.WaitForEvent[string](o, id)
		if err != nil {
			return "", err
		}
		more, err := lambdabiz.Step(o, "step-"+id, func(context.Context) (string, error) { return got + "!", nil })
		if err != nil {
			return "", err
		}
		all += more
	}
	return all, nil
})

// TestALongHistoryIsReadOnce: a process that has the run reads new events only; another one that takes over reads all
// 20,000 events, page by page, and sees the same.
func TestALongHistoryIsReadOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		var log logbook.Book
		c := configFor(server)
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		first := client(t, c).workOn(listener)
		run := startListener(t, first)
		long := func() int {
			if !server.Signal("LambdaBiz", "L", poke, "x", 20_000-len(server.Events("LambdaBiz", "L", ""))-50) {
				t.Fatal("there is no run")
			}
			<-time.After(time.Minute)
			return pages(server)
		}
		read := long()
		raiseTo(t, first, "a", "one")
		if !log.Has("the history is long") {
			t.Error("nobody was warned")
		}
		if n := pages(server) - read; n > 6 {
			t.Errorf("a resident run was read with %d pages", n)
		}
		first.stop()
		second := client(t, configFor(server)).workOn(listener)
		read = pages(server)
		raiseTo(t, second, "b", "two")
		if n := pages(server) - read; n < 20 || n > 30 {
			t.Errorf("another process has read %d pages", n)
		}
		raiseTo(t, second, "c", "three")
		if out := result(t, server, second.Engine, run, "L"); out != "one!two!three!" {
			t.Error(out)
		}
		if n := len(wantSound(t, server, "L")); n < 19_000 {
			t.Errorf("the history has %d events", n)
		}
	})
}

// pages counts the pages that were asked for: of decision tasks and of histories. Empty polls are among them.
func pages(server *fakeswf.Server) int {
	calls := server.Calls()
	return calls["PollForDecisionTask"] + calls["GetWorkflowExecutionHistory"]
}

func startListener(t *testing.T, p *process) *lambdabiz.Run[string] {
	t.Helper()
	run, err := lambdabiz.Start(t.Context(), p.Engine, listener, "L", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Second)
	return run
}

func raiseTo(t *testing.T, p *process, name, payload string) {
	t.Helper()
	if err := p.RaiseEvent(t.Context(), "L", name, payload); err != nil {
		t.Fatal(err)
	}
	<-time.After(10 * time.Second)
}

// TestAHistoryIsFullInTheEnd: SWF would end the run without a word; this package does so before, with one.
func TestAHistoryIsFullInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(listener)
		startListener(t, p)
		server.Signal("LambdaBiz", "L", poke, "x", 24_000)
		raiseTo(t, p, "a", "one")
		state, err := p.State(t.Context(), "L")
		if err != nil {
			t.Fatal(err)
		}
		if e := state.Error; state.Status != lambdabiz.StatusFailed || e == nil || !strings.Contains(e.Message, "ContinueAsNew") ||
			!strings.Contains(e.Message, "25000") {
			t.Errorf("it ended %s with %+v", state.Status, e)
		}
		events := server.Events("LambdaBiz", "L", "")
		if last := events[len(events)-1]; last.Type != "WorkflowExecutionFailed" {
			t.Errorf("it ends with %s", last.Type)
		}
	})
}

// TestHistoriesLag: GetWorkflowExecutionHistory does not have the newest events yet, for some calls or for ever.
func TestHistoriesLag(t *testing.T) {
	t.Parallel()
	for _, missing := range []int{1, 2, 5, 100} {
		for _, calls := range []int{1, 20} {
			t.Run(fmt.Sprintf("%d events in %d calls", missing, calls), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					runFaulty(t, func(c fakeswf.Call) fakeswf.Fault {
						if c.Action == "GetWorkflowExecutionHistory" && c.Number <= calls {
							return fakeswf.Fault{Stale: missing}
						}
						return fakeswf.Fault{}
					})
				})
			})
		}
	}
	t.Run("while a long history is read", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			server := newServer(t, fakeswf.Config{Fault: func(c fakeswf.Call) fakeswf.Fault {
				if c.Action == "GetWorkflowExecutionHistory" && strings.Contains(c.Agent, "app/worker") {
					return fakeswf.Fault{Stale: 1 + c.Number%7}
				}
				return fakeswf.Fault{}
			}})
			c := configFor(server)
			c.AWS.AppID = "worker"
			worker, other := client(t, c).workOn(listener), client(t, configFor(server))
			run := startListener(t, other)
			server.Signal("LambdaBiz", "L", poke, "x", 3000)
			for _, name := range []string{"a", "b", "c"} {
				raiseTo(t, other, name, name)
			}
			if out := result(t, server, other.Engine, run, "L"); out != "a!b!c!" {
				t.Error(out)
			}
			worker.stop()
			wantSound(t, server, "L")
		})
	})
}
