package swf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// refreshed returns what the store has of an id. An open run that was saved longer ago than age is compared
// with SWF, and the store corrected.
func (m *mirror) refreshed(ctx context.Context, id string, age time.Duration) (*lambdabiz.Snapshot, error) {
	snap, err := m.store.Get(ctx, id)
	if err != nil {
		if errors.Is(err, lambdabiz.ErrNotFound) {
			return nil, lambdabiz.ErrNotFound
		}
		return nil, fmt.Errorf("read the store: %w", err)
	}
	if snap.Status.Ended() && snap.ContinuedAs == "" || time.Since(snap.SavedAt) < age {
		return snap, nil
	}
	if age > 0 && m.lookedAt(snap.RunID, age) {
		return snap, nil
	}
	if snap.BackendRunID == "" { // nobody has claimed it yet
		x, err := m.runs.findListed(ctx, id, snap.RunID)
		if errors.Is(err, lambdabiz.ErrNotFound) {
			return snap, nil
		}
		if err != nil {
			return nil, err
		}
		snap.BackendRunID = x.home
	}
	status, err := m.describe(ctx, executionNamed(id, snap.BackendRunID))
	switch {
	case err != nil:
		return nil, err
	case status == "": // its history is gone
		return snap, nil
	case status == types.ExecutionStatusOpen && age == 0:
		return snap, nil
	case status == types.ExecutionStatusOpen:
		m.looked(snap.RunID)
		if current, err := m.isCurrent(ctx, snap); current || err != nil {
			return snap, err
		}
	}
	f, err := m.histories.readAll(ctx, id, snap.BackendRunID)
	if err != nil {
		return nil, err
	}
	return m.copyAll(ctx, f)
}

// isCurrent reports whether the history of an open run has nothing that its copy lacks: the copy may have failed to be
// written by a process that is gone.
func (m *mirror) isCurrent(ctx context.Context, snap *lambdabiz.Snapshot) (bool, error) {
	out, err := m.client.GetWorkflowExecutionHistory(ctx, &swf.GetWorkflowExecutionHistoryInput{
		Domain: &m.domain, ReverseOrder: true, MaximumPageSize: 1, Execution: executionNamed(snap.ID, snap.BackendRunID),
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
func (m *mirror) lookedAt(runID string, age time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.seenOpen[runID]
	return ok && time.Since(at) < age
}

func (m *mirror) looked(runID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seenOpen) > cacheSize {
		clear(m.seenOpen)
	}
	m.seenOpen[runID] = time.Now()
}
