package swf

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// handle is the right to answer a decision task: lambdabiz.RunRef.Handle.
type handle struct {
	*task
	owner string // of a run driven by hand: the caller's last claim

	mu       sync.Mutex
	answered bool
	steps    int64 // journals that were sent as signals

	// A journal was sent as a signal: SWF will not let this decision close the run, and gives another one
	// after it, if the signal arrived, which only signalled says for sure.
	signals, signalled bool
	sent               int64 // signals: events that the fold does not have
}

// planned is the decision task for a plan.
func (h *handle) planned() plan.Task {
	return plan.Task{Fold: h.fold, Fence: h.fence, Sent: h.signals, Arrived: h.signalled}
}

// Claim takes one decision task. It waits for a long poll of SWF, a minute at most, or until ctx ends.
// A task that the engine need not see is answered at once.
func (b *Backend) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if r.Hand != "" {
		return b.claimByHand(ctx, r)
	}
	b.mu.Lock()
	w := b.workers[r.Worker]
	b.mu.Unlock()
	if w == nil {
		return lambdabiz.Claims{}, lambdabiz.ErrFenced
	}
	if r.Limit <= 0 {
		return lambdabiz.Claims{}, nil
	}
	t, err := b.nextOf(ctx, wire.EncodeID(b.config.TaskList))
	if err != nil || t == nil {
		return lambdabiz.Claims{}, err
	}
	claims := lambdabiz.Claims{More: true}
	claimed, err := b.look(ctx, t, w.Version)
	if err != nil {
		return claims, b.notTaken(ctx, t, err)
	}
	if claimed != nil {
		claims.Runs = []lambdabiz.Claimed{*claimed}
	}
	return claims, nil
}

// look decides whether the engine has to see a decision task, and answers it otherwise.
func (b *Backend) look(ctx context.Context, t *task, version string) (*lambdabiz.Claimed, error) {
	f := t.fold
	if f.Info.Mode == lambdabiz.ModeHand {
		b.log.Warn("a run driven by hand is on a worker's task list", "orchestration", f.Info.ID, "list", t.list)
		return nil, b.giveBack(ctx, t, giveBackWait)
	}
	duplicate, err := b.first(ctx, t)
	if err != nil || duplicate {
		return nil, err
	}
	blocked := f.Info.Blocked != nil && !f.WakeDue && f.Info.Blocked.Version == version
	if f.Info.Paused || blocked || f.News <= f.Applied {
		return nil, b.pass(ctx, t)
	}
	return b.claimed(ctx, t)
}

// claimed hands a decision task to the engine.
func (b *Backend) claimed(ctx context.Context, t *task) (*lambdabiz.Claimed, error) {
	f := t.fold
	rec := f.Record()
	for i := range rec.Operations {
		if err := b.explainRaise(ctx, &rec.Operations[i]); err != nil {
			return nil, err
		}
	}
	h := &handle{task: t}
	b.remember(f)
	if f.Last > wire.WarnEvents {
		b.log.Warn("the history is long: continue as new before it ends the run",
			"orchestration", f.Info.ID, "events", f.Last, "limit", wire.StopEvents)
	}
	return &lambdabiz.Claimed{
		Record: rec, Crashes: f.Crashes, Follows: f.Applied, Until: h.until,
		Ref: lambdabiz.RunRef{ID: f.Info.ID, RunID: f.Info.RunID, Fence: t.fence, Handle: h},
	}, nil
}

