package swf_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// freezer is the network of a process that is frozen before its first call that matches, past all time-outs, and
// then goes on as if nothing had happened.
type freezer struct {
	next         http.RoundTripper
	match        func(name, body string) bool
	change       func(r *http.Request, body string) // applied to the call when it goes on
	frozen, thaw chan struct{}

	mu    sync.Mutex
	begun bool
}

func (f *freezer) RoundTrip(r *http.Request) (*http.Response, error) {
	name, body := action(r)
	f.mu.Lock()
	first := !f.begun && f.match(name, body)
	f.begun = f.begun || first
	waits := f.begun
	f.mu.Unlock()
	switch {
	case first:
		close(f.frozen)
		<-time.After(10 * time.Minute)
		if f.change != nil {
			f.change(r, body)
		}
		defer close(f.thaw) // this call is the first to go on
	case waits:
		<-f.thaw
	}
	return f.next.RoundTrip(r)
}

// freeze runs the program on a worker that is frozen, and on another one that takes over.
func freeze(
	t *testing.T, match func(name, body string) bool, change func(*fakeswf.Server, *http.Request, string),
) (string, []types.HistoryEvent) {
	t.Helper()
	b := newBodies()
	server := newServer(t, fakeswf.Config{Lambda: b.lambdas})
	p := newProgram(b)
	wire := &freezer{next: server.Transport(), match: match, frozen: make(chan struct{}), thaw: make(chan struct{})}
	if change != nil {
		wire.change = func(r *http.Request, body string) { change(server, r, body) }
	}
	first := client(t, through(server, wire)).workOn(p.definition, p.task)
	second := client(t, configFor(server))
	run, err := lambdabiz.Start(t.Context(), second.Engine, p.definition, "P", numbers{15, 5}, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
	if err != nil {
		t.Fatal(err)
	}
	<-wire.frozen
	second.workOn(p.definition, p.task)
	<-time.After(20 * time.Minute) // the first one has gone on meanwhile
	if err := second.RaiseEvent(t.Context(), "P", "Approve", "yes"); err != nil {
		t.Fatal(err)
	}
	out := result(t, server, second.Engine, run, "P")
	first.stop()
	return out, historyOf(t, server, "P")
}

func TestAFrozenWorkerRecordsNothing(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]func(name, body string) bool{
		"at its first decision": func(name, _ string) bool { return name == "RespondDecisionTaskCompleted" },
		"at a later decision":   func(_, body string) bool { return strings.Contains(body, `third1`) },
		"at a step's journal":   isJournal,
		"at a task's result":    func(name, _ string) bool { return name == "RespondActivityTaskCompleted" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				out, events := freeze(t, match, nil)
				checkResult(t, out)
				for _, problem := range swf.CheckHistory(events) {
					t.Error(problem)
				}
				if countOf(events, types.EventTypeDecisionTaskTimedOut)+countOf(events, types.EventTypeActivityTaskTimedOut) == 0 {
					t.Error("nothing has timed out: the test tests nothing")
				}
			})
		})
	}
}

func isJournal(_, body string) bool { return strings.Contains(body, `\"kind\":\"journal\"`) }

// TestSabotageOfAFrozenJournal is the sabotage twin: its journal with the fence of its successor, while that holds
// the run, is taken for real, and the check must see that.
func TestSabotageOfAFrozenJournal(t *testing.T) {
	t.Parallel()
	fence := regexp.MustCompile(`"fence":\d+`)
	synctest.Test(t, func(t *testing.T) {
		_, events := freeze(t, isJournal, nil)
		var forged types.HistoryEvent
		at := 0
		for i, e := range events {
			a := e.WorkflowExecutionSignaledEventAttributes
			if a != nil && strings.Contains(*a.Input, "second1") {
				forged = e
			}
			if e.EventType == types.EventTypeDecisionTaskStarted {
				at = i + 1
			}
		}
		if forged.EventId == 0 {
			t.Fatal("the frozen worker has sent nothing")
		}
		a := *forged.WorkflowExecutionSignaledEventAttributes
		input := fence.ReplaceAllString(*a.Input, fmt.Sprintf(`"fence":%d`, at))
		a.Input, forged.EventId = &input, int64(at+1)
		forged.WorkflowExecutionSignaledEventAttributes = &a
		campaign.Red(t, "F5", "the fence in the journal",
			strings.Join(swf.CheckHistory(append(events[:at:at], forged)), "; "))
	})
}

// closer ends in one way or another, and waits for nothing.
func closer(how string) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Closer", func(o lambdabiz.Context, round int) (int, error) {
		if round > 0 {
			return lambdabiz.WaitForEvent[int](o, "late", lambdabiz.Timeout(time.Hour))
		}
		if err := lambdabiz.Sleep(o, "nap", time.Second); err != nil && how != "cancelled" {
			return 0, err
		}
		switch how {
		case "succeeds":
			return 7, nil
		case "continues":
			return 0, lambdabiz.ContinueAsNew(o, round+1)
		case "cancelled":
			return 0, lambdabiz.ErrCancelled
		default:
			return 0, errRefused
		}
	})
}

