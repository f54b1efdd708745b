package lambdabiz

import (
	"cmp"
	"slices"
	"time"
)

// Commit is changes that become durable together. They are applied in the order of the fields:
// a control may speak of a run that a start of the same commit begins.
type Commit struct {
	Run    *RunRef // the run that is written, under its fence; nil for changes from outside
	Worker int64   // who writes; 0 for a client
	At     time.Time

	// Conditional: if a message with a number above Seen has arrived, nothing is applied, and the
	// verdict is ErrStale with those messages. Fetch: the verdict carries them after applying.
	Seen        int64
	Conditional bool
	Fetch       bool

	Operations []Operation // inserted or replaced by number, in whose order they are
	Consumed   []int64     // messages to be removed
	Progress   Payload     // replaces the progress when not nil
	Started    bool        // sets the run's StartedAt and status when it has none yet

	Starts   []RunStart
	Raises   []Raise
	Controls []Control
	Attempts []Attempt // to be performed

	Release *Release // the claim ends, the run stays open
	Close   *Close   // the run ends

	// Where commits end claims, after one with neither Release nor Close, which clears Blocked: claim the run
	// again at once, or at WakeAt if that is not zero. Keep, with Again: the claim need not end, see Verdict.Held.
	Again  bool
	Keep   bool
	WakeAt time.Time
}

// Refuse marks the operation with the given number in this commit as failed with err: what a backend
// does when a change that carries an operation is refused. The operation is then stored as failed.
func (c *Commit) Refuse(operation int64, err error) {
	at, found := slices.BinarySearchFunc(c.Operations, operation, func(o Operation, n int64) int {
		return cmp.Compare(o.Number, n)
	})
	if !found {
		at = slices.IndexFunc(c.Operations, func(o Operation) bool { return o.Number == operation })
	}
	if at < 0 {
		return
	}
	op := &c.Operations[at]
	op.Status, op.Error, op.Result = StatusFailed, FailureOf(err), nil
	op.EndedAt = c.At
}

// Attempt is an attempt of a task or a service that the backend shall perform. The commit carries its
// operation too, unended, with the number of the attempt in Operation.Attempts. When the attempt has ended
// a later claim returns the operation ended, or with Operation.Tried. An operation that ends otherwise (in a
// later commit) takes its attempt with it: the backend stops it if it can, and drops its result.
type Attempt struct {
	Operation int64
	Local     bool          // workers of the engine perform it, through [Queue]; else the home itself
	Timeout   time.Duration // of the attempt; 0 for the home's default
	Heartbeat time.Duration // 0 for none
	Key       string        // the idempotency key
}

// Release ends a claim: the fence is of no use any more. With neither field the run is due again when a
// message comes. If it is not conditional and a message above Commit.Seen is there, or the run was resumed
// while it was held, it is due at once, so that no wake-up is lost.
type Release struct {
	WakeAt  time.Time // when it is due; zero for never by time
	Blocked *Blocked  // why it cannot go on; nil clears it

	// Version is of the code that has run it up to where it waits, or to the mistake that blocks it: RunInfo.Version
	// from now on, which stays when this is empty. A run that continues another one has none. Homes that are
	// Supervised need not keep it: nobody could compare it with the versions of all workers there. Where commits end
	// claims, a run that waits was mostly released by none.
	Version string
}

// Close ends a run. If the run has a parent that waits, the same transaction puts a MessageChild into
// the parent's inbox (unless the run continues), and makes the parent due. Whatever ends a run,
// Terminate included, does so.
type Close struct {
	Status  Status
	Result  Payload
	Error   *Failure
	Orphans []string

	// Next continues as this run, which is due at once (Claim is not looked at). It gets the id, the keys,
	// the pause, and of the unconsumed messages the events, the drops of events and the cancellations:
	// operation numbers begin anew, so children's outcomes do not move.
	Next *RunStart
}

// StartPolicy says what a start does when its id is used.
type StartPolicy uint8

const (
	// UseExisting answers with the run that the id has, open or ended. It is the default.
	UseExisting StartPolicy = iota
	// RejectExisting returns ErrExists if the id has any run.
	RejectExisting
	// RejectOpen returns ErrExists if the id has an open run, and starts a new one after an ended one.
	RejectOpen
	// RestartEnded answers with an open run, and starts a new one after an ended one.
	RestartEnded
	// RestartFailed starts a new run after one that ended without success, and answers with the run
	// that the id has otherwise.
	RestartFailed
)

// RunStart is a new run. A start with the run id of a run that the id has, or had before that continued, is
// that run's own start come twice, and succeeds whatever the policy says; if it claims, and its worker still
// holds the run, the verdict has the fence again, for the first answer may have been lost. Where commits end
// claims, no start claims.
type RunStart struct {
	ID       string
	RunID    string
	Name     string
	Mode     Mode
	Input    Payload
	Policy   StartPolicy
	Deadline time.Time
	Tags     map[string]string
	Queue    string // whose workers drive it; empty for the home's default
	Parent   *Parent
	Claim    bool // Commit.Worker holds it from its first moment; ErrFenced for all of the commit if that has been removed

	// Operation of the committing run: if it is not 0 and the start is refused, Refuse it.
	Operation int64
}