// explainRaise tells an orchestration that has ended from one that does not exist: SWF has one cause for both. One that
// is open has begun after the raise had failed, and did not exist then.
func (b *Backend) explainRaise(ctx context.Context, o *lambdabiz.Operation) error {
	if o.Kind != lambdabiz.KindRaise || o.Tried == nil || o.Error == nil || o.Error.Code != "notFound" {
		return nil
	}
	x, err := b.find(ctx, o.Target, "")
	if errors.Is(err, lambdabiz.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	open, err := b.isOpen(ctx, x)
	if err == nil && !open {
		o.Error = lambdabiz.FailureOf(lambdabiz.ErrClosed)
	}
	return err
}

// remember notes a run that this process has read.
func (b *Backend) remember(f *history.Fold) { b.know(execution{home: f.Home, info: f.Info}) }

// claimByHand claims one run for its caller: at once by asking SWF for a decision task, or, after the caller's
// own commit, when there is one.
func (b *Backend) claimByHand(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if r.Follows != nil {
		return b.claimNext(ctx, r)
	}
	x, err := b.find(ctx, r.Hand, "")
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	f, err := b.readLatest(ctx, r.Hand, x.home)
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	if f.Info.Mode != lambdabiz.ModeHand {
		return lambdabiz.Claims{}, lambdabiz.ErrMode
	}
	if f.Closed || f.Info.Paused {
		return b.unclaimed(ctx, f)
	}
	if b.config.Store != nil && f.Applied == 0 {
		if err := b.deliverKept(ctx, f); err != nil {
			return lambdabiz.Claims{}, err
		}
	}
	owner := rand.Text()
	if err := b.signal(ctx, r.Hand, f.Home, &wire.Signal{Kind: wire.SignalClaim, Key: owner}); err != nil {
		if isUnknown(err) { // it has ended since
			return b.claimByHand(ctx, r)
		}
		return lambdabiz.Claims{}, fmt.Errorf("claim orchestration %s: %w", r.Hand, err)
	}
	for {
		t, err := b.nextOf(ctx, f.List)
		switch {
		case err != nil:
			return lambdabiz.Claims{}, err
		case t == nil:
			if now, err := b.readAll(ctx, r.Hand, f.Home); err == nil && now.Closed {
				return b.claimByHand(ctx, r)
			}
		case t.fold.Info.ID != r.Hand || !slices.Contains(t.fold.Owners, owner): // brought by an earlier caller's poll
			if err := b.orPutBack(t, b.pass(ctx, t)); err != nil {
				return lambdabiz.Claims{}, err
			}
		case t.fold.Owner() != owner: // somebody has called Create after us
			return lambdabiz.Claims{}, errors.Join(lambdabiz.ErrFenced, b.orPutBack(t, b.giveBack(ctx, t, 0)))
		case t.fold.Info.Paused:
			return b.handedPaused(ctx, t)
		default:
			return b.handed(ctx, t, owner)
		}
	}
}

// unclaimed is a run that its caller may only read: it has ended, or is paused.
func (b *Backend) unclaimed(ctx context.Context, f *history.Fold) (lambdabiz.Claims, error) {
	rec := f.Record()
	for i := range rec.Operations {
		if err := b.explainRaise(ctx, &rec.Operations[i]); err != nil {
			return lambdabiz.Claims{}, err
		}
	}
	ref := lambdabiz.RunRef{ID: f.Info.ID, RunID: f.Info.RunID}
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{{Record: rec, Ref: ref}}}, nil
}

// handedPaused answers the decision task of a paused run, and tells its caller of the pause.
func (b *Backend) handedPaused(ctx context.Context, t *task) (lambdabiz.Claims, error) {
	if err := b.orPutBack(t, b.pass(ctx, t)); err != nil {
		return lambdabiz.Claims{}, err
	}
	return b.unclaimed(ctx, t.fold)
}

// orPutBack keeps a task of a run driven by hand for the next caller when this one could not deal with it.
func (b *Backend) orPutBack(t *task, err error) error {
	if err != nil {
		b.putBackOn(t, 0)
	}
	return err
}

func (b *Backend) handed(ctx context.Context, t *task, owner string) (lambdabiz.Claims, error) {
	c, err := b.claimed(ctx, t)
	if err != nil {
		return lambdabiz.Claims{}, b.orPutBack(t, err)
	}
	if h, ok := c.Ref.Handle.(*handle); ok {
		h.owner = owner
	}
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{*c}}, nil
}

