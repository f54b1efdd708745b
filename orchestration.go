package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Orchestration is a run that its caller drives by hand: it is the [Context] that operations take. Every
// operation returns only when its result is durable. Call the same code again after an interruption,
// in this process or another one, and it continues.
//
// A wait blocks until it ends, or until the context given to [Engine.Create] ends: then it returns
// ErrWaiting, which records nothing. A mistake is a *BlockedError. When somebody else has called Create
// for the id, operations return ErrFenced. After an ended run operations return what is recorded, and
// ErrClosed if nothing is.
//
// [Engine.Pause] stops it: a body that runs may end and is recorded, then each operation returns a *PausedError, which
// is ErrWaiting too, with the reason that was given. A pause by another process is heard of within Config.PollInterval,
// or at the next commit where commits end claims (Amazon SWF). Called again while it is paused, the code gets what is
// recorded; its first operation beyond that, and all after it, return the *PausedError. After [Engine.Resume] the next
// call goes on.
type Orchestration struct {
	Context

	e  *Engine
	id string

	mu     sync.Mutex
	r      *run            // nil until it is started
	parent context.Context //nolint:containedctx // the caller's, for as long as it drives
}

// Create takes an orchestration over, to drive it by hand: at once, by a new fence, whoever drove it
// before. While the orchestration is paused it takes nothing over: its operations return what is recorded, and a
// *PausedError beyond that, also after a resume until Create is called again. An id that has no run yet gets one with
// [Orchestration.Start]. It returns ErrMode for an orchestration that workers drive, and *UnsupportedError where the
// home has none driven by hand.
func (e *Engine) Create(ctx context.Context, id string) (*Orchestration, error) {
	if err := errors.Join(e.desc.checkOrchestrationID(id), e.desc.supports(FeatureHand)); err != nil {
		return nil, fmt.Errorf("create orchestration: %w", err)
	}
	o := &Orchestration{e: e, id: id, parent: ctx}
	claims, err := e.backend.Claim(ctx, ClaimRequest{Hand: id, Now: now()})
	switch {
	case errors.Is(err, ErrNotFound):
		o.Context = o.unstarted()
		return o, nil
	case err != nil:
		return nil, fmt.Errorf("create orchestration %s: %w", id, err)
	case len(claims.Runs) != 1:
		return nil, fmt.Errorf("create orchestration %s: the backend gave %d runs instead of one", id, len(claims.Runs))
	}
	o.attach(&claims.Runs[0])
	return o, nil
}

// unstarted is a context whose operations say that Start is missing.
func (o *Orchestration) unstarted() Context {
	// Its contexts are not derived from the caller's: nothing ever cancels them, and they would stay in memory for as long
	// as the caller's context lasts.
	none := &Claimed{Record: Record{RunInfo: RunInfo{ID: o.id, Mode: ModeHand}}}
	r := newRun(context.WithoutCancel(o.parent), &o.e.env, o.e.registry, none)
	r.mu.Lock()
	defer r.unlock()
	r.phase, r.cause = phaseDead, fmt.Errorf("orchestration %s: %w: call Start first", o.id, ErrNotFound)
	return &view{Context: o.parent, r: r, s: r.root}
}

// attach makes the claimed run this orchestration's.
func (o *Orchestration) attach(c *Claimed) {
	r := newRun(context.WithoutCancel(o.parent), &o.e.env, o.e.registry, c)
	r.mode, r.caller = driveByHand, o.parent.Done()
	switch {
	case c.Status.Ended():
		r.mode = driveReplay
	case c.Paused: // it was not claimed: nobody may write it
		r.mode, r.paused, r.claimed = driveBeforePause, &PausedError{ID: c.ID, Reason: c.PauseReason}, false
		o.r, o.Context = r, r.view(r.root)
		r.mu.Lock()
		defer r.unlock()
		r.unwatch = context.AfterFunc(o.parent, r.onCallerGone)
		return
	}
	r.looked = time.Now()
	r.mu.Lock()
	r.acceptLocked(c.Messages)
	r.started = true
	r.pending.started = !r.replays() && c.StartedAt.IsZero() // where a start does not claim
	r.fire(now())                                            // the deadline may have passed
	r.recallStop()
	r.unlock()
	o.r, o.Context = r, r.view(r.root)
	if r.replays() {
		return
	}
	r.mu.Lock()
	defer r.unlock()
	r.unwatch = context.AfterFunc(o.parent, r.onCallerGone)
	o.e.enterHand(r)
}

