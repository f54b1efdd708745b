package swf

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// execution is a run as SWF's lists have it.
type execution struct {
	home string
	info lambdabiz.RunInfo
}

// homeKey is a run in Backend.homes: ids have no control characters.
func homeKey(id, runID string) string { return id + "\x00" + runID }

// find looks a run up: the one with our run id, or the latest of the id. ErrNotFound if there is none (any more).
// SWF's lists lag behind by seconds, and may be asked a few times a second alone: what this process has started or
// claimed it remembers, and the store is asked first. Its copy may be older than the run's end.
func (b *Backend) find(ctx context.Context, id, runID string) (execution, error) {
	if x, ok := b.known(id, runID); ok && runID != "" {
		return x, nil
	}
	if b.config.Store != nil {
		snap, err := b.config.Store.Get(ctx, id)
		switch {
		case err == nil && snap.Home != "" && (runID == "" || snap.RunID == runID):
			return execution{home: snap.Home, info: snap.RunInfo}, nil
		case err != nil && !errors.Is(err, lambdabiz.ErrNotFound):
			return execution{}, fmt.Errorf("read the store: %w", err)
		}
	}
	return b.findListed(ctx, id, runID)
}

// known is a run that this process has started, found or claimed: the one with our run id, or the last such one.
func (b *Backend) known(id, runID string) (execution, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if runID != "" {
		home := b.homes[homeKey(id, runID)]
		return execution{home: home, info: lambdabiz.RunInfo{ID: id, RunID: runID}}, home != ""
	}
	x, ok := b.latest[id]
	return x, ok
}

// know notes a run for known.
func (b *Backend) know(x execution) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.homes) >= 10*cacheSize {
		clear(b.homes)
	}
	if len(b.latest) >= 10*cacheSize {
		clear(b.latest)
	}
	i := x.info // without its payloads
	x.info = lambdabiz.RunInfo{ID: i.ID, Name: i.Name, RunID: i.RunID, Mode: i.Mode, Status: i.Status, ScheduledAt: i.ScheduledAt}
	b.homes[homeKey(i.ID, i.RunID)] = x.home
	if old, ok := b.latest[x.info.ID]; !ok || !x.info.ScheduledAt.Before(old.info.ScheduledAt) {
		b.latest[x.info.ID] = x
	}
}

// findListed is find in SWF's lists, and in what this process knows.
func (b *Backend) findListed(ctx context.Context, id, runID string) (execution, error) {
	x, err := b.findOpen(ctx, id)
	if err == nil && runID != "" && x.info.RunID != runID {
		err = lambdabiz.ErrNotFound
	}
	if errors.Is(err, lambdabiz.ErrNotFound) {
		x, err = b.findClosed(ctx, id, runID)
	}
	if err != nil && !errors.Is(err, lambdabiz.ErrNotFound) {
		return x, err
	}
	own, ok := b.known(id, runID)
	if ok && (err != nil || own.home != x.home && own.info.ScheduledAt.After(x.info.ScheduledAt)) {
		return own, nil //nolint:nilerr // the lists do not have it yet
	}
	return x, err
}

