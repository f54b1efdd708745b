package swf

import (
	"context"
	"errors"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// loader reads runs.
type loader struct {
	store     lambdabiz.Store // nil for none
	runs      *directory
	histories *histories
	mirror    *mirror
}

// load returns a run from the store, or from its history when there is no store or it has another run. The copy
// of an open run that is older than a minute is checked with SWF and corrected.
func (l *loader) load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	if id == "" {
		return nil, lambdabiz.ErrNotFound
	}
	if err := wire.CheckLength("orchestration id", id); err != nil {
		return nil, err
	}
	if l.store != nil {
		snap, err := l.mirror.refreshed(ctx, id, time.Minute)
		live := err == nil && snap.Mode == lambdabiz.ModeHand && !snap.Status.Ended() && snap.BackendRunID != ""
		if err == nil && !live && (runID == "" || snap.RunID == runID) {
			return &snap.Record, nil
		}
		if live && (runID == "" || snap.RunID == runID) { // its caller expects to see what has just returned
			return l.loadHome(ctx, id, snap.BackendRunID)
		}
		if err != nil && !errors.Is(err, lambdabiz.ErrNotFound) {
			return nil, err
		}
	}
	x, err := l.runs.find(ctx, id, runID)
	if err != nil {
		return nil, err
	}
	if runID == "" {
		return recordOrNot(l.histories.readLatest(ctx, id, x.home))
	}
	return l.loadHome(ctx, id, x.home)
}

// loadHome reads a run from its history.
func (l *loader) loadHome(ctx context.Context, id, home string) (*lambdabiz.Record, error) {
	return recordOrNot(l.histories.readAll(ctx, id, home))
}

// recordOrNot is the record of a run that was read.
func recordOrNot(f *history.Fold, err error) (*lambdabiz.Record, error) {
	if err != nil {
		if isUnknown(err) {
			return nil, lambdabiz.ErrNotFound
		}
		return nil, err
	}
	rec := f.Record()
	return &rec, nil
}
