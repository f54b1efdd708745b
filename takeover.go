package lambdabiz

import "fmt"

// start runs the code of a claimed run.
func (r *run) start(c *Claimed) {
	r.mu.Lock()
	r.fire(now()) // the deadline may have passed
	r.recallStop()
	switch {
	case crashLoop(c):
		r.blockLocked(Blocked{Crashes: c.Crashes, Reason: fmt.Sprintf(
			"%d workers in a row died while they ran it, without a new record", c.Crashes)})
	case r.def == nil:
		why := fmt.Errorf("no definition with the name %q is registered", r.info.Name)
		if r.endsUnbegun() {
			r.closing = r.closeUnbegun(why)
			r.finishLocked()
			break
		}
		r.blockLocked(Blocked{Reason: why.Error()})
	}
	live := r.phase == phaseLive
	r.unlock()
	if live {
		r.env.hooks.runStarted(r.event(StatusStarted))
		r.main()
	}
}

// crashLoop reports whether the run kills its workers: five in a row, or one more after it was blocked
// for that and has recorded nothing since. A run that only waited while its workers died has not done it.
func crashLoop(c *Claimed) bool {
	limit := maxCrashes
	if b := c.Blocked; b != nil && b.Crashes > 0 && b.Recorded >= progressOf(c.Operations) {
		limit = 1
	}
	if c.Crashes < limit {
		return false
	}
	if limit == 1 || c.Crashes >= 2*maxCrashes {
		return true // even if it waits for something besides
	}
	waits := false
	for i := range c.Operations {
		o := &c.Operations[i]
		if o.Status.Ended() {
			continue
		}
		if o.Status == StatusStarted && (o.Kind == KindTask || o.Kind == KindStep || o.Kind == KindService) {
			return true
		}
		waits = true
	}
	return !waits
}

// maxCrashes is how many claims in a row without a new record make a crash loop.
const maxCrashes = 5

func progressOf(operations []Operation) int {
	n := 0
	for i := range operations {
		n += operations[i].progress()
	}
	return n
}

// follows reports whether this copy's claim is a later one than c.
func (r *run) follows(c *Claimed) bool {
	r.mu.Lock()
	defer r.unlock()
	return r.phase != phaseDead && r.isAfter(c)
}

// evictFor ends this copy, and returns what has come ahead of the claim of the one that follows.
func (r *run) evictFor(next RunRef) []Message {
	r.mu.Lock()
	defer r.unlock()
	r.evictLocked(ErrFenced)
	r.takeMailLocked()
	return r.ahead.of(next)
}