func (b *Backend) findClosed(ctx context.Context, id, runID string) (execution, error) {
	in := &swf.ListClosedWorkflowExecutionsInput{
		Domain:          &b.config.Domain,
		StartTimeFilter: &types.ExecutionTimeFilter{OldestDate: aws.Time(oldest())},
		ExecutionFilter: &types.WorkflowExecutionFilter{WorkflowId: aws.String(wire.EncodeID(id))},
	}
	for {
		out, err := b.client.ListClosedWorkflowExecutions(ctx, in)
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

// oldest is when a run that SWF still knows can have started at the earliest.
func oldest() time.Time { return time.Now().Add(-wire.MaxRun - wire.Retention*24*time.Hour) }

func (b *Backend) findOpen(ctx context.Context, id string) (execution, error) {
	in := &swf.ListOpenWorkflowExecutionsInput{
		Domain: &b.config.Domain, StartTimeFilter: &types.ExecutionTimeFilter{OldestDate: aws.Time(oldest())},
		ExecutionFilter: &types.WorkflowExecutionFilter{WorkflowId: aws.String(wire.EncodeID(id))},
	}
	for {
		out, err := b.client.ListOpenWorkflowExecutions(ctx, in)
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
func (b *Backend) findOpenSoon(ctx context.Context, id string) (execution, error) {
	x, err := b.findOpen(ctx, id)
	for try := 1; try < 6 && errors.Is(err, lambdabiz.ErrNotFound); try++ {
		if err := sleep(ctx, time.Duration(try)*200*time.Millisecond); err != nil {
			return x, err
		}
		x, err = b.findOpen(ctx, id)
	}
	return x, err
}

// executionOf reads a row of a list.
func executionOf(x *types.WorkflowExecutionInfo) execution {
	e := execution{home: aws.ToString(x.Execution.RunId), info: lambdabiz.RunInfo{
		ID: wire.DecodeID(aws.ToString(x.Execution.WorkflowId)), Name: wire.DecodeID(aws.ToString(x.WorkflowType.Name)),
		Status: statusOf(x), ScheduledAt: wire.Stamp(aws.ToTime(x.StartTimestamp)), CancelRequested: x.CancelRequested,
	}}
	e.info.RunID = e.home
	if x.CloseTimestamp != nil {
		e.info.EndedAt = wire.Stamp(*x.CloseTimestamp)
	}
	name := e.info.ID
	for _, tag := range x.TagList {
		if id, ok := strings.CutPrefix(tag, wire.RunTag); ok {
			e.info.RunID = id
		}
		if other, ok := strings.CutPrefix(tag, wire.NameTag); ok {
			name = other
		}
		if tag == wire.HandTag {
			e.info.Mode = lambdabiz.ModeHand
		}
	}
	if e.info.Mode == lambdabiz.ModeHand && e.info.Name == wire.HandType {
		e.info.Name = name
	}
	return e
}

func statusOf(x *types.WorkflowExecutionInfo) lambdabiz.Status {
	if x.ExecutionStatus == types.ExecutionStatusOpen {
		return lambdabiz.StatusStarted
	}
	switch x.CloseStatus {
	case types.CloseStatusCompleted, types.CloseStatusContinuedAsNew:
		return lambdabiz.StatusSucceeded
	case types.CloseStatusCanceled:
		return lambdabiz.StatusCancelled
	case types.CloseStatusTerminated:
		return lambdabiz.StatusTerminated
	case types.CloseStatusTimedOut:
		return lambdabiz.StatusTimeout
	default:
		return lambdabiz.StatusFailed
	}
}

// Load returns a run from the store, or from its history when there is no store or it has another run. The copy
// of an open run that is older than a minute is checked with SWF and mended.
func (b *Backend) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	if id == "" {
		return nil, lambdabiz.ErrNotFound
	}
	if err := wire.CheckLength("orchestration id", id); err != nil {
		return nil, err
	}
	if b.config.Store != nil {
		snap, err := b.refreshed(ctx, id, time.Minute)
		live := err == nil && snap.Mode == lambdabiz.ModeHand && !snap.Status.Ended() && snap.Home != ""
		if err == nil && !live && (runID == "" || snap.RunID == runID) {
			return &snap.Record, nil
		}
		if live && (runID == "" || snap.RunID == runID) { // its caller expects to see what has just returned
			return b.loadHome(ctx, id, snap.Home)
		}
		if err != nil && !errors.Is(err, lambdabiz.ErrNotFound) {
			return nil, err
		}
	}
	x, err := b.find(ctx, id, runID)
	if err != nil {
		return nil, err
	}
	if runID == "" {
		return recordOrNot(b.readLatest(ctx, id, x.home))
	}
	return b.loadHome(ctx, id, x.home)
}

// readLatest folds the history of a run, or of the last one that continues it.
func (b *Backend) readLatest(ctx context.Context, id, home string) (*history.Fold, error) {
	f, err := b.readAll(ctx, id, home)
	for err == nil && f.NextHome != "" {
		f, err = b.readAll(ctx, id, f.NextHome)
	}
	return f, err
}

// loadHome reads a run from its history.
func (b *Backend) loadHome(ctx context.Context, id, home string) (*lambdabiz.Record, error) {
	return recordOrNot(b.readAll(ctx, id, home))
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

// refreshed returns what the store has of an id. An open run that was saved longer ago than age is compared
// with SWF, and the store mended.
func (b *Backend) refreshed(ctx context.Context, id string, age time.Duration) (*lambdabiz.Snapshot, error) {
	snap, err := b.config.Store.Get(ctx, id)
	if err != nil {
		if errors.Is(err, lambdabiz.ErrNotFound) {
			return nil, lambdabiz.ErrNotFound
		}
		return nil, fmt.Errorf("read the store: %w", err)
	}
	if snap.Status.Ended() && snap.ContinuedAs == "" || time.Since(snap.SavedAt) < age {
		return snap, nil
	}
	if age > 0 && b.lookedAt(snap.RunID, age) {
		return snap, nil
	}
	if snap.Home == "" { // nobody has claimed it yet
		x, err := b.findListed(ctx, id, snap.RunID)
		if errors.Is(err, lambdabiz.ErrNotFound) {
			return snap, nil
		}
		if err != nil {
			return nil, err
		}
		snap.Home = x.home
	}
	out, err := b.client.DescribeWorkflowExecution(ctx, &swf.DescribeWorkflowExecutionInput{
		Domain: &b.config.Domain, Execution: &types.WorkflowExecution{WorkflowId: aws.String(wire.EncodeID(id)), RunId: &snap.Home},
	})
	switch {
	case isUnknown(err): // its history is gone
		return snap, nil
	case err != nil:
		return nil, fmt.Errorf("check orchestration %s: %w", id, err)
	case out.ExecutionInfo.ExecutionStatus == types.ExecutionStatusOpen && age == 0:
		return snap, nil
	case out.ExecutionInfo.ExecutionStatus == types.ExecutionStatusOpen:
		b.looked(snap.RunID)
		if current, err := b.isCurrent(ctx, snap); current || err != nil {
			return snap, err
		}
	}
	f, err := b.readAll(ctx, id, snap.Home)
	if err != nil {
		return nil, err
	}
	return b.copyAll(ctx, f)
}

// isCurrent reports whether the history of an open run has nothing that its copy lacks: the copy may have failed to be
// written by a process that is gone.
func (b *Backend) isCurrent(ctx context.Context, snap *lambdabiz.Snapshot) (bool, error) {
	out, err := b.client.GetWorkflowExecutionHistory(ctx, &swf.GetWorkflowExecutionHistoryInput{
		Domain: &b.config.Domain, ReverseOrder: true, MaximumPageSize: 1,
		Execution: &types.WorkflowExecution{WorkflowId: aws.String(wire.EncodeID(snap.ID)), RunId: &snap.Home},
	})
	switch {
	case isUnknown(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("check orchestration %s: %w", snap.ID, err)
	}
	return len(out.Events) == 0 || out.Events[0].EventId <= snap.Version.Event, nil
}

// lookedAt reports whether this process has seen a run open within the last age: DescribeWorkflowExecution has
// a quota of a few calls a second, and a caller that waits for a result asks again and again.
func (b *Backend) lookedAt(runID string, age time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.seenOpen[runID]
	return ok && time.Since(at) < age
}

func (b *Backend) looked(runID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.seenOpen) > cacheSize {
		clear(b.seenOpen)
	}
	b.seenOpen[runID] = time.Now()
}

// List returns a page of runs from the store, or from SWF's lists: those are filtered by one thing alone.
func (b *Backend) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	if b.config.Store != nil {
		page, err := b.config.Store.List(ctx, f)
		if err != nil {
			return page, fmt.Errorf("read the store: %w", err)
		}
		return page, nil
	}
	if f.IDPrefix != "" || f.Blocked || f.Paused {
		return lambdabiz.Page{}, &lambdabiz.UnsupportedError{
			Backend: "swf", Feature: lambdabiz.FeatureList, Why: "Amazon SWF lists by status alone (give swf.Config a Store)",
		}
	}
	return b.listHome(ctx, f)
}

// Purge removes ended runs from the store. Histories stay in SWF for the retention of the domain.
func (b *Backend) Purge(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	if b.config.Store == nil {
		return 0, &lambdabiz.UnsupportedError{
			Backend: "swf", Feature: lambdabiz.FeaturePurge,
			Why: "a history stays for the retention of its domain, and there is no store beside it",
		}
	}
	if p.ID != "" {
		snap, err := b.refreshed(ctx, p.ID, 0)
		switch {
		case errors.Is(err, lambdabiz.ErrNotFound):
			return 0, nil
		case err != nil:
			return 0, err
		case !snap.Status.Ended():
			return 0, lambdabiz.ErrOpen
		}
		return 1, b.config.Store.Delete(ctx, p.ID, snap.RunID) //nolint:wrapcheck // it says what it did
	}
	return b.purgeEnded(ctx, p)
}

var endedStatuses = []lambdabiz.Status{
	lambdabiz.StatusSucceeded, lambdabiz.StatusFailed, lambdabiz.StatusTimeout, lambdabiz.StatusCancelled,
	lambdabiz.StatusTerminated,
}

func (b *Backend) purgeEnded(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	limit, purged := p.Limit, 0
	if limit <= 0 {
		limit = 1000
	}
	f := lambdabiz.Filter{Status: endedStatuses, Limit: 1000}
	for {
		page, err := b.config.Store.List(ctx, f)
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
			if err := b.config.Store.Delete(ctx, r.ID, r.RunID); err != nil {
				return purged, fmt.Errorf("purge orchestration %s: %w", r.ID, err)
			}
			purged++
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return purged, nil
		}
	}
}
