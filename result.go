package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Result waits until the orchestration has ended, and follows it where it continued as new, also when runs between have been
// purged. It returns *OrchestrationError when it ended without success, ErrNotFound when there is none, and ctx's error
// when that ends first. A run that is paused or blocked is waited for; its State says why.
//
// The result is that of the run that was started or found, or of one that continues it; for a handle from [Get], of the run
// that is the latest when Result is called. It is never that of a later start with the same id: when that has come and the
// handle's run has been purged, with those that Result could follow it by, Result returns ErrNotFound.
func (r *Run[Out]) Result(ctx context.Context) (Out, error) {
	var out, zero Out
	info, err := r.h.wait(ctx)
	if err != nil {
		return zero, err
	}
	if info.Status != StatusSucceeded {
		return zero, r.h.e.outcomeError(info.ID, info.Name, info.Status, info.Error)
	}
	if err := r.h.e.decode("result of orchestration "+info.ID, info.Result, &out); err != nil {
		return zero, err
	}
	return out, nil
}

// wait blocks until the run has ended and none continues it.
func (h *handle) wait(ctx context.Context) (*RunInfo, error) {
	id, runID := h.id, h.runID
	if err := h.e.desc.checkOrchestrationID(id); err != nil {
		return nil, err
	}
	watcher := h.e.watch(id)
	defer watcher.stop()
	ended := watcher.told
	if r := h.resident; r != nil {
		poll := time.NewTimer(h.e.resultPoll())
		defer poll.Stop()
		select {
		case <-r.submitter.done:
		case <-ended: // it was terminated, perhaps
		case <-poll.C: // another process may have terminated it
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if info := r.ending(); info != nil {
			return info, nil
		}
	}
	if h.e.waiting != nil {
		defer h.e.waiting.leave(watcher)
	}
	for poll := max(20*time.Millisecond, h.e.desc.PollEvery); ; poll = min(2*poll, h.e.resultPoll()) {
		info, err := h.look(ctx, runID)
		if err != nil {
			return nil, fmt.Errorf("wait for orchestration %s: %w", id, err)
		}
		switch runID = info.RunID; {
		case info.ContinuedAs != "":
			runID = info.ContinuedAs
			continue
		case info.Status.Ended():
			return info, nil
		}
		if h.e.waiting != nil {
			h.e.waiting.enter(watcher, RunRef{ID: id, RunID: runID})
			err = sleepUntil(ctx, ended, max(time.Minute, h.e.resultPoll())) // it looks itself then
		} else {
			err = sleepUntil(ctx, ended, poll)
		}
		if err != nil {
			return nil, err
		}
	}
}

// look tells how a run stands, or, if it is over or gone, the run that its chain has come to. The latest run of the id may
// be of another chain.
func (h *handle) look(ctx context.Context, runID string) (*RunInfo, error) {
	info, err := h.e.info(ctx, h.id, runID)
	switch {
	case runID == "", err == nil && info.ContinuedAs == "", err != nil && !errors.Is(err, ErrNotFound):
		return info, err
	}
	switch latest, lost := h.e.info(ctx, h.id, ""); {
	case lost != nil && !errors.Is(lost, ErrNotFound):
		return nil, lost
	case lost == nil && latest.Continues(runID):
		return latest, nil
	}
	return info, err
}

// info tells how a run stands, without its operations where the home can leave them out.
func (e *Engine) info(ctx context.Context, id, runID string) (*RunInfo, error) {
	if e.informer != nil {
		return e.informer.Info(ctx, id, runID) //nolint:wrapcheck // the caller says what for
	}
	rec, err := e.backend.Load(ctx, id, runID)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says what for
	}
	return &rec.RunInfo, nil
}

// ending returns what the run ended with in this process; nil if it goes on, continues as another run, or has
// left.
func (r *run) ending() *RunInfo {
	select {
	case <-r.submitter.done:
	default:
		return nil
	}
	out := r.outcome
	if out == nil || out.Next != nil {
		return nil
	}
	info := r.info
	info.Status, info.Result, info.Error = out.Status, out.Result, out.Error
	return &info
}
