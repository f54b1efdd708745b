package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// Run is a handle to an orchestration whose result is an Out.
type Run[Out any] struct{ h *handle }

// handle is a Run without its type.
type handle struct {
	e        *Engine
	id       string
	runID    string // "" for the latest
	created  bool   // by this handle's own start
	resident *run   // where the start was claimed by this process
}

// ID is the orchestration id.
func (r *Run[Out]) ID() string { return r.h.id }

// RunID is the id of the run that was started or found; "" for a handle from [Get]. It stays when the run
// continues as new.
func (r *Run[Out]) RunID() string { return r.h.runID }

// Created reports whether the call of [Start] that returned the handle has started the run. False: the id was
// used, and the run is the one that it had; its own input, tags and deadline stay.
func (r *Run[Out]) Created() bool { return r.h.created }

// Start starts an orchestration and returns when that is durable. It is idempotent by the id: when the
// id is used, the default policy UseExisting returns a handle to the run that it has, open or ended,
// whatever its input; see [OnUsedID], and [Run.Created]. It returns ErrExists by policy, or when the id belongs to an
// orchestration of another name; ErrInvalidID, ErrTooLarge or ErrInvalidPayload for bad input, which an input is too that
// can be encoded and not be decoded into In again.
//
// When ctx ends first, a start that has not begun does not happen, and ctx's error is returned. If it is on its way,
// or nobody knows what became of it, ErrOutcomeUnknown comes with ctx's error: it is safe to start again, and a run
// that this worker got by it is carried on. The same holds for what RaiseEvent, Cancel and their like write.
//
// The engine need not be a worker, nor know the definition.
func Start[In, Out any](
	ctx context.Context, e *Engine, d *Definition[In, Out], id string, in In, opts ...StartOption,
) (*Run[Out], error) {
	h, err := e.start(ctx, d.spec, id, in, opts)
	if err != nil {
		return nil, err
	}
	return &Run[Out]{h}, nil
}

// Get returns a handle to the latest run of an orchestration, without asking whether it exists.
func Get[In, Out any](e *Engine, _ *Definition[In, Out], id string) *Run[Out] {
	return &Run[Out]{&handle{e: e, id: id}}
}

// Raise sends an event to the orchestration, as [Engine.RaiseEvent] does.
func (r *Run[Out]) Raise(ctx context.Context, event string, payload any, opts ...RaiseOption) error {
	return r.h.e.RaiseEvent(ctx, r.h.id, event, payload, opts...)
}

// Cancel asks the orchestration to end, as [Engine.Cancel] does.
func (r *Run[Out]) Cancel(ctx context.Context, reason string) error {
	return r.h.e.Cancel(ctx, r.h.id, reason)
}

// State returns the latest run of the orchestration with its operations, as [Engine.State] does.
func (r *Run[Out]) State(ctx context.Context) (*State, error) { return r.h.e.State(ctx, r.h.id) }

// StartByName is [Start] for a definition that is known by name only. The input is any value that the
// codec encodes, or a Payload. Where the definition is registered with the engine, its input must be able to take it;
// else the value's own type must.
func (e *Engine) StartByName(
	ctx context.Context, name, id string, input any, opts ...StartOption,
) (*Run[Payload], error) {
	d := e.registry.definition(name)
	if d == nil {
		d = &definitionSpec{name: name}
	}
	h, err := e.start(ctx, d, id, input, opts)
	if err != nil {
		return nil, err
	}
	return &Run[Payload]{h}, nil
}

// newStart checks what a start is given.
func (v *env) newStart(d *definitionSpec, id string, input any, opts []StartOption) (RunStart, error) {
	s := RunStart{ID: id, RunID: v.runID(id), Name: d.name}
	for _, opt := range opts {
		opt.applyStart(&s)
	}
	if err := errors.Join(v.desc.checkStart(&s), checkGivenID(id)); err != nil {
		return s, fmt.Errorf("start orchestration: %w", err)
	}
	p, err := v.encode("input", input)
	if err == nil {
		err = v.readsInput(d, input, p)
	}
	if err != nil {
		return s, fmt.Errorf("start orchestration %s: %w", id, err)
	}
	s.Input = p
	return s, nil
}