// claimNext claims the run again that the caller has held, if nobody else has asked for it since.
func (b *Backend) claimNext(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	h, ok := r.Follows.Handle.(*handle)
	if !ok {
		return lambdabiz.Claims{}, lambdabiz.ErrFenced
	}
	t, err := b.nextOf(ctx, h.list)
	switch {
	case err != nil:
		return lambdabiz.Claims{}, err
	case t == nil:
		return lambdabiz.Claims{}, b.checkOpen(ctx, h)
	case t.fold.Info.ID == r.Hand && !slices.Contains(t.fold.Owners, h.owner): // brought by an earlier caller's poll
		return lambdabiz.Claims{}, b.orPutBack(t, b.pass(ctx, t))
	case t.fold.Info.ID != r.Hand || t.fold.Owner() != h.owner || t.fold.Info.RunID != r.Follows.RunID:
		return lambdabiz.Claims{}, errors.Join(lambdabiz.ErrFenced, b.orPutBack(t, b.giveBack(ctx, t, 0)))
	case t.fold.Info.Paused:
		return b.handedPaused(ctx, t)
	case t.fold.News <= t.fold.Applied:
		return lambdabiz.Claims{}, b.orPutBack(t, b.pass(ctx, t))
	default:
		return b.handed(ctx, t, h.owner)
	}
}

// checkOpen returns ErrFenced when a run has ended: SWF gives no decision task of it any more.
func (b *Backend) checkOpen(ctx context.Context, h *handle) error {
	out, err := b.client.DescribeWorkflowExecution(ctx, &swf.DescribeWorkflowExecutionInput{
		Domain: &b.config.Domain, Execution: h.exec,
	})
	switch {
	case isUnknown(err):
		return lambdabiz.ErrFenced
	case err != nil:
		return fmt.Errorf("check orchestration %s: %w", h.fold.Info.ID, err)
	case out.ExecutionInfo.ExecutionStatus != types.ExecutionStatusOpen:
		return lambdabiz.ErrFenced
	}
	return nil
}

// first looks at a run that this process sees for the first time, where there is a store: a start that was
// repeated after its run had ended is closed before it does anything.
func (b *Backend) first(ctx context.Context, t *task) (duplicate bool, err error) {
	f := t.fold
	if b.config.Store == nil || f.Applied != 0 {
		return false, nil
	}
	b.mu.Lock()
	_, done := b.loaded[f.Home]
	b.mu.Unlock()
	if done {
		return false, nil
	}
	snap, err := b.config.Store.Get(ctx, f.Info.ID)
	if err != nil && !errors.Is(err, lambdabiz.ErrNotFound) {
		return false, fmt.Errorf("read the store: %w", err)
	}
	if snap != nil && snap.RunID == f.Info.RunID && snap.Home != "" && snap.Home != f.Home {
		return true, b.closeDuplicate(ctx, t)
	}
	if err := b.copyRun(ctx, f, nil); err != nil {
		return false, err // without it a repeated start would not be seen
	}
	if err := b.deliverKept(ctx, f); err != nil {
		return false, err
	}
	b.copied(f)
	return false, nil
}

// signal sends an envelope to a run that is no event.
func (b *Backend) signal(ctx context.Context, id, home string, s *wire.Signal) error {
	s.Version = wire.Version
	if s.At.IsZero() {
		s.At = now()
	}
	input, err := wire.Fit("signal", s)
	if err != nil {
		return err
	}
	in := &swf.SignalWorkflowExecutionInput{
		Domain: &b.config.Domain, WorkflowId: aws.String(wire.EncodeID(id)), SignalName: aws.String(wire.ControlSignal), Input: &input,
	}
	if home != "" {
		in.RunId = &home
	}
	_, err = b.client.SignalWorkflowExecution(ctx, in)
	return err //nolint:wrapcheck // the callers branch on it
}
