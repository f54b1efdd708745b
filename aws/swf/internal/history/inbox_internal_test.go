package history

import (
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// TestAWaitThatAnEventHasReachedInTimeDoesNotTimeOut: the event came while the decision was made.
func TestAWaitThatAnEventHasReachedInTimeDoesNotTimeOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, event string
		late, out     bool
	}{
		"nothing came":     {out: true},
		"it came":          {event: "E"},
		"another one came": {event: "F", out: true},
		"it came too late": {event: "E", late: true, out: true},
		"it was there":     {before: "E", out: true}, // the decision has seen it, and given it to somebody else
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			if c.before != "" {
				b.signal(c.before, &wire.Signal{})
			}
			fence := b.started()
			if c.event != "" {
				b.signal(c.event, &wire.Signal{})
			}
			due := *b.events[len(b.events)-1].EventTimestamp
			if c.late {
				due = due.Add(-1)
			}
			b.completed(fence, wire.Journal{Ops: []wire.Record{recordOf(1, lambdabiz.KindEvent, func(r *wire.Record) {
				r.Name, r.Status, r.Due = "E", lambdabiz.StatusTimeout, due
			})}})
			f := b.fold()
			if out := f.Find(1) != nil; out != c.out || out != (f.Applied == fence) || !out && f.News != f.Last {
				t.Errorf("timed out is %v, applied is %d, news %d", out, f.Applied, f.News)
			}
		})
	}
}

// TestARequestToCancelIsNotConsumed, and comes once.
func TestARequestToCancelIsNotConsumed(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	event := b.signal("E", &wire.Signal{})
	cancel := b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalCancel, Reason: "why"})
	b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalCancel, Reason: "again"})
	b.completed(b.started(), wire.Journal{Consumed: []int64{messageNumber(event), messageNumber(cancel)}})
	f := b.fold()
	if len(f.Messages) != 1 || f.Messages[0].Kind != lambdabiz.MessageCancel || f.Messages[0].Error.Message != "why" ||
		!f.Info.CancelRequested || f.Info.CancelReason != "why" {
		t.Errorf("%+v", f.Messages)
	}
}

// TestAChainOfRunsKnowsTheKeysOfItsEvents: by hashes, the last ones, and as many as there is room for.
func TestAChainOfRunsKnowsTheKeysOfItsEvents(t *testing.T) {
	t.Parallel()
	first := New("id", "home")
	first.addFrom(&wire.Start{Keys: []string{"written by an older version"}})
	for i := range 3000 {
		first.add(hashOf(strings.Repeat("k", i+1)))
	}
	first.add(hashOf(OwnKey + "x"))
	next := wire.Start{Version: wire.Version, RunID: "next", Events: []wire.KeptEvent{{Name: "E", Key: strings.Repeat("k", 3000)}}}
	input, err := first.CarryKeys(&next)
	if err != nil {
		t.Fatal(err)
	}
	var start wire.Start
	if err := wire.Open(input, &start); err != nil {
		t.Fatal(err)
	}
	second := New("id", "home")
	second.addFrom(&start)
	for length, known := range map[int]bool{2999: true, 2000: true, 1999: false, 3000: false} { // the event brings its own
		if second.KnowsKey(strings.Repeat("k", length)) != known {
			t.Errorf("key %d is known: %v", length, !known)
		}
	}
	if !second.KnowsKey(OwnKey+"x") || second.KnowsKey("x") {
		t.Error("a key of ours is not told from a sender's")
	}
	large := wire.Start{Version: wire.Version, Input: wire.Payload(`"` + strings.Repeat("x", wire.MaxChars-200) + `"`)}
	if input, err = first.CarryKeys(&large); err != nil || wire.Units(input) > wire.MaxChars || len(large.Known) < keyHash {
		t.Errorf("%d characters with %d of keys, %v", wire.Units(input), len(large.Known), err)
	}
	large.Input = wire.Payload(`"` + strings.Repeat("x", wire.MaxChars) + `"`)
	if _, err := first.CarryKeys(&large); err == nil || !strings.Contains(err.Error(), "it carries 0 events") {
		t.Error(err)
	}
}
