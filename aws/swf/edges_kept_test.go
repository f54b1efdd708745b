package swf_test

import (
	"net/http"
	"sync"
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
