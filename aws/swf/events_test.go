package swf_test

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// TestAnEventThatIsKeptWhileItsRunBeginsArrives: the start has read what is kept, and has not reached SWF yet.
func TestAnEventThatIsKeptWhileItsRunBeginsArrives(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "go")
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		store := memory.NewStore()
		sender := configFor(server)
		sender.Store = store
		other := client(t, sender)
		var once sync.Once
		c := through(server, roundTrip(func(r *http.Request) (*http.Response, error) {
			if name, _ := action(r); name == "StartWorkflowExecution" {
				once.Do(func() {
					if err := other.RaiseEvent(t.Context(), "R", "go", 7, lambdabiz.BeforeStart(time.Hour)); err != nil {
						t.Error(err)
					}
				})
			}
			return server.Transport().RoundTrip(r)
		}))
		c.Store = store
		p := client(t, c).workOn(d)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0)
		if err != nil {
			t.Fatal(err)
		}
		if out := result(t, server, p.Engine, run, "R"); out != 7 {
			t.Error("the event is", out)
		}
	})
}

// TestAnEventThatIsKeptForAChildArrives: a start is a start, whoever makes it.
func TestAnEventThatIsKeptForAChildArrives(t *testing.T) {
	t.Parallel()
	child := lambdabiz.Define("Child", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "go")
	})
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) { return lambdabiz.CallChild(o, "c", child, 0) })
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		c := configFor(server)
		c.Store = memory.NewStore()
		p := client(t, c).workOn(d, child)
		if err := p.RaiseEvent(t.Context(), "R~-c", "go", 7, lambdabiz.BeforeStart(time.Hour)); err != nil {
			t.Fatal(err)
		}
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0)
		if err != nil {
			t.Fatal(err)
		}
		if out := result(t, server, p.Engine, run, "R"); out != 7 {
			t.Error("the event is", out)
		}
	})
}

// TestAnEventWithTheNameOfTheOriginalsPokeArrives: what was acknowledged here is no poke of the original.
func TestAnEventWithTheNameOfTheOriginalsPokeArrives(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "LambdaBizRunEvent")
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(d)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.RaiseEvent(t.Context(), "R", "LambdaBizRunEvent", 7); err != nil {
			t.Fatal(err)
		}
		if out := result(t, server, p.Engine, run, "R"); out != 7 {
			t.Error("the event is", out)
		}
	})
}

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

// unreadable lets calls of one action fail, as long as it is on.
type unreadable struct {
	action string
	on     atomic.Bool
	failed atomic.Int64
}

func (u *unreadable) fault(call fakeswf.Call) fakeswf.Fault {
	if call.Action != u.action || !u.on.Load() {
		return fakeswf.Fault{}
	}
	u.failed.Add(1)
	return fakeswf.Fault{Status: http.StatusForbidden}
}

// TestAnUnreadableHistoryIsNoUnknownKey: an event that was acknowledged is not refused when it comes again only
// because the history of the run that has ended cannot be read at that moment.
func TestAnUnreadableHistoryIsNoUnknownKey(t *testing.T) {
	t.Parallel()
	target := lambdabiz.Define("Target", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "go")
	})
	synctest.Test(t, func(t *testing.T) {
		history := &unreadable{action: "GetWorkflowExecutionHistory"}
		server := newServer(t, fakeswf.Config{Fault: history.fault})
		p := client(t, configFor(server)).workOn(target)
		run, err := lambdabiz.Start(t.Context(), p.Engine, target, "T", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		raise := func() error { return p.RaiseEvent(t.Context(), "T", "go", 7, lambdabiz.Key("k")) }
		if err := raise(); err != nil {
			t.Fatal(err)
		}
		result(t, server, p.Engine, run, "T")
		history.on.Store(true)
		if err := raise(); err == nil || errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("with a history that cannot be read: %v, want an error that says so", err)
		}
		history.on.Store(false)
		if err := raise(); err != nil {
			t.Errorf("with a history that can be read: %v, want an acknowledgement", err)
		}
		if history.failed.Load() == 0 {
			t.Error("no call has failed")
		}
	})
}

// TestARaiseToAnEndedRunIsClosedThoughTheLookUpFailsFirst: what is recorded for good does not depend on whether
// SWF could be asked at the first try.
func TestARaiseToAnEndedRunIsClosedThoughTheLookUpFailsFirst(t *testing.T) {
	t.Parallel()
	target := lambdabiz.Define("Target", func(lambdabiz.Context, int) (int, error) { return 1, nil })
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
		err := lambdabiz.RaiseEvent(o, "r", "T", "go", 7, lambdabiz.Key("k"))
		if errors.Is(err, lambdabiz.ErrClosed) {
			return "closed", nil
		}
		return "", err
	})
	synctest.Test(t, func(t *testing.T) {
		closed := &unreadable{action: "ListClosedWorkflowExecutions"}
		server := newServer(t, fakeswf.Config{Fault: func(call fakeswf.Call) fakeswf.Fault {
			f := closed.fault(call)
			if closed.failed.Load() >= 3 {
				closed.on.Store(false)
			}
			return f
		}})
		p := client(t, configFor(server)).workOn(d, target)
		ended, err := lambdabiz.Start(t.Context(), p.Engine, target, "T", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		result(t, server, p.Engine, ended, "T")
		closed.on.Store(true)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
		if err != nil {
			t.Fatal(err)
		}
		if got := result(t, server, p.Engine, run, "R"); got != "closed" {
			t.Errorf("the raise was recorded as %q", got)
		}
		if closed.failed.Load() == 0 {
			t.Error("no look-up has failed")
		}
	})
}