func (e *Engine) start(ctx context.Context, d *definitionSpec, id string, input any, opts []StartOption) (*handle, error) {
	s, err := e.newStart(d, id, input, opts)
	if err != nil {
		return nil, err
	}
	claims := e.wants(d.name) && e.grant(1) == 1
	s.Claim = claims
	c := &Commit{Worker: e.worker.Load(), At: now(), Starts: []RunStart{s}}
	v, way, err := e.commitClient(ctx, c)
	if errors.Is(err, ErrOutcomeUnknown) && c.Starts[0].Claim {
		go e.carryOn(c, way) //nolint:gosec // its caller has gone
	} else if claims {
		defer e.countStarts(-1)
	}
	if err != nil {
		return nil, fmt.Errorf("start orchestration %s: %w", id, err)
	}
	fault.Point("client.started")
	h, err := handleOf(e, &s, &v.Starts[0])
	if err != nil {
		return nil, err
	}
	if h.resident = e.adoptLast(c, v); h.resident == nil && v.Starts[0].Created {
		e.kick()
		e.warnUnserved(ctx, d.name)
	}
	return h, nil
}

// handleOf makes a handle of the run that a start has made or found.
func handleOf(e *Engine, s *RunStart, started *StartVerdict) (*handle, error) {
	err := started.Err
	if err == nil && !started.Created && started.Info.Mode == ModeHand {
		err = ErrMode
	}
	if err != nil {
		return nil, fmt.Errorf("start orchestration %s: %w", s.ID, err)
	}
	return &handle{e: e, id: s.ID, runID: started.Run.RunID, created: started.Run.RunID == s.RunID}, nil
}

// warnUnserved logs, once for each name, that something was started which no worker that runs can do: a client need not know
// the definition, but a name that nobody knows is mostly misspelt, or not registered.
func (e *Engine) warnUnserved(ctx context.Context, name string) {
	if e.desc.Supervised || e.registry.definition(name) != nil {
		return
	}
	if _, asked := e.unserved.LoadOrStore(name, true); asked {
		return
	}
	workers, err := e.Workers(ctx)
	switch {
	case err != nil:
		e.log.Warn("whether a worker serves a definition could not be asked", "definition", name, "error", err)
	case len(workers) > 0 && !serves(workers, name):
		e.log.Warn("no worker that runs knows the definition of an orchestration that was started: register it",
			"definition", name)
	}
}

// serves reports whether a worker that runs knows the definition.
func serves(workers []WorkerRecord, name string) bool {
	return slices.ContainsFunc(workers, func(w WorkerRecord) bool { return !w.Gone && slices.Contains(w.Names, name) })
}

// RaiseEvent sends an event to the latest run of an orchestration. When it returns nil the event is
// durable, and will be consumed once or still be there when the run ends. It returns ErrNotFound for
// an unknown id (unless [BeforeStart] keeps the event) and ErrClosed when the orchestration has ended.
// With [Key] it may be repeated safely, and [WithReceipt] tells whether it was. The payload is any value that the codec
// encodes and can decode into its own type again, or a Payload.
func (e *Engine) RaiseEvent(ctx context.Context, id, event string, payload any, opts ...RaiseOption) error {
	raise, o, err := e.newRaise(id, event, payload, opts)
	if err != nil {
		return err
	}
	v, _, err := e.commitClient(ctx, &Commit{At: now(), Raises: []Raise{raise}})
	if err == nil {
		err = v.Raises[0].Err
	}
	if err != nil {
		return fmt.Errorf("raise event %q in orchestration %s: %w", event, id, err)
	}
	o.give(v.Raises[0].Receipt)
	e.poke(id)
	return nil
}

// newRaise checks what a raise from outside is given.
func (v *env) newRaise(id, event string, payload any, opts []RaiseOption) (Raise, *raiseOptions, error) {
	o := &raiseOptions{}
	for _, opt := range opts {
		opt.applyRaise(o)
	}
	o.give(ReceiptUnknown) // what it was is of another raise
	raise, err := v.raise(id, event, payload, o)
	if err == nil {
		err = v.readsBack(fmt.Sprintf("payload of event %q", event), payload, raise.Payload)
	}
	if err != nil {
		err = fmt.Errorf("raise event in orchestration %q: %w", id, err)
	}
	return raise, o, err
}

// Cancel asks an orchestration to end: its context ends, in code that is resumed where it ended before (see [Context]),
// operations that wait return ErrCancelled, its children are cancelled, and its function may still clean up under
// [Detached]. The request is durable
// when Cancel returns, and idempotent. The first reason is kept: RunInfo.CancelReason. ErrNotFound and
// ErrClosed as in RaiseEvent.
func (e *Engine) Cancel(ctx context.Context, id, reason string) error {
	return e.control(ctx, ControlCancel, "cancel", id, reason)
}

