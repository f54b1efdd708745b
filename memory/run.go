package memory

import (
	"cmp"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// run is one stored run. Everything in it is the backend's own copy.
type run struct {
	head       rules.Head            // set by Backend.set only
	info       lambdabiz.RunInfo     // what the head says of it is in step
	operations []lambdabiz.Operation // sorted by number
	messages   messages              // unconsumed
	keys       map[string]bool       // shared by the runs of a ContinueAsNew chain
	place      int64                 // in the order of creation
	follows    int64                 // the fence of the last applied commit

	inReady bool      // in Backend.ready
	inWakes time.Time // the newest entry in Backend.wakes; a run that parks until the same time needs no other
}

// put inserts or replaces an operation by its number.
func (r *run) put(op lambdabiz.Operation) {
	i, found := slices.BinarySearchFunc(r.operations, op.Number, func(o lambdabiz.Operation, n int64) int {
		return cmp.Compare(o.Number, n)
	})
	if found {
		r.operations[i] = op
	} else {
		r.operations = slices.Insert(r.operations, i, op)
	}
}

// consume removes messages. Cancel messages stay: every later holder has to see them.
func (r *run) consume(numbers []int64) {
	for _, n := range numbers {
		r.messages.remove(n)
	}
}

// newer returns copies of the messages with a number above seen.
func (r *run) newer(seen int64) []lambdabiz.Message { return r.messages.above(seen) }

func (r *run) ref() lambdabiz.RunRef {
	return lambdabiz.RunRef{ID: r.info.ID, RunID: r.info.RunID, Fence: r.head.Fence}
}

func (r *run) record() lambdabiz.Record {
	operations := make([]lambdabiz.Operation, len(r.operations))
	for i := range r.operations {
		operations[i] = cloneOperation(r.operations[i])
	}
	return lambdabiz.Record{
		RunInfo:    cloneInfo(r.info),
		Operations: operations,
		Messages:   r.messages.above(0),
	}
}

// set makes the run what a rule has said, gives it to its holder and enters it where a claim will find it.
func (b *Backend) set(r *run, h rules.Head) {
	if was := b.workers[r.head.Worker]; was != nil && h.Worker != r.head.Worker {
		delete(was.held, r)
	}
	if is := b.workers[h.Worker]; is != nil && h.Worker != r.head.Worker {
		is.held[r] = true
		if r.messages.last() > 0 { // its start may be answered without them
			is.news[r] = true
		}
	}
	r.head = h
	i := &r.info
	i.Status, i.Paused, i.PauseReason = h.Status, h.Paused, h.PauseReason
	i.CancelRequested, i.CancelReason = h.Cancelled, h.CancelReason
	i.Worker, i.WakeAt = h.Worker, h.WakeAt(i.ScheduledAt)
	if !h.Blocked {
		i.Blocked = nil
	}
	b.schedule(r)
}

// change does to a run what a rule has said, and tells a parent that waits.
func (b *Backend) change(r *run, c rules.Change, at time.Time) {
	if c.Withdraw {
		r.messages.withdraw(lambdabiz.MessagePause)
	}
	if c.Message != nil {
		b.put(r, *c.Message)
	}
	ended := r.head.Open() && !c.Head.Open()
	b.set(r, c.Head)
	if !ended {
		return
	}
	r.info.Error, r.info.EndedAt = cloneFailure(c.Error), at
	if c.Outcome == nil {
		return
	}
	if p := b.find(c.Head.Parent.ID, c.Head.Parent.RunID); p != nil && p.head.Open() {
		b.deliver(p, *c.Outcome)
	}
}

// deliver puts a message into the run's inbox and makes the run due.
func (b *Backend) deliver(r *run, m lambdabiz.Message) {
	b.put(r, m)
	b.set(r, rules.Deliver(r.head))
}

// put numbers a copy of a message, puts it into the run's inbox, and notes that the holder is to be told.
func (b *Backend) put(r *run, m lambdabiz.Message) {
	b.lastMsg++
	m.Number = b.lastMsg
	m.Payload, m.Error = clonePayload(m.Payload), cloneFailure(m.Error)
	r.messages.add(m)
	if w := b.workers[r.head.Worker]; w != nil {
		w.news[r] = true
	}
}
