package lambdabiz

// Who commits what a run has pending, and when, is decided here and nowhere else. Many come by with that question: a branch
// that has blocked or ended, a branch that waits until something is durable, the end of the run, the engine that wants its
// memory back. Each asks a standing what its next step is, does that, and asks again until it is stepNone. The answers
// follow from the standing alone: standing has no pointer, and the steps of all standings are in a test.

// standing is how a run stands, as far as that decides what is committed next.
type standing struct {
	phase      phase
	closing    bool // its function has returned: the close is what is committed next
	claimed    bool
	committing bool // a commit is on its way
	perCommit  bool // a commit ends the claim
	hand       bool // a caller drives it
	pending    bool // something is to be committed
	timeouts   bool // the end of waits whose time is over is to be committed
	active     int  // branches that are not blocked
	flushers   int  // of those, they wait for a commit, or for a slot
	durable    uint64
	target     uint64 // the most that a flusher has waited for
}

// step is what whoever has asked does next.
type step uint8

const (
	stepNone   step = iota // nothing: it is done, or somebody else does it
	stepWait               // wait until a commit or a claim has come, then ask again
	stepFire               // do what is due by time; commit if nobody was woken by that
	stepCommit             // commit what is pending
	stepFinish             // commit the release, however many commits that takes
	stepRest               // all code waits: arm the alarm
	stepPark               // commit what is pending, and release the run with it
	stepEvict              // leave the process without a word to the store
)

// live reports whether code may go on, or be waited for.
func (s standing) live() bool { return s.phase == phaseLive && !s.closing }

// idle is asked when a branch has blocked or ended. The last one commits what is pending, since nobody else may come by.
// Where a commit ends the claim, it does so too when all that is left waits for a commit: there is one for all of them.
func (s standing) idle() step {
	switch {
	case !s.live() || s.active != s.flushers || s.committing:
		return stepNone // the branches that are active come by, or the one that commits does
	case s.active > 0 && (!s.claimed || !s.perCommit || s.durable >= s.target):
		return stepNone // the flushers do it; in the last case they are about to go on
	case s.claimed && s.perCommit:
		return stepFire // the next claim may come to another worker, which begins afresh
	case s.claimed && s.pending:
		return stepCommit
	default:
		return stepRest
	}
}

// flush is asked by a branch that waits until the changes up to target are durable, and the run is claimed.
func (s standing) flush(target uint64) step {
	switch {
	case s.phase != phaseLive, s.durable >= target && s.claimed:
		return stepNone
	case s.committing, !s.claimed, s.perCommit && s.active != s.flushers:
		return stepWait
	default:
		return stepCommit
	}
}

// finish is asked by whoever commits the close of a run, or its release, again when newer messages have come between.
func (s standing) finish() step {
	switch {
	case s.phase == phaseDead:
		return stepNone
	case s.committing:
		return stepWait
	case s.claimed:
		return stepCommit
	case s.phase == phaseStopping:
		return stepEvict // a cache only: the backend knows all
	default:
		return stepWait // for the claim under which the close is committed
	}
}

// park is asked by the engine that wants the memory of an idle run.
func (s standing) park() step {
	switch {
	case !s.live() || s.active != 0 || s.committing || s.hand:
		return stepNone
	case !s.claimed:
		return stepEvict // a cache only: the backend knows all
	case s.timeouts:
		return stepCommit // what that wakes has no other time to wake
	default:
		return stepPark
	}
}

// nudged is asked by who has changed something and must not wait for a commit: stepCommit says that no branch will come by.
func (s standing) nudged() step {
	if s.live() && s.active == 0 && s.claimed && !s.committing {
		return stepCommit
	}
	return stepNone
}

// bodyEnded is asked when a body of a run has ended, of which so many are left.
func (s standing) bodyEnded(left int) step {
	switch {
	case s.phase != phaseStopping:
		return stepNone
	case left == 0:
		return stepFinish
	case !s.committing && s.claimed && !s.perCommit:
		return stepCommit // the others may never end
	default:
		return stepNone
	}
}

// The states of a run in memory, by name: docs/architecture.md has a picture of them.
const (
	stateRunning    = "running"    // code of it runs
	stateWaiting    = "waiting"    // all code that runs waits for a commit
	stateCommitting = "committing" // a commit is on its way
	stateResting    = "resting"    // all code waits for something to come
	stateUnclaimed  = "unclaimed"  // a commit has ended the claim
	stateClosing    = "closing"    // its function has returned
	stateStopping   = "stopping"   // its code unwinds, its bodies may end
	stateDead       = "dead"       // it has left this process
)

// state names where the run is.
func (s standing) state() string {
	switch {
	case s.phase == phaseDead:
		return stateDead
	case s.committing:
		return stateCommitting
	case s.phase == phaseStopping:
		return stateStopping
	case s.closing:
		return stateClosing
	case !s.claimed:
		return stateUnclaimed
	case s.active > s.flushers:
		return stateRunning
	case s.active > 0:
		return stateWaiting
	default:
		return stateResting
	}
}