// Terminate ends an orchestration now, without a word to its code, as TERMINATED. Tasks that run are
// not stopped, but their results are dropped. Its children go on.
func (e *Engine) Terminate(ctx context.Context, id, reason string) error {
	return e.control(ctx, ControlTerminate, "terminate", id, reason)
}

// Pause holds an orchestration: bodies that run may end and are recorded, then nothing more happens
// until [Engine.Resume]; operations of one that is driven by hand return a *PausedError. The reason is in
// RunInfo.PauseReason until then. Events are stored; a timer that falls due meanwhile ends after it.
func (e *Engine) Pause(ctx context.Context, id, reason string) error {
	if err := e.desc.supports(FeaturePause); err != nil {
		return err
	}
	return e.control(ctx, ControlPause, "pause", id, reason)
}

// Resume lets a paused orchestration go on, and tries a blocked one again at once. One that is driven by hand goes on
// when its caller calls again.
func (e *Engine) Resume(ctx context.Context, id string) error {
	if err := e.desc.supports(FeaturePause); err != nil {
		return err
	}
	return e.control(ctx, ControlResume, "resume", id, "")
}

// DropEvent removes an event that has arrived in an orchestration and is not consumed: one whose payload its
// code cannot read, say, which blocks the orchestration. The number is the one in [State].Events. An orchestration
// that is blocked is tried again at once. The request is durable when DropEvent returns, and idempotent; an event
// that the code takes meanwhile stays taken. [ErrNotFound] when there is no such event or orchestration,
// [ErrClosed] when it has ended.
func (e *Engine) DropEvent(ctx context.Context, id string, number int64) error {
	wrap := func(err error) error { return fmt.Errorf("drop event %d of orchestration %s: %w", number, id, err) }
	if err := e.desc.checkOrchestrationID(id); err != nil {
		return fmt.Errorf("drop event %d: %w", number, err)
	}
	s, err := e.State(ctx, id)
	switch {
	case err != nil:
		return wrap(err)
	case s.Status.Ended():
		return wrap(ErrClosed)
	case !slices.ContainsFunc(s.Events, func(b Buffered) bool { return b.Number == number }):
		return wrap(&noEventError{waiting: len(s.Events)})
	}
	return e.controlWith(ctx, "drop an event of", Control{Kind: ControlDrop, ID: id, RunID: s.RunID, Number: number})
}

// noEventError is the ErrNotFound of an event: the orchestration is there.
type noEventError struct{ waiting int }

func (e *noEventError) Error() string {
	return fmt.Sprintf("no event with this number waits to be consumed (%d others do)", e.waiting)
}

func (e *noEventError) Is(target error) bool { return target == ErrNotFound }

func (e *Engine) control(ctx context.Context, kind ControlKind, verb, id, reason string) error {
	return e.controlWith(ctx, verb, Control{Kind: kind, ID: id, Reason: reason})
}

func (e *Engine) controlWith(ctx context.Context, verb string, c Control) error {
	id, reason := c.ID, c.Reason
	if err := e.desc.checkOrchestrationID(id); err != nil {
		return fmt.Errorf("%s orchestration: %w", verb, err)
	}
	if len(reason) > maxMessageBytes {
		return fmt.Errorf("%s orchestration %s: reason: %w: %d bytes, the limit is %d",
			verb, id, ErrTooLarge, len(reason), maxMessageBytes)
	}
	v, _, err := e.commitClient(ctx, &Commit{At: now(), Controls: []Control{c}})
	if err == nil {
		err = v.Controls[0]
	}
	if err != nil {
		return fmt.Errorf("%s orchestration %s: %w", verb, id, err)
	}
	e.poke(id)
	if c.Kind == ControlTerminate {
		e.tellWatchers(id)
		if r := e.latest(id); r != nil {
			go r.refresh() // it finds itself fenced
		}
	}
	return nil
}

// poke hands on at once what this process has sent to an orchestration that may be in it.
func (e *Engine) poke(id string) {
	e.kick()
	for _, r := range e.byHand(id) {
		go r.refresh()
	}
}

// Purge removes an ended orchestration, all its runs and keys. ErrOpen if it has not ended,
// ErrNotFound if there is none.
func (e *Engine) Purge(ctx context.Context, id string) error {
	if err := e.desc.checkOrchestrationID(id); err != nil {
		return fmt.Errorf("purge orchestration: %w", err)
	}
	n, err := e.backend.Purge(ctx, PurgeRequest{ID: id})
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("purge orchestration %s: %w", id, err)
	}
	return nil
}

