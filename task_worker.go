package lambdabiz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// RunTasks makes the engine a worker for tasks and services alone, on a home that hands them out (Amazon SWF):
// it performs those that are registered until ctx ends, then lets those that run end within the drain
// timeout, and returns nil. On other homes tasks run where their orchestrations run, and it returns
// *UnsupportedError. [Engine.Run] includes it.
func (e *Engine) RunTasks(ctx context.Context) error {
	if e.queue == nil {
		return &UnsupportedError{
			Backend: e.desc.Name, Feature: FeatureQueue, Why: "tasks run in the process that runs their orchestration",
		}
	}
	e.serveTasks(ctx, e.config.TaskQueues)
	return nil
}

// serveTasks performs the attempts of queues until ctx ends, then drains.
func (e *Engine) serveTasks(ctx context.Context, queues []string) {
	if e.queue == nil {
		return
	}
	t := &taskWorker{e: e, queue: e.queue}
	t.bodies, t.endBodies = context.WithCancelCause(context.WithoutCancel(ctx))
	defer t.endBodies(nil)
	var pollers sync.WaitGroup
	for _, kind := range e.registry.kinds() {
		for _, name := range queues {
			pollers.Go(func() { t.loop(ctx, kind, name) })
		}
	}
	pollers.Wait()
	<-ctx.Done()
	t.drain(context.Cause(ctx))
}

// taskWorker performs attempts that a home hands out.
type taskWorker struct {
	e     *Engine
	queue Queue

	bodies    context.Context //nolint:containedctx // ends when the drain timeout is over
	endBodies context.CancelCauseFunc
	running   sync.WaitGroup
}

// loop takes attempts of a kind from a queue until ctx ends. It has room of its own for those that run: else a
// long poll of one loop would keep the others from asking.
func (t *taskWorker) loop(ctx context.Context, kind Kind, queue string) {
	busy := make(chan struct{}, cmp.Or(t.e.config.MaxTasks, 100))
	for failed := 0; ctx.Err() == nil; {
		select {
		case busy <- struct{}{}:
		case <-ctx.Done():
			return
		}
		claim, err := t.queue.NextTask(ctx, TaskRequest{
			Kind: kind, Names: t.e.registry.taskNames(kind), Queue: queue, Wait: time.Minute,
		})
		if claim != nil {
			failed = 0
			t.running.Go(func() {
				defer func() { <-busy }()
				t.perform(claim)
			})
			continue
		}
		<-busy
		if err != nil && ctx.Err() == nil {
			failed++
			t.e.log.Error("take a task", "error", err, "try", failed)
			_ = sleepUntil(ctx, nil, commitBackoff.wait(failed)) // the loop looks at ctx itself
		}
	}
}

// drain lets attempts end, first by themselves, then by their contexts. Those of a run that a pause has stopped have all
// the time they want.
func (t *taskWorker) drain(why error) {
	ended := make(chan struct{})
	go func() {
		t.running.Wait()
		close(ended)
	}()
	if _, paused := errors.AsType[*PausedError](why); paused {
		<-ended
		return
	}
	if within(ended, t.e.config.DrainTimeout) {
		return
	}
	t.endBodies(ErrStopped)
	if !within(ended, stopGrace) {
		t.e.log.Warn("a task does not end; its home gives it to another worker")
	}
}

// queuedAttempt is one attempt that this process performs for a run that may be anywhere.
type queuedAttempt struct {
	t     *taskWorker
	claim *TaskClaim
	end   context.CancelCauseFunc

	mu      sync.Mutex
	details Payload
	beats   chan struct{} // a word from the body
}

// perform runs the body of an attempt and reports what came of it.
func (t *taskWorker) perform(c *TaskClaim) {
	r := &queuedAttempt{t: t, claim: c, beats: make(chan struct{}, 1)}
	ctx, end := context.WithCancelCause(t.bodies)
	defer end(nil)
	r.end = end
	spec := t.e.registry.task(&taskSpec{kind: c.Operation.Kind, name: c.Operation.Name})
	var out TaskOutcome
	if spec.run == nil {
		out = r.failed(fmt.Errorf("no %s with the name %q is registered with the worker that took it",
			c.Operation.Kind, c.Operation.Name), false)
		out.Tried.NotBegun = true
	} else {
		out = r.run(ctx, spec)
	}
	if out.Status == StatusNone {
		return
	}
	r.report(out)
}

func (r *queuedAttempt) info() TaskInfo {
	c := r.claim
	return TaskInfo{
		OrchestrationID: c.ID, RunID: c.RunID, OperationID: c.Operation.ID, Task: c.Operation.Name,
		Attempt: c.Operation.Attempts, IdempotencyKey: c.Key, Details: c.Operation.Details, codec: r.t.e.codec,
	}
}