// whileClosing runs a closer and does something at the moment in which its closing decision is on its way.
func whileClosing(t *testing.T, c fakeswf.Config, how string, do func(p *process)) (int, []types.HistoryEvent, error) {
	t.Helper()
	server := newServer(t, c)
	other := client(t, configFor(server))
	var once sync.Once
	wire := roundTrip(func(r *http.Request) (*http.Response, error) {
		name, body := action(r)
		if name == "RespondDecisionTaskCompleted" && strings.Contains(body, "WorkflowExecutionDecisionAttributes") {
			once.Do(func() { do(other) })
		}
		return server.Transport().RoundTrip(r)
	})
	d := closer(how)
	p := client(t, through(server, wire)).workOn(d)
	run, err := lambdabiz.Start(t.Context(), p.Engine, d, "C", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
	if err != nil {
		t.Fatal(err)
	}
	home := server.LatestRun("LambdaBiz", "C")
	if how == "cancelled" {
		if err := other.Cancel(t.Context(), "C", ""); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
	defer cancel()
	out, err := run.Result(ctx)
	events := historyOfRun(t, server, "C", home)
	for _, problem := range swf.CheckHistory(events) {
		t.Error(problem)
	}
	return out, events, err
}

func raiseLate(t *testing.T) func(p *process) {
	return func(p *process) {
		if err := p.RaiseEvent(t.Context(), "C", "late", 42); err != nil {
			t.Error(err)
		}
	}
}

// TestAnEventComesWhileTheRunCloses: SWF refuses the closing, and the run closes knowing of the event. If the run goes
// on as another one, that gets the event.
func TestAnEventComesWhileTheRunCloses(t *testing.T) {
	t.Parallel()
	for how, c := range map[string]struct {
		refused types.EventType
		check   func(out int, err error) bool
	}{
		"succeeds": {
			types.EventTypeCompleteWorkflowExecutionFailed, func(out int, err error) bool { return out == 7 && err == nil },
		},
		"fails": {
			types.EventTypeFailWorkflowExecutionFailed, func(_ int, err error) bool {
				return err != nil && strings.Contains(err.Error(), "refused")
			},
		},
		"cancelled": {
			types.EventTypeCancelWorkflowExecutionFailed, func(_ int, err error) bool { return errors.Is(err, lambdabiz.ErrCancelled) },
		},
		"continues": {
			types.EventTypeContinueAsNewWorkflowExecutionFailed, func(out int, err error) bool { return out == 42 && err == nil },
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				out, events, err := whileClosing(t, fakeswf.Config{}, how, raiseLate(t))
				if !c.check(out, err) {
					t.Error(out, err)
				}
				if n := countOf(events, c.refused); n != 1 {
					t.Errorf("%d closings were refused", n)
				}
			})
		})
	}
}

// TestSabotageOfTheRefusal is the sabotage twin: without UNHANDLED_DECISION the next run never gets the event.
func TestSabotageOfTheRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, err := whileClosing(t, fakeswf.Config{CloseAnyway: true}, "continues", raiseLate(t))
		if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); !late {
			t.Errorf("nothing was lost: %v", err)
		} else {
			campaign.Red(t, "F41", "the refusal of a closing", err.Error())
		}
	})
}

// TestACancellationComesWhileTheRunCloses: what the function has returned stands; a next run gets the cancellation.
func TestACancellationComesWhileTheRunCloses(t *testing.T) {
	t.Parallel()
	for how, check := range map[string]func(out int, err error) bool{
		"succeeds":  func(out int, err error) bool { return out == 7 && err == nil },
		"fails":     func(_ int, err error) bool { return err != nil && strings.Contains(err.Error(), "refused") },
		"continues": func(_ int, err error) bool { return errors.Is(err, lambdabiz.ErrCancelled) },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				out, _, err := whileClosing(t, fakeswf.Config{}, how, func(p *process) {
					if err := p.Cancel(t.Context(), "C", ""); err != nil {
						t.Error(err)
					}
				})
				if !check(out, err) {
					t.Error(out, err)
				}
			})
		})
	}
}

// TestAnEventThatComesTwiceIsConsumedOnce: SWF does not know a signal that it has seen.
func TestAnEventThatComesTwiceIsConsumedOnce(t *testing.T) {
	t.Parallel()
	twice := lambdabiz.Define("Twice", func(o lambdabiz.Context, _ int) (string, error) {
		first, err := lambdabiz.WaitForEvent[string](o, "one", lambdabiz.Named("E"))
		if err != nil {
			return "", err
		}
		second, err := lambdabiz.WaitForEvent[string](o, "two", lambdabiz.Named("E"), lambdabiz.Timeout(time.Hour))
		if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); late {
			return first, nil
		}
		return first + second, err
	})
	key := regexp.MustCompile(`\\"key\\":\\"[^"]*\\",`)
	for name, c := range map[string]struct {
		fault  fakeswf.Fault
		keys   bool // false is the sabotage: the wire drops what tells the two apart
		wanted string
	}{
		"twice on the wire":     {fakeswf.Fault{Twice: true}, true, "x"},
		"repeated by the SDK":   {fakeswf.Fault{Lose: true}, true, "x"},
		"sabotage: without key": {fakeswf.Fault{Lose: true}, false, "xx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{Fault: func(call fakeswf.Call) fakeswf.Fault {
					if call.Action == "SignalWorkflowExecution" && call.Number == 1 {
						return c.fault
					}
					return fakeswf.Fault{}
				}})
				p := client(t, through(server, roundTrip(func(r *http.Request) (*http.Response, error) {
					if _, body := action(r); !c.keys {
						bare := key.ReplaceAllString(body, "")
						r.Body, r.ContentLength = io.NopCloser(strings.NewReader(bare)), int64(len(bare))
					}
					return server.Transport().RoundTrip(r)
				}))).workOn(twice)
				run, err := lambdabiz.Start(t.Context(), p.Engine, twice, "T", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Second)
				if err := p.RaiseEvent(t.Context(), "T", "E", "x"); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
				defer cancel()
				if out, err := run.Result(ctx); err != nil || out != c.wanted {
					t.Errorf("%q %v", out, err)
				}
			})
		})
	}
}
