package swf

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// directory finds runs by their ids.
type directory struct {
	*service
	store lambdabiz.Store

	mu     sync.Mutex
	homes  map[string]string    // SWF's run ids by homeKey
	latest map[string]execution // the last run of an id that this process has started, found or claimed
}

// homeKey is a run in directory.homes: ids have no control characters.
func homeKey(id, runID string) string { return id + "\x00" + runID }

// find looks a run up: the one with our run id, or the latest of the id. ErrNotFound if there is none (any more).
// SWF's lists lag behind by seconds, and may be asked a few times a second alone: what this process has started or
// claimed it remembers, and the store is asked first. Its copy may be older than the run's end.
func (d *directory) find(ctx context.Context, id, runID string) (execution, error) {
	if x, ok := d.known(id, runID); ok && runID != "" {
		return x, nil
	}
	if d.store != nil {
		snap, err := d.store.Get(ctx, id)
		switch {
		case err == nil && snap.BackendRunID != "" && (runID == "" || snap.RunID == runID):
			return execution{home: snap.BackendRunID, info: snap.RunInfo}, nil
		case err != nil && !errors.Is(err, lambdabiz.ErrNotFound):
			return execution{}, fmt.Errorf("read the store: %w", err)
		}
	}
	return d.findListed(ctx, id, runID)
}

// known is a run that this process has started, found or claimed: the one with our run id, or the last such one.
func (d *directory) known(id, runID string) (execution, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if runID != "" {
		home := d.homes[homeKey(id, runID)]
		return execution{home: home, info: lambdabiz.RunInfo{ID: id, RunID: runID}}, home != ""
	}
	x, ok := d.latest[id]
	return x, ok
}

// know notes a run for known.
func (d *directory) know(x execution) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.homes) >= 10*cacheSize {
		clear(d.homes)
	}
	if len(d.latest) >= 10*cacheSize {
		clear(d.latest)
	}
	i := x.info // without its payloads
	x.info = lambdabiz.RunInfo{ID: i.ID, Name: i.Name, RunID: i.RunID, Mode: i.Mode, Status: i.Status, ScheduledAt: i.ScheduledAt}
	d.homes[homeKey(i.ID, i.RunID)] = x.home
	if old, ok := d.latest[x.info.ID]; !ok || !x.info.ScheduledAt.Before(old.info.ScheduledAt) {
		d.latest[x.info.ID] = x
	}
}

// remember notes a run that this process has read.
func (d *directory) remember(f *history.Fold) { d.know(execution{home: f.Home, info: f.Info}) }

// findListed is find in SWF's lists, and in what this process knows.
func (d *directory) findListed(ctx context.Context, id, runID string) (execution, error) {
	x, err := d.findOpen(ctx, id)
	if err == nil && runID != "" && x.info.RunID != runID {
		err = lambdabiz.ErrNotFound
	}
	if errors.Is(err, lambdabiz.ErrNotFound) {
		x, err = d.findClosed(ctx, id, runID)
	}
	if err != nil && !errors.Is(err, lambdabiz.ErrNotFound) {
		return x, err
	}
	own, ok := d.known(id, runID)
	if ok && (err != nil || own.home != x.home && own.info.ScheduledAt.After(x.info.ScheduledAt)) {
		return own, nil //nolint:nilerr // the lists do not have it yet
	}
	return x, err
}

func (d *directory) findOpen(ctx context.Context, id string) (execution, error) {
	in := &swf.ListOpenWorkflowExecutionsInput{
		Domain: &d.domain, StartTimeFilter: &types.ExecutionTimeFilter{OldestDate: aws.Time(oldest())},
		ExecutionFilter: &types.WorkflowExecutionFilter{WorkflowId: aws.String(wire.EncodeID(id))},
	}
	for {
		out, err := d.client.ListOpenWorkflowExecutions(ctx, in)
		if err != nil {
			return execution{}, fmt.Errorf("look for orchestration %s: %w", id, err)
		}
		for i := range out.ExecutionInfos {
			if x := executionOf(&out.ExecutionInfos[i]); x.info.ID == id {
				return x, nil
			}
		}
		if in.NextPageToken = out.NextPageToken; in.NextPageToken == nil {
			return execution{}, lambdabiz.ErrNotFound
		}
	}
}

// findOpenSoon is findOpen for a run that may have begun a moment ago: lists lag behind.
func (d *directory) findOpenSoon(ctx context.Context, id string) (execution, error) {
	x, err := d.findOpen(ctx, id)
	for try := 1; try < 6 && errors.Is(err, lambdabiz.ErrNotFound); try++ {
		if err := sleep(ctx, time.Duration(try)*200*time.Millisecond); err != nil {
			return x, err
		}
		x, err = d.findOpen(ctx, id)
	}
	return x, err
}

func (d *directory) findClosed(ctx context.Context, id, runID string) (execution, error) {
	in := &swf.ListClosedWorkflowExecutionsInput{
		Domain:          &d.domain,
		StartTimeFilter: &types.ExecutionTimeFilter{OldestDate: aws.Time(oldest())},
		ExecutionFilter: &types.WorkflowExecutionFilter{WorkflowId: aws.String(wire.EncodeID(id))},
	}
	for {
		out, err := d.client.ListClosedWorkflowExecutions(ctx, in)
		if err != nil {
			return execution{}, fmt.Errorf("look for orchestration %s: %w", id, err)
		}
		for i := range out.ExecutionInfos {
			x := executionOf(&out.ExecutionInfos[i])
			// moto ignores the filter
			if x.info.ID == id && (runID == "" || x.info.RunID == runID) {
				return x, nil
			}
		}
		if in.NextPageToken = out.NextPageToken; in.NextPageToken == nil {
			return execution{}, lambdabiz.ErrNotFound
		}
	}
}

// isOpen asks SWF whether a run is open: lists and the store may be behind.
func (d *directory) isOpen(ctx context.Context, x execution) (bool, error) {
	if x.info.Status.Ended() {
		return false, nil
	}
	status, err := d.describe(ctx, executionNamed(x.info.ID, x.home))
	return status == types.ExecutionStatusOpen, err
}
