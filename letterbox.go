package lambdabiz

import "sync"

// letterbox is what has come for a run and was not taken in yet. The worker's loop serves all runs, so it waits for the
// lock of none: it leaves here what has come, and a goroutine takes it in as soon as it gets run.mu.
type letterbox struct {
	mu       sync.Mutex // may be taken under run.mu, not the other way round
	arrivals []Arrival
	taking   bool // a goroutine is about to take them in
}

// post leaves messages for the run. It does not wait for run.mu.
func (r *run) post(a Arrival) {
	b := &r.letters
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrivals = append(b.arrivals, a)
	if !b.taking {
		b.taking = true
		go func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.takeMailLocked()
		}()
	}
}

// takeMailLocked takes in what has come, in the order in which it came.
func (r *run) takeMailLocked() {
	b := &r.letters
	b.mu.Lock()
	arrivals := b.arrivals
	b.arrivals, b.taking = nil, false
	b.mu.Unlock()
	for _, a := range arrivals {
		switch {
		case !r.ends() || a.Ref.Fence <= r.ref.Fence:
			r.deliverLocked(a.Messages)
		case r.phase != phaseDead:
			// The answer to their claim, which this copy has not got yet, has older ones.
			r.ahead.add(a)
		default:
			r.ahead.add(a) // for the copy that follows, if it looks here after this; else it is there, or they are early
			r.env.owner.forward(a, r)
		}
	}
}
