package memory

import (
	"cmp"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// run is one stored run. Everything in it is the backend's own copy.
type run struct {
	info       lambdabiz.RunInfo
	operations []lambdabiz.Operation // sorted by number
	messages   messages              // unconsumed
	keys       map[string]bool       // shared by the runs of a ContinueAsNew chain
	place      int64                 // in the order of creation

	fence   int64
	held    bool
	follows int64 // the fence of the last applied commit

	kick bool  // due whatever the rest says; only a claim clears it
	seen int64 // the last message that the commit which ended the claim had seen

	crashes int
	atCrash int // what was recorded at the last crash

	inReady bool      // in Backend.ready
	inWakes time.Time // the newest entry in Backend.wakes; a run that parks until the same time needs no other
}

func (r *run) open() bool { return !r.info.Status.Ended() }

// claimable says whether a worker may take the run once there is a reason to.
func (r *run) claimable() bool {
	return r.open() && !r.held && !r.info.Paused && r.info.Mode == lambdabiz.ModeWorker
}

// called says whether there is a reason to claim the run that no clock decides.
func (r *run) called() bool {
	if r.kick {
		return true
	}
	return r.info.Blocked == nil && r.messages.last() > r.seen
}

func (r *run) dueAt(now time.Time) bool {
	return r.claimable() && (r.called() || !r.info.WakeAt.IsZero() && !r.info.WakeAt.After(now))
}

// recorded grows with every new record: with an operation, and again with its end.
func (r *run) recorded() int {
	n := len(r.operations)
	for i := range r.operations {
		if r.operations[i].Status.Ended() {
			n++
		}
	}
	return n
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
	return lambdabiz.RunRef{ID: r.info.ID, RunID: r.info.RunID, Fence: r.fence}
}

// listed is what others are told of the run: one that is due at once has a time to wake too.
func (r *run) listed(info lambdabiz.RunInfo) lambdabiz.RunInfo {
	info = cloneInfo(info)
	if r.claimable() && r.called() {
		info.WakeAt = info.ScheduledAt
	}
	return info
}

func (r *run) record() lambdabiz.Record {
	operations := make([]lambdabiz.Operation, len(r.operations))
	for i := range r.operations {
		operations[i] = cloneOperation(r.operations[i])
	}
	return lambdabiz.Record{
		RunInfo:    r.listed(r.info),
		Operations: operations,
		Messages:   r.messages.above(0),
	}
}

// hold gives the run to a worker, or to a caller by hand when w is nil, under a new fence.
func (r *run) hold(w *worker) {
	r.fence++
	r.held, r.kick = true, false
	r.info.WakeAt = time.Time{}
	if w != nil {
		r.info.Worker = w.record.Number
		w.held[r] = true
		if r.messages.last() > 0 { // its start may be answered without them
			w.news[r] = true
		}
	}
}

// announce notes that the holder is to be told of a message.
func (b *Backend) announce(r *run) {
	if w := b.workers[r.info.Worker]; w != nil && r.held {
		w.news[r] = true
	}
}

// free ends the claim, if there is one.
func (b *Backend) free(r *run) {
	if w := b.workers[r.info.Worker]; w != nil {
		delete(w.held, r)
	}
	r.held, r.info.Worker = false, 0
}

// deliver puts a message into the run's inbox and makes the run due.
func (b *Backend) deliver(r *run, m lambdabiz.Message) {
	b.lastMsg++
	m.Number = b.lastMsg
	r.messages.add(m)
	b.announce(r)
	b.schedule(r)
}
