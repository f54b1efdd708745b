package lambdabiz

import (
	"errors"
	"fmt"
)

// Map runs a function over items, each in a branch of its own in the scope id, and returns the results
// in the order of the items. key gives each item's branch its id: it must be unique among the items,
// and stay with the item when their order changes. Two items with one key are a *DuplicateKeyError, and nothing begins.
// All items are worked on to their end; the error joins those of the items, each with its key.
func Map[T, R any](
	o Context, id string, items []T, key func(T) string, f func(o Context, item T) (R, error), opts ...MapOption,
) ([]R, error) {
	var m mapOptions
	for _, opt := range opts {
		opt.applyMap(&m)
	}
	keys, err := keysOf(o, id, items, key)
	if err != nil {
		return nil, err
	}
	results, errs := make([]R, len(items)), make([]error, len(items))
	all := Go(o, id, func(o Context) (struct{}, error) {
		futures := make([]*future, len(items))
		next := make([]func(), 0, len(items))
		for i, item := range items {
			futures[i] = &future{}
			next = append(next, futures[i].run(o, keys[i], func(o Context) error {
				v, err := f(o, item)
				results[i] = v
				return err
			}, false))
		}
		runAll(o, futures, next, m.concurrency)
		for i, f := range futures {
			if err := f.wait(o); err != nil {
				errs[i] = fmt.Errorf("%s: %w", keys[i], err)
			}
		}
		return struct{}{}, errors.Join(errs...)
	}, branchOptions{m.former})
	if _, err := all.Wait(o); err != nil {
		if !all.f.hasEnded(o) {
			results = nil // branches may still write to it
		}
		return results, err
	}
	return results, nil
}

// keysOf are the keys of the items, each once. Keys are data: two of a kind are no mistake of the code.
func keysOf[T any](o Context, id string, items []T, key func(T) string) ([]string, error) {
	keys, places := make([]string, len(items)), make(map[string]int, len(items))
	for i, item := range items {
		keys[i] = key(item)
		if first, twice := places[keys[i]]; twice {
			return nil, &DuplicateKeyError{
				OperationID: joinPath(o.scope().path, id), Key: keys[i], First: first, Second: i,
			}
		}
		places[keys[i]] = i
	}
	return keys, nil
}

// runAll begins the prepared branches, so many at a time. When they are cancelled, or have lost a race, no further one
// begins, but those that this pass has records of.
func runAll(o Context, futures []*future, start []func(), limit int) {
	r := o.run()
	r.mu.Lock()
	defer r.unlock()
	if limit <= 0 || limit > len(start) {
		limit = len(start)
	}
	began := o.Err() == nil // one that begins after a cancellation may be there to clean up
	over := func(f *future) bool {
		return f.s.isClosed() || began && o.Err() != nil && f.s.place.unvisited == 0
	}
	at, wanted, beginning := 0, 0, false
	next := func() {
		if wanted++; beginning {
			return // one has ended at once, the loop below goes on
		}
		beginning = true
		defer func() { beginning = false }()
		for at < len(start) && wanted > 0 {
			f, begin := futures[at], start[at]
			at++
			switch {
			case f.ended: // it could not begin
			case over(f):
				f.then = nil
				r.endBranch(f, ErrCancelled)
			default:
				wanted--
				begin()
			}
		}
	}
	for _, f := range futures {
		f.then = func() {
			r.cancel.waited(o.scope(), f.s) // this waits for all of them, and knows now what f knows
			next()
		}
	}
	for range limit {
		next()
		if r.begun.Load() >= crowd {
			r.unlock()
			r.giveWay()
			r.mu.Lock()
		}
	}
}