// run calls the body, and watches its time, its heartbeats and its home meanwhile.
func (r *queuedAttempt) run(ctx context.Context, spec *taskSpec) TaskOutcome {
	c, e := r.claim, r.t.e
	ctx = context.WithValue(ctx, taskKey{}, liveTask(r))
	ctx, hooked := e.hooks.attempt(ctx, r)
	e.leaveTheDead()
	clock := timerIf(c.Timeout)
	defer clock.Stop()
	w := bodyWatch{
		limit: clock, silence: c.Heartbeat, beats: r.beats, end: r.end,
		every: c.BeatEvery, look: func() error { return r.look(ctx) },
	}
	b := body{task: spec}
	out, left := w.await(func() returned { return b.perform(ctx, &e.payloads, c.Operation.Kind, c.Operation.Input, nil) })
	switch {
	case errors.Is(left, ErrFenced):
		hooked.end(left)
		return TaskOutcome{}
	case left != nil:
		hooked.end(left)
		return r.failed(left, false)
	}
	hooked.end(out.err)
	if out.err != nil {
		return r.failed(out.err, errors.Is(context.Cause(ctx), ErrCancelled))
	}
	return TaskOutcome{Status: StatusSucceeded, Result: out.result}
}

// look tells the home that the attempt goes on, and ends the body's context if it shall not. It returns ErrFenced if nobody
// wants the outcome any more.
func (r *queuedAttempt) look(ctx context.Context) error {
	gone := r.tell(ctx)
	if gone != nil {
		r.end(gone)
	}
	if errors.Is(gone, ErrFenced) {
		return gone
	}
	return nil
}

// beat is the body's heartbeat: its details go with the next word to the home.
func (r *queuedAttempt) beat(details any) error {
	p, err := r.t.e.encode("heartbeat details", details)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.details = p
	r.mu.Unlock()
	select {
	case r.beats <- struct{}{}:
	default:
	}
	return r.tell(context.Background())
}

// tell says to the home that the attempt goes on. It returns ErrFenced or ErrCancelled when it shall not.
func (r *queuedAttempt) tell(ctx context.Context) error {
	r.mu.Lock()
	details := r.details
	r.mu.Unlock()
	err := r.t.queue.BeatTask(ctx, r.claim, details)
	switch {
	case errors.Is(err, ErrFenced), errors.Is(err, ErrCancelled):
		r.end(err)
		return err
	case errors.Is(err, ErrTooLarge):
		return err
	case err != nil && ctx.Err() == nil: // the next one may come through
		r.t.e.log.Warn("a heartbeat was not sent", "orchestration", r.claim.ID, "operation", r.claim.Operation.ID, "error", err)
	}
	return nil
}

// failed is the outcome of an attempt that ended with err; asked says that it was asked to end.
func (r *queuedAttempt) failed(err error, asked bool) TaskOutcome {
	out, cancelled := TaskOutcome{Status: StatusFailed}, false
	_, fault := guard(func() (any, error) {
		cancelled = isCancellation(err)
		out.Tried = Tried{Final: !retryable(err), RetryAfter: retryWait(err)}
		if errors.Is(err, context.DeadlineExceeded) {
			out.Status = StatusTimeout
		}
		return nil, nil
	})
	if fault != nil {
		err = fmt.Errorf("an error of type %T, whose methods panic: %w", err, fault)
	}
	if cancelled && asked {
		out.Status = StatusCancelled
	}
	if cancelled && errors.Is(context.Cause(r.t.bodies), ErrStopped) {
		out.Tried = Tried{NotBegun: true} // the worker stopped: the attempt is not charged
	}
	if p := panicIn(err); p != nil {
		r.t.e.log.Error("task panicked", "orchestration", r.claim.ID, "operation", r.claim.Operation.ID, "stack", p.stack)
	}
	out.Error = r.t.e.failures.record(err)
	return out
}

// report makes the outcome durable, however long that takes while the home fails.
func (r *queuedAttempt) report(out TaskOutcome) {
	for try := 1; ; try++ {
		err := r.t.queue.EndTask(context.WithoutCancel(r.t.bodies), r.claim, out)
		switch {
		case err == nil:
			return
		case errors.Is(err, ErrFenced):
			r.t.e.log.Warn("nobody wants a task's outcome any more", "orchestration", r.claim.ID, "operation", r.claim.Operation.ID)
			return
		case errors.Is(err, ErrTooLarge) && out.Status == StatusSucceeded:
			out = r.failed(NonRetryable(err), false)
			continue
		}
		r.t.e.log.Error("a task's outcome was not reported, trying again", "orchestration", r.claim.ID,
			"operation", r.claim.Operation.ID, "error", err, "try", try)
		if err := sleepUntil(r.t.bodies, nil, commitBackoff.wait(try)); err != nil {
			return
		}
	}
}
