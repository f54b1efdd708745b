package rules

import (
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Change is what becomes of a run that somebody has something to say to, or that ends, and who else is told.
type Change struct {
	Head Head // as it is then; when nothing is to be done, as it was

	// Withdraw takes those messages out of its inbox that ask a holder for a pause: they are over.
	Withdraw bool
	// Message is for its inbox, nil for none. The head is that of a run which has it.
	Message *lambdabiz.Message

	// Error is why the run has ended, if it has.
	Error *lambdabiz.Failure
	// Outcome is for the inbox of the parent that Head names, nil for none. It goes to that very run, if it is open.
	Outcome *lambdabiz.Message
}

// Control does what a control asks of a run: the one that it names, else the latest one of the id, nil for none. An error is
// a refusal.
func Control(h *Head, k *lambdabiz.Control, at time.Time) (Change, error) {
	switch {
	case h == nil, k.Parent != nil && (h.Parent == nil || *h.Parent != *k.Parent):
		return Change{}, lambdabiz.ErrNotFound // or the id is somebody else's
	case !h.Open():
		return Change{}, lambdabiz.ErrClosed
	}
	switch k.Kind {
	case lambdabiz.ControlCancel:
		return cancel(*h, k.Reason, at), nil
	case lambdabiz.ControlTerminate:
		return terminate(*h, k.Reason, at), nil
	case lambdabiz.ControlPause:
		return pause(*h, k.Reason, at), nil
	case lambdabiz.ControlResume:
		return resume(*h), nil
	case lambdabiz.ControlDrop:
		return drop(*h, k.Number, at), nil
	}
	return Change{}, fmt.Errorf("control %s: its kind %d is unknown", k.ID, k.Kind)
}

// cancel asks the run to end, once. The first reason stays.
func cancel(h Head, reason string, at time.Time) Change {
	if h.Cancelled {
		return Change{Head: h}
	}
	h.Cancelled, h.CancelReason = true, reason
	return Change{Head: Deliver(h), Message: &lambdabiz.Message{
		Kind: lambdabiz.MessageCancel, ArrivedAt: at, Error: because(lambdabiz.ErrCancelled, reason),
	}}
}

// terminate ends the run. The fence moves, so that its holder can write no more, whatever it has begun.
func terminate(h Head, reason string, at time.Time) Change {
	h.Fence++
	return end(h, &lambdabiz.Close{
		Status: lambdabiz.StatusTerminated, Error: because(lambdabiz.ErrTerminated, reason),
	}, at)
}

// pause takes the run out of what is due, once, and asks a holder to release it.
func pause(h Head, reason string, at time.Time) Change {
	if h.Paused {
		return Change{Head: h}
	}
	h.Paused, h.PauseReason, h.Due = true, reason, time.Time{}
	if !h.Held {
		return Change{Head: h}
	}
	m := &lambdabiz.Message{Kind: lambdabiz.MessagePause, ArrivedAt: at}
	if reason != "" {
		m.Error = &lambdabiz.Failure{Message: reason}
	}
	return Change{Head: h, Message: m}
}

// resume makes the run due, whatever kept it. While it is held that waits for the release: a holder may be about to answer
// the pause, or to block the run, and a resume that overtakes it must not be lost. One that has not heard of the pause need
// not hear of it any more.
func resume(h Head) Change {
	h.Paused, h.PauseReason, h.Blocked, h.Due = false, "", false, AtOnce()
	return Change{Head: h, Withdraw: true}
}

// drop asks for the removal of an event. Nothing blocks the run any more.
func drop(h Head, number int64, at time.Time) Change {
	h.Blocked = false
	return Change{Head: Deliver(h), Message: &lambdabiz.Message{
		Kind: lambdabiz.MessageDrop, ArrivedAt: at, Operation: number,
	}}
}

// because records a sentinel with a person's reason.
func because(sentinel error, reason string) *lambdabiz.Failure {
	if reason == "" {
		return lambdabiz.FailureOf(sentinel)
	}
	return lambdabiz.FailureOf(fmt.Errorf("%w: %s", sentinel, reason))
}
