package swf

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// handClaims gives the callers of runs that are driven by hand what they ask for.
type handClaims struct {
	*service
	store     lambdabiz.Store // nil for none
	runs      *directory
	histories *histories
	events    *events
	lists     *decisionLists
	sender    *sender
	commits   *committer
	claims    *claims
}

// claim claims one run for its caller: at once by asking SWF for a decision task, or, after the caller's
// own commit, when there is one.
func (k *handClaims) claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if r.Follows != nil {
		return k.claimNext(ctx, r)
	}
	x, err := k.runs.find(ctx, r.Hand, "")
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	f, err := k.histories.readLatest(ctx, r.Hand, x.home)
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	if f.Info.Mode != lambdabiz.ModeHand {
		return lambdabiz.Claims{}, lambdabiz.ErrMode
	}
	if f.Closed || f.Info.Paused {
		return k.unclaimed(ctx, f)
	}
	if k.store != nil && f.Applied == 0 {
		if err := k.events.deliverKept(ctx, f); err != nil {
			return lambdabiz.Claims{}, err
		}
	}
	owner := rand.Text()
	if err := k.signal(ctx, r.Hand, f.Home, &wire.Signal{Kind: wire.SignalClaim, Key: owner}); err != nil {
		if isUnknown(err) { // it has ended since
			return k.claim(ctx, r)
		}
		return lambdabiz.Claims{}, fmt.Errorf("claim orchestration %s: %w", r.Hand, err)
	}
	for {
		t, err := k.lists.nextOf(ctx, f.List)
		switch {
		case err != nil:
			return lambdabiz.Claims{}, err
		case t == nil:
			if now, err := k.histories.readAll(ctx, r.Hand, f.Home); err == nil && now.Closed {
				return k.claim(ctx, r)
			}
		case t.fold.Info.ID != r.Hand || !slices.Contains(t.fold.Owners, owner): // brought by an earlier caller's poll
			if err := k.orPutBack(t, k.commits.pass(ctx, t)); err != nil {
				return lambdabiz.Claims{}, err
			}
		case t.fold.Owner() != owner: // somebody has called Create after us
			return lambdabiz.Claims{}, errors.Join(lambdabiz.ErrFenced, k.orPutBack(t, k.sender.giveBack(ctx, t, 0)))
		case t.fold.Info.Paused:
			return k.handedPaused(ctx, t)
		default:
			return k.handed(ctx, t, owner)
		}
	}
}

// unclaimed is a run that its caller may only read: it has ended, or is paused.
func (k *handClaims) unclaimed(ctx context.Context, f *history.Fold) (lambdabiz.Claims, error) {
	rec := f.Record()
	for i := range rec.Operations {
		if err := k.claims.explainRaise(ctx, &rec.Operations[i]); err != nil {
			return lambdabiz.Claims{}, err
		}
	}
	ref := lambdabiz.RunRef{ID: f.Info.ID, RunID: f.Info.RunID}
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{{Record: rec, Ref: ref}}}, nil
}

// handedPaused answers the decision task of a paused run, and tells its caller of the pause.
func (k *handClaims) handedPaused(ctx context.Context, t *task) (lambdabiz.Claims, error) {
	if err := k.orPutBack(t, k.commits.pass(ctx, t)); err != nil {
		return lambdabiz.Claims{}, err
	}
	return k.unclaimed(ctx, t.fold)
}

// orPutBack keeps a task of a run driven by hand for the next caller when this one could not deal with it.
func (k *handClaims) orPutBack(t *task, err error) error {
	if err != nil {
		k.lists.putBackOn(t, 0)
	}
	return err
}

func (k *handClaims) handed(ctx context.Context, t *task, owner string) (lambdabiz.Claims, error) {
	c, err := k.claims.claimed(ctx, t)
	if err != nil {
		return lambdabiz.Claims{}, k.orPutBack(t, err)
	}
	if h, ok := c.Ref.Handle.(*handle); ok {
		h.owner = owner
	}
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{*c}}, nil
}

// claimNext claims the run again that the caller has held, if nobody else has asked for it since.
func (k *handClaims) claimNext(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	h, ok := r.Follows.Handle.(*handle)
	if !ok {
		return lambdabiz.Claims{}, lambdabiz.ErrFenced
	}
	t, err := k.lists.nextOf(ctx, h.list)
	switch {
	case err != nil:
		return lambdabiz.Claims{}, err
	case t == nil:
		return lambdabiz.Claims{}, k.checkOpen(ctx, h)
	case t.fold.Info.ID == r.Hand && !slices.Contains(t.fold.Owners, h.owner): // brought by an earlier caller's poll
		return lambdabiz.Claims{}, k.orPutBack(t, k.commits.pass(ctx, t))
	case t.fold.Info.ID != r.Hand || t.fold.Owner() != h.owner || t.fold.Info.RunID != r.Follows.RunID:
		return lambdabiz.Claims{}, errors.Join(lambdabiz.ErrFenced, k.orPutBack(t, k.sender.giveBack(ctx, t, 0)))
	case t.fold.Info.Paused:
		return k.handedPaused(ctx, t)
	case t.fold.News <= t.fold.Applied:
		return lambdabiz.Claims{}, k.orPutBack(t, k.commits.pass(ctx, t))
	default:
		return k.handed(ctx, t, h.owner)
	}
}

// checkOpen returns ErrFenced when a run has ended: SWF gives no decision task of it any more.
func (k *handClaims) checkOpen(ctx context.Context, h *handle) error {
	status, err := k.describe(ctx, h.exec)
	if err == nil && status != types.ExecutionStatusOpen {
		return lambdabiz.ErrFenced
	}
	return err
}
