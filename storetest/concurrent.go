package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/lambdabiz/lambdabiz"
)

var concurrentChecks = []check{
	{name: "concurrent/a run never says more than its operations", run: concurrentReader},
	{name: "concurrent/writers in any order end with the newest", run: concurrentWriters},
	{name: "concurrent/what was seen is never older afterwards", run: concurrentMonotonic},
}

var randomChecks = []check{
	{name: "random/agrees with a simple model", run: randomModel},
}

// stamped is an operation that says at which event it was written.
func stamped(number, event int64) lambdabiz.Operation {
	o := operation(number, fmt.Sprint(event))
	o.Attempts = int(event)
	return o
}

// concurrentReader reads while versions are written, of which each changes every operation.
func concurrentReader(h *harness) {
	const operations, events = 6, 40
	write := func(e int64) error {
		s := runOf("a", 1, e)
		for n := range int64(operations) {
			s.Operations = append(s.Operations, stamped(n+1, e))
		}
		return h.s.Put(background, s)
	}
	h.must(write(0), "Put")
	done := make(chan error)
	go func() {
		var err error
		for e := int64(1); e <= events && err == nil; e++ {
			err = write(e)
		}
		done <- err
	}()
	var behind error // the first read that said more than its operations
	for reads := 1; ; reads++ {
		s, err := h.other.Get(background, "a")
		if err == nil {
			err = notBehind(s, operations)
		}
		if behind == nil {
			behind = err
		}
		select {
		case err := <-done:
			h.must(errors.Join(behind, err), "Get while versions are written")
			want(h, h.getFrom(h.other, "a").Version.Event, int64(events), "last event")
			h.Logf("%d reads while %d versions were written", reads, events)
			return
		default:
		}
	}
}

// notBehind returns an error if an operation is older than the run.
func notBehind(s *lambdabiz.Snapshot, operations int) error {
	if len(s.Operations) != operations {
		return fmt.Errorf("%d operations at event %d, want %d", len(s.Operations), s.Version.Event, operations)
	}
	for _, o := range s.Operations {
		if int64(o.Attempts) < s.Version.Event {
			return fmt.Errorf("run of event %d with operation %s of event %d", s.Version.Event, o.ID, o.Attempts)
		}
	}
	return nil
}

// versions are all of two runs of an id, each changing some operations, in a random order.
func versions(random *rand.Rand, id string) (all []*lambdabiz.Snapshot, newest map[int64]*lambdabiz.Snapshot) {
	const operations, events = 4, 12
	newest = map[int64]*lambdabiz.Snapshot{}
	for number := range 2 {
		for e := range int64(events) {
			s := runOf(id, number, e)
			for n := range int64(operations) {
				if random.IntN(3) == 0 || number == 1 && e == n {
					s.Operations = append(s.Operations, stamped(n+1, e))
					newest[n+1] = s
				}
			}
			all = append(all, s)
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all, newest
}

func concurrentWriters(h *harness) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 4 {
		id := fmt.Sprint(i)
		all, newest := versions(random, id)
		const writers = 6
		errs := make([]error, writers)
		var group sync.WaitGroup
		for w := range writers {
			store := h.s
			if w%2 == 1 {
				store = h.other
			}
			group.Go(func() {
				for j := w; j < len(all); j += writers {
					errs[w] = errors.Join(errs[w], store.Put(background, all[j]))
				}
			})
		}
		group.Wait()
		h.must(errors.Join(errs...), "Put by many")
		s := h.get(id)
		want(h, s.Version, lambdabiz.SnapshotVersion{Start: at(1), Event: 11}, fmt.Sprintf("version, seed %d", seed))
		want(h, len(s.Operations), len(newest), "operations")
		for _, o := range s.Operations {
			want(h, int64(o.Attempts), newest[o.Number].Version.Event, fmt.Sprintf("event of operation %d, seed %d", o.Number, seed))
		}
	}
}

func concurrentMonotonic(h *harness) {
	seed := rand.Uint64()
	all, _ := versions(rand.New(rand.NewPCG(seed, 0)), "a")
	h.put(all[0])
	done := make(chan error)
	go func() {
		var err error
		for _, s := range all {
			err = errors.Join(err, h.s.Put(background, s))
		}
		done <- err
	}()
	var last lambdabiz.SnapshotVersion
	for {
		s, err := h.other.Get(background, "a")
		older := err == nil && s.Version.Compare(last) < 0
		if err != nil || older {
			h.must(errors.Join(err, <-done), "Get while versions are written")
			h.Fatalf("version %v after %v, seed %d", s.Version, last, seed)
		}
		last = s.Version
		select {
		case err := <-done:
			h.must(err, "Put")
			return
		default:
		}
	}
}
