package swf

import (
	"context"
	"errors"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
)

// purger removes ended runs from the store.
type purger struct {
	store  lambdabiz.Store // nil for none
	mirror *mirror
}

var endedStatuses = []lambdabiz.Status{
	lambdabiz.StatusSucceeded, lambdabiz.StatusFailed, lambdabiz.StatusTimeout, lambdabiz.StatusCancelled,
	lambdabiz.StatusTerminated,
}

// purge removes ended runs from the store. Histories stay in SWF for the retention of the domain.
func (u *purger) purge(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	if u.store == nil {
		return 0, &lambdabiz.UnsupportedError{
			Backend: "swf", Feature: lambdabiz.FeaturePurge,
			Why: "a history stays for the retention of its domain, and there is no store beside it",
		}
	}
	if p.ID != "" {
		snap, err := u.mirror.refreshed(ctx, p.ID, 0)
		switch {
		case errors.Is(err, lambdabiz.ErrNotFound):
			return 0, nil
		case err != nil:
			return 0, err
		case !snap.Status.Ended():
			return 0, lambdabiz.ErrOpen
		}
		return 1, u.store.Delete(ctx, p.ID, snap.RunID) //nolint:wrapcheck // it says what it did
	}
	return u.purgeEnded(ctx, p)
}

func (u *purger) purgeEnded(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	limit, purged := p.Limit, 0
	if limit <= 0 {
		limit = 1000
	}
	f := lambdabiz.Filter{Status: endedStatuses, Limit: 1000}
	for {
		page, err := u.store.List(ctx, f)
		if err != nil {
			return purged, fmt.Errorf("read the store: %w", err)
		}
		for _, r := range page.Runs {
			if purged == limit {
				return purged, nil
			}
			if !p.EndedBefore.IsZero() && !r.EndedAt.Before(p.EndedBefore) {
				continue
			}
			if err := u.store.Delete(ctx, r.ID, r.RunID); err != nil {
				return purged, fmt.Errorf("purge orchestration %s: %w", r.ID, err)
			}
			purged++
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return purged, nil
		}
	}
}
