package lambdabiz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/slots"
)

// phase is where a resident run is in its life in this process.
type phase uint8

const (
	phaseLive     phase = iota // its code runs
	phaseStopping              // its code unwinds; bodies that still run are recorded
	phaseDead                  // no commit, panic, error, log line or return of it counts any more
)

// run is one orchestration in memory: its recorded operations by id, its branches, and its pending
// changes. Branches are ordinary goroutines; mu guards everything below it and is never held over I/O
// or author's code. Lock order: run.mu, then the locks of the engine.
type run struct {
	env  *env
	hand bool
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

	ref     RunRef
	claimed bool            // ref may be committed with; false between commits where a commit ends the claim
	applied int64           // the fence of the last commit that was applied, where commits end claims
	until   time.Time       // when the claim ends by itself; zero for never
	renew   bool            // the claim is too short for what comes: the next commit shall end it
	unwatch func() bool     // ends the watch on the context given to Create
	polling bool            // a run driven by hand will look for messages
	caller  <-chan struct{} // closed when the context given to Create has ended
	served  chan struct{}   // a run driven by hand performs its own local attempts: closed when the last has ended
	started bool            // its code runs in this process
	ended   bool            // driven by hand, and the run was over when it was claimed
	paused  error           // driven by hand: it was paused when it was to be claimed, and is not
	looked  time.Time       // driven by hand: when it was last asked for messages
	phase   phase
	cause   error    // why it is not live
	release *Release // how it stops
	closing *Close   // its function has returned
	outcome *Close   // the closing, once it is durable

	record     record
	repeats    *repeats           // nil until something new is looked for
	tested     map[string]*waiter // operations that a test holds, by path
	held       []heldOp           // operations that wait until it is sure that they repeat nothing
	doubted    bool               // it is looked again soon whether branches wait for each other
	pending    pending
	changed    uint64 // counts changes
	durable    uint64
	barrier    barrier
	since      time.Time // when the oldest pending change was made
	committing bool
	submission submission // of the commit that is on its way: there is one at a time
	forced     bool       // a stopping run is released although bodies go on
	parking    bool
	fetch      bool // the next commit asks for messages

	letters letterbox
	seen    int64 // the number of the last message
	arrived []Message
	ahead   earlyMessages // of a claim to come, where commits end claims
	inbox   inbox

	active   int // branches that are not blocked in an operation; those in flushers are active too
	flushers int
	target   uint64 // the most that a flusher has waited for
	bodies   int
	waiting  map[*waiter]struct{}
	turns    map[*slots.Turn]*call // branches that wait for a slot; flushers count them
	dues     dueHeap
	alarm    time.Time // what the engine's alarm is set to
	fireLate bool      // the alarm rang during a commit

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

func newRun(ctx context.Context, e *env, c *Claimed) *run {
	r := &run{
		env: e, hand: c.Mode == ModeHand, info: c.RunInfo, ref: c.Ref, claimed: true,
		applied: c.Follows, until: c.Until,
		done: make(chan struct{}), abandoned: make(chan struct{}),
		active: 1,
	}
	r.barrier.begun.L = &r.mu
	r.info.Deadline = deadlineHere(&c.RunInfo)
	r.moved.L, r.stirred.L = &r.mu, &r.mu
	r.record.reset(len(c.Operations))
	r.base, r.endBase = context.WithCancelCause(ctx)
	r.root = newScope(r.base, nil, "", false)
	r.root.place = &r.record.root
	for i := range c.Operations {
		r.load(c.Operations[i])
	}
	if r.record.anyLost {
		r.inbox.leaveLost()
	}
	return r
}

// deadlineHere is a run's deadline by the clock of those who work on it. It was counted by the clock of who started the
// run; a run that began before it was scheduled tells that this clock is ahead, and by how much at least.
func deadlineHere(info *RunInfo) time.Time {
	if info.Deadline.IsZero() {
		return info.Deadline
	}
	begun := info.StartedAt
	if begun.IsZero() {
		begun = now()
	}
	return info.Deadline.Add(-max(0, info.ScheduledAt.Sub(begun)))
}

// load takes a recorded operation in. Operations come in the order of their numbers.
func (r *run) load(rec Operation) {
	o := &op{Operation: rec, loaded: true}
	o.takeTried()
	r.record.load(o)
	if o.Tried != nil && !o.tried { // final, and not in the record yet
		o.Tried = nil
		r.touchLocked(o)
	}
	switch {
	case rec.Kind == KindEvent && !rec.Status.Ended():
		r.inbox.expect(o, false)
	case rec.Kind == KindRace && rec.Status == StatusSucceeded:
		var race raceResult
		if json.Unmarshal(rec.Result, &race) == nil {
			for _, path := range race.Losers {
				r.record.lose(r.record.placeAt(path))
			}
		}
	}
}

// main runs the orchestration's function from its top.
func (r *run) main() {
	finished := false
	defer func() { r.exit(r.root, finished) }()
	out, err := guard(func() (any, error) { return r.def.run(r.view(r.root), &r.env.payloads, r.info.Input) })
	_, _ = guard(func() (any, error) { // returned says what is wrong with an error whose methods panic
		if _, continues := asContinue(err); continues {
			r.pace()
		}
		return nil, nil
	})
	r.returned(out, err)
	finished = true
}

// leastRun is how long a run of a chain takes at least that has nothing to show for it.
const leastRun = time.Second

// pace holds a run back that is about to continue as new and has recorded nothing, or was to end: else a chain that
// ignores its cancellation would begin new runs as fast as the store can write. The first run of a chain need not wait,
// nor one that has waited by itself.
func (r *run) pace() {
	r.mu.Lock()
	idle := r.info.Previous != "" && (r.record.last == 0 || r.stopCause != nil)
	wait := min(leastRun-time.Since(r.info.ScheduledAt), leastRun) // whose clock may be another one
	r.mu.Unlock()
	if !idle || wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.base.Done():
	case <-r.abandoned:
	}
}

