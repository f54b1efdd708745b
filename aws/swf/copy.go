package swf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
)

// snapshotOf is a run for the store, with the operations whose numbers are given; nil for all.
func snapshotOf(f *history.Fold, numbers map[int64]bool) *lambdabiz.Snapshot {
	s := &lambdabiz.Snapshot{Record: f.Record(), Home: f.Home, SavedAt: now()}
	s.Version = lambdabiz.Version{Start: f.Info.ScheduledAt, Event: f.Last}
	if numbers != nil {
		s.Operations = slices.DeleteFunc(s.Operations, func(o lambdabiz.Operation) bool { return !numbers[o.Number] })
	}
	return s
}

// copyRun writes a run that is about to be claimed for the first time.
func (b *Backend) copyRun(ctx context.Context, f *history.Fold, numbers map[int64]bool) error {
	if err := b.config.Store.Put(ctx, snapshotOf(f, numbers)); err != nil {
		return fmt.Errorf("write the store: %w", err)
	}
	return nil
}

// copyAll writes a whole run, or the one that continues it, and returns what was written.
func (b *Backend) copyAll(ctx context.Context, f *history.Fold) (*lambdabiz.Snapshot, error) {
	for f.NextHome != "" {
		next, err := b.readAll(ctx, f.Info.ID, f.NextHome)
		if err != nil {
			return nil, err
		}
		f = next
	}
	s := snapshotOf(f, nil)
	if err := b.config.Store.Put(ctx, s); err != nil {
		return nil, fmt.Errorf("write the store: %w", err)
	}
	return s, nil
}

// copyCommit writes what a decision has changed, once. The store is a copy: that it cannot be written holds up
// no run, and the next decision of a process that has not held the run writes all.
func (b *Backend) copyCommit(ctx context.Context, h *handle, a *plan.Answer) {
	if b.config.Store == nil || a.After == nil {
		return
	}
	f := a.After
	numbers := h.fold.Changed
	b.mu.Lock()
	_, whole := b.loaded[f.Home]
	b.mu.Unlock()
	j := a.Journal
	if j.Closing {
		b.copyEnded(ctx, h)
		return
	}
	f.Take(&j, h.fence)
	all := map[int64]bool{}
	for n := range numbers {
		all[n] = true
	}
	for i := range j.Ops {
		all[j.Ops[i].Number] = true
	}
	if !whole {
		all = nil
	}
	f.Last = h.fence + h.steps + 1 // the answer's own event, at least
	if err := b.copyRun(ctx, f, all); err != nil {
		b.copyAgain(f, err)
		return
	}
	b.copied(h.fold)
}

// copyAgain writes a run whole that could not be written, until that works or the backend is closed: the run may not be
// decided on again for a long time, and its copy would say meanwhile what is over. What somebody else has written
// since is newer, and stays.
func (b *Backend) copyAgain(f *history.Fold, cause error) {
	b.log.Warn("the store was not written, the run goes on; it is tried again", "orchestration", f.Info.ID, "error", cause)
	snap := snapshotOf(f, nil)
	b.mu.Lock()
	delete(b.loaded, f.Home) // the next decision writes all
	old, waits := b.unwritten[f.Home]
	b.unwritten[f.Home] = snap
	b.mu.Unlock()
	if waits && old != nil || !b.beginCall() {
		return // whoever tries takes the newest
	}
	go func() {
		defer b.calls.Done()
		for try := 1; ; try++ {
			if sleep(b.life, min(time.Second<<min(try-1, 10), 5*time.Minute)) != nil {
				return
			}
			b.mu.Lock()
			snap := b.unwritten[f.Home]
			b.mu.Unlock()
			err := b.config.Store.Put(b.life, snap)
			b.mu.Lock()
			done := b.unwritten[f.Home] == snap && (err == nil || errors.Is(err, lambdabiz.ErrTooLarge))
			if done {
				delete(b.unwritten, f.Home)
			}
			b.mu.Unlock()
			if done {
				return
			}
			b.log.Debug("the store was not written", "orchestration", snap.ID, "try", try, "error", err)
		}
	}()
}

// copied notes that the store has all of a run, up to a fold of this process.
func (b *Backend) copied(f *history.Fold) {
	clean := *f
	clean.Changed = map[int64]bool{}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.loaded) >= 10*cacheSize {
		clear(b.loaded) // the next decision of each writes all
	}
	b.loaded[f.Home] = now()
	if b.cache[f.Home] == f {
		b.cache[f.Home] = &clean
	}
}

// copyPassed writes a run whose news no worker gets, because it is paused, say.
func (b *Backend) copyPassed(ctx context.Context, f *history.Fold) {
	if b.config.Store == nil {
		return
	}
	if err := b.copyRun(ctx, f, f.Changed); err != nil {
		b.copyAgain(f, err)
		return
	}
	b.copied(f)
}

// copyHeld writes what a commit has changed whose decision task stays open.
func (b *Backend) copyHeld(ctx context.Context, h *handle, a *plan.Answer) {
	if b.config.Store == nil {
		return
	}
	f, numbers, j := a.After, map[int64]bool{}, a.Journal
	f.Take(&j, h.fence)
	for i := range j.Ops {
		numbers[j.Ops[i].Number] = true
	}
	h.steps++
	s := snapshotOf(f, numbers)
	s.Version.Event = h.fence + h.steps // below that of the answer's copy, which a reader of the history confirms
	if err := b.config.Store.Put(ctx, s); err != nil {
		b.copyAgain(f, err)
	}
}

// copyEnded writes a run that has ended, as its history tells it.
func (b *Backend) copyEnded(ctx context.Context, h *handle) {
	f, err := b.readAll(ctx, h.fold.Info.ID, h.fold.Home)
	if err == nil && f.Closed {
		_, err = b.copyAll(ctx, f)
	}
	if err != nil { // who looks at it asks SWF, as it is not known to have ended
		b.log.Warn("the store does not know yet that a run has ended", "orchestration", h.fold.Info.ID, "error", err)
	}
}
