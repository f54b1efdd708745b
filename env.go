package lambdabiz

import (
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
	failures  *errorRegistry
	version   string
	endsClaim bool // desc.CommitEndsClaim

	lines       *lines
	log         *slog.Logger // for the engine's own lines
	hooks       *hookCaller
	interceptor probe.Interceptor // a test; nil else

	worker atomic.Int64 // this engine's worker number; 0 while it is a client

	committer  *committer
	transactor *guardedTransactor // nil if the backend is none

	// They may be used with a run's lock held: what they call back comes on goroutines of its own.
	slots   *slots.Slots // nil for no limit
	alarms  *alarm.Clock[resident]
	flushes *delay.Queue[resident]
	idle    *idle.List[resident]

	owner owner
}
