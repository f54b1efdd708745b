package plan_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func TestHowARunEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		close lambdabiz.Close
		want  string
	}{
		"without a result": {lambdabiz.Close{Status: lambdabiz.StatusSucceeded}, "complete "},
		"with a result":    {lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: lambdabiz.Payload(`{"a":1}`)}, `complete {"a":1}`},
		"with what is no text": {
			lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: lambdabiz.Payload("\xff")},
			`complete {"lambdabiz":1,"status":"SUCCEEDED","result":"/w=="}`,
		},
		"with what is an envelope": {
			lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: lambdabiz.Payload(`{"lambdabiz":1}`)},
			`complete {"lambdabiz":1,"status":"SUCCEEDED","result":[{"lambdabiz":1}]}`,
		},
		"with what is too long": {
			lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: lambdabiz.Payload(strings.Repeat("\xff", 30_000))}, "fail result",
		},
		"with an error": {
			lambdabiz.Close{Status: lambdabiz.StatusFailed, Error: &lambdabiz.Failure{Message: "no"}}, "fail no",
		},
		"with its time":      {lambdabiz.Close{Status: lambdabiz.StatusTimeout}, "fail TIMEOUT"},
		"as it was asked to": {lambdabiz.Close{Status: lambdabiz.StatusCancelled}, "cancel"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := decided(t, begin(t).task(), &lambdabiz.Commit{Close: &c.close}, plan.Found{})
			if got := short(a.Decisions); len(got) != 1 || !strings.HasPrefix(got[0], c.want) || c.want == "complete " && got[0] != c.want {
				t.Errorf("it ends with %q, want %q", got, c.want)
			}
			if !a.Closes || !a.Journal.Closing || a.Plain {
				t.Errorf("%+v", a)
			}
		})
	}
}

