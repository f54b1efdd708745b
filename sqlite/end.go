package sqlite

import (
	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// end ends the run that a commit writes, tells its parent, and begins the next run of a chain.
func (t *tx) end(c *lambdabiz.Commit, h *head, v *lambdabiz.Verdict) error {
	k := c.Close
	fault.Point("close.write")
	err := t.prepare(qClose).int(h.no).int(int64(k.Status)).int(micros(c.At)).blob(k.Result).
		json(k.Error, k.Error == nil).json(k.Orphans, len(k.Orphans) == 0).exec()
	if err != nil {
		return err
	}
	fault.Point("close.written")
	t.witnessEnd(h)
	if k.Next == nil {
		return t.tellParent(c, h, k)
	}
	fault.Point("continue.start")
	next := *k.Next
	next.ID = h.id
	verdict, err := t.start(c, &next, h)
	if err != nil {
		return err
	}
	if verdict.Run.Fence != 0 {
		v.Starts = append(v.Starts, verdict)
	}
	fault.Point("continue.link")
	return t.prepare(qContinue).text(next.RunID).int(h.no).exec()
}

// witnessEnd makes the end of the run tell whether the transaction was applied: under this fence only
// its holder can have ended it, and a termination bumps the fence.
func (t *tx) witnessEnd(h *head) {
	no, fence := h.no, h.fence
	t.witness = func(c *conn) (bool, error) {
		now, err := c.prepare(qRunHead).int(no).head()
		return now != nil && now.fence == fence && now.status.Ended(), err
	}
}

// tellParent puts the outcome of a child into the inbox of a parent that waits for it.
func (t *tx) tellParent(c *lambdabiz.Commit, h *head, k *lambdabiz.Close) error {
	if h.parent == nil || h.parent.Detached {
		return nil
	}
	parent, err := t.findHead(h.parent.ID, h.parent.RunID)
	if err != nil || parent == nil || parent.status.Ended() {
		return err
	}
	fault.Point("close.tell")
	return t.deliver(c, parent.no, &lambdabiz.Message{
		Kind: lambdabiz.MessageChild, Operation: h.parent.Operation, Status: k.Status,
		Payload: k.Result, Error: k.Error, ArrivedAt: c.At, Name: h.id,
	})
}
