package history

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// TestASignalOfSomebodyElseIsAnEvent, but for the one that the original has sent to itself on every wait.
func TestASignalOfSomebodyElseIsAnEvent(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.on(&types.WorkflowExecutionSignaledEventAttributes{SignalName: aws.String("E"), Input: aws.String("as it is")})
	b.on(&types.WorkflowExecutionSignaledEventAttributes{SignalName: aws.String("E")})
	b.on(&types.WorkflowExecutionSignaledEventAttributes{SignalName: aws.String(originalPoke), Input: aws.String("poke")})
	f := b.fold()
	if len(f.Messages) != 2 || string(f.Messages[0].Payload) != "as it is" || f.Messages[1].Payload != nil || f.News != f.Last-1 {
		t.Errorf("%+v", f.Messages)
	}
}

// TestAPauseIsForWhoeverHoldsTheRun: nobody else needs to hear of it, nor anybody once it is over.
func TestAPauseIsForWhoeverHoldsTheRun(t *testing.T) {
	t.Parallel()
	pause := &wire.Signal{Kind: wire.SignalPause, Reason: "why"}
	b := newBook(t)
	b.signal(wire.ControlSignal, pause)
	if f := b.fold(); !f.Info.Paused || f.Info.PauseReason != "why" || len(f.Messages) > 0 {
		t.Errorf("%+v", f.Messages)
	}
	b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalResume})
	b.started()
	b.signal(wire.ControlSignal, pause)
	b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalPause, Reason: "again"})
	if f := b.fold(); len(f.Messages) != 1 || f.Messages[0].Kind != lambdabiz.MessagePause || f.Messages[0].Error.Message != "why" {
		t.Errorf("%+v", f.Messages)
	}
	b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalResume})
	if f := b.fold(); f.Info.Paused || len(f.Messages) > 0 || !f.WakeDue || f.News != f.Last {
		t.Errorf("%+v", f.Info)
	}
}

// TestAResumeFreesABlockedRun, though a decision that had not seen it says that it is blocked.
func TestAResumeFreesABlockedRun(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{wire.SignalResume, wire.SignalDrop} {
		b := newBook(t)
		b.completed(b.started(), wire.Journal{Blocked: &lambdabiz.Blocked{Reason: "r"}})
		if f := b.fold(); f.Info.Blocked == nil {
			t.Error("it is not blocked")
		}
		b.signal(wire.ControlSignal, &wire.Signal{Kind: kind, Drop: 7})
		if f := b.fold(); f.Info.Blocked != nil || f.News != f.Last {
			t.Errorf("after %s: %+v", kind, f.Info.Blocked)
		}
		fence := b.started()
		b.signal(wire.ControlSignal, &wire.Signal{Kind: kind, Drop: 8})
		b.completed(fence, wire.Journal{Blocked: &lambdabiz.Blocked{Reason: "r"}})
		if f := b.fold(); f.Info.Blocked != nil {
			t.Errorf("%s came while the decision was made, and was lost", kind)
		}
		b.completed(b.started(), wire.Journal{Blocked: &lambdabiz.Blocked{Reason: "r"}})
		if f := b.fold(); f.Info.Blocked == nil {
			t.Error("it is free for ever")
		}
	}
}

// TestTheLastCallerOwnsARunDrivenByHand, and a decision task that timed out counts as a crash until one is answered.
func TestTheLastCallerOwnsARunDrivenByHand(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	if owner := b.fold().Owner(); owner != "" {
		t.Errorf("it is %q", owner)
	}
	for _, key := range []string{"a", "b"} {
		b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalClaim, Key: key})
	}
	b.started()
	b.add(types.EventTypeDecisionTaskTimedOut, func(*types.HistoryEvent) {})
	if f := b.fold(); f.Owner() != "b" || len(f.Owners) != 2 || f.Crashes != 1 || f.held {
		t.Errorf("%q, %d crashes", f.Owners, f.Crashes)
	}
	if b.recorded(); b.fold().Crashes != 0 {
		t.Error("the answer does not count")
	}
}
