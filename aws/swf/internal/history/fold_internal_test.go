package history

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

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
