package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

var errCursor = errors.New("memory: Filter.Cursor is not from Page.Next")

// Load returns one run as a snapshot; see [lambdabiz.Backend].
func (b *Backend) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	r := b.find(id, runID)
	if r == nil {
		return nil, lambdabiz.ErrNotFound
	}
	record := r.record()
	return &record, nil
}

// Info returns one run without its operations and messages; see [lambdabiz.Informer].
func (b *Backend) Info(ctx context.Context, id, runID string) (*lambdabiz.RunInfo, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	r := b.find(id, runID)
	if r == nil {
		return nil, lambdabiz.ErrNotFound
	}
	info := cloneInfo(r.info)
	return &info, nil
}

// Ended says of each run whether it is open no more; see [lambdabiz.Ender].
func (b *Backend) Ended(ctx context.Context, runs []lambdabiz.RunRef) ([]bool, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	ended := make([]bool, len(runs))
	for i, ref := range runs {
		r := b.find(ref.ID, ref.RunID)
		ended[i] = r == nil || !r.head.Open()
	}
	return ended, nil
}

// List returns a page of runs; see [lambdabiz.Backend].
func (b *Backend) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	after, err := parseCursor(f.Cursor)
	if err != nil {
		return lambdabiz.Page{}, err
	}
	if err := b.enter(ctx); err != nil {
		return lambdabiz.Page{}, err
	}
	defer b.mu.Unlock()
	limit := rules.PageSize(&f)
	var found []*run
	sorted := func() []*run {
		slices.SortFunc(found, func(x, y *run) int { return comparePlace(placeOf(x), placeOf(y)) })
		return found
	}
	for _, runs := range b.ids {
		if !f.AllRuns {
			runs = runs[len(runs)-1:]
		}
		for _, r := range runs {
			if selects(f, r) && (f.Cursor == "" || comparePlace(placeOf(r), after) > 0) {
				if found = append(found, r); len(found) > 4*limit { // of many runs a page takes few
					found = sorted()[:limit+1]
				}
			}
		}
	}
	var page lambdabiz.Page
	for i, r := range sorted() {
		if i == limit {
			last := placeOf(found[i-1])
			page.Next = fmt.Sprintf("%d.%d", last.micros, last.place)
			break
		}
		info := r.info
		info.Input, info.Result, info.Progress = nil, nil, nil // before it is copied
		page.Runs = append(page.Runs, cloneInfo(info))
	}
	return page, nil
}

// Counts counts the runs of each status; see [lambdabiz.Counter].
func (b *Backend) Counts(ctx context.Context, f lambdabiz.Filter) (map[lambdabiz.Status]int, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	counts := map[lambdabiz.Status]int{}
	for _, runs := range b.ids {
		if !f.AllRuns {
			runs = runs[len(runs)-1:]
		}
		for _, r := range runs {
			if selects(f, r) {
				counts[r.info.Status]++
			}
		}
	}
	return counts, nil
}

// listPlace is a run's place in a list. Neither part ever changes, so no run moves between pages.
type listPlace struct{ micros, place int64 }

func placeOf(r *run) listPlace { return listPlace{r.info.ScheduledAt.UnixMicro(), r.place} }

// comparePlace orders the newest start first, and of the same time the one accepted last.
func comparePlace(x, y listPlace) int {
	return cmp.Or(cmp.Compare(y.micros, x.micros), cmp.Compare(y.place, x.place))
}

func parseCursor(cursor string) (listPlace, error) {
	var p listPlace
	if cursor == "" {
		return p, nil
	}
	n, err := fmt.Sscanf(cursor, "%d.%d", &p.micros, &p.place)
	if err != nil || n != 2 || fmt.Sprintf("%d.%d", p.micros, p.place) != cursor {
		return p, errCursor
	}
	return p, nil
}

func selects(f lambdabiz.Filter, r *run) bool {
	i := &r.info
	switch {
	case len(f.Status) > 0 && !slices.Contains(f.Status, i.Status),
		f.Name != "" && i.Name != f.Name,
		!strings.HasPrefix(i.ID, f.IDPrefix),
		f.Blocked && i.Blocked == nil,
		f.Paused && !i.Paused,
		!f.ScheduledAfter.IsZero() && i.ScheduledAt.Before(f.ScheduledAfter),
		!f.ScheduledBefore.IsZero() && !i.ScheduledAt.Before(f.ScheduledBefore):
		return false
	}
	for name, value := range f.Tags {
		if got, ok := i.Tags[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// Purge removes ended runs, the oldest first; see [lambdabiz.Backend].
func (b *Backend) Purge(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	if err := b.enter(ctx); err != nil {
		return 0, err
	}
	defer b.mu.Unlock()
	ids := b.ids
	if p.ID != "" {
		ids = map[string][]*run{p.ID: b.ids[p.ID]}
	}
	var ended []*run
	for _, runs := range ids {
		for _, r := range runs {
			goes, err := rules.Purges(r.info.Status, r.info.EndedAt, &p)
			if err != nil {
				return 0, err
			}
			if goes {
				ended = append(ended, r)
			}
		}
	}
	slices.SortFunc(ended, func(x, y *run) int { return cmp.Compare(x.place, y.place) })
	ended = ended[:min(rules.PurgeLimit(&p), int64(len(ended)))]
	b.remove(ended)
	b.signal()
	return len(ended), nil
}

func (b *Backend) remove(ended []*run) {
	gone, ids := make(map[*run]bool, len(ended)), map[string]bool{}
	for _, r := range ended {
		gone[r], ids[r.info.ID] = true, true
	}
	for id := range ids {
		rest := slices.DeleteFunc(b.ids[id], func(x *run) bool { return gone[x] })
		if len(rest) == 0 {
			delete(b.ids, id)
		} else {
			b.ids[id] = rest
		}
	}
}
