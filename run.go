package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/slots"
)

// run is one orchestration in memory: its recorded operations by id, its branches, and its pending
// changes. Branches are ordinary goroutines; mu guards everything below it and is never held over I/O
// or author's code. Lock order: run.mu, then the locks of the engine.
type run struct {
	env *env
	driver
	def  *definitionSpec
	info RunInfo // as claimed
	root *scope

	base      context.Context //nolint:containedctx // ends when the run leaves this process
	endBase   context.CancelCauseFunc
	done      chan struct{} // closed when the run is dead
	abandoned chan struct{} // closed when the worker gives up on it
	givenUp   sync.Once

	mu    sync.Mutex
	moved sync.Cond // durable, claimed, committing or phase has changed

	// stirred: a branch has begun or ended something, or moved. Races wait for it: if all who wait for a commit
	// were woken whenever anything begins, a fan-out would cost the square of its width.
	stirred sync.Cond

	started bool // its code runs in this process
	phase   phase
	cause   error    // why it is not live
	release *Release // how it stops
	closing *Close   // its function has returned
	outcome *Close   // the closing, once it is durable

	changes
	hold
	record      record
	repeats     *repeats           // nil until something new is looked for
	intercepted map[string]*waiter // operations that a test holds, by path
	held        []heldOp           // operations that wait until it is sure that they repeat nothing
	trail       trail              // of what the function waits for
	doubted     bool               // it is looked again soon whether branches wait for each other
	barrier     barrier
	committing  bool
	submission  submission // of the commit that is on its way: there is one at a time
	forced      bool       // a stopping run is released although bodies go on
	parking     bool

	letters letterbox
	seen    int64 // the number of the last message
	arrived []Message
	ahead   earlyMessages // of a claim to come, where commits end claims
	inbox   inbox

	waiters
	target   uint64               // the most that a flusher has waited for
	turns    map[*slots.Turn]bool // branches that wait for a slot, and whether they are detached; flushers count them
	alarm    time.Time            // what the engine's alarm is set to
	fireLate bool                 // the alarm rang during a commit

	branchesEnded uint64
	begun         atomic.Int32 // branches since the run gave way

	stopCause error       // why the contexts of its code have ended: cancellation or deadline
	left      atomic.Bool // it is dead: its code logs nothing any more
}

// log is for what seldom happens: it makes a logger. It may be used with mu held.
func (r *run) log() *slog.Logger { return r.env.log.With(r.ids()...) }

// event says to hooks which run they are told of.
func (r *run) event(status Status) RunEvent {
	return RunEvent{r.info.ID, r.info.RunID, r.info.Name, status}
}

func (r *run) ids() []any { return []any{"orchestration", r.info.ID, "run", r.info.RunID} }

// leaveLocked ends the calling goroutine, which holds mu: the run is not live, or the scope is closed.
// A goroutine that belongs to the caller of an orchestration driven by hand gets an error instead.
func (r *run) leaveLocked(s *scope) error {
	s.busy = nil
	if r.hand && s.parent == nil {
		return r.leaveByHandLocked(s, false)
	}
	r.mu.Unlock()
	runtime.Goexit()
	return nil
}

// leaveAtBeginLocked is leaveLocked for code that would begin something in a run that is not live. The context of a caller
// by hand has one goroutine: if that is in an operation, or waits for bodies to leave, who comes here is one of these
// bodies, and must not wait for its own end.
func (r *run) leaveAtBeginLocked(s *scope) error {
	if !r.hand || s.parent != nil {
		return r.leaveLocked(s)
	}
	switch l := s.leaving; {
	case l != nil && l.atBegin: // it may have been a body, and this is the caller
		l.cross()
		r.moved.Broadcast()
	case l == nil && s.busy == nil:
		return r.leaveByHandLocked(s, true)
	}
	defer r.mu.Unlock()
	return r.crossedLocked()
}

// crossedLocked is what a caller by hand gets whose context is used by a body, too, and that body.
func (r *run) crossedLocked() error {
	return fmt.Errorf("a context is used by two goroutines at once: it is not for bodies, which still run as the run leaves: %w", r.cause)
}

func (l *leaving) cross() {
	if !l.over {
		l.over = true
		close(l.crossed)
	}
}

// leaveByHandLocked waits for bodies that still run, and gives mu up: the caller's process may end with it, and what they
// come to is on disk by then.
func (r *run) leaveByHandLocked(s *scope, atBegin bool) error {
	l := &leaving{atBegin: atBegin, crossed: make(chan struct{})}
	s.leaving = l
	defer func() {
		if s.leaving == l {
			s.leaving = nil
		}
		r.mu.Unlock()
	}()
	for r.phase == phaseStopping && !l.over {
		r.moved.Wait()
	}
	err, served := r.cause, r.served
	if _, paused := err.(*PausedError); paused && served != nil { //nolint:errorlint // the engine's own
		r.mu.Unlock()
		select {
		case <-served: // tasks that the home has given to this process have ended
		case <-r.caller:
		case <-l.crossed:
		}
		r.mu.Lock()
	}
	if l.over {
		return r.crossedLocked()
	}
	return err
}

