package sqlite

import (
	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// control does what a person asks of a run. It returns the refusal, if any, and the fault.
func (t *tx) control(c *lambdabiz.Commit, k *lambdabiz.Control) (refusal, err error) {
	h, err := t.find(k.ID, k.RunID)
	if err != nil {
		return nil, err
	}
	change, refusal := rules.Control(ruled(h), k, c.At)
	if refusal != nil {
		return refusal, nil
	}
	t.wake = true
	return nil, t.change(c, h, change, &lambdabiz.Close{})
}