// PurgeEnded removes orchestrations that ended before a time, at most limit (0 for 1,000), and returns
// how many runs it removed, also with an error. Of an orchestration that goes on it removes the runs that continued as
// another before then: [Run.Result] still follows, and StateOf of such a run is ErrNotFound. Call it again until that is 0.
// The zero time is an error, and removes nothing: no orchestration ended before it.
func (e *Engine) PurgeEnded(ctx context.Context, before time.Time, limit int) (int, error) {
	if before.IsZero() {
		return 0, errors.New("purge ended orchestrations: the time is the zero time: give the one before which they ended")
	}
	n, err := e.backend.Purge(ctx, PurgeRequest{EndedBefore: before.UTC(), Limit: limit})
	if err != nil {
		return n, fmt.Errorf("purge ended orchestrations: %w", err)
	}
	return n, nil
}

// State returns the latest run of an orchestration with its operations, as one snapshot, or
// ErrNotFound.
func (e *Engine) State(ctx context.Context, id string) (*State, error) {
	return e.StateOf(ctx, id, "")
}

// StateOf is [Engine.State] of the run with the given run id.
func (e *Engine) StateOf(ctx context.Context, id, runID string) (*State, error) {
	if err := e.desc.checkOrchestrationID(id); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	rec, err := e.backend.Load(ctx, id, runID)
	if err != nil {
		return nil, fmt.Errorf("load state of orchestration %s: %w", id, err)
	}
	s := stateOf(rec)
	if !e.desc.Supervised && s.Status == StatusScheduled && s.Mode == ModeWorker && s.Blocked == nil && s.Worker == 0 {
		if err := e.explainScheduled(ctx, s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// explainScheduled says in the state when no worker knows the definition. That is seen from the
// workers, not recorded.
func (e *Engine) explainScheduled(ctx context.Context, s *State) error {
	workers, err := e.Workers(ctx)
	if err != nil || len(workers) == 0 || serves(workers, s.Name) {
		return err
	}
	s.Blocked = &Blocked{Since: s.ScheduledAt, Reason: fmt.Sprintf(
		"no worker that runs knows a definition with the name %q", s.Name)}
	return nil
}

// List returns a page of runs, newest start first.
func (e *Engine) List(ctx context.Context, f Filter) (Page, error) {
	if f.Limit < 0 || f.Limit > 1000 {
		return Page{}, fmt.Errorf("list: Limit is %d, it must be 1 to 1000, or 0 for 100", f.Limit)
	}
	if err := e.checkFilter(&f); err != nil {
		return Page{}, err
	}
	page, err := e.backend.List(ctx, f)
	if err != nil {
		return page, fmt.Errorf("list: %w", err)
	}
	return page, nil
}

// Counts returns how many runs there are of each status in a list with the filter, on all of its pages together. Limit and
// Cursor mean nothing, and a status without a run is left out. A home that is a [Counter] counts, in one snapshot. Another one
// lists, page by page: what begins or ends meanwhile may be counted as it was.
func (e *Engine) Counts(ctx context.Context, f Filter) (map[Status]int, error) {
	f.Limit, f.Cursor = 1000, ""
	if err := e.checkFilter(&f); err != nil {
		return nil, err
	}
	var err error
	counts := map[Status]int{}
	if e.counter != nil {
		counts, err = e.counter.Counts(ctx, f)
	} else {
		err = countPages(ctx, e.backend, f, counts)
	}
	if err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	maps.DeleteFunc(counts, func(_ Status, n int) bool { return n == 0 })
	return counts, nil
}

func countPages(ctx context.Context, b Backend, f Filter, counts map[Status]int) error {
	for {
		page, err := b.List(ctx, f)
		if err != nil {
			return err //nolint:wrapcheck // the caller says what for
		}
		for i := range page.Runs {
			counts[page.Runs[i].Status]++
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return nil
		}
	}
}

// checkFilter says why the home cannot list by a filter.
func (e *Engine) checkFilter(f *Filter) error {
	if f.Name != "" || len(f.Tags) > 0 || !f.ScheduledAfter.IsZero() || !f.ScheduledBefore.IsZero() {
		if err := e.desc.supports(FeatureList); err != nil {
			return err
		}
	}
	if err := checkTags(f.Tags); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if f.AllRuns {
		return e.desc.supports(FeatureEarlierRuns)
	}
	return nil
}

// Workers returns the workers that are registered on the store, this engine's own included.
func (e *Engine) Workers(ctx context.Context) ([]WorkerRecord, error) {
	workers, err := e.backend.Workers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	return workers, nil
}