// TestTheNextRunGetsWhatIsNotConsumed: events, a request to cancel, what the run has raised in itself, and keys.
func TestTheNextRunGetsWhatIsNotConsumed(t *testing.T) {
	t.Parallel()
	s := begin(t, func(s *wire.Start) { s.Parent, s.Paused, s.PauseReason = &lambdabiz.Parent{ID: "p"}, true, "why" })
	first := s.signal("E", wire.Signal{Key: "a", Data: wire.Payload(`1`)})
	s.signal("E", wire.Signal{Key: "b", Data: wire.Payload(`2`)})
	s.signal("", wire.Signal{Kind: wire.SignalCancel, Reason: "enough"})
	a := decided(t, s.task(), &lambdabiz.Commit{
		Consumed: []int64{first},
		Raises: []lambdabiz.Raise{
			{ID: "id", Name: "E", Key: "c", Payload: lambdabiz.Payload(`3`)},
			{ID: "id", Name: "E", Key: "a", Payload: lambdabiz.Payload(`4`)},         // this run has got it
			{ID: "id", RunID: "another", Name: "E", Payload: lambdabiz.Payload(`5`)}, // a signal like any other
		},
		Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &lambdabiz.RunStart{ID: "id", Name: "D", RunID: "next"}},
	}, plan.Found{})
	if len(a.Decisions) != 2 || a.Decisions[0].SignalExternalWorkflowExecutionDecisionAttributes == nil {
		t.Fatal(short(a.Decisions))
	}
	next := a.Decisions[1].ContinueAsNewWorkflowExecutionDecisionAttributes
	var start wire.Start
	if err := wire.Open(*next.Input, &start); err != nil {
		t.Fatal(err)
	}
	events, err := json.Marshal(start.Events)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"E","key":"b","at":"2026-11-01T12:00:00Z","data":[2]},{"name":"E","key":"c","at":"2026-11-01T12:00:00Z","data":[3]}]`
	if string(events) != want {
		t.Errorf("the events are %s", events)
	}
	if start.RunID != "next" || start.Previous != "run" || !start.At.After(epoch) || !start.Paused || start.PauseReason != "why" ||
		start.Parent == nil || start.Cancel == nil || start.Cancel.Reason != "enough" || start.Known == "" {
		t.Errorf("%+v", start)
	}
	if *next.TaskList.Name != "list" || *next.LambdaRole != "role" || next.TagList[0] != "run=next" {
		t.Errorf("%+v", next)
	}
}

// TestWhatGoesOnWithoutTheRunBeginsWithItsEnd: children and events, and nothing else.
func TestWhatGoesOnWithoutTheRunBeginsWithItsEnd(t *testing.T) {
	t.Parallel()
	a := decided(t, begin(t).task(), &lambdabiz.Commit{
		Operations: []lambdabiz.Operation{childOp(1, "c"), timerOp(2, "t", epoch)},
		Starts:     []lambdabiz.RunStart{{ID: "C", Name: "D", RunID: "r", Operation: 1}},
		Raises:     []lambdabiz.Raise{{ID: "other", Name: "E"}},
		Close:      &lambdabiz.Close{Status: lambdabiz.StatusSucceeded},
	}, plan.Found{})
	wantDecisions(t, a, "event E to other", "child C D on list, run=r", "complete ")
}

func TestWhenARunCannotClose(t *testing.T) {
	t.Parallel()
	closing := &lambdabiz.Commit{
		At: epoch, Started: true, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded},
		Operations: []lambdabiz.Operation{
			stepOp(1), with(stepOp(2), func(o *lambdabiz.Operation) { o.Kind = lambdabiz.KindEvent }), timerOp(3, "t", epoch),
		},
	}
	noRoom := func(t *plan.Task) { t.Fold.CloseBefore = epoch.Add(time.Second) }
	for name, c := range map[string]struct {
		set  func(task *plan.Task)
		now  time.Time
		can  bool
		want []string
	}{
		"nothing hinders":            {set: func(*plan.Task) {}, now: epoch, can: true, want: []string{"timer ~wake~2 in 0 s"}},
		"a signal may have arrived":  {set: func(t *plan.Task) { t.Sent = true }, now: epoch, want: []string{"timer ~wake~2 in 0 s"}},
		"a signal has arrived":       {set: func(t *plan.Task) { t.Sent, t.Arrived = true, true }, now: epoch},
		"SWF has no room for it yet": {set: noRoom, now: epoch, want: []string{"timer ~wake~2 in 1 s"}},
		"SWF had no room for it":     {set: noRoom, now: epoch.Add(time.Second), can: true, want: []string{"timer ~wake~2 in 0 s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task := begin(t).task()
			c.set(&task)
			if plan.CanClose(task, closing, c.now) != c.can {
				t.Errorf("it can close: %v", !c.can)
			}
			a, err := plan.Later(config, task, closing).Answer(plan.Found{}, c.now)
			if err != nil {
				t.Fatal(err)
			}
			wantDecisions(t, a, c.want...)
			j := a.Journal
			if len(j.Ops) != 1 || j.Ops[0].Number != 1 || !j.Skip || !j.Again || !j.Started || j.Closing || a.Closes {
				t.Errorf("%+v", j) // what has ended is recorded, but for waits, which would consume their events
			}
		})
	}
}

func TestAHistoryThatIsTooLongEndsTheRun(t *testing.T) {
	t.Parallel()
	f := begin(t).fold
	if plan.IsTooLong(f) {
		t.Error("it has one event")
	}
	f.Last = wire.StopEvents
	if !plan.IsTooLong(f) {
		t.Error("it has room yet")
	}
	a, err := plan.TooLong(f, epoch)
	if err != nil {
		t.Fatal(err)
	}
	wantDecisions(t, a, "fail its history has 24000 events and Amazon SWF ends a run at 25000: "+
		"let the orchestration return ContinueAsNew in time")
	if !a.Closes || !a.Journal.Closing {
		t.Errorf("%+v", a)
	}
}

func TestADuplicateStartEnds(t *testing.T) {
	t.Parallel()
	a, err := plan.Duplicate()
	if err != nil {
		t.Fatal(err)
	}
	wantDecisions(t, a, "fail duplicate start")
	if !a.Journal.Skip || a.Closes {
		t.Errorf("%+v", a)
	}
}
