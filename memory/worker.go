package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

type worker struct {
	record lambdabiz.WorkerRecord
	held   map[*run]bool
	after  int64         // as it has asked last
	news   map[*run]bool // runs that it holds, or has held, and may not know all messages of
}

// Join registers a worker; see [lambdabiz.Backend].
func (b *Backend) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	if err := b.enter(ctx); err != nil {
		return 0, err
	}
	defer b.mu.Unlock()
	b.lastWorker++
	record := lambdabiz.WorkerRecord{WorkerInfo: w, Number: b.lastWorker, JoinedAt: stamp(time.Now())}
	b.workers[b.lastWorker] = &worker{record: cloneWorker(record), held: map[*run]bool{}, news: map[*run]bool{}}
	for _, runs := range b.ids {
		for _, r := range runs {
			if blocked := r.info.Blocked; blocked != nil {
				if h, woken := rules.Unblocks(r.head, blocked.Version, &w); woken {
					b.set(r, h)
				}
			}
		}
	}
	b.signal()
	return b.lastWorker, nil
}

// Renew moves the worker's heartbeat; see [lambdabiz.Backend].
func (b *Backend) Renew(ctx context.Context, number int64) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	w := b.workers[number]
	if w == nil {
		return lambdabiz.ErrFenced
	}
	w.record.Beat++
	return nil
}

// Watch is Renew, and returns the workers that come next; see [lambdabiz.Watcher].
func (b *Backend) Watch(ctx context.Context, number int64, next int) (lambdabiz.Watched, error) {
	if err := b.enter(ctx); err != nil {
		return lambdabiz.Watched{}, err
	}
	defer b.mu.Unlock()
	w := b.workers[number]
	if w == nil {
		return lambdabiz.Watched{}, lambdabiz.ErrFenced
	}
	w.record.Beat++
	var others, lower []int64
	for _, n := range slices.Sorted(maps.Keys(b.workers)) {
		switch {
		case n > number:
			others = append(others, n)
		case n < number:
			lower = append(lower, n)
		}
	}
	others = append(others, lower...)
	var seen lambdabiz.Watched
	for _, n := range others[:min(next, len(others))] {
		seen.Next = append(seen.Next, cloneWorker(b.workers[n].record))
	}
	return seen, nil
}

// Leave removes a worker and frees its runs; see [lambdabiz.Backend]. The fences of the freed runs
// grow here and not at the next claim: a worker that was declared dead can record nothing from now.
func (b *Backend) Leave(ctx context.Context, number, beat int64) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	w := b.workers[number]
	switch {
	case w == nil:
		return nil
	case beat >= 0 && beat != w.record.Beat:
		return lambdabiz.ErrStale
	}
	freed := make([]*run, 0, len(w.held))
	for r := range w.held {
		freed = append(freed, r)
	}
	slices.SortFunc(freed, func(x, y *run) int { return int(x.place - y.place) })
	for _, r := range freed {
		if beat < 0 {
			b.set(r, rules.Taken(r.head))
		} else {
			b.set(r, rules.Crashed(r.head))
		}
	}
	delete(b.workers, number)
	b.signal()
	return nil
}

// Workers returns the registered workers; see [lambdabiz.Backend]. None is ever gone without Leave:
// they live in this process.
func (b *Backend) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	records := make([]lambdabiz.WorkerRecord, 0, len(b.workers))
	for _, w := range b.workers {
		records = append(records, cloneWorker(w.record))
	}
	slices.SortFunc(records, func(x, y lambdabiz.WorkerRecord) int { return int(x.Number - y.Number) })
	return records, nil
}
