package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/alarm"
	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// Run makes the engine a worker: it claims orchestrations whose definitions are registered and drives
// them until ctx ends. Then it drains: it claims nothing more, lets tasks and steps that run end within
// the drain timeout, records them, releases all orchestrations, and returns nil. Attempts that it cut
// are not charged. It returns an error when it could not begin; where somebody else keeps the store locked
// ([ErrBusy]) it waits until it can. An engine has one Run at a time.
func (e *Engine) Run(ctx context.Context) error {
	if !e.running.CompareAndSwap(false, true) {
		return errors.New("run engine: it runs already")
	}
	w := &worker{e: e, vigil: newVigil(e)}
	if err := w.begin(ctx); err != nil {
		e.running.Store(false)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was stopped before it had begun
		}
		return fmt.Errorf("run engine: %w", err)
	}
	e.log.Info("worker started", "worker", e.worker.Load(), "backend", e.desc.Name)
	stop := make(chan struct{})
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		if !e.desc.Supervised {
			w.vigil.keep(stop)
		}
	}()
	tasks := make(chan struct{})
	go func() {
		defer close(tasks)
		if e.queue != nil {
			_ = e.RunTasks(ctx) // it returns an error only where there is no Queue
		}
	}()
	e.kept.Keep()
	w.loop(ctx)
	w.drain()
	<-tasks
	close(stop)
	<-beats
	w.leave()
	e.kept.Drop() // before another Run may keep some
	e.running.Store(false)
	e.log.Info("worker stopped")
	e.settleNotices()
	return nil
}

// RunWhile is [Engine.Run] for as long as f runs: it works, calls f, drains when f has returned, and
// returns f's error. f's context ends early when the worker could not begin; that error is returned too.
func (e *Engine) RunWhile(ctx context.Context, f func(ctx context.Context) error) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stopped := make(chan error, 1)
	go func() {
		err := e.Run(working)
		if err != nil {
			fail(err)
		}
		stopped <- err
	}()
	err := f(ctx)
	stop()
	if fault := <-stopped; fault != nil && !errors.Is(err, fault) {
		err = errors.Join(err, fault)
	}
	return err
}

// worker is the life of an engine between Run's begin and end. Its fields belong to Run's goroutine.
type worker struct {
	e       *Engine
	through int64
	next    time.Time     // when the next run is due, as far as the backend knows
	quiet   time.Duration // how long it need not ask unless it is told
	failed  int           // claims in a row
	wanted  int           // runs that shall be parked, since others are due and the engine is full
	snoozes int           // how often it has looked at the wall clock since it sleeps
	call    *claimCall

	vigil *vigil
}

// begin joins, however long others keep the store locked. A second try is a new worker: one that may have joined
// with an unknown outcome owns nothing.
func (w *worker) begin(ctx context.Context) error {
	for try := 1; ; try++ {
		err := w.join(ctx)
		if err == nil || !errors.Is(err, ErrBusy) && !errors.Is(err, ErrOutcomeUnknown) {
			return err
		}
		w.e.log.Warn("the worker cannot begin yet", "error", err, "try", try)
		if sleepUntil(ctx, nil, commitBackoff.wait(try)) != nil {
			return err
		}
	}
}

// join registers the worker, and takes over at once what processes that are gone have left.
func (w *worker) join(ctx context.Context) error {
	e := w.e
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	number, err := e.backend.Join(ctx, WorkerInfo{
		Names: e.registry.names(), Version: e.version, Host: host, PID: os.Getpid(),
		Codec: codecName(e.codec), Lease: e.config.Lease,
	})
	if err != nil {
		return fmt.Errorf("join as a worker: %w", err)
	}
	fault.Point("worker.joined")
	e.claimsOf(number) // before anybody claims in its name
	e.worker.Store(number)
	w.through = 0
	if !e.desc.Supervised {
		if err := w.vigil.takeOver(ctx); err != nil {
			w.leave()
			return err
		}
	}
	e.tellBusy() // it may have seen others
	e.accept()
	return nil
}

// loop claims until ctx ends.
func (w *worker) loop(ctx context.Context) {
	var wake <-chan struct{}
	if w.e.waker != nil {
		wake = w.e.waker.Wake()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		more := w.claim(ctx)
		if more {
			continue
		}
		w.sleep(ctx, timer, wake)
	}
}

// sleep blocks until there may be something to do.
func (w *worker) sleep(ctx context.Context, timer *time.Timer, wake <-chan struct{}) {
	for w.snoozes = 0; ; {
		wait, ok := w.wait()
		snooze := alarm.Snooze(wait)
		if ok {
			timer.Reset(snooze)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-w.e.kicks:
			return
		case <-wake:
			return
		case <-timer.C:
			if snooze == wait {
				return
			}
			w.snoozes++
		}
	}
}

// wait is how long there is nothing to do, unless somebody kicks.
func (w *worker) wait() (time.Duration, bool) {
	poll := w.e.config.PollInterval
	if poll > 0 && w.e.waker != nil {
		poll = max(poll, w.quiet)
	}
	if w.failed > 0 {
		return commitBackoff.wait(w.failed), true
	}
	if w.e.desc.Supervised {
		return 0, true // its claim is a long poll
	}
	if w.next.IsZero() {
		return poll, poll > 0
	}
	wait := max(time.Until(w.next), 0)
	if w.e.full() {
		wait = max(wait, time.Second)
	}
	if poll > 0 {
		wait = min(wait, poll)
	}
	return wait, true
}

