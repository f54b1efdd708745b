package sqlite

import (
	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// raise puts an event into the inbox of a run, or keeps it for a start to come.
func (t *tx) raise(c *lambdabiz.Commit, r *lambdabiz.Raise) (v lambdabiz.RaiseVerdict, err error) {
	h, err := t.find(r.ID, r.RunID)
	if err != nil {
		return v, err
	}
	known := false
	if h != nil && r.Key != "" {
		if known, err = t.prepare(qFindKey).int(h.chain).text(r.Key).found(); err != nil {
			return v, err
		}
	}
	fault.Point("raise.found")
	route, v := rules.Raise(ruled(h), known, r, c.At)
	switch route {
	case rules.ToInbox:
		m := rules.Event(r, c.At)
		err = t.deliverEvent(h, &m)
	case rules.ToKept:
		v.Receipt, err = t.keep(c, r)
	case rules.Nowhere:
	}
	return v, err
}

// deliverEvent delivers an event with its key.
func (t *tx) deliverEvent(h *head, m *lambdabiz.Message) error {
	if m.Key != "" {
		if err := t.prepare(qInsertKey).int(h.chain).text(m.Key).exec(); err != nil {
			return err
		}
	}
	fault.Point("raise.deliver")
	return t.deliver(h, m)
}

// deliver puts a message into an inbox and makes the run due, if a message can.
func (t *tx) deliver(h *head, m *lambdabiz.Message) error {
	fault.Point("deliver.insert")
	if err := t.insertMessage(h, m); err != nil {
		return err
	}
	now := rules.Deliver(h.Head)
	if now == h.Head {
		return nil
	}
	h.Head = now
	fault.Point("deliver.wake")
	return t.prepare(qSetDue).int(h.no).time(now.Due).exec()
}

// keep stores an event for a start to come, once by key. By the sender's clock only events for the same start have
// expired: it may be ahead, and what is kept for others is not its business.
func (t *tx) keep(c *lambdabiz.Commit, r *lambdabiz.Raise) (lambdabiz.Receipt, error) {
	if r.Key != "" {
		seen, err := t.prepare(qFindKeptKey).text(r.ID).text(r.Key).micros(c.At).found()
		if err != nil || seen {
			return lambdabiz.ReceiptRepeated, err
		}
	}
	fault.Point("keep.expire")
	if err := t.prepare(qExpireOwn).text(r.ID).micros(c.At).exec(); err != nil {
		return lambdabiz.ReceiptUnknown, err
	}
	fault.Point("keep.insert")
	return lambdabiz.ReceiptAdded, t.prepare(qInsertKept).text(r.ID).micros(r.Until).time(c.At).
		optionalText(r.Name).optionalText(r.Key).blob(r.Payload).exec()
}
