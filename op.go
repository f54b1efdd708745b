package lambdabiz

import "time"

// op is a recorded operation, or one that is about to be.
type op struct {
	Operation
	site      callSite
	visited   bool   // by this pass
	loaded    bool   // recorded before this pass
	moved     string // its path in the code, if it is recorded under a former one
	suspected bool   // it was warned of something new in its place
	holding   int    // new operations that are held, since they may repeat it
	dirty     bool   // is in pending
	change    uint64 // the last one of it; 0 for none in this pass
	timingOut bool   // is in pending.timeouts
	tried     bool   // the backend's attempt has ended without success, and is to be judged
	failed    Status // how the attempt ended, if tried
	waiter    *waiter
	at        time.Time  // when its end came about, if that is not EndedAt
	message   *mail      // the event it has taken, until a commit says so
	dropped   bool       // that event was dropped since: it is not given back
	wait      *eventWait // in the inbox, while it is open

	// The record's own.
	place *place
	index int   // in place.open, from 1; 0 for not there
	bytes int64 // as counted in record.bytes
}

// takeTried keeps an operation open whose attempt the backend has performed without success, until it is
// decided what follows.
func (o *op) takeTried() {
	if o.tried = o.Tried != nil && (o.Kind == KindTask || o.Kind == KindService); o.tried {
		o.failed, o.Status, o.EndedAt = o.Status, StatusStarted, time.Time{}
	}
}

// choosing reports whether the branch of an event wait reads an event that it may take.
func (o *op) choosing() bool { return o.wait != nil && o.wait.mail != nil }

// cameAbout is when an ended operation's outcome came about: when the event arrived, when the timer was
// due. Its branch may have learned of it later.
func (o *op) cameAbout() time.Time {
	switch {
	case !o.at.IsZero():
		return o.at
	case o.Kind == KindTimer && o.Status == StatusSucceeded, o.Kind == KindEvent && o.Status == StatusTimeout:
		return o.DueAt
	default:
		return o.EndedAt
	}
}

// path is where the code has the operation: not where it is recorded if it was renamed.
func (o *op) path() string {
	if o.moved != "" {
		return o.moved
	}
	return o.ID
}

// hasBegun reports whether something was done for the operation. One that was cancelled before its first attempt
// has no effect to be repeated.
func (o *op) hasBegun() bool { return !o.Status.Ended() || o.Attempts > 0 }

// endedByStop reports whether the operation was ended because the contexts of the code had ended. Those of a branch
// that has lost, and children that were cancelled by themselves, are recorded with other errors.
func (o *op) endedByStop() bool {
	return o.Status == StatusCancelled && o.Error != nil &&
		(o.Error.Code == "cancelled" || o.Error.Code == "deadlineExceeded")
}

// size is the estimated memory of the operation.
func (o *op) size() int64 {
	n := opBytes + len(o.ID) + len(o.Input) + len(o.Result) + len(o.Details)
	if o.Error != nil {
		n += len(o.Error.Message) + len(o.Error.Data)
	}
	return int64(n)
}

// waiter is a branch that is blocked. ready is closed under run.mu, and active is counted up with it.
type waiter struct {
	op       *op // nil for other waits
	detached bool
	due      time.Time
	ready    chan struct{}
	woken    bool
}

// affects reports whether an operation of the kind does something that may be done twice.
func (k Kind) affects() bool {
	switch k {
	case KindTask, KindService, KindChild, KindRaise, KindStep:
		return true
	default:
		return false
	}
}

func (o *Operation) progress() int {
	if o.Status.Ended() && o.Tried == nil {
		return 2
	}
	return 1
}

// opBytes and placeBytes are the estimated memory of an operation and of a branch beside their payloads.
const (
	opBytes    = 512
	placeBytes = 1 << 10
)

// place is where operations are recorded: the orchestration's function, or a branch.
type place struct {
	above     *place   // nil for the function
	scope     *scope   // of the branch in this pass; nil before it begins
	lost      bool     // the branch has lost its race
	unvisited int      // recorded operations here, and in the branches inside that have not lost, that this pass has not come to
	before    int      // those of them that the code had begun before it was told to stop
	hadBefore bool     // there were some
	hasAfter  bool     // some are recorded right here that it has begun after that
	open      []*op    // those here that have not ended, or may give the event back that they have taken
	busy      []*place // of branches right inside: those with something open in them
	index     int      // in above.busy, from 1; 0 for not there
}
