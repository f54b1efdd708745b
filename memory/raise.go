package memory

import (
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// kept is an event that waits for a start.
type kept struct {
	raise lambdabiz.Raise
	at    time.Time
	until time.Time
}

// raise applies one event of a commit.
func (b *Backend) raise(e lambdabiz.Raise, at time.Time) error {
	r := b.find(e.ID, e.RunID)
	switch {
	case r != nil && e.Key != "" && r.keys[e.Key]:
		return nil
	case r != nil && r.open():
		b.deliverEvent(r, e, at)
		return nil
	case e.RunID == "" && (r == nil || e.AfterEnd) && stamp(e.Until).After(at):
		b.keep(e, at)
		return nil
	case r == nil:
		return lambdabiz.ErrNotFound
	default:
		return lambdabiz.ErrClosed
	}
}

func (b *Backend) deliverEvent(r *run, e lambdabiz.Raise, at time.Time) {
	if e.Key != "" {
		r.keys[e.Key] = true
	}
	b.deliver(r, lambdabiz.Message{
		Kind:      lambdabiz.MessageEvent,
		Name:      e.Name,
		Key:       e.Key,
		Payload:   clonePayload(e.Payload),
		ArrivedAt: at,
	})
}

// keep stores an event for a start to come, unless its key is kept already.
func (b *Backend) keep(e lambdabiz.Raise, at time.Time) {
	live := slices.DeleteFunc(b.kept[e.ID], func(k kept) bool { return !k.until.After(at) })
	known := e.Key != "" && slices.ContainsFunc(live, func(k kept) bool { return k.raise.Key == e.Key })
	if !known {
		until := stamp(e.Until)
		e.Payload = clonePayload(e.Payload)
		live = append(live, kept{raise: e, at: at, until: until})
	}
	b.kept[e.ID] = live
}
