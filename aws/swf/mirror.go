package swf

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
)

// mirror keeps the copies of runs in the store. They are copies: that the store cannot be written holds up no run.
type mirror struct {
	*service
	store     lambdabiz.Store // nil for none
	life      *lifetime
	runs      *directory
	folds     *folds
	histories *histories

	mu        sync.Mutex
	loaded    map[string]bool                // runs whose first claim has looked at the store, by SWF's run id
	unwritten map[string]*lambdabiz.Snapshot // copies that the store has not taken, by SWF's run id
	seenOpen  map[string]time.Time           // when runs were last seen open, by our run ids
}

// copyRun writes a run that is about to be claimed for the first time.
func (m *mirror) copyRun(ctx context.Context, f *history.Fold, numbers map[int64]bool) error {
	if err := m.store.Put(ctx, snapshotOf(f, numbers)); err != nil {
		return fmt.Errorf("write the store: %w", err)
	}
	return nil
}

// copyAll writes a whole run, or the one that continues it, and returns what was written.
func (m *mirror) copyAll(ctx context.Context, f *history.Fold) (*lambdabiz.Snapshot, error) {
	for f.NextHome != "" {
		next, err := m.histories.readAll(ctx, f.Info.ID, f.NextHome)
		if err != nil {
			return nil, err
		}
		f = next
	}
	s := snapshotOf(f, nil)
	if err := m.store.Put(ctx, s); err != nil {
		return nil, fmt.Errorf("write the store: %w", err)
	}
	return s, nil
}

// copyCommit writes what a decision has changed, once. The store is a copy: that it cannot be written holds up
// no run, and the next decision of a process that has not held the run writes all.
func (m *mirror) copyCommit(ctx context.Context, h *handle, a *plan.Answer) {
	switch {
	case m.store == nil || a.After == nil:
		return
	case a.Closes:
		m.copyEnded(ctx, h)
		return
	}
	f := a.After
	f.Take(&a.Journal, h.fence)
	var numbers map[int64]bool // of what is written; nil for all
	if m.hasAll(f.Home) {
		numbers = maps.Clone(h.fold.Changed)
		for i := range a.Journal.Ops {
			numbers[a.Journal.Ops[i].Number] = true
		}
	}
	f.Last = h.fence + h.steps + 1 // the answer's own event, at least
	if err := m.copyRun(ctx, f, numbers); err != nil {
		m.copyAgain(f, err)
		return
	}
	m.copied(h.fold)
}

// copyHeld writes what a commit has changed whose decision task stays open.
func (m *mirror) copyHeld(ctx context.Context, h *handle, a *plan.Answer) {
	if m.store == nil {
		return
	}
	f, numbers := a.After, map[int64]bool{}
	f.Take(&a.Journal, h.fence)
	for i := range a.Journal.Ops {
		numbers[a.Journal.Ops[i].Number] = true
	}
	h.steps++
	s := snapshotOf(f, numbers)
	s.Version.Event = h.fence + h.steps // below that of the answer's copy, which a reader of the history confirms
	if err := m.store.Put(ctx, s); err != nil {
		m.copyAgain(f, err)
	}
}

// copyPassed writes a run whose news no worker gets, because it is paused, say.
func (m *mirror) copyPassed(ctx context.Context, f *history.Fold) {
	if m.store == nil {
		return
	}
	if err := m.copyRun(ctx, f, f.Changed); err != nil {
		m.copyAgain(f, err)
		return
	}
	m.copied(f)
}

// copyEnded writes a run that has ended, as its history tells it.
func (m *mirror) copyEnded(ctx context.Context, h *handle) {
	f, err := m.histories.readAll(ctx, h.fold.Info.ID, h.fold.Home)
	if err == nil && f.Closed {
		_, err = m.copyAll(ctx, f)
	}
	if err != nil { // who looks at it asks SWF, as it is not known to have ended
		m.log.Warn("the store does not know yet that a run has ended", "orchestration", h.fold.Info.ID, "error", err)
	}
}

// copyAgain writes a run whole that could not be written, until that works or the backend is closed: the run may not be
// decided on again for a long time, and its copy would say meanwhile what is over. What somebody else has written
// since is newer, and stays.
func (m *mirror) copyAgain(f *history.Fold, cause error) {
	m.log.Warn("the store was not written, the run goes on; it is tried again", "orchestration", f.Info.ID, "error", cause)
	snap := snapshotOf(f, nil)
	m.mu.Lock()
	delete(m.loaded, f.Home) // the next decision writes all
	old, waits := m.unwritten[f.Home]
	m.unwritten[f.Home] = snap
	m.mu.Unlock()
	if waits && old != nil || !m.life.beginCall() {
		return // whoever tries takes the newest
	}
	go func() {
		defer m.life.calls.Done()
		for try := 1; ; try++ {
			if sleep(m.life.ctx, min(time.Second<<min(try-1, 10), 5*time.Minute)) != nil {
				return
			}
			m.mu.Lock()
			snap := m.unwritten[f.Home]
			m.mu.Unlock()
			err := m.store.Put(m.life.ctx, snap)
			m.mu.Lock()
			done := m.unwritten[f.Home] == snap && (err == nil || errors.Is(err, lambdabiz.ErrTooLarge))
			if done {
				delete(m.unwritten, f.Home)
			}
			m.mu.Unlock()
			if done {
				return
			}
			m.log.Debug("the store was not written", "orchestration", snap.ID, "try", try, "error", err)
		}
	}()
}

// copied notes that the store has all of a run, up to a fold of this process.
func (m *mirror) copied(f *history.Fold) {
	clean := *f
	clean.Changed = map[int64]bool{}
	m.mu.Lock()
	if len(m.loaded) >= 10*cacheSize {
		clear(m.loaded) // the next decision of each writes all
	}
	m.loaded[f.Home] = true
	m.mu.Unlock()
	m.folds.replace(f, &clean)
}

// hasAll reports whether the store has all of a run, up to the fold that this process remembers.
func (m *mirror) hasAll(home string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loaded[home]
}

// forget drops what is known of the copy of a run that has ended.
func (m *mirror) forget(home string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.loaded, home)
}

// snapshotOf is a run for the store, with the operations whose numbers are given; nil for all.
func snapshotOf(f *history.Fold, numbers map[int64]bool) *lambdabiz.Snapshot {
	s := &lambdabiz.Snapshot{Record: f.Record(), BackendRunID: f.Home, SavedAt: now()}
	s.Version = lambdabiz.SnapshotVersion{Start: f.Info.ScheduledAt, Event: f.Last}
	if numbers != nil {
		s.Operations = slices.DeleteFunc(s.Operations, func(o lambdabiz.Operation) bool { return !numbers[o.Number] })
	}
	return s
}