// Raise is an event. It goes to the run with RunID if given, else to the latest run of the id: ErrNotFound
// if there is none, ErrClosed if it has ended. A key that was seen before in the run, or in those that
// it continued, is acknowledged again and does nothing, ended run or not.
type Raise struct {
	ID      string
	RunID   string
	Name    string
	Key     string // empty for none
	Payload Payload

	// Until keeps the event, when the id has no run, for a start to come before that time; not with a RunID. With
	// AfterEnd it does so too when the latest run of the id has ended. Kept events come to a new run before all
	// others, in order.
	Until    time.Time
	AfterEnd bool

	Operation int64 // as in RunStart
}

// ControlKind says what a person asks of a run.
type ControlKind uint8

// The kinds of control.
const (
	ControlCancel    ControlKind = iota + 1 // puts a MessageCancel, once; CancelRequested and CancelReason are set
	ControlTerminate                        // ends the run now as TERMINATED and bumps its fence
	ControlPause                            // Paused and PauseReason are set, once; a holder gets a MessagePause
	ControlResume                           // clears them and Blocked, makes the run due
	ControlDrop                             // puts a MessageDrop, clears Blocked
)

// Control is an instruction from outside, or from a parent to its child. ErrNotFound if the id has no such run,
// ErrClosed if it has ended. Each is idempotent.
type Control struct {
	Kind   ControlKind
	ID     string
	RunID  string // the latest run when empty
	Reason string
	Number int64 // of the event to be dropped

	// Parent, if not nil, is the run's: the control is meant for the child that this operation of this run has
	// started, or for the run that continues it. Ids come to others: a latest run with another parent, or none, has
	// nothing to do with it, and the answer is ErrNotFound.
	Parent *Parent

	Operation int64 // as in RunStart
}

// Verdict is what became of a commit.
type Verdict struct {
	// Err is nil when the commit was applied. ErrFenced: the run has another holder, or has ended.
	// ErrStale: see Commit.Conditional. Any other error: this commit alone could not be applied.
	Err error

	// Held, where commits end claims: the claim goes on all the same, under the same fence. Without it after
	// ErrStale, the run is due again at once.
	Held bool

	Messages []Message
	Starts   []StartVerdict // by place in Commit.Starts
	Raises   []RaiseVerdict // by place in Commit.Raises
	Controls []error        // by place in Commit.Controls
}

// RaiseVerdict is what became of a raise.
type RaiseVerdict struct {
	Err     error   // ErrNotFound or ErrClosed
	Receipt Receipt // without an error; ReceiptUnknown only where keys are untold, see Description.UntoldKeys
}

// StartVerdict is what became of a start.
type StartVerdict struct {
	Err     error   // ErrExists, by policy or because the id belongs to another definition
	Created bool    // false: Run is the one that the id had
	Run     RunRef  // with a fence only if the committing worker holds it
	Info    RunInfo // of the existing run: Name, Mode, Status at least
	// Messages that were kept for this start, if it was created and claimed.
	Messages []Message
}

// doubtReceipts is for the verdict on a commit that was asked for again, because nobody knows what became of the first
// try: the key of an event may be known by that.
func (v *Verdict) doubtReceipts() {
	for i := range v.Raises {
		if v.Raises[i].Receipt == ReceiptRepeated {
			v.Raises[i].Receipt = ReceiptUnknown
		}
	}
}

// Items is how many things the commit writes, as [Description.MaxCommitItems] counts them: the run itself, each operation,
// consumed message, start, raise, control and attempt, and the next run of one that continues.
func (c *Commit) Items() int {
	n := len(c.Operations) + len(c.Consumed) + len(c.Starts) + len(c.Raises) + len(c.Controls) + len(c.Attempts)
	if c.Run != nil {
		n++
	}
	if c.Close != nil && c.Close.Next != nil {
		n++
	}
	return n
}

// Bytes is how large its payloads and errors are together, as [Description.MaxCommitBytes] counts them.
func (c *Commit) Bytes() int {
	n := len(c.Progress)
	for i := range c.Operations {
		n += c.Operations[i].bytes()
	}
	for i := range c.Starts {
		n += len(c.Starts[i].Input)
	}
	for i := range c.Raises {
		n += len(c.Raises[i].Payload)
	}
	if cl := c.Close; cl != nil {
		n += len(cl.Result) + cl.Error.bytes()
		if cl.Next != nil {
			n += len(cl.Next.Input)
		}
	}
	return n
}

func (o *Operation) bytes() int {
	return len(o.Input) + len(o.Result) + len(o.Details) + o.Error.bytes()
}

// bytes is how large the error is with its causes; 0 for none.
func (f *Failure) bytes() int {
	if f == nil {
		return 0
	}
	n := len(f.Message) + len(f.Data)
	for _, cause := range f.Causes {
		n += cause.bytes()
	}
	return n
}

// isIdempotent reports whether the commit may come twice: a run's is applied under its fence once, a start has
// its run id.
func (c *Commit) isIdempotent() bool {
	if c.Run != nil {
		return true
	}
	for i := range c.Raises {
		if c.Raises[i].Key == "" {
			return false
		}
	}
	return true
}