// claim asks the backend once, and reports whether there is more at once.
func (w *worker) claim(ctx context.Context) bool {
	e := w.e
	room := e.reserve()
	defer e.free(room)
	number := e.worker.Load()
	claims, err := w.ask(ctx, ClaimRequest{
		Worker: number, Names: e.registry.names(), Limit: room, Now: now(),
		After: w.through, Wait: time.Minute,
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return false
	case errors.Is(err, ErrFenced):
		w.rejoin(ctx)
		return false
	case errors.Is(err, ErrOutcomeUnknown):
		// It may hold runs that it does not know of: only a new worker is sure not to.
		w.leave()
		w.rejoin(ctx)
		return false
	case err != nil:
		w.failed++
		e.log.Error("claim work", "error", err, "try", w.failed)
		return false
	}
	w.failed, w.through, w.next, w.quiet = 0, claims.Through, claims.NextWake, claims.Quiet
	for i := range claims.Runs {
		if c := &claims.Runs[i]; e.endsClaim {
			e.countStarts(1) // a worker that drains waits for it: a claim that nobody takes in is lost
			go func() {
				defer e.countStarts(-1)
				e.adopt(c, number, false) // it may wait for the commit before
			}()
		} else {
			e.adopt(c, number, false)
		}
	}
	for _, a := range claims.Arrived {
		if r := e.residentOrEarly(a); r != nil {
			r.post(a)
		}
	}
	w.makeRoom(&claims)
	return e.claimsOn(claims.More, !claims.NextWake.IsZero())
}

// ask asks the backend what there is to do.
func (w *worker) ask(ctx context.Context, r ClaimRequest) (Claims, error) {
	guarded, ok := w.e.backend.(guardedBackend)
	if !ok {
		return w.e.backend.Claim(ctx, r)
	}
	if w.call == nil {
		w.call = newClaimCall(guarded.Backend, &w.e.kept)
	}
	claims, late, err := w.call.claim(ctx, r)
	if late {
		w.call = nil
	}
	return claims, err
}

// makeRoom parks idle runs when others are due and the engine is full of them: one first, and twice as many each time that
// it was not enough. Without it, a few orchestrations that sleep and wake would keep all others out for ever.
func (w *worker) makeRoom(claims *Claims) {
	due := claims.More || !claims.NextWake.IsZero() && !claims.NextWake.After(now())
	switch {
	case !due || !w.e.lacksMemory():
		w.wanted = 0
	default:
		w.next = now()
		w.wanted = min(max(1, 2*w.wanted), mostParked)
	}
	w.e.idle.MakeRoom(w.wanted)
}

// mostParked is how many idle runs are parked at a time for others.
const mostParked = 256

// rejoin begins a new life after this worker was declared dead: it owns nothing any more.
func (w *worker) rejoin(ctx context.Context) {
	e := w.e
	e.log.Warn("this worker has lost its orchestrations and begins anew", "worker", e.worker.Load())
	e.claimsOf(0) // before those that are in memory leave: what is on its way comes too late
	for _, r := range e.allResidents() {
		r.evict(ErrFenced)
	}
	if err := w.join(ctx); err != nil {
		w.failed++
		e.log.Error("join again", "error", err)
	}
	e.kick()
}

// forget is called when a run is dead, with its lock held.
func (e *Engine) forget(dead resident, info *RunInfo) {
	e.alarms.Set(dead, time.Time{})
	e.idle.Remove(dead)
	e.leave(dead, info)
}

// adoptStarts runs what a commit has started and claimed.
func (e *Engine) adoptStarts(c *Commit, v Verdict) { e.adoptLast(c, v) }

// adoptLast runs what a commit has started and claimed, and returns the last of these runs. Where commits end claims, no
// start claims.
func (e *Engine) adoptLast(c *Commit, v Verdict) *run {
	if e.endsClaim {
		return nil
	}
	var last *run
	for i := range c.Starts {
		s := &c.Starts[i]
		if !s.Claim || i >= len(v.Starts) || v.Starts[i].Err != nil || v.Starts[i].Run.Fence == 0 {
			continue
		}
		last = e.adopt(&Claimed{
			Ref: v.Starts[i].Run,
			Record: Record{Messages: v.Starts[i].Messages, RunInfo: RunInfo{
				ID: s.ID, Name: s.Name, RunID: s.RunID, Mode: s.Mode, Status: StatusStarted, Tags: s.Tags,
				Queue: s.Queue, Parent: s.Parent, Input: s.Input,
				ScheduledAt: c.At, StartedAt: c.At, Deadline: s.Deadline,
			}},
		}, c.Worker, true)
	}
	return last
}

// drain releases all runs, and gives what runs in them some time to end.
func (w *worker) drain() {
	e := w.e
	drained := e.drainAll()
	fault.Point("worker.drain")
	for _, r := range e.allResidents() {
		go r.stop(ErrStopped) // one that holds its lock for long must not keep the others
	}
	if within(drained, e.config.DrainTimeout) {
		return
	}
	for _, r := range e.allResidents() {
		r.endBase(ErrStopped)
	}
	if within(drained, stopGrace) {
		return
	}
	for _, r := range e.allResidents() {
		e.log.Warn("a task or step does not end; it will run again elsewhere", "orchestration", r.info.ID)
		go r.forceRelease()
	}
	if within(drained, stopGrace) {
		return
	}
	for _, r := range e.allResidents() { // the store does not answer
		r.abandon()
	}
}

// leave removes the worker, which frees whatever it still owns.
func (w *worker) leave() {
	e := w.e
	ctx, cancel := context.WithTimeout(context.Background(), e.config.Lease)
	defer cancel()
	fault.Point("worker.leave")
	number := e.worker.Load()
	if err := e.backend.Leave(ctx, number, -1); err != nil {
		e.log.Error("leave", "error", err)
		w.vigil.owe(number, -1) // it has not died
	}
	e.claimsOf(0)
	e.worker.Store(0)
}