// returned takes what the function returned. Author's values are encoded and asked without mu.
func (r *run) returned(out any, err error) {
	r.mu.Lock()
	in, cause := r.info, r.stopCause
	unbegun := r.endsUnbegunLocked()
	r.mu.Unlock()
	v, fault := guard(func() (any, error) {
		var p *panicError
		var bad *undecodableError
		switch {
		case errors.As(err, &bad) && unbegun:
			return r.closeUnbegun(bad), nil
		case errors.As(err, &p), errors.As(err, &bad):
			return nil, err
		}
		return r.closeOf(in, cause, out, err), nil
	})
	p, reason := panicIn(fault), ""
	if fault != nil {
		reason = textOf(fault)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != phaseLive || r.closing != nil {
		return
	}
	if cl, ok := v.(*Close); ok && cl != nil && cl.Next != nil {
		if child := r.openChildLocked(); child != "" {
			if unable := r.env.desc.supports(FeatureLeaveChildren); unable != nil && fault == nil {
				fault, reason = unable, unable.Error()
			}
		}
	}
	switch {
	case p != nil:
		r.log().Error("orchestration panicked", "panic", p.text, "stack", p.stack)
		r.blockLocked(Blocked{Reason: p.Error(), Source: p.source, Detail: cut(p.stack, 4<<10)})
		return
	case fault != nil:
		r.blockLocked(Blocked{Reason: reason})
		return
	}
	r.closing, _ = v.(*Close)
	if r.closing.Orphans = r.record.orphans(); len(r.closing.Orphans) > 0 {
		r.log().Warn("the code has ended without operations that are recorded", "orphans", r.closing.Orphans)
	}
	for _, p := range slices.Clone(r.record.root.busy) {
		if p.scope != nil {
			r.cancelBranchLocked(p, &branchEndedError{"orchestration ended before its branch did"})
		}
	}
	if st := r.closing.Status; st == StatusCancelled || st == StatusTimeout {
		r.cancelChildrenLocked()
	}
	r.finishLocked()
}

// endsUnbegunLocked reports whether the run is to end although its code cannot begin: it was cancelled, and no code has
// done anything yet that would have to be taken back.
func (r *run) endsUnbegunLocked() bool {
	return r.info.CancelRequested && r.record.last == 0 && r.info.Progress == nil
}

// closeUnbegun is the outcome of a cancelled run whose code could not begin, and why.
func (r *run) closeUnbegun(why error) *Close {
	err := fmt.Errorf("%w before its code could begin: %w", ErrCancelled, why)
	return &Close{Status: StatusCancelled, Error: r.env.registry.record(err)}
}

// finishLocked commits the closing or the release, again when newer messages come between.
func (r *run) finishLocked() {
	for r.phase != phaseDead {
		if !r.committing && !r.claimed && r.phase == phaseStopping {
			r.evictLocked(r.cause) // a cache only, where commits end claims
			return
		}
		if r.committing || !r.claimed {
			r.moved.Wait()
			continue
		}
		r.commitLocked()
	}
}

// closeOf makes the outcome of what the function returned.
func (r *run) closeOf(in RunInfo, cause error, out any, err error) *Close {
	if next, ok := asContinue(err); ok {
		input, fault := r.env.encode("input of the next run", next.input)
		if fault == nil {
			fault = r.env.readsInput(r.def, next.input, input)
		}
		if fault == nil {
			return &Close{Status: StatusSucceeded, Next: &RunStart{
				ID: in.ID, RunID: continuedRunID(&in), Name: in.Name, Mode: in.Mode, Input: input,
				Deadline: in.Deadline, Tags: in.Tags, Queue: in.Queue, Parent: in.Parent,
			}}
		}
		err = fault
	}
	if err == nil {
		result, fault := r.env.encode("result of the orchestration", out)
		if fault == nil && r.def != nil {
			fault = r.def.readsResult(&r.env.payloads, "result of the orchestration", result)
		}
		if fault == nil {
			return &Close{Status: StatusSucceeded, Result: result}
		}
		err = fault
	}
	status := StatusFailed
	var own *endCancelledError
	switch {
	case errors.As(err, &own):
		status = StatusCancelled
	case errors.Is(err, ErrCancelled) && in.CancelRequested:
		status = StatusCancelled
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(cause, context.DeadlineExceeded):
		status = StatusTimeout
	}
	return &Close{Status: status, Error: r.env.registry.record(err)}
}

// cancelChildrenLocked cancels the children that the code has not come to since it was resumed.
func (r *run) cancelChildrenLocked() {
	for _, o := range r.record.children {
		r.cancelOpLocked(o, r.stopCause)
	}
}

// exit is the end of every goroutine that the run owns. A function that ended its goroutine instead of
// returning is a mistake.
func (r *run) exit(s *scope, finished bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active--
	if r.phase != phaseLive || r.closing != nil {
		return
	}
	if !finished && !s.isClosed() {
		b := Blocked{Reason: "the function ended its goroutine instead of returning (runtime.Goexit?)"}
		if b.Source = goexitLine(); s.busy != nil {
			b.Source = s.busy.String()
		}
		r.blockLocked(b)
		return
	}
	r.idleLocked()
}

// leaveLocked ends the calling goroutine, which holds mu: the run is not live, or the scope is closed.
// A goroutine that belongs to the caller of an orchestration driven by hand gets an error instead.
func (r *run) leaveLocked(s *scope) error {
	s.busy = nil
	if r.hand && s.parent == nil {
		for r.phase == phaseStopping && !s.inBody {
			r.moved.Wait() // the caller's process may end with it: what bodies come to is on disk by then
		}
		err, served := r.cause, r.served
		r.mu.Unlock()
		if _, paused := err.(*PausedError); paused && served != nil { //nolint:errorlint // the engine's own
			select {
			case <-served: // tasks that the home has given to this process have ended
			case <-r.caller:
			}
		}
		return err
	}
	r.mu.Unlock()
	runtime.Goexit()
	return nil
}

// liveLocked reports whether code in the scope may go on.
func (r *run) liveLocked(s *scope) bool { return r.phase == phaseLive && !s.isClosed() }

// blockLocked stops the run because of a mistake: it stays open, and nothing of the mistake is
// recorded but the reason.
func (r *run) blockLocked(b Blocked) {
	if r.phase != phaseLive {
		return
	}
	b.Since, b.Version, b.Times = now(), r.env.version, 1
	if last := r.info.Blocked; last != nil {
		same := last.Reason == b.Reason && last.Operation == b.Operation
		if same || r.durable == 0 { // a commit on the way there, of its progress say, leads nowhere
			b.Times = last.Times + 1
		}
		if same {
			b.Since = last.Since
		}
	}
	b.RetryAt = now().Add(blockedBackoff.wait(b.Times))
	r.log().Error("orchestration is blocked", "reason", b.Reason, "operation", b.Operation,
		"source", b.Source, "retryAt", b.RetryAt)
	if r.hand {
		r.evictLocked(&BlockedError{ID: r.info.ID, Blocked: b})
		return
	}
	r.stopLocked(Release{WakeAt: b.RetryAt, Blocked: &b}, &BlockedError{ID: r.info.ID, Blocked: b})
}

var blockedBackoff = Backoff{Initial: time.Second, Max: 5 * time.Minute, Jitter: -1}

// stopLocked makes the run leave this process: its code unwinds now, its bodies may end and are
// recorded, then it is released.
func (r *run) stopLocked(release Release, cause error) {
	if r.phase != phaseLive {
		return
	}
	if r.active == 0 || release.Blocked != nil { // else its code may not have come to where it waits
		release.Version = r.env.version
	}
	r.phase, r.release, r.cause = phaseStopping, &release, cause
	r.wakeAllLocked()
	r.env.idle.Remove(r)
	if !r.claimed { // a cache only, where commits end claims
		r.evictLocked(cause)
		return
	}
	if r.bodies == 0 {
		go func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.finishLocked()
		}()
	}
}

// bodyEndedLocked lets a stopping run go when its last body has ended.
func (r *run) bodyEndedLocked() {
	r.bodies--
	switch {
	case r.phase != phaseStopping:
	case r.bodies == 0:
		r.finishLocked()
	case !r.committing && r.claimed && !r.ends():
		r.commitLocked() // the others may never end
	}
}

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
	r.endTurnsLocked(func(*call) bool { return true })
	for w := range r.waiting {
		r.wakeLocked(w)
	}
	r.moved.Broadcast()
	r.stirred.Broadcast()
}

// wakeLocked lets a blocked branch go on.
func (r *run) wakeLocked(w *waiter) {
	if w == nil || w.woken {
		return
	}
	w.woken = true
	delete(r.waiting, w)
	if r.active == 0 {
		r.env.idle.Remove(r)
	}
	r.active++
	close(w.ready)
}
