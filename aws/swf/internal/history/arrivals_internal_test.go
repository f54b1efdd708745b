package history

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func TestAJournalOfAnOldFenceIsVoid(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	old := b.started()
	b.add(types.EventTypeDecisionTaskTimedOut, func(*types.HistoryEvent) {})
	j := stepOf(1, `"old"`)
	b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalJournal, Fence: old, Journal: &j})
	latest := b.started()
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

// TestAJournalThatWasSentAhead counts with the answer that says so, and with no other.
func TestAJournalThatWasSentAhead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send  func(b *book, fence int64, parts []string)
		taken bool
	}{
		"in order": {taken: true, send: func(b *book, fence int64, parts []string) {
			for i, part := range parts {
				b.part(fence, i, part)
			}
		}},
		"anew, after a try that was cut": {taken: true, send: func(b *book, fence int64, parts []string) {
			b.part(fence, 0, "what is")
			for i, part := range parts {
				b.part(fence, i, part)
			}
		}},
		"twice on the wire": {taken: true, send: func(b *book, fence int64, parts []string) {
			b.part(fence, 0, parts[0])
			b.part(fence, 1, parts[1])
			b.part(fence, 1, parts[1])
			b.part(fence, 2, parts[2])
		}},
		"with a gap": {send: func(b *book, fence int64, parts []string) {
			b.part(fence, 0, parts[0])
			b.part(fence, 2, parts[2])
		}},
		"by an owner before": {send: func(b *book, fence int64, parts []string) {
			for i, part := range parts {
				b.part(fence-1, i, part)
			}
		}},
		"for a decision task that has timed out": {send: func(b *book, fence int64, parts []string) {
			for i, part := range parts {
				b.part(fence, i, part)
			}
			b.add(types.EventTypeDecisionTaskTimedOut, func(*types.HistoryEvent) {})
			b.started()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			j := stepOf(1, `"long"`)
			j.Version = wire.Version
			text := b.text(&j)
			c.send(b, b.started(), []string{text[:20], text[20:30], text[30:]})
			b.completed(b.fold().started, wire.Journal{Parts: 3, Ahead: true})
			f := b.fold()
			if taken := f.Find(1) != nil; taken != c.taken || taken != (f.Applied == f.started) {
				t.Errorf("taken is %v, up to %d", taken, f.Applied)
			}
		})
	}
}

func (b *book) part(fence int64, part int, text string) {
	b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalPart, Fence: fence, Part: part, Text: text})
}

// TestATextOfSomebodyElseIsNoJournal: a decision task may be answered from a console.
func TestATextOfSomebodyElseIsNoJournal(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.on(&types.DecisionTaskCompletedEventAttributes{StartedEventId: b.started(), ExecutionContext: aws.String("mine")})
	b.on(&types.MarkerRecordedEventAttributes{MarkerName: aws.String(wire.JournalMarker), Details: aws.String("mine")})
	b.on(&types.MarkerRecordedEventAttributes{MarkerName: aws.String("mine"), Details: aws.String("mine")})
	if f := b.fold(); f.Applied != 0 || f.held || f.News > 1 {
		t.Errorf("applied is %d, news %d", f.Applied, f.News)
	}
}
