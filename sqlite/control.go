package sqlite

import (
	"fmt"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// control does what a person asks of a run. It returns the refusal, if any, and the fault.
func (t *tx) control(c *lambdabiz.Commit, k *lambdabiz.Control) (refusal, err error) {
	h, err := t.findHead(k.ID, k.RunID)
	if err != nil {
		return nil, err
	}
	if h == nil || k.Parent != nil && (h.parent == nil || *h.parent != *k.Parent) { // the id may be somebody else's
		return lambdabiz.ErrNotFound, nil
	}
	if h.status.Ended() {
		return lambdabiz.ErrClosed, nil
	}
	switch k.Kind {
	case lambdabiz.ControlCancel:
		return nil, t.cancel(c, h, k.Reason)
	case lambdabiz.ControlTerminate:
		return nil, t.terminate(c, h, k.Reason)
	case lambdabiz.ControlPause:
		return nil, t.pause(c, h, k.Reason)
	case lambdabiz.ControlResume:
		return nil, t.resume(c, h)
	case lambdabiz.ControlDrop:
		return nil, t.drop(c, h, k.Number)
	}
	return fmt.Errorf("orchestration %s: control %d is unknown", k.ID, k.Kind), nil
}

func (t *tx) cancel(c *lambdabiz.Commit, h *head, reason string) error {
	if h.cancelled {
		return nil
	}
	fault.Point("cancel.set")
	if err := t.prepare(qSetCancel).int(h.no).optionalText(reason).exec(); err != nil {
		return err
	}
	fault.Point("cancel.deliver")
	m := &lambdabiz.Message{Kind: lambdabiz.MessageCancel, ArrivedAt: c.At}
	if reason != "" {
		m.Error = &lambdabiz.Failure{Message: reason, Code: "cancelled"}
	}
	return t.deliver(c, h.no, m)
}

func (t *tx) terminate(c *lambdabiz.Commit, h *head, reason string) error {
	failure := lambdabiz.FailureOf(lambdabiz.ErrTerminated)
	if reason != "" {
		failure.Message = reason
	}
	fault.Point("terminate.write")
	if err := t.prepare(qTerminate).int(h.no).int(micros(c.At)).json(failure, false).exec(); err != nil {
		return err
	}
	t.wake = true
	fault.Point("terminate.tell")
	return t.tellParent(c, h, &lambdabiz.Close{Status: lambdabiz.StatusTerminated, Error: failure})
}

// pause takes an unheld run out of what is due, and asks a holder to release it.
func (t *tx) pause(c *lambdabiz.Commit, h *head, reason string) error {
	if h.paused {
		return nil
	}
	fault.Point("pause.set")
	if err := t.prepare(qPause).int(h.no).optionalText(reason).exec(); err != nil {
		return err
	}
	if h.owner == 0 {
		return nil
	}
	fault.Point("pause.deliver")
	m := &lambdabiz.Message{Kind: lambdabiz.MessagePause, ArrivedAt: c.At}
	if reason != "" {
		m.Error = &lambdabiz.Failure{Message: reason}
	}
	return t.deliver(c, h.no, m)
}

// resume makes the run due. A holder that is about to release it, because of the pause or of the
// mistake, has the run due at once when it does.
func (t *tx) resume(_ *lambdabiz.Commit, h *head) error {
	t.wake = true
	fault.Point("resume.withdraw")
	if err := t.prepare(qWithdrawPause).int(h.no).exec(); err != nil {
		return err
	}
	fault.Point("resume.write")
	return t.prepare(qResume).int(h.no).int(atOnce).exec()
}

// drop asks for the removal of an event. Nothing blocks the run any more.
func (t *tx) drop(c *lambdabiz.Commit, h *head, number int64) error {
	if err := t.prepare(qForgive).int(h.no).exec(); err != nil {
		return err
	}
	return t.deliver(c, h.no, &lambdabiz.Message{Kind: lambdabiz.MessageDrop, ArrivedAt: c.At, Operation: number})
}
