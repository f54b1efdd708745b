package check

import (
	"context"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Describe says that it can do everything.
func (*playback) Describe() lambdabiz.Description { return lambdabiz.Description{Name: "check"} }

// Join notes what the worker knows.
func (p *playback) Join(_ context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = w.Names
	if !slices.Contains(p.names, p.rec.Name) {
		p.rest()
	}
	return 1, nil
}

// Renew does nothing: there is one worker.
func (*playback) Renew(context.Context, int64) error { return nil }

// Leave does nothing.
func (*playback) Leave(context.Context, int64, int64) error { return nil }

// Workers has none.
func (*playback) Workers(context.Context) ([]lambdabiz.WorkerRecord, error) { return nil, nil }

// Claim hands the run out, once.
func (p *playback) Claim(_ context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given || r.Limit == 0 || !slices.Contains(r.Names, p.rec.Name) {
		return lambdabiz.Claims{}, nil
	}
	p.given = true
	rec := *p.rec
	rec.Operations = slices.Clone(p.rec.Operations)
	rec.Paused, rec.Blocked, rec.Worker = false, nil, r.Worker
	if rec.Status.Ended() {
		rec.Status, rec.Result, rec.Error, rec.EndedAt, rec.Orphans = lambdabiz.StatusStarted, nil, nil, time.Time{}, nil
	}
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{{
		Record: rec, Ref: lambdabiz.RunRef{ID: rec.ID, RunID: rec.RunID, Fence: 1},
	}}}, nil
}

// Commit takes everything and keeps nothing but what the report says.
func (p *playback) Commit(_ context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	verdicts := make([]lambdabiz.Verdict, len(batch))
	for i, c := range batch {
		verdicts[i].Raises = make([]lambdabiz.RaiseVerdict, len(c.Raises))
		verdicts[i].Controls = make([]error, len(c.Controls))
		verdicts[i].Starts = make([]lambdabiz.StartVerdict, len(c.Starts))
		if !p.over {
			p.note(c)
		}
	}
	return verdicts, nil
}

// Load finds nothing: what is recorded is handed out once.
func (*playback) Load(context.Context, string, string) (*lambdabiz.Record, error) {
	return nil, lambdabiz.ErrNotFound
}

// List finds nothing.
func (*playback) List(context.Context, lambdabiz.Filter) (lambdabiz.Page, error) {
	return lambdabiz.Page{}, nil
}

// Purge has nothing to remove.
func (*playback) Purge(context.Context, lambdabiz.PurgeRequest) (int, error) { return 0, nil }

// Close releases nothing.
func (*playback) Close() error { return nil }