// Start records that the orchestration has begun, with its input; the run's name is its id. Called again
// for a run that is open, or paused, it does nothing, and the first input stays. For one that has ended it returns
// ErrClosed whatever the start policy: purge the id to use it again.
func (o *Orchestration) Start(input any, opts ...StartOption) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.r != nil {
		if o.r.replays() {
			return fmt.Errorf("start orchestration %s: %w with status %s", o.id, ErrClosed, o.r.info.Status)
		}
		return nil
	}
	s := RunStart{ID: o.id, RunID: o.e.runID(o.id), Name: o.id, Mode: ModeHand, Claim: true}
	for _, opt := range opts {
		opt.applyStart(&s)
	}
	if err := errors.Join(o.e.desc.checkStart(&s), checkGivenID(o.id)); err != nil {
		return fmt.Errorf("start orchestration: %w", err)
	}
	p, err := o.e.encode("input", input)
	if err == nil {
		err = o.e.readsBack("input", input, p)
	}
	if err != nil {
		return fmt.Errorf("start orchestration %s: %w", o.id, err)
	}
	s.Input = p
	v, _, err := o.e.commitClient(o.parent, &Commit{At: now(), Starts: []RunStart{s}})
	if err == nil {
		err = v.Starts[0].Err
	}
	if err != nil {
		return fmt.Errorf("start orchestration %s: %w", o.id, err)
	}
	// Whether this start or another caller's was first: the latest Create or Start drives the run.
	claims, err := o.e.backend.Claim(o.parent, ClaimRequest{Hand: o.id, Now: now()})
	if err != nil {
		return fmt.Errorf("start orchestration %s: %w", o.id, err)
	}
	o.attach(&claims.Runs[0])
	if o.r.replays() {
		return fmt.Errorf("start orchestration %s: %w with status %s", o.id, ErrClosed, o.r.info.Status)
	}
	return nil
}

// Complete ends the orchestration as SUCCEEDED with a result, and returns when that is durable. On a
// run that has ended it does nothing. While it is paused it ends nothing and returns a *PausedError; a pause that comes
// when the end is on its way to the store may be too late.
func (o *Orchestration) Complete(result any) error { return o.close(result, nil) }

// Fail ends the orchestration as FAILED with an error; as CANCELLED if the error is ErrCancelled after a
// cancellation. An error that only says that this caller cannot go on (ErrWaiting, ErrFenced, a
// *BlockedError) ends nothing and is returned.
func (o *Orchestration) Fail(cause error) error {
	var blocked *BlockedError
	if errors.Is(cause, ErrWaiting) || errors.Is(cause, ErrFenced) || errors.As(cause, &blocked) {
		return cause
	}
	if cause == nil {
		cause = errors.New("failed without an error")
	}
	return o.close(nil, cause)
}

func (o *Orchestration) close(result any, cause error) error {
	o.mu.Lock()
	r := o.r
	o.mu.Unlock()
	if r == nil {
		return fmt.Errorf("end orchestration %s: %w: call Start first", o.id, ErrNotFound)
	}
	switch {
	case r.replays():
		return nil
	case r.mode == driveBeforePause:
		return r.paused
	}
	r.mu.Lock()
	r.lookLocked()
	r.unlock()
	if cause == nil {
		p, err := o.e.encode("result", result)
		if err == nil {
			err = o.e.readsBack("result", result, p)
		}
		if err != nil {
			return fmt.Errorf("complete orchestration %s: %w", o.id, err)
		}
	}
	r.returned(result, cause)
	<-r.submitter.done // somebody else may have ended it first
	r.mu.Lock()
	outcome, why := r.outcome, r.cause
	r.unlock()
	if outcome == nil {
		return why
	}
	return nil
}

// State returns the orchestration's state, as [Engine.State] does.
func (o *Orchestration) State() (*State, error) {
	return o.e.State(context.WithoutCancel(o.parent), o.id)
}
