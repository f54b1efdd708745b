package lambdabiz

import (
	"context"
	"time"
)

// owner is an engine, as its runs see it. kick, wants, grant, countActive, forward and forget may be called with the run's lock held.
type owner interface {
	// kick makes the worker look for work now.
	kick()
	// wants reports whether a run of the definition can run here, and so may be claimed with its start.
	wants(name string) bool
	// grant reports how many of n new runs may be claimed with their starts, which are on their way until countStarts(-n).
	grant(n int) int
	countStarts(n int)
	// countActive notes that a run has become active, or is not any more.
	countActive(active bool)
	// adoptStarts runs what a commit has started and claimed.
	adoptStarts(c *Commit, v Verdict)
	// forward gives messages that have come for a run that is dead to the copy that follows it.
	forward(a Arrival, dead resident)
	// forget is called when a run is dead.
	forget(dead resident, info *RunInfo)
	// serveTasks performs the attempts of queues until ctx ends, then drains.
	serveTasks(ctx context.Context, queues []string)
	// claim asks for runs; wake is full when there may be some.
	claim(ctx context.Context, req ClaimRequest) (claims Claims, err error)
	wake() <-chan struct{}
}

// resident is a run in the memory of this process, as its engine knows it.
type resident interface {
	// ring does what is due by time.
	ring()
	// flushIfLate commits soon what has been pending since then.
	flushIfLate(since time.Time)
	// park releases the run if it is idle.
	park()
}
