package swf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// starter begins runs. With a store their ids are reserved there first, so that they stay used after the runs' ends;
// without one SWF itself refuses a second open run.
type starter struct {
	*launcher
	store  lambdabiz.Store // nil for none
	mirror *mirror
}

// start begins a run, or meets the one that the id has.
func (t *starter) start(ctx context.Context, s *lambdabiz.RunStart, at time.Time) (lambdabiz.StartVerdict, error) {
	if err := wire.CheckLength("orchestration id", s.ID); err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	list, err := t.startList(s)
	if err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	if t.store == nil {
		return t.startOpen(ctx, s, wire.StartOf(s, at), list)
	}
	for try := 0; ; try++ {
		v, err := t.startReserved(ctx, s, at, list)
		if !errors.Is(err, lambdabiz.ErrStale) || try == 10 {
			return v, err
		}
	}
}

// startReserved begins a run that the store knows first. ErrStale: another start was faster, look again.
func (t *starter) startReserved(
	ctx context.Context, s *lambdabiz.RunStart, at time.Time, list string,
) (lambdabiz.StartVerdict, error) {
	snap, err := t.mirror.refreshed(ctx, s.ID, 0)
	if err != nil && !errors.Is(err, lambdabiz.ErrNotFound) {
		return lambdabiz.StartVerdict{}, err
	}
	if snap != nil {
		fresh, err := t.meet(ctx, s, snap)
		if err != nil || !fresh {
			return lambdabiz.StartVerdict{Info: snap.RunInfo, Run: lambdabiz.RunRef{ID: s.ID, RunID: snap.RunID}}, err
		}
	}
	reserved, replaces := t.reservation(s, at, snap)
	reserved.Queue = wire.DecodeID(list) // as its history will say
	if err := t.store.Reserve(ctx, reserved, replaces); err != nil {
		return lambdabiz.StartVerdict{}, err //nolint:wrapcheck // the caller branches on ErrStale
	}
	home, err := t.launch(ctx, reserved, list)
	if err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	if s.Mode == lambdabiz.ModeHand && home != "" {
		t.copyStarted(ctx, reserved, home)
	}
	return t.created(s, wire.StartOf(s, at), home), nil
}

// copyStarted notes in the store SWF's run id of a run that is driven by hand: its next caller may be another process, and
// comes before SWF's lists have the run.
func (t *starter) copyStarted(ctx context.Context, reserved *lambdabiz.Snapshot, home string) {
	snap := *reserved
	snap.BackendRunID, snap.Version.Event = home, 1
	if err := t.store.Put(ctx, &snap); err != nil {
		t.log.Warn("the store does not know yet that a run has begun", "orchestration", snap.ID, "error", err)
	}
}

// reservation is the start as the store keeps it until the run has begun. Its start lies after that of the run
// that it replaces, whatever the clocks say: the order of versions depends on it.
func (t *starter) reservation(s *lambdabiz.RunStart, at time.Time, old *lambdabiz.Snapshot) (*lambdabiz.Snapshot, string) {
	snap := &lambdabiz.Snapshot{SavedAt: now(), Version: lambdabiz.SnapshotVersion{Start: at}}
	snap.RunInfo = lambdabiz.RunInfo{
		ID: s.ID, Name: s.Name, RunID: s.RunID, Mode: s.Mode, Status: lambdabiz.StatusScheduled, Tags: s.Tags,
		Queue: s.Queue, Parent: s.Parent, Input: s.Input, ScheduledAt: at, Deadline: s.Deadline,
	}
	if old == nil {
		return snap, ""
	}
	if !snap.Version.Start.After(old.Version.Start) {
		snap.Version.Start = old.Version.Start.Add(time.Microsecond)
		snap.ScheduledAt = snap.Version.Start
	}
	return snap, old.RunID
}

// meet applies the policy to the run that the id has. It reports whether a new run shall begin.
func (t *starter) meet(ctx context.Context, s *lambdabiz.RunStart, snap *lambdabiz.Snapshot) (fresh bool, err error) {
	open := !snap.Status.Ended()
	if open && snap.BackendRunID == "" && snap.Parent == nil { // reserved by a start that may have died: help it; a parent comes again
		if _, err := t.launch(ctx, snap, ""); err != nil {
			return false, err
		}
	}
	if snap.RunID == s.RunID {
		return false, nil
	}
	if snap.Name != s.Name {
		return false, lambdabiz.ErrExists
	}
	switch s.Policy {
	case lambdabiz.UseExisting:
		return false, nil
	case lambdabiz.RejectExisting:
		return false, lambdabiz.ErrExists
	case lambdabiz.RejectOpen:
		if open {
			return false, lambdabiz.ErrExists
		}
		return true, nil
	case lambdabiz.RestartFailed:
		return !open && snap.Status != lambdabiz.StatusSucceeded, nil
	default:
		return !open, nil
	}
}

// launch starts the run that the store has reserved, with the events that were kept for it. That it runs
// already is no error.
func (t *starter) launch(ctx context.Context, snap *lambdabiz.Snapshot, list string) (string, error) {
	s := &lambdabiz.RunStart{
		ID: snap.ID, RunID: snap.RunID, Name: snap.Name, Mode: snap.Mode, Input: snap.Input, Tags: snap.Tags,
		Parent: snap.Parent, Deadline: snap.Deadline, Queue: snap.Queue,
	}
	if list == "" {
		var err error
		if list, err = t.startList(s); err != nil {
			return "", err
		}
	}
	kept, err := t.store.Kept(ctx, snap.ID, snap.ScheduledAt) // by the clock of who starts it
	if err != nil {
		return "", fmt.Errorf("read kept events: %w", err)
	}
	e := wire.StartOf(s, snap.ScheduledAt)
	e.At = snap.Version.Start
	keys := make([]string, 0, len(kept))
	for _, k := range kept {
		e.Events = append(e.Events, wire.KeptEvent{Name: k.Name, Key: k.Key, At: k.ArrivedAt, Data: wire.Payload(k.Payload)})
		keys = append(keys, k.Key)
	}
	home, err := t.startExecution(ctx, s.ID, s.Name, e, list)
	if _, running := errors.AsType[*types.WorkflowExecutionAlreadyStartedFault](err); running {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if len(keys) > 0 {
		if err := t.store.Drop(ctx, s.ID, keys); err != nil {
			t.log.Warn("kept events were not dropped; they go with the next start too", "orchestration", s.ID, "error", err)
		}
	}
	return home, nil
}

// reserveChild reserves the id of a child that must be new. A reservation of the same parent's operation is its own.
func (t *starter) reserveChild(ctx context.Context, s *lambdabiz.RunStart, at time.Time) (plan.Reserved, error) {
	snap, err := t.store.Get(ctx, s.ID)
	switch {
	case err == nil && s.Parent != nil && snap.Parent != nil && *snap.Parent == *s.Parent:
		return plan.Reserved{RunID: snap.RunID}, nil
	case err == nil:
		return plan.Reserved{Err: lambdabiz.ErrExists}, nil
	case !errors.Is(err, lambdabiz.ErrNotFound):
		return plan.Reserved{}, fmt.Errorf("read the store: %w", err)
	}
	reserved, _ := t.reservation(s, at, nil)
	err = t.store.Reserve(ctx, reserved, "")
	if errors.Is(err, lambdabiz.ErrExists) {
		return plan.Reserved{Err: err}, nil
	}
	return plan.Reserved{RunID: s.RunID}, err //nolint:wrapcheck // ErrStale makes the engine decide again
}
