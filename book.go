package lambdabiz

import (
	"log/slog"
	"time"
)

// book is what the code of a run has come to: what is recorded, what has come for it and what it waits for. It says how
// operations and branches end, and keeps account of that in its parts; what follows outside of the run is for others: it
// knows nothing of claims, commits or goroutines, and calls nobody who could wait. run.mu guards it.
type book struct {
	env  *env
	info RunInfo // as claimed
	root *scope

	life
	driver
	changes
	waiters
	record record
	inbox  inbox
	held   heldOps
	cancel cancellation

	branchesEnded uint64
	intercepted   map[string]*waiter // operations that a test holds, by path

	// stirs: a branch has begun or ended something, or moved, and those are to be told who wait for that.
	stirs bool
}

// log is for what seldom happens: it makes a logger. It may be used with mu held.
func (b *book) log() *slog.Logger { return b.env.log.With(b.ids()...) }

// event says to hooks which run they are told of.
func (b *book) event(status Status) RunEvent {
	return RunEvent{b.info.ID, b.info.RunID, b.info.Name, status}
}

func (b *book) ids() []any { return []any{"orchestration", b.info.ID, "run", b.info.RunID} }

// goesOn reports whether operations of code in the scope can be performed, or read from the record of a run that has
// ended.
func (b *book) goesOn(s *scope) bool { return b.isLive(s) || b.replays() }

// isLive reports whether code in the scope may go on.
func (b *book) isLive(s *scope) bool { return b.phase == phaseLive && !s.isClosed() }

func (b *book) size() int64 {
	return int64(runBytes+len(b.info.Input)) + b.record.bytes + b.inbox.bytes
}

// endTurns lets branches that wait for a slot go on without one; those of detached code only if detached is true.
func (b *book) endTurns(detached bool) {
	for t, free := range b.turns {
		if detached || !free {
			b.env.slots.Leave(t)
		}
	}
}

// dueNext is when the run has something to do by time; zero for never.
func (b *book) dueNext() time.Time {
	next := b.nextDue()
	if d := b.info.Deadline; !d.IsZero() && b.cancel.cause == nil && (next.IsZero() || d.Before(next)) {
		next = d
	}
	return next
}

// hookEnded tells the telemetry that an operation has ended.
func (b *book) hookEnded(o *op) { b.env.hooks.operation(b.event(StatusStarted), &o.Operation, false) }

// runBytes is the estimated memory of a waiting run beside its payloads: stacks and maps.
const runBytes = 12 << 10

// rested tells the test that all code of the run waits. It reports whether some of it goes on.
func (b *book) rested() bool {
	if b.env.interceptor == nil {
		return false
	}
	woken := false
	for _, path := range b.env.interceptor.Rest(b.info.ID) {
		if w := b.intercepted[path]; w != nil {
			b.wake(w)
			woken = true
		}
	}
	return woken
}

// writer is the worker that commits; a run driven by hand has none.
func (b *book) writer() int64 {
	if b.isByHand() {
		return 0
	}
	return b.env.worker.Load()
}
