package memory

import (
	"maps"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// kept is an event that waits for a start.
type kept struct {
	raise lambdabiz.Raise
	at    time.Time
	until time.Time
}

// raise applies one event of a commit.
func (b *Backend) raise(e *lambdabiz.Raise, at time.Time) lambdabiz.RaiseVerdict {
	var h *rules.Head
	r := b.find(e.ID, e.RunID)
	if r != nil {
		h = &r.head
	}
	route, verdict := rules.Raise(h, r != nil && r.keys[e.Key], e, at)
	switch route {
	case rules.ToInbox:
		b.deliverEvent(r, e, at)
	case rules.ToKept:
		verdict.Receipt = b.keep(*e, at)
	case rules.Nowhere:
	}
	return verdict
}

func (b *Backend) deliverEvent(r *run, e *lambdabiz.Raise, at time.Time) {
	if e.Key != "" {
		r.keys[e.Key] = true
	}
	b.deliver(r, rules.Event(e, at))
}

// shelf is the events that wait for a start of one id.
type shelf struct {
	list []kept
	keys map[string]time.Time // until when an event with the key is kept
	most int                  // in list, before those are looked for whose time is over
}

// keep stores an event for a start to come, unless its key is kept already.
func (b *Backend) keep(e lambdabiz.Raise, at time.Time) lambdabiz.Receipt {
	s := b.kept[e.ID]
	if s == nil {
		s = &shelf{keys: map[string]time.Time{}, most: 16}
		b.kept[e.ID] = s
	}
	if e.Key != "" && rules.Lasts(s.keys[e.Key], at) {
		return lambdabiz.ReceiptRepeated
	}
	if len(s.list) >= s.most {
		s.list = slices.DeleteFunc(s.list, func(k kept) bool { return !rules.Lasts(k.until, at) })
		maps.DeleteFunc(s.keys, func(_ string, until time.Time) bool { return !rules.Lasts(until, at) })
		s.most = max(16, 2*len(s.list))
	}
	until := stamp(e.Until)
	e.Payload = clonePayload(e.Payload)
	s.list = append(s.list, kept{raise: e, at: at, until: until})
	if e.Key != "" {
		s.keys[e.Key] = until
	}
	return lambdabiz.ReceiptAdded
}
