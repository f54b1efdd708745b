package lambdabiz

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/lambdabiz/lambdabiz/internal/alarm"
	"github.com/lambdabiz/lambdabiz/internal/delay"
	"github.com/lambdabiz/lambdabiz/internal/idle"
	"github.com/lambdabiz/lambdabiz/internal/probe"
	"github.com/lambdabiz/lambdabiz/internal/slots"
)

// env is what the runs of an engine need of it: values that do not change, mechanisms that all runs share, and the
// engine itself as their owner. A run knows no more of the engine than this.
type env struct {
	payloads
	desc      Description
	config    Config
	registry  *registry
	version   string
	endsClaim bool // desc.CommitEndsClaim

	lines       *lines
	log         *slog.Logger // for the engine's own lines
	hooks       *hookCaller
	interceptor probe.Interceptor // a test; nil else

	worker atomic.Int64 // this engine's worker number; 0 while it is a client

	committer *committer

	// They may be used with a run's lock held: what they call back comes on goroutines of its own.
	slots   *slots.Slots // nil for no limit
	alarms  *alarm.Clock[*run]
	flushes *delay.Queue[*run]
	idle    *idle.List[*run]

	owner owner
}

// owner is an engine, as its runs see it. kick, wants, forward and forget may be called with the run's lock held.
type owner interface {
	// kick makes the worker look for work now.
	kick()
	// wants reports whether a new run of a definition may be claimed with its start; counted is how many of the starts
	// on their way are this one.
	wants(name string, counted int) bool
	// adoptStarts runs what a commit has started and claimed, and returns the last of these runs.
	adoptStarts(c *Commit, v Verdict) *run
	// forward gives messages that have come for a run that is dead to the copy that follows it.
	forward(a Arrival, dead *run)
	// forget is called when a run is dead.
	forget(r *run)
	// serveTasks performs the attempts of queues until ctx ends, then drains.
	serveTasks(ctx context.Context, queues []string)
	// claimNext claims a run that is driven by hand when it is due again, after the commit that ended its claim.
	claimNext(r *run, ended *RunRef)
}
