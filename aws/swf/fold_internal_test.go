package swf

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
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
			Input: aws.String(b.text(&startEnvelope{Version: version, RunID: "run", At: foldEpoch})),
		}
	})
	return b
}

func (b *book) text(v any) string {
	b.t.Helper()
	text, err := marshal(v)
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

func (b *book) completed(fence int64, j journal) {
	j.Version = version
	b.add(types.EventTypeDecisionTaskCompleted, func(e *types.HistoryEvent) {
		e.DecisionTaskCompletedEventAttributes = &types.DecisionTaskCompletedEventAttributes{
			StartedEventId: fence, ExecutionContext: aws.String(b.text(&j)),
		}
	})
}

func (b *book) signal(name string, s *signalEnvelope) int64 {
	s.Version = version
	return b.add(types.EventTypeWorkflowExecutionSignaled, func(e *types.HistoryEvent) {
		e.WorkflowExecutionSignaledEventAttributes = &types.WorkflowExecutionSignaledEventAttributes{
			SignalName: &name, Input: aws.String(b.text(s)),
		}
	})
}

func (b *book) fold() *fold {
	b.t.Helper()
	f := newFold()
	f.home = "home"
	if err := f.applyAll(b.events); err != nil {
		b.t.Fatal(err)
	}
	return f
}

func stepOf(n int64, result string) journal {
	return journal{At: foldEpoch, Ops: []opRecord{{
		Number: n, ID: fmt.Sprint("step", n), Kind: lambdabiz.KindStep, Status: lambdabiz.StatusSucceeded, Result: payload(result),
	}}}
}

func TestAJournalOfAnOldFenceIsVoid(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	old := b.started()
	b.add(types.EventTypeDecisionTaskTimedOut, func(*types.HistoryEvent) {})
	latest := b.started()
	j := stepOf(1, `"old"`)
	b.signal(controlSignal, &signalEnvelope{Kind: signalJournal, Fence: old, Journal: &j})
	if f := b.fold(); f.op(1) != nil || f.applied != 0 {
		t.Errorf("it was taken: %+v", f.op(1))
	}
	j = stepOf(1, `"new"`)
	b.signal(controlSignal, &signalEnvelope{Kind: signalJournal, Fence: latest, Journal: &j})
	b.signal(controlSignal, &signalEnvelope{Kind: signalJournal, Fence: latest, Journal: &j})
	if f := b.fold(); f.op(1) == nil || string(f.op(1).Result) != `"new"` || f.applied != latest || f.crashes != 1 {
		t.Errorf("it was not taken: %+v", f.op(1))
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
			if taken := f.op(1) != nil; taken == refused || f.closed == refused {
				t.Errorf("taken is %v, closed %v", taken, f.closed)
			}
			if refused && f.news <= f.applied {
				t.Error("nobody would look at it again")
			}
		})
	}
}

func TestAJournalInMarkersIsOneJournal(t *testing.T) {
	t.Parallel()
	j := stepOf(1, `"long"`)
	j.Version = version
	b := newBook(t)
	text := b.text(&j)
	started := b.started()
	b.completed(started, journal{Parts: 2})
	marker := func(part string) {
		b.add(types.EventTypeMarkerRecorded, func(e *types.HistoryEvent) {
			e.MarkerRecordedEventAttributes = &types.MarkerRecordedEventAttributes{
				MarkerName: aws.String(journalMarker), Details: &part,
			}
		})
	}
	marker(text[:20])
	if f := b.fold(); f.op(1) != nil {
		t.Error("half a journal was taken")
	}
	marker(text[20:])
	if f := b.fold(); f.op(1) == nil || f.applied != started {
		t.Error("the whole journal was not taken")
	}
}

func TestAGapInAHistoryIsAnError(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.started()
	b.started()
	f := newFold()
	if err := f.applyAll(append(b.events[:1:1], b.events[2])); err == nil {
		t.Error("an event is missing, and nobody minds")
	}
}

// TestAFoldDoesNotDependOnHowItIsRead: all at once, event by event, with a copy at any place, and with events that come
// twice give the same.
func TestAFoldDoesNotDependOnHowItIsRead(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	first := b.signal("E", &signalEnvelope{Key: "a", Data: payload(`1`)})
	b.signal("E", &signalEnvelope{Key: "a", Data: payload(`1`)})
	b.signal("E", &signalEnvelope{Key: ownKey + "x", Data: payload(`2`)})
	b.completed(b.started(), stepOf(1, `"x"`))
	b.add(types.EventTypeWorkflowExecutionCancelRequested, func(e *types.HistoryEvent) {
		e.WorkflowExecutionCancelRequestedEventAttributes = &types.WorkflowExecutionCancelRequestedEventAttributes{}
	})
	consuming := stepOf(2, `"y"`)
	consuming.Consumed = []int64{messageNumber(first)}
	b.completed(b.started(), consuming)
	want := b.describe(b.fold())
	for cut := range b.events {
		f := newFold()
		f.home = "home"
		if err := f.applyAll(b.events[:cut]); err != nil {
			t.Fatal(err)
		}
		before := b.describe(f)
		c := f.clone()
		if err := c.applyAll(b.events); err != nil { // those before cut come twice
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
	if n := len(f.messages); n != 2 || f.messages[0].Key != "" || string(f.messages[0].Payload) != `2` {
		t.Errorf("%d messages: %+v", n, f.messages)
	}
}

func (b *book) describe(f *fold) string {
	b.t.Helper()
	rec := f.record()
	text, err := json.Marshal(&rec)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprint(string(text), f.applied, f.news, f.last, f.keyOrder, f.openWork, f.timers)
}