// goesOnLocked reports whether operations of code in the scope can be performed, or read from the record of a run that has
// ended.
func (r *run) goesOnLocked(s *scope) bool { return r.liveLocked(s) || r.replayOnly }

// liveLocked reports whether code in the scope may go on.
func (r *run) liveLocked(s *scope) bool { return r.phase == phaseLive && !s.isClosed() }

// evictLocked ends the run in this process at once. What is pending is dropped: it was never
// acknowledged, or somebody else owns the run.
func (r *run) evictLocked(cause error) {
	if r.phase == phaseDead {
		return
	}
	if r.phase == phaseLive {
		r.cause = cause
	}
	r.phase = phaseDead
	r.left.Store(true)
	r.endBase(cause)
	r.wakeAllLocked()
	close(r.done) // before others are told that it has left
	r.env.owner.forget(r)
	if r.unwatch != nil {
		r.unwatch()
	}
}

func (r *run) wakeAllLocked() {
	r.endTurnsLocked(true)
	for w := range r.waiting {
		r.wakeLocked(w)
	}
	r.moved.Broadcast()
	r.stirred.Broadcast()
}

// wakeLocked lets a blocked branch go on.
func (r *run) wakeLocked(w *waiter) {
	if r.wake(w) && r.active == 1 {
		r.env.idle.Remove(r)
	}
}

// commitEndsClaim reports whether a commit of this run ends its claim, and the next one comes when something has
// happened.
func (r *run) commitEndsClaim() bool { return r.env.endsClaim }

// writer is the worker that commits; a run driven by hand has none.
func (r *run) writer() int64 {
	if r.hand {
		return 0
	}
	return r.env.worker.Load()
}

// hookEnded tells the telemetry that an operation has ended.
func (r *run) hookEnded(o *op) { r.env.hooks.operation(r.event(StatusStarted), &o.Operation, false) }

// pausedBy is why a run stops that such a message has come for.
func (r *run) pausedBy(m *Message) error {
	err := &PausedError{ID: r.info.ID}
	if m.Error != nil {
		err.Reason = m.Error.Message
	}
	return err
}

// evict ends a run in this process at once.
func (r *run) evict(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evictLocked(cause)
}

func (r *run) sizeLocked() int64 {
	return int64(runBytes+len(r.info.Input)) + r.record.bytes + r.inbox.bytes
}

// runBytes is the estimated memory of a waiting run beside its payloads: stacks and maps.
const runBytes = 12 << 10

// endTurnsLocked lets branches that wait for a slot go on without one; those of detached code only if detached is true.
func (r *run) endTurnsLocked(detached bool) {
	for t, free := range r.turns {
		if detached || !free {
			r.env.slots.Leave(t)
		}
	}
}

// gaveUp returns ErrFenced once this process has given the run up, because its store did not answer while the worker
// stopped: nothing more may be written for it here.
func (r *run) gaveUp() error {
	select {
	case <-r.abandoned:
		return ErrFenced
	default:
		return nil
	}
}

// restLocked reports whether all branches, but so many of the active ones, have ended, wait, or are in a body or
// before one.
func (r *run) restLocked(but int) bool { return r.active-but <= r.bodies+len(r.turns) }

func (r *run) leftBecause(c *Commit) error {
	switch {
	case c.Close != nil:
		return ErrClosed
	case r.cause != nil:
		return r.cause
	default:
		return errParked
	}
}

var errParked = errors.New("orchestration is parked")

// nextDueLocked is when the run has something to do by time; zero for never.
func (r *run) nextDueLocked() time.Time {
	next := r.nextDue()
	if d := r.info.Deadline; !d.IsZero() && r.stopCause == nil && (next.IsZero() || d.Before(next)) {
		next = d
	}
	return next
}

// armLocked sets the engine's alarm to the next thing that is due.
func (r *run) armLocked() {
	if r.commitEndsClaim() {
		return // the backend claims the run when it is due
	}
	next := r.nextDueLocked()
	if !next.Equal(r.alarm) {
		r.alarm = next
		r.env.alarms.Set(r, next)
	}
}

// openBarrierLocked admits the bodies that wait, if they may begin. The caller wakes who waits for a commit.
func (r *run) openBarrierLocked() {
	b := &r.barrier
	if b.waiting > 0 && r.isOpenLocked() {
		b.opened++
		b.admitted += b.waiting
		b.waiting = 0
	}
}

// isOpenLocked reports whether all that was given is durable, under a claim.
func (r *run) isOpenLocked() bool { return r.durable >= r.barrier.given && r.claimed }

// standingLocked is how the run stands.
func (r *run) standingLocked() standing {
	return standing{
		phase: r.phase, closing: r.closing != nil, claimed: r.claimed, committing: r.committing, perCommit: r.commitEndsClaim(),
		hand: r.hand, pending: !r.pending.empty(), timeouts: len(r.pending.timeouts) > 0,
		active: r.active, flushers: r.flushers, durable: r.durable, target: r.target,
	}
}
