package sqlite

import (
	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// end ends the run that a commit writes, and begins the next run of a chain.
func (t *tx) end(c *lambdabiz.Commit, h *head) error {
	if !h.Open() {
		return nil // a control in this commit terminated its own run
	}
	before := *h
	if err := t.change(c, h, rules.Close(h.Head, c.Close, c.At), c.Close); err != nil {
		return err
	}
	fault.Point("close.written")
	t.witnessEnd(h)
	if c.Close.Next == nil {
		return nil
	}
	fault.Point("continue.start")
	return t.proceed(c, &before)
}

// witnessEnd makes the end of the run tell whether the transaction was applied: under this fence only
// its holder can have ended it, and a termination bumps the fence.
func (t *tx) witnessEnd(h *head) {
	no, fence := h.no, h.Fence
	t.witness = func(c *conn) (bool, error) {
		now, err := c.prepare(qRunHead).int(no).head()
		return now != nil && now.Fence == fence && !now.Open(), err
	}
}
