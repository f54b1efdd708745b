package memory

import (
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// control applies one instruction of a commit.
func (b *Backend) control(c lambdabiz.Control, at time.Time) error {
	r := b.find(c.ID, c.RunID)
	switch {
	case r == nil, c.Parent != nil && (r.info.Parent == nil || *r.info.Parent != *c.Parent):
		return lambdabiz.ErrNotFound // or the id is somebody else's
	case !r.open():
		return lambdabiz.ErrClosed
	}
	switch c.Kind {
	case lambdabiz.ControlCancel:
		b.cancel(r, c.Reason, at)
	case lambdabiz.ControlTerminate:
		r.fence++
		b.end(r, at, lambdabiz.StatusTerminated, because(lambdabiz.ErrTerminated, c.Reason))
	case lambdabiz.ControlPause:
		b.pause(r, c.Reason, at)
	case lambdabiz.ControlResume:
		// The kick outlives the release of a holder that has yet to answer the pause: else a resume
		// that overtakes it would be lost. One that has not heard of the pause need not hear of it any more.
		r.messages.withdraw(lambdabiz.MessagePause)
		r.info.Paused, r.info.PauseReason, r.info.Blocked, r.kick = false, "", nil, true
		b.schedule(r)
	case lambdabiz.ControlDrop:
		r.info.Blocked = nil
		b.deliver(r, lambdabiz.Message{Kind: lambdabiz.MessageDrop, ArrivedAt: at, Operation: c.Number})
	default:
		return fmt.Errorf("memory: unknown control kind %d", c.Kind)
	}
	return nil
}

func (b *Backend) cancel(r *run, reason string, at time.Time) {
	if r.info.CancelRequested {
		return
	}
	r.info.CancelRequested, r.info.CancelReason = true, reason
	b.deliver(r, lambdabiz.Message{
		Kind:      lambdabiz.MessageCancel,
		ArrivedAt: at,
		Error:     because(lambdabiz.ErrCancelled, reason),
	})
}

func (b *Backend) pause(r *run, reason string, at time.Time) {
	if r.info.Paused {
		return
	}
	r.info.Paused, r.info.PauseReason = true, reason
	if r.held {
		m := lambdabiz.Message{Kind: lambdabiz.MessagePause, ArrivedAt: at}
		if reason != "" {
			m.Error = &lambdabiz.Failure{Message: reason}
		}
		b.deliver(r, m)
	}
}

// because records a sentinel with a person's reason.
func because(sentinel error, reason string) *lambdabiz.Failure {
	if reason == "" {
		return lambdabiz.FailureOf(sentinel)
	}
	return lambdabiz.FailureOf(fmt.Errorf("%w: %s", sentinel, reason))
}
