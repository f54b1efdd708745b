package sqlite

import (
	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// raise puts an event into the inbox of a run, or keeps it for a start to come.
func (t *tx) raise(c *lambdabiz.Commit, r *lambdabiz.Raise) (v lambdabiz.RaiseVerdict, err error) {
	h, err := t.findHead(r.ID, r.RunID)
	if err != nil {
		return v, err
	}
	if h != nil && r.Key != "" {
		if seen, err := t.prepare(qFindKey).int(h.chain).text(r.Key).found(); err != nil || seen {
			v.Receipt = lambdabiz.ReceiptRepeated
			return v, err
		}
	}
	fault.Point("raise.found")
	if h == nil || h.status.Ended() {
		switch {
		case r.RunID == "" && (h == nil || r.AfterEnd) && r.Until.After(c.At):
			v.Receipt, err = t.keep(c, r)
		case h == nil:
			v.Err = lambdabiz.ErrNotFound
		default:
			v.Err = lambdabiz.ErrClosed
		}
		return v, err
	}
	if r.Key != "" {
		if err := t.prepare(qInsertKey).int(h.chain).text(r.Key).exec(); err != nil {
			return v, err
		}
	}
	fault.Point("raise.deliver")
	v.Receipt = lambdabiz.ReceiptAdded
	return v, t.deliver(c, h.no, &lambdabiz.Message{
		Kind: lambdabiz.MessageEvent, Name: r.Name, Key: r.Key, Payload: r.Payload, ArrivedAt: c.At,
	})
}

// deliver puts a message into an inbox and makes the run due, if a message can.
func (t *tx) deliver(_ *lambdabiz.Commit, no int64, m *lambdabiz.Message) error {
	t.wake = true
	fault.Point("deliver.insert")
	if err := t.insertMessage(no, m); err != nil {
		return err
	}
	fault.Point("deliver.wake")
	return t.prepare(qWake).int(no).int(atOnce).exec()
}

// keep stores an event for a start to come, once by key. By the sender's clock only events for the same start have
// expired: it may be ahead, and what is kept for others is not its business.
func (t *tx) keep(c *lambdabiz.Commit, r *lambdabiz.Raise) (lambdabiz.Receipt, error) {
	if r.Key != "" {
		seen, err := t.prepare(qFindKeptKey).text(r.ID).text(r.Key).int(micros(c.At)).found()
		if err != nil || seen {
			return lambdabiz.ReceiptRepeated, err
		}
	}
	fault.Point("keep.expire")
	if err := t.prepare(qExpireOwn).text(r.ID).int(micros(c.At)).exec(); err != nil {
		return lambdabiz.ReceiptUnknown, err
	}
	fault.Point("keep.insert")
	return lambdabiz.ReceiptAdded, t.prepare(qInsertKept).text(r.ID).int(micros(r.Until)).time(c.At).
		optionalText(r.Name).optionalText(r.Key).blob(r.Payload).exec()
}
