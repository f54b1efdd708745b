package main

import (
	"context"
	"fmt"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// errStoreAlone is the answer to a command that needs more than a copy of the state.
var errStoreAlone = usagef("--store alone is for show, list and watch: give --backend swf:DOMAIN too")

// storeReader lets an engine answer from a store that stands alone.
type storeReader struct{ store lambdabiz.Store }

func (r storeReader) Describe() lambdabiz.Description {
	return lambdabiz.Description{Name: "store", Supervised: true}
}

// Load reads the run of an id: a store has the latest one alone.
func (r storeReader) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	s, err := r.store.Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	if runID != "" && runID != s.RunID {
		return nil, fmt.Errorf("run %s: %w: the store has the latest run alone", runID, lambdabiz.ErrNotFound)
	}
	return &s.Record, nil
}

func (r storeReader) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	page, err := r.store.List(ctx, f)
	if err != nil {
		return page, fmt.Errorf("read the store: %w", err)
	}
	return page, nil
}

func (storeReader) Join(context.Context, lambdabiz.WorkerInfo) (int64, error) {
	return 0, errStoreAlone
}
func (storeReader) Renew(context.Context, int64) error        { return errStoreAlone }
func (storeReader) Leave(context.Context, int64, int64) error { return errStoreAlone }

func (storeReader) Workers(context.Context) ([]lambdabiz.WorkerRecord, error) {
	return nil, errStoreAlone
}

func (storeReader) Claim(context.Context, lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	return lambdabiz.Claims{}, errStoreAlone
}

func (storeReader) Commit(context.Context, []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	return nil, errStoreAlone
}

func (storeReader) Purge(context.Context, lambdabiz.PurgeRequest) (int, error) {
	return 0, errStoreAlone
}

// Close does nothing: the store is closed by whoever opened it.
func (storeReader) Close() error { return nil }
