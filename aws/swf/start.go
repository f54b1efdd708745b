package swf

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

func newKey() string { return rand.Text() }

// start begins a run. With a store the id is reserved there first, so that it stays used after the run's end;
// without one SWF itself refuses a second open run.
func (b *Backend) start(ctx context.Context, s *lambdabiz.RunStart, at time.Time) (lambdabiz.StartVerdict, error) {
	if err := wire.CheckLength("orchestration id", s.ID); err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	list, err := b.startList(s)
	if err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	if b.config.Store == nil {
		return b.startOpen(ctx, s, wire.StartOf(s, at), list)
	}
	for try := 0; ; try++ {
		v, err := b.startReserved(ctx, s, at, list)
		if !errors.Is(err, lambdabiz.ErrStale) || try == 10 {
			return v, err
		}
	}
}

// startList is the task list of a new run: one of its own if it is driven by hand.
func (b *Backend) startList(s *lambdabiz.RunStart) (string, error) {
	switch {
	case s.Queue != "":
		if err := wire.CheckQueue("queue", s.Queue); err != nil {
			return "", err
		}
		if s.Mode == lambdabiz.ModeHand && s.Queue == b.config.TaskList {
			return "", fmt.Errorf("%w: queue %q belongs to workers, a run driven by hand needs another one",
				lambdabiz.ErrInvalidPayload, s.Queue)
		}
		return wire.EncodeID(s.Queue), nil
	case s.Mode == lambdabiz.ModeHand:
		return wire.HandList(s.ID), nil
	default:
		return wire.EncodeID(b.config.TaskList), nil
	}
}

// HandQueue is the queue of an orchestration that is driven by hand and was started without [lambdabiz.OnQueue]: it
// follows from its id. Whoever makes its REST calls alone needs no permission to look.
func (b *Backend) HandQueue(id string) string { return wire.DecodeID(wire.HandList(id)) }

// startOpen begins a run unless one of the id is open.
func (b *Backend) startOpen(
	ctx context.Context, s *lambdabiz.RunStart, e *wire.Start, list string,
) (lambdabiz.StartVerdict, error) {
	home, err := b.startExecution(ctx, s.ID, s.Name, e, list)
	if _, running := errors.AsType[*types.WorkflowExecutionAlreadyStartedFault](err); !running {
		if err != nil {
			return lambdabiz.StartVerdict{}, err
		}
		return b.created(s, e, home), nil
	}
	x, err := b.findOpenSoon(ctx, s.ID)
	switch {
	case errors.Is(err, lambdabiz.ErrNotFound): // it is open, or was, and no more is known
		x = execution{info: lambdabiz.RunInfo{ID: s.ID, Name: s.Name, Status: lambdabiz.StatusStarted}}
	case err != nil:
		return lambdabiz.StartVerdict{}, err
	default:
		b.know(x)
	}
	v := lambdabiz.StartVerdict{Info: x.info, Run: lambdabiz.RunRef{ID: s.ID, RunID: x.info.RunID}}
	if x.info.RunID == s.RunID {
		return v, nil
	}
	if s.Policy == lambdabiz.RejectOpen || s.Policy == lambdabiz.RejectExisting || x.info.Name != s.Name {
		return v, lambdabiz.ErrExists
	}
	return v, nil
}

func (b *Backend) created(s *lambdabiz.RunStart, e *wire.Start, home string) lambdabiz.StartVerdict {
	info := lambdabiz.RunInfo{
		ID: s.ID, Name: s.Name, RunID: s.RunID, Mode: s.Mode, Status: lambdabiz.StatusScheduled, ScheduledAt: e.At,
	}
	if home != "" {
		b.know(execution{home: home, info: info})
	}
	return lambdabiz.StartVerdict{Created: true, Run: lambdabiz.RunRef{ID: s.ID, RunID: s.RunID}, Info: info}
}

func (b *Backend) startExecution(ctx context.Context, id, name string, e *wire.Start, list string) (string, error) {
	if err := wire.CheckLength("orchestration name", name); err != nil {
		return "", err
	}
	typeName, tags := wire.TypeOf(id, name, e)
	if err := b.registerType(ctx, plan.Type{Name: typeName}); err != nil {
		return "", err
	}
	input, err := wire.Fit("input", e)
	if err != nil {
		return "", err
	}
	in := &swf.StartWorkflowExecutionInput{
		Domain: &b.config.Domain, WorkflowId: aws.String(wire.EncodeID(id)), Input: &input,
		WorkflowType: &types.WorkflowType{Name: aws.String(wire.EncodeID(typeName)), Version: aws.String(wire.TypeVersion)},
		TaskList:     &types.TaskList{Name: &list}, TagList: tags, ChildPolicy: types.ChildPolicyAbandon,
		ExecutionStartToCloseTimeout: wire.Seconds(wire.MaxRun), TaskStartToCloseTimeout: wire.Seconds(b.config.DecisionTimeout),
	}
	if b.config.LambdaRole != "" {
		in.LambdaRole = &b.config.LambdaRole
	}
	ctx, sent := awscall.Watch(ctx)
	out, err := b.client.StartWorkflowExecution(ctx, in)
	if err != nil {
		if sent.Open() {
			err = errors.Join(lambdabiz.ErrOutcomeUnknown, err)
		}
		return "", fmt.Errorf("start workflow execution: %w", err)
	}
	return aws.ToString(out.RunId), nil
}

