package swf

import (
	"context"
	"errors"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// claims gives the engine the decision tasks of the workers' task list.
type claims struct {
	*service
	config  *Config
	store   lambdabiz.Store // nil for none
	workers *workers
	runs    *directory
	mirror  *mirror
	events  *events
	lists   *decisionLists
	sender  *sender
	commits *committer
}

// claim takes one decision task. It waits for a long poll of SWF, a minute at most, or until ctx ends.
// A task that the engine need not see is answered at once.
func (k *claims) claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	version, ok := k.workers.version(r.Worker)
	if !ok {
		return lambdabiz.Claims{}, lambdabiz.ErrFenced
	}
	if r.Limit <= 0 {
		return lambdabiz.Claims{}, nil
	}
	t, err := k.lists.nextOf(ctx, wire.EncodeID(k.config.TaskList))
	if err != nil || t == nil {
		return lambdabiz.Claims{}, err
	}
	claims := lambdabiz.Claims{More: true}
	claimed, err := k.look(ctx, t, version)
	if err != nil {
		return claims, k.lists.notTaken(ctx, t, err)
	}
	if claimed != nil {
		claims.Runs = []lambdabiz.Claimed{*claimed}
	}
	return claims, nil
}

// look decides whether the engine has to see a decision task, and answers it otherwise.
func (k *claims) look(ctx context.Context, t *task, version string) (*lambdabiz.Claimed, error) {
	f := t.fold
	if f.Info.Mode == lambdabiz.ModeHand {
		k.log.Warn("a run driven by hand is on a worker's task list", "orchestration", f.Info.ID, "list", t.list)
		return nil, k.sender.giveBack(ctx, t, giveBackWait)
	}
	duplicate, err := k.first(ctx, t)
	if err != nil || duplicate {
		return nil, err
	}
	blocked := f.Info.Blocked != nil && !f.WakeDue && f.Info.Blocked.Version == version
	if f.Info.Paused || blocked || f.News <= f.Applied {
		return nil, k.commits.pass(ctx, t)
	}
	return k.claimed(ctx, t)
}

// claimed hands a decision task to the engine.
func (k *claims) claimed(ctx context.Context, t *task) (*lambdabiz.Claimed, error) {
	f := t.fold
	rec := f.Record()
	for i := range rec.Operations {
		if err := k.explainRaise(ctx, &rec.Operations[i]); err != nil {
			return nil, err
		}
	}
	h := &handle{task: t}
	k.runs.remember(f)
	if f.Last > wire.WarnEvents {
		k.log.Warn("the history is long: continue as new before it ends the run",
			"orchestration", f.Info.ID, "events", f.Last, "limit", wire.StopEvents)
	}
	return &lambdabiz.Claimed{
		Record: rec, Crashes: f.Crashes, Follows: f.Applied, Until: h.until,
		Ref: lambdabiz.RunRef{ID: f.Info.ID, RunID: f.Info.RunID, Fence: t.fence, Handle: h},
	}, nil
}

// explainRaise tells an orchestration that has ended from one that does not exist: SWF has one cause for both. One that
// is open has begun after the raise had failed, and did not exist then.
func (k *claims) explainRaise(ctx context.Context, o *lambdabiz.Operation) error {
	if o.Kind != lambdabiz.KindRaise || o.Tried == nil || o.Error == nil || o.Error.Code != "notFound" {
		return nil
	}
	x, err := k.runs.find(ctx, o.Target, "")
	if errors.Is(err, lambdabiz.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	open, err := k.runs.isOpen(ctx, x)
	if err == nil && !open {
		o.Error = lambdabiz.FailureOf(lambdabiz.ErrClosed)
	}
	return err
}

// first looks at a run that this process sees for the first time, where there is a store: a start that was
// repeated after its run had ended is closed before it does anything.
func (k *claims) first(ctx context.Context, t *task) (duplicate bool, err error) {
	f := t.fold
	if k.store == nil || f.Applied != 0 || k.mirror.hasAll(f.Home) {
		return false, nil
	}
	snap, err := k.store.Get(ctx, f.Info.ID)
	if err != nil && !errors.Is(err, lambdabiz.ErrNotFound) {
		return false, fmt.Errorf("read the store: %w", err)
	}
	if snap != nil && snap.RunID == f.Info.RunID && snap.BackendRunID != "" && snap.BackendRunID != f.Home {
		return true, k.sender.closeDuplicate(ctx, t)
	}
	if err := k.mirror.copyRun(ctx, f, nil); err != nil {
		return false, err // without it a repeated start would not be seen
	}
	if err := k.events.deliverKept(ctx, f); err != nil {
		return false, err
	}
	k.mirror.copied(f)
	return false, nil
}
