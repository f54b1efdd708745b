package history

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

var foldEpoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// book writes a history.
type book struct {
	t      *testing.T
	events []types.HistoryEvent
}

func newBook(t *testing.T) *book {
	t.Helper()
	b := &book{t: t}
	b.add(types.EventTypeWorkflowExecutionStarted, func(e *types.HistoryEvent) {
		e.WorkflowExecutionStartedEventAttributes = &types.WorkflowExecutionStartedEventAttributes{
			WorkflowType: &types.WorkflowType{Name: aws.String("D")}, TaskList: &types.TaskList{Name: aws.String("list")},
			Input: aws.String(b.text(&wire.Start{Version: wire.Version, RunID: "run", At: foldEpoch})),
		}
	})
	return b
}

func (b *book) text(v any) string {
	b.t.Helper()
	text, err := wire.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

func (b *book) add(kind types.EventType, set func(e *types.HistoryEvent)) int64 {
	e := types.HistoryEvent{
		EventId: int64(len(b.events) + 1), EventType: kind,
		EventTimestamp: aws.Time(foldEpoch.Add(time.Duration(len(b.events)) * time.Second)),
	}
	set(&e)
	b.events = append(b.events, e)
	return e.EventId
}

func (b *book) started() int64 {
	return b.add(types.EventTypeDecisionTaskStarted, func(*types.HistoryEvent) {})
}

func (b *book) completed(fence int64, j wire.Journal) {
	j.Version = wire.Version
	b.add(types.EventTypeDecisionTaskCompleted, func(e *types.HistoryEvent) {
		e.DecisionTaskCompletedEventAttributes = &types.DecisionTaskCompletedEventAttributes{
			StartedEventId: fence, ExecutionContext: aws.String(b.text(&j)),
		}
	})
}

func (b *book) signal(name string, s *wire.Signal) int64 {
	s.Version = wire.Version
	return b.add(types.EventTypeWorkflowExecutionSignaled, func(e *types.HistoryEvent) {
		e.WorkflowExecutionSignaledEventAttributes = &types.WorkflowExecutionSignaledEventAttributes{
			SignalName: &name, Input: aws.String(b.text(s)),
		}
	})
}

func (b *book) fold() *Fold {
	b.t.Helper()
	f := New("id", "home")
	if err := f.ApplyAll(b.events); err != nil {
		b.t.Fatal(err)
	}
	return f
}

func stepOf(n int64, result string) wire.Journal {
	return wire.Journal{At: foldEpoch, Ops: []wire.Record{{
		Number: n, ID: fmt.Sprint("step", n), Kind: lambdabiz.KindStep, Status: lambdabiz.StatusSucceeded, Result: wire.Payload(result),
	}}}
}

func TestAJournalOfAnOldFenceIsVoid(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	old := b.started()
	b.add(types.EventTypeDecisionTaskTimedOut, func(*types.HistoryEvent) {})
	latest := b.started()
	j := stepOf(1, `"old"`)
	b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalJournal, Fence: old, Journal: &j})
	if f := b.fold(); f.Find(1) != nil || f.Applied != 0 {
		t.Errorf("it was taken: %+v", f.Find(1))
	}
	j = stepOf(1, `"new"`)
	b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalJournal, Fence: latest, Journal: &j})
	b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalJournal, Fence: latest, Journal: &j})
	if f := b.fold(); f.Find(1) == nil || string(f.Find(1).Result) != `"new"` || f.Applied != latest || f.Crashes != 1 {
		t.Errorf("it was not taken: %+v", f.Find(1))
	}
}

func TestAClosingThatWasRefusedIsVoid(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]bool{"refused": true, "followed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			j := stepOf(1, `1`)
			j.Closing = true
			b.completed(b.started(), j)
			if refused {
				b.add(types.EventTypeCompleteWorkflowExecutionFailed, func(*types.HistoryEvent) {})
			} else {
				b.add(types.EventTypeWorkflowExecutionCompleted, func(e *types.HistoryEvent) {
					e.WorkflowExecutionCompletedEventAttributes = &types.WorkflowExecutionCompletedEventAttributes{
						Result: aws.String(`"r"`),
					}
				})
			}
			f := b.fold()
			if taken := f.Find(1) != nil; taken == refused || f.Closed == refused {
				t.Errorf("taken is %v, closed %v", taken, f.Closed)
			}
			if refused && f.News <= f.Applied {
				t.Error("nobody would look at it again")
			}
		})
	}
}

func TestAJournalInMarkersIsOneJournal(t *testing.T) {
	t.Parallel()
	j := stepOf(1, `"long"`)
	j.Version = wire.Version
	b := newBook(t)
	text := b.text(&j)
	started := b.started()
	b.completed(started, wire.Journal{Parts: 2})
	marker := func(part string) {
		b.add(types.EventTypeMarkerRecorded, func(e *types.HistoryEvent) {
			e.MarkerRecordedEventAttributes = &types.MarkerRecordedEventAttributes{
				MarkerName: aws.String(wire.JournalMarker), Details: &part,
			}
		})
	}
	marker(text[:20])
	if f := b.fold(); f.Find(1) != nil {
		t.Error("half a journal was taken")
	}
	marker(text[20:])
	if f := b.fold(); f.Find(1) == nil || f.Applied != started {
		t.Error("the whole journal was not taken")
	}
}

func TestAGapInAHistoryIsAnError(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.started()
	b.started()
	f := New("id", "home")
	if err := f.ApplyAll(append(b.events[:1:1], b.events[2])); err == nil {
		t.Error("an event is missing, and nobody minds")
	}
}

// TestAFoldDoesNotDependOnHowItIsRead: all at once, event by event, with a copy at any place, and with events that come
// twice give the same.
func TestAFoldDoesNotDependOnHowItIsRead(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	first := b.signal("E", &wire.Signal{Key: "a", Data: wire.Payload(`1`)})
	b.signal("E", &wire.Signal{Key: "a", Data: wire.Payload(`1`)})
	b.signal("E", &wire.Signal{Key: OwnKey + "x", Data: wire.Payload(`2`)})
	b.completed(b.started(), stepOf(1, `"x"`))
	b.add(types.EventTypeWorkflowExecutionCancelRequested, func(e *types.HistoryEvent) {
		e.WorkflowExecutionCancelRequestedEventAttributes = &types.WorkflowExecutionCancelRequestedEventAttributes{}
	})
	consuming := stepOf(2, `"y"`)
	consuming.Consumed = []int64{messageNumber(first)}
	b.completed(b.started(), consuming)
	want := b.describe(b.fold())
	for cut := range b.events {
		f := New("id", "home")
		if err := f.ApplyAll(b.events[:cut]); err != nil {
			t.Fatal(err)
		}
		before := b.describe(f)
		c := f.Clone()
		if err := c.ApplyAll(b.events); err != nil { // those before cut come twice
			t.Fatal(err)
		}
		if got := b.describe(c); got != want {
			t.Errorf("with a copy at %d it is\n%s\nwant\n%s", cut, got, want)
		}
		if after := b.describe(f); after != before {
			t.Errorf("the copy at %d has changed what it was made of", cut)
		}
	}
	f := b.fold()
	if n := len(f.Messages); n != 2 || f.Messages[0].Key != "" || string(f.Messages[0].Payload) != `2` {
		t.Errorf("%d messages: %+v", n, f.Messages)
	}
}

func (b *book) describe(f *Fold) string {
	b.t.Helper()
	rec := f.Record()
	text, err := json.Marshal(&rec)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprint(string(text), f.Applied, f.News, f.Last, f.order, f.OpenWork, f.OpenTimers)
}
