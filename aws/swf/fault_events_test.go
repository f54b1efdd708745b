package swf_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestAnEventMeetsItsTimeOut: while a step keeps the decision open, an event comes and the wait's time runs out. SWF
// knows when the event came: by the deadline it wins, after it the time-out does.
func TestAnEventMeetsItsTimeOut(t *testing.T) {
	t.Parallel()
	raced := lambdabiz.Define("Raced", func(o lambdabiz.Context, _ int) (string, error) {
		busy := lambdabiz.Go(o, "busy", func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "step", func(context.Context) (int, error) {
				<-time.After(20 * time.Second)
				return 1, nil
			})
		})
		wait := lambdabiz.Go(o, "wait", func(o lambdabiz.Context) (string, error) {
			got, err := lambdabiz.WaitForEvent[string](o, "e", lambdabiz.Timeout(10*time.Second))
			if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); late {
				return "late", nil
			}
			return got, err
		})
		if _, err := busy.Wait(o); err != nil {
			return "", err
		}
		return wait.Wait(o)
	})
	for name, c := range map[string]struct {
		at     time.Duration
		wanted string
	}{
		"long before":         {3 * time.Second, "in time"},
		"just before":         {9900 * time.Millisecond, "in time"},
		"after the deadline":  {11 * time.Second, "late"},
		"long after":          {19 * time.Second, "late"},
		"when all is decided": {25 * time.Second, "late"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				p := client(t, configFor(server)).workOn(raced)
				run, err := lambdabiz.Start(t.Context(), p.Engine, raced, "E", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(c.at)
				if err := p.RaiseEvent(t.Context(), "E", "e", "in time"); err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
					t.Fatal(err)
				}
				if out := result(t, server, p.Engine, run, "E"); out != c.wanted {
					t.Error("it is", out)
				}
				wantSound(t, server, "E")
			})
		})
	}
}

// carrier goes on as another run with what it has not consumed, and tells what it gets there.
var carrier = lambdabiz.Define("Carrier", func(o lambdabiz.Context, round int) (string, error) {
	if round < 2 {
		if _, err := lambdabiz.WaitForEvent[int](o, "go"); err != nil {
			return "", err
		}
		return "", lambdabiz.ContinueAsNew(o, round+1)
	}
	var all []string
	for i := range 4 {
		got, err := lambdabiz.WaitForEvent[string](o, fmt.Sprint("wait", i), lambdabiz.Named("E"), lambdabiz.Timeout(time.Minute))
		if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); late {
			got = "-"
		} else if err != nil {
			return "", err
		}
		all = append(all, got)
	}
	return strings.Join(all, " "), nil
})

func startCarrier(t *testing.T, p *process) *lambdabiz.Run[string] {
	t.Helper()
	run, err := lambdabiz.Start(t.Context(), p.Engine, carrier, "K", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Second)
	return run
}

func (p *process) raise(id, name string, payload any, opts ...lambdabiz.RaiseOption) {
	p.t.Helper()
	if err := p.RaiseEvent(p.t.Context(), id, name, payload, opts...); err != nil {
		p.t.Fatal(err)
	}
	<-time.After(time.Second)
}

// TestContinueAsNewCarries what is not consumed, in order, and the keys of what was there.
func TestContinueAsNewCarries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(carrier)
		run := startCarrier(t, p)
		p.raise("K", "E", "one", lambdabiz.Key("a"))
		p.raise("K", "E", "two")
		p.raise("K", "go", 1, lambdabiz.Key("g"))
		p.raise("K", "E", "one again", lambdabiz.Key("a"))
		p.raise("K", "go", 1, lambdabiz.Key("g")) // of the run before: it moves nothing
		p.raise("K", "E", "three")
		p.raise("K", "go", 2)
		p.raise("K", "E", "one at last", lambdabiz.Key("a"))
		if out := result(t, server, p.Engine, run, "K"); out != "one two three -" {
			t.Error("the last run has got", out)
		}
		wantSound(t, server, "K")
	})
}

// TestContinueAsNewCarriesTooMuch: the run is blocked, and says why; nothing is lost.
func TestContinueAsNewCarriesTooMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(carrier)
		startCarrier(t, p)
		for range 20 {
			p.raise("K", "E", strings.Repeat("x", 2000))
		}
		p.raise("K", "go", 1)
		<-time.After(time.Minute)
		state, err := p.State(t.Context(), "K")
		if err != nil {
			t.Fatal(err)
		}
		if b := state.Blocked; b == nil || !strings.Contains(b.Reason, "20 events") || !strings.Contains(b.Reason, "next run") {
			t.Errorf("blocked is %+v", b)
		}
		if n := len(state.Events); n < 20 || state.Status != lambdabiz.StatusStarted {
			t.Errorf("%s with %d events", state.Status, n)
		}
		wantSound(t, server, "K")
	})
}

// TestAPauseComesWhileTheRunContinues: the run waits, and goes on as another one when it is resumed.
func TestAPauseComesWhileTheRunContinues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		other := client(t, configFor(server))
		var once sync.Once
		p := client(t, through(server, roundTrip(func(r *http.Request) (*http.Response, error) {
			if name, body := action(r); name == "RespondDecisionTaskCompleted" && strings.Contains(body, "continueAsNew") {
				once.Do(func() {
					if err := other.Pause(t.Context(), "K", "hold on"); err != nil {
						t.Error(err)
					}
				})
			}
			return server.Transport().RoundTrip(r)
		}))).workOn(carrier)
		run := startCarrier(t, p)
		p.raise("K", "E", "one")
		p.raise("K", "go", 1)
		<-time.After(time.Hour)
		state, err := other.State(t.Context(), "K")
		if err != nil {
			t.Fatal(err)
		}
		if !state.Paused || state.Status.Ended() {
			t.Fatalf("paused is %v, status %s", state.Paused, state.Status)
		}
		if err := other.Resume(t.Context(), "K"); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		other.raise("K", "go", 2)
		if out := result(t, server, other.Engine, run, "K"); out != "one - - -" {
			t.Error("the last run has got", out)
		}
		wantSound(t, server, "K")
	})
}