// startReserved begins a run that the store knows first. ErrStale: another start was faster, look again.
func (b *Backend) startReserved(
	ctx context.Context, s *lambdabiz.RunStart, at time.Time, list string,
) (lambdabiz.StartVerdict, error) {
	snap, err := b.refreshed(ctx, s.ID, 0)
	if err != nil && !errors.Is(err, lambdabiz.ErrNotFound) {
		return lambdabiz.StartVerdict{}, err
	}
	if snap != nil {
		fresh, err := b.meet(ctx, s, snap)
		if err != nil || !fresh {
			return lambdabiz.StartVerdict{Info: snap.RunInfo, Run: lambdabiz.RunRef{ID: s.ID, RunID: snap.RunID}}, err
		}
	}
	reserved, replaces := b.reservation(s, at, snap)
	reserved.Queue = wire.DecodeID(list) // as its history will say
	if err := b.config.Store.Reserve(ctx, reserved, replaces); err != nil {
		return lambdabiz.StartVerdict{}, err //nolint:wrapcheck // the caller branches on ErrStale
	}
	home, err := b.launch(ctx, reserved, list)
	if err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	if s.Mode == lambdabiz.ModeHand && home != "" {
		b.copyStarted(ctx, reserved, home)
	}
	return b.created(s, wire.StartOf(s, at), home), nil
}

// copyStarted notes in the store SWF's run id of a run that is driven by hand: its next caller may be another process, and
// comes before SWF's lists have the run.
func (b *Backend) copyStarted(ctx context.Context, reserved *lambdabiz.Snapshot, home string) {
	snap := *reserved
	snap.Home, snap.Version.Event = home, 1
	if err := b.config.Store.Put(ctx, &snap); err != nil {
		b.log.Warn("the store does not know yet that a run has begun", "orchestration", snap.ID, "error", err)
	}
}

// reservation is the start as the store keeps it until the run has begun. Its start lies after that of the run
// that it replaces, whatever the clocks say: the order of versions depends on it.
func (b *Backend) reservation(s *lambdabiz.RunStart, at time.Time, old *lambdabiz.Snapshot) (*lambdabiz.Snapshot, string) {
	snap := &lambdabiz.Snapshot{SavedAt: now(), Version: lambdabiz.Version{Start: at}}
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
func (b *Backend) meet(ctx context.Context, s *lambdabiz.RunStart, snap *lambdabiz.Snapshot) (fresh bool, err error) {
	open := !snap.Status.Ended()
	if open && snap.Home == "" && snap.Parent == nil { // reserved by a start that may have died: help it; a parent comes again
		if _, err := b.launch(ctx, snap, ""); err != nil {
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
func (b *Backend) launch(ctx context.Context, snap *lambdabiz.Snapshot, list string) (string, error) {
	s := &lambdabiz.RunStart{
		ID: snap.ID, RunID: snap.RunID, Name: snap.Name, Mode: snap.Mode, Input: snap.Input, Tags: snap.Tags,
		Parent: snap.Parent, Deadline: snap.Deadline, Queue: snap.Queue,
	}
	if list == "" {
		var err error
		if list, err = b.startList(s); err != nil {
			return "", err
		}
	}
	kept, err := b.config.Store.Kept(ctx, snap.ID, snap.ScheduledAt) // by the clock of who starts it
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
	home, err := b.startExecution(ctx, s.ID, s.Name, e, list)
	if _, running := errors.AsType[*types.WorkflowExecutionAlreadyStartedFault](err); running {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if len(keys) > 0 {
		if err := b.config.Store.Drop(ctx, s.ID, keys); err != nil {
			b.log.Warn("kept events were not dropped; they go with the next start too", "orchestration", s.ID, "error", err)
		}
	}
	return home, nil
}

// reserveChild reserves the id of a child that must be new. A reservation of the same parent's operation is its own.
func (b *Backend) reserveChild(ctx context.Context, s *lambdabiz.RunStart, at time.Time) (plan.Reserved, error) {
	snap, err := b.config.Store.Get(ctx, s.ID)
	switch {
	case err == nil && s.Parent != nil && snap.Parent != nil && *snap.Parent == *s.Parent:
		return plan.Reserved{RunID: snap.RunID}, nil
	case err == nil:
		return plan.Reserved{Err: lambdabiz.ErrExists}, nil
	case !errors.Is(err, lambdabiz.ErrNotFound):
		return plan.Reserved{}, fmt.Errorf("read the store: %w", err)
	}
	reserved, _ := b.reservation(s, at, nil)
	err = b.config.Store.Reserve(ctx, reserved, "")
	if errors.Is(err, lambdabiz.ErrExists) {
		return plan.Reserved{Err: err}, nil
	}
	return plan.Reserved{RunID: s.RunID}, err //nolint:wrapcheck // ErrStale makes the engine decide again
}
