package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// main runs the orchestration's function from its top.
func (r *run) main() {
	finished := false
	defer func() { r.exit(r.root, finished) }()
	out, err := guard(func() (any, error) { return r.def.run(r.view(r.root), &r.env.payloads, r.info.Input) })
	_, _ = guard(func() (any, error) { // if the methods of the error panic, returned says so
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
	idle := r.info.Previous != "" && (r.record.last == 0 || r.cancel.cause != nil)
	wait := min(leastRun-time.Since(r.info.ScheduledAt), leastRun) // ScheduledAt is by the clock of who started it
	r.unlock()
	if !idle || wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.base.Done():
	case <-r.submitter.abandoned:
	}
}

// returned takes what the function returned. Author's values are encoded and asked without mu.
func (r *run) returned(out any, err error) {
	r.mu.Lock()
	in, cause := r.info, r.cancel.cause
	unbegun := r.endsUnbegun()
	r.unlock()
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
	defer r.unlock()
	if r.phase != phaseLive || r.closing != nil {
		return
	}
	if cl, ok := v.(*Close); ok && cl != nil && cl.Next != nil {
		if child := r.openChild(); child != "" {
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
			r.cancelBranch(p, &branchEndedError{"orchestration ended before its branch did"})
		}
	}
	if st := r.closing.Status; st == StatusCancelled || st == StatusTimeout {
		r.cancelChildren()
	}
	r.finishLocked()
}

// endsUnbegun reports whether the run is to end although its code cannot begin: it was cancelled, and no code has
// done anything yet that would have to be taken back.
func (b *book) endsUnbegun() bool {
	return b.info.CancelRequested && b.record.last == 0 && b.info.Progress == nil
}

// closeUnbegun is the outcome of a cancelled run whose code could not begin, and why.
func (r *run) closeUnbegun(why error) *Close {
	err := fmt.Errorf("%w before its code could begin: %w", ErrCancelled, why)
	return &Close{Status: StatusCancelled, Error: r.env.failures.record(err)}
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
			fault = r.def.readsResult(&r.env.payloads, "result of the orchestration", out, result)
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
	return &Close{Status: status, Error: r.env.failures.record(err)}
}

// exit is the end of every goroutine that the run owns. A function that ended its goroutine instead of
// returning is a mistake.
func (r *run) exit(s *scope, finished bool) {
	r.mu.Lock()
	defer r.unlock()
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
