package sqlite

import (
	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// change does to a run what a rule has said, and tells a parent that waits. A run ends with what k says of its result.
func (t *tx) change(c *lambdabiz.Commit, h *head, change rules.Change, k *lambdabiz.Close) error {
	if change.Withdraw {
		fault.Point("change.withdraw")
		if err := t.prepare(qWithdrawPause).int(h.no).exec(); err != nil {
			return err
		}
	}
	if err := t.write(c, h, change, k); err != nil {
		return err
	}
	if change.Message != nil {
		fault.Point("change.deliver")
		if err := t.insertMessage(h, change.Message); err != nil {
			return err
		}
	}
	return t.tellParent(change)
}

// write writes a run's head, if it is another one now.
func (t *tx) write(c *lambdabiz.Commit, h *head, change rules.Change, k *lambdabiz.Close) error {
	now := &change.Head
	if *now == h.Head {
		return nil
	}
	h.Head = *now
	if now.Open() {
		fault.Point("change.write")
		return t.setState(h.no, now)
	}
	next := ""
	if k.Next != nil {
		next = k.Next.RunID
	}
	fault.Point("close.write")
	return t.prepare(qClose).int(h.no).int(int64(now.Status)).int(now.Fence).micros(c.At).blob(k.Result).
		json(change.Error, change.Error == nil).json(k.Orphans, len(k.Orphans) == 0).optionalText(next).exec()
}

func (t *tx) setState(no int64, h *rules.Head) error {
	return t.prepare(qSetState).int(no).int(ownerOf(h)).int(h.Fence).time(h.Due).bool(h.Paused).optionalText(h.PauseReason).
		bool(h.Cancelled).optionalText(h.CancelReason).bool(h.Blocked).exec()
}

// tellParent puts the outcome of a child into the inbox of a parent that waits for it.
func (t *tx) tellParent(change rules.Change) error {
	if change.Outcome == nil {
		return nil
	}
	p := change.Head.Parent
	parent, err := t.find(p.ID, p.RunID)
	if err != nil || parent == nil || !parent.Open() {
		return err
	}
	fault.Point("close.tell")
	return t.deliver(parent, change.Outcome)
}
