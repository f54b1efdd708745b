package postgres

import (
	"maps"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// set makes a run what a rule has said.
func (b *batch) set(r *run, h rules.Head) {
	b.touch(r)
	r.head = h
	r.reflect()
	if h.Worker == 0 {
		r.news = false
	}
	b.wake = b.wake || h.Claimable() && !h.Due.IsZero()
}

// change does to a run what a rule has said, and tells a parent that waits.
func (b *batch) change(r *run, c rules.Change, at time.Time) {
	if c.Withdraw {
		b.writes.withdrawn = append(b.writes.withdrawn, r.no)
		pause := func(m lambdabiz.Message) bool { return m.Kind == lambdabiz.MessagePause }
		r.unread, r.added = slices.DeleteFunc(r.unread, pause), slices.DeleteFunc(r.added, pause)
	}
	if c.Message != nil {
		b.put(r, *c.Message)
	}
	ended := r.head.Open() && !c.Head.Open()
	b.set(r, c.Head)
	if !ended {
		return
	}
	r.record.Error, r.record.EndedAt = c.Error, at
	if c.Outcome == nil {
		return
	}
	if p := b.find(c.Head.Parent.ID, c.Head.Parent.RunID); p != nil && p.head.Open() {
		b.deliver(p, *c.Outcome)
	}
}

// deliver puts a message into the run's inbox and makes the run due.
func (b *batch) deliver(r *run, m lambdabiz.Message) {
	b.put(r, m)
	b.set(r, rules.Deliver(r.head))
}

// put numbers a message and puts it into the run's inbox, of which its holder is to hear.
func (b *batch) put(r *run, m lambdabiz.Message) {
	r.lastMessage++
	m.Number = r.lastMessage
	m.ArrivedAt = stamp(m.ArrivedAt)
	r.added = append(r.added, m)
	if r.head.Worker > 0 {
		r.news, b.wake = true, true
	}
	b.touch(r)
}

// start creates a run, unless its id is used and the policy says otherwise.
func (b *batch) start(c *lambdabiz.Commit, s *lambdabiz.RunStart) lambdabiz.StartVerdict {
	existing := b.find(s.ID, s.RunID)
	if existing == nil || s.RunID == "" {
		existing = b.find(s.ID, "")
	}
	if existing != nil {
		create, err := rules.Start(&existing.head, s)
		if !create {
			v := lambdabiz.StartVerdict{Err: err, Run: existing.ref(), Info: existing.record.RunInfo}
			v.Info.Tags = maps.Clone(v.Info.Tags)
			if !rules.StillHeld(&existing.head, s, c.Worker) {
				v.Run.Fence = 0
			}
			return v
		}
	}
	r := b.create(s, rules.New(s, c.Worker), c.At)
	b.deliverKept(r, c.At)
	v := lambdabiz.StartVerdict{Created: true, Run: r.held()}
	if r.head.Held {
		v.Messages = r.newer(0)
	}
	return v
}

// create makes a new run, the latest of its id.
func (b *batch) create(s *lambdabiz.RunStart, h rules.Head, at time.Time) *run {
	if former := b.latest[h.ID]; former != nil {
		former.latest = false
		if former.isPlace() {
			b.dropPlace(former)
		} else {
			b.touch(former)
		}
	}
	r := freshRun(b.t.b.numbers.next(), s, h, at)
	b.enter(r)
	b.set(r, h)
	return r
}

// freshRun is a run that is to be inserted, the latest of its id.
func freshRun(no int64, s *lambdabiz.RunStart, h rules.Head, at time.Time) *run {
	r := &run{fresh: true, input: s.Input}
	r.no, r.chain, r.latest = no, no, true
	info := &r.record.RunInfo
	info.ID, info.RunID, info.Name, info.Mode, info.Parent = h.ID, h.RunID, h.Name, h.Mode, h.Parent
	info.Tags, info.Deadline, info.ScheduledAt = s.Tags, stamp(s.Deadline), at
	if h.Status == lambdabiz.StatusStarted {
		info.StartedAt = at
	}
	r.head = h
	return r
}

// deliverKept moves the events that were kept for a start into the inbox of the new run.
func (b *batch) deliverKept(r *run, at time.Time) {
	s := b.kept[r.head.ID]
	if len(s.list) == 0 {
		return
	}
	for i := range s.list {
		if k := &s.list[i]; rules.Lasts(k.until, at) {
			b.deliverEvent(r, k.message)
		}
	}
	s.list = nil
	b.writes.dropped = append(b.writes.dropped, r.head.ID)
}

// raise puts an event into the inbox of a run, or keeps it for a start to come.
func (b *batch) raise(e *lambdabiz.Raise, at time.Time) lambdabiz.RaiseVerdict {
	r := b.find(e.ID, e.RunID)
	var h *rules.Head
	known := false
	if r != nil {
		h, known = &r.head, e.Key != "" && b.keys[keyed{r.chain, string(digest(e.Key))}]
	}
	route, v := rules.Raise(h, known, e, at)
	switch route {
	case rules.ToInbox:
		b.deliverEvent(r, rules.Event(e, at))
	case rules.ToKept:
		v.Receipt = b.keep(e, at)
	case rules.Nowhere:
	}
	return v
}

// deliverEvent delivers an event with its key.
func (b *batch) deliverEvent(r *run, m lambdabiz.Message) {
	if m.Key != "" {
		k := keyed{r.chain, string(digest(m.Key))}
		b.keys[k] = true
		b.writes.keys.add(k.chain, []byte(k.digest))
	}
	b.deliver(r, m)
}

// keep stores an event for a start to come, once by key. By the sender's clock only events for the same start have expired:
// it may be ahead, and what is kept for others is not its business.
func (b *batch) keep(e *lambdabiz.Raise, at time.Time) lambdabiz.Receipt {
	s := b.kept[e.ID]
	if e.Key != "" && slices.ContainsFunc(s.list, func(k shelved) bool {
		return k.message.Key == e.Key && rules.Lasts(k.until, at)
	}) {
		return lambdabiz.ReceiptRepeated
	}
	before := len(s.list)
	s.list = slices.DeleteFunc(s.list, func(k shelved) bool { return !rules.Lasts(k.until, at) })
	if len(s.list) < before {
		b.writes.expired.add(text(e.ID), at.UnixMicro())
	}
	s.last++
	m := rules.Event(e, at)
	m.Number = s.last
	s.list = append(s.list, shelved{message: m, until: stamp(e.Until), fresh: true})
	b.keepPlace(e.ID)
	return lambdabiz.ReceiptAdded
}

// keepPlace makes a row that stands where a run of the id will: a start that comes at the same time finds it, or is found.
func (b *batch) keepPlace(id string) {
	if there := b.latest[id]; there != nil {
		b.touch(there) // else a transaction with an older snapshot could take the row, and not see what is kept
		return
	}
	r := &run{fresh: true}
	r.no, r.latest = b.t.b.numbers.next(), true
	r.chain = r.no
	r.head.ID, r.record.ID = id, id
	b.enter(r)
	b.touch(r)
}

// dropPlace removes the row again, for a run.
func (b *batch) dropPlace(r *run) {
	if r.fresh {
		b.touched = slices.DeleteFunc(b.touched, func(x *run) bool { return x == r })
		return
	}
	b.writes.places = append(b.writes.places, r.no)
}

// control does what a person asks of a run.
func (b *batch) control(k *lambdabiz.Control, at time.Time) error {
	r := b.find(k.ID, k.RunID)
	var h *rules.Head
	if r != nil {
		h = &r.head
	}
	change, err := rules.Control(h, k, at)
	if err == nil {
		b.change(r, change, at)
	}
	return err
}
