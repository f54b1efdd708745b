package lambdabiz

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Backend is the durable engine underneath: it moves rows, and knows nothing of orchestration code.
// Retries, deadlines, matching of events to waits, barriers and parking live in the engine, once.
//
// All methods may be called by many goroutines at once. A backend returns the sentinels of this
// package where a method names them, wrapped or not, and any other error for what it could not do.
// It keeps no reference to what it is given after it returns, and what it returns is the caller's.
// Times are UTC with microseconds. Package backendtest has the suite that a backend must pass.
//
// How the methods map to two homes that are no databases:
//
//	method    Amazon SWF                               Lambda durable functions
//	Describe  CommitEndsClaim, Performs tasks,         Performs tasks and children
//	          services, timers, children, raises
//	Join      RegisterDomain, RegisterWorkflowType     nothing
//	Renew     nothing (decisions time out)             nothing (one invocation, one owner)
//	Leave     nothing                                  nothing
//	Workers   nothing: SWF watches its own             nothing
//	Claim     PollForDecisionTask and its pages; the   the invocation event and its pages, then
//	          token is RunRef.Handle                   CheckpointDurableExecution without updates
//	Commit    RespondDecisionTaskCompleted: decisions  CheckpointDurableExecution; the rotating token
//	          and markers; from outside Start-,        is RunRef.Handle; Release returns PENDING;
//	          Signal-, RequestCancel- and              from outside Invoke with a durable name, the
//	          TerminateWorkflowExecution               inbox with a callback as doorbell, Stop
//	          UNHANDLED_DECISION is ErrStale           a token that is not the latest is ErrFenced
//	Load      GetWorkflowExecutionHistory, the store   GetDurableExecution and its history
//	List      List{Open,Closed}WorkflowExecutions,     ListDurableExecutionsByFunction
//	          the store
//	Purge     retention of the domain                  retention of the function
//	Close     the client                               the client
//
// A decision carries Operations as markers, and as ScheduleLambdaFunction, ScheduleActivityTask,
// StartTimer, StartChildWorkflowExecution and SignalExternalWorkflowExecution for the kinds that SWF
// performs. A checkpoint carries them as STEP, WAIT, CHAINED_INVOKE updates. Commit.Again is a signal
// to the run itself there, and has no meaning where the claim is held.
type Backend interface {
	// Describe says what the backend is and cannot do. It does no I/O and always answers the same.
	Describe() Description

	// Join registers a worker and returns its number, which is never used again. Blocked runs that
	// the worker can serve, and that were blocked by another version of the code, become claimable.
	Join(ctx context.Context, w WorkerInfo) (int64, error)

	// Renew moves the worker's heartbeat. It returns ErrFenced when the worker has been removed by
	// Leave: then it owns nothing any more.
	Renew(ctx context.Context, worker int64) error

	// Leave removes a worker and makes what it owned claimable at once, in one transaction. A beat
	// of 0 or more makes it conditional: when the worker's heartbeat is another one by now, it does
	// nothing and returns ErrStale. For a worker that is gone already it does nothing. Runs taken
	// from a worker that did not release them count as crashed (Claimed.Crashes).
	Leave(ctx context.Context, worker int64, beat int64) error

	// Workers returns the registered workers in the order of their numbers.
	Workers(ctx context.Context) ([]WorkerRecord, error)

	// Claim takes runs that are due (see Claimed) and hands out messages for runs that are held. A
	// claim bumps the run's fence: every earlier holder can commit nothing more. It returns at once,
	// or, on a home with a long poll of its own, after ClaimRequest.Wait at most; an empty answer is
	// no error. It returns ErrFenced when the worker has been removed. An error means that nothing was
	// claimed; only one that wraps ErrOutcomeUnknown leaves that open, and makes the worker leave.
	//
	// With Hand it claims that one run whatever its state, for its caller: ErrNotFound if there is
	// none, ErrMode if workers drive it. One that has ended or is paused is not claimed: it comes with a
	// Ref without a fence, to be read only, and an earlier holder stays what it is. After any other error an
	// earlier holder may have lost the run, and the next call claims it.
	Claim(ctx context.Context, r ClaimRequest) (Claims, error)

	// Commit makes each commit durable at once or not at all, and the verdicts have the commits'
	// places. Commits are independent; a later one sees the effects of an earlier one in the batch.
	// No two commits of a batch are of one run. When it returns, what is applied is on disk.
	//
	// An error means that nothing of the batch was applied. Only an error that wraps
	// ErrOutcomeUnknown leaves that open; a backend gives it after it tried to read back. An error with a method
	// Temporary() bool that returns true is none of what was to be written: the store is busy, full or out of
	// reach. Another error may be one commit's own: the batch is tried again one by one, and a run whose commit
	// fails alone eight times in a row, although the store takes it that the run is blocked, is blocked.
	Commit(ctx context.Context, batch []*Commit) ([]Verdict, error)

	// Load returns one run with its operations and unconsumed messages as one snapshot: the run
	// with that run id, or the latest one of the id when the run id is empty. ErrNotFound if none.
	Load(ctx context.Context, id, runID string) (*Record, error)

	// List returns a page of runs, newest start first. A run is never on two pages.
	List(ctx context.Context, f Filter) (Page, error)

	// Purge removes ended runs with all that belongs to them, keys included, whole or not at all.
	// An open run is never removed: with an ID that has one it returns ErrOpen.
	Purge(ctx context.Context, p PurgeRequest) (int, error)

	// Close releases the backend's resources. It frees no runs: Leave does.
	Close() error
}

// Waker is an optional ability of a [Backend]: it says when Claim may have something new.
type Waker interface {
	// Wake returns a channel that receives after a change; signals may be merged. Every call returns
	// another channel, for one receiver. It is never closed.
	Wake() <-chan struct{}
}

// Locked is an optional ability of a [Backend] on which one process at a time writes, and keeps all others waiting: it
// says which one does.
type Locked interface {
	// LockedBy returns who keeps others from writing, by its own word; nil when nobody has said so. With a patience it
	// tries to write within that time first, and returns nil when that works, and a Holder without a process when
	// nobody has said that it is writing.
	LockedBy(ctx context.Context, patience time.Duration) (*Holder, error)
}

// Holder is a process that keeps others from writing.
type Holder struct {
	Host  string    `json:"host"` // empty, with a PID of 0, for a process that is not known
	PID   int       `json:"pid"`
	Since time.Time `json:"since"` // when its write began
}

// String says who has locked the store.
func (h Holder) String() string {
	if h.PID == 0 {
		return "the store is locked by a program that does not say so"
	}
	return fmt.Sprintf("the store is locked by process %d on %s, which has been writing since %s",
		h.PID, h.Host, h.Since.Format(time.RFC3339))
}

// Informer is an optional ability of a [Backend]: it tells how a run stands without its operations. Who waits for a
// result asks again and again, and without it each answer costs as much as the run has recorded.
type Informer interface {
	// Info is [Backend.Load] without the operations and the messages.
	Info(ctx context.Context, id, runID string) (*RunInfo, error)
}

// Queue is an optional ability of a [Backend] that performs tasks or services: it hands attempts that are
// local to workers, which may be other processes than those that run orchestrations.
type Queue interface {
	// NextTask waits for an attempt, TaskRequest.Wait at most, and takes it. It returns nil without an error
	// when there was none.
	NextTask(ctx context.Context, r TaskRequest) (*TaskClaim, error)

	// BeatTask says that the attempt goes on, and keeps details for the next one. ErrFenced: nobody
	// wants it any more. ErrCancelled: it shall end.
	BeatTask(ctx context.Context, t *TaskClaim, details Payload) error

	// EndTask makes the attempt's outcome durable. ErrFenced: nobody wants it any more. Called again
	// with the same outcome it does nothing.
	EndTask(ctx context.Context, t *TaskClaim, o TaskOutcome) error
}

// TaskRequest asks for an attempt.
type TaskRequest struct {
	Kind  Kind          // KindTask or KindService
	Names []string      // what the worker knows; an attempt of another name may come all the same
	Queue string        // whose attempts; empty for the home's default
	Wait  time.Duration // how long a long poll may take
}

// TaskClaim is an attempt with the right to end it.
type TaskClaim struct {
	ID, RunID string    // the run
	Operation Operation // ID, Kind, Name, Input, Attempts and Details at least
	Timeout   time.Duration
	Heartbeat time.Duration // as the call asked for; the backend may ask for more
	BeatEvery time.Duration // how often the backend must hear of the worker; 0 for never
	Key       string
	Handle    any // the backend's own
}

// TaskOutcome is what came of an attempt.
type TaskOutcome struct {
	Status Status // SUCCEEDED, FAILED, TIMEOUT or CANCELLED
	Result Payload
	Error  *Failure
	Tried  Tried
}

// Description is what a backend is and cannot do.
type Description struct {
	Name string // for messages, "sqlite"

	// CommitEndsClaim: after a commit the run must be claimed again, and that happens only when a
	// message came, its WakeAt passed, an operation was performed, or Commit.Again asked for it.
	CommitEndsClaim bool

	// Performs lists the kinds of operations that the backend does itself. It finds them unended in
	// a commit and returns them ended with a later claim.
	Performs []Kind

	// CloseOnlyConditional: those commits are refused with ErrStale that have a Close, and all of these are
	// conditional, whatever has come since the claim. Another
	// one is applied although a message has arrived, and the run is due again at once; what it says of a
	// wait's time-out is dropped when an event of that name had arrived by its DueAt.
	CloseOnlyConditional bool

	// LongPoll: Claim waits at the home, which finds by its own clock what is due, and gives what comes, one run
	// at a time: ClaimRequest.Names, Now and After mean nothing, nor do Claims.Arrived, Through and NextWake.
	// Claims.More says that something came, though it may have been nothing for the worker. Verdicts have no
	// messages: they come with the next claim. A run whose definition a worker does not know is blocked there.
	LongPoll bool

	// Lags: Load and List answer from a copy that is written with each commit. What has come since the last one
	// is not in it, unless the run has ended. Of earlier runs of an id it has none.
	Lags bool

	// Retention is how long Load still finds a run that was purged, and its keys are known: the home keeps
	// histories, and only its copy is purged. 0: not at all.
	Retention time.Duration

	// Supervised: the home itself sees when a holder of a run has died. Join only gives a number, Renew and
	// Leave do nothing, and Workers returns those of this process.
	Supervised bool

	// UntoldKeys: a raise with a key may be acknowledged with ReceiptUnknown, whether the key was known or not.
	UntoldKeys bool

	Queues      bool          // runs may be given to queues of workers
	StepTimeout time.Duration // the longest that a step may take; 0 for no limit
	RunTimeout  time.Duration // the longest life of a run; 0 for no limit
	TaskTimeout time.Duration // the longest attempt of a task that the home itself performs; 0 for no limit
	PollEvery   time.Duration // how often a client that waits for a result may ask; 0 for as often as it likes

	Lanes     int // commits that may run at the same time; 0 means 1
	BatchSize int // commits in a batch; 0 means 1

	MaxPayloadBytes int // of one payload; 0 for no limit of its own
	MaxIDBytes      int // of an orchestration id; 0 for no limit of its own
	MaxTaskBytes    int // of the name of a task that the home itself performs; 0 for no limit of its own
	MaxFailureBytes int // of a recorded error's messages and data together; 0 for no limit of its own

	// Refuses names the features that this home cannot keep, each with the reason. The engine
	// answers with *UnsupportedError before anything is recorded.
	Refuses map[Feature]string
}

// Feature is something that a home may be unable to promise.
type Feature string

// The features that a backend may refuse.
const (
	FeatureBeforeStart   Feature = "events before the start"
	FeatureStartPolicy   Feature = "start policies for a closed id"
	FeaturePause         Feature = "pause and resume"
	FeatureHand          Feature = "orchestrations driven by hand"
	FeatureList          Feature = "lists by name, tag or time"
	FeatureContinueAsNew Feature = "ContinueAsNew"
	FeatureHeartbeat     Feature = "heartbeats of tasks that the home itself performs"
	FeatureLongWait      Feature = "waits beyond the longest life of a run"
	FeatureLeaveChildren Feature = "ContinueAsNew with open children"
	FeatureLongStep      Feature = "long steps"
	FeatureLongTask      Feature = "long tasks that the home itself performs"
	FeatureQueue         Feature = "queues"
	FeaturePurge         Feature = "purging"
	FeatureEarlierRuns   Feature = "lists of all runs of an id"

	// FeatureValue is refused wherever a home performs the operation: a value of [WithValue] stays in the
	// process that calls, and whoever performs the operation may be another one.
	FeatureValue Feature = "values in the context of tasks that another process may perform"
)

// WorkerInfo describes a worker that joins.
type WorkerInfo struct {
	Names   []string `json:"names"`   // the definitions that it serves
	Version string   `json:"version"` // of its code
	Host    string   `json:"host"`
	PID     int      `json:"pid"`

	// Codec names the type of a codec of its own; "" for the default. A client without it can write nothing that
	// the worker could read.
	Codec string `json:"codec,omitempty"`

	// Lease is how long the worker may be silent before another one takes over from it; 0 if it does not say.
	Lease time.Duration `json:"lease,omitempty"`
}

// WorkerRecord is a registered worker.
type WorkerRecord struct {
	WorkerInfo
	Number   int64     `json:"number"`
	Beat     int64     `json:"beat"` // moves with every Renew
	JoinedAt time.Time `json:"joinedAt"`
	Gone     bool      `json:"gone"` // the backend knows that its process has ended
}

// ClaimRequest asks for work.
type ClaimRequest struct {
	Worker int64
	Names  []string      // the definitions that the worker serves
	Limit  int           // runs at most; 0 asks for messages only
	Now    time.Time     // decides what is due
	After  int64         // messages with a higher number are handed out for runs that are held
	Wait   time.Duration // how long a long poll may take

	// Hand is an orchestration id, to be driven by hand; of the fields above only Now and Wait count.
	Hand string
	// Follows, with Hand where commits end claims: claim the run as a worker would, when it is due again
	// after the caller's commit that ended this claim. If another caller has claimed it since, ErrFenced. While it
	// is paused it comes at once, unclaimed, as it would without Follows.
	Follows *RunRef
}

// Claims is the answer to a ClaimRequest.
type Claims struct {
	Runs     []Claimed
	Arrived  []Arrival // for runs that the worker already holds
	Through  int64     // the next request's After
	NextWake time.Time // when a run will be due; zero if none is known
	More     bool      // more is due than Limit allowed; with a Limit of 0 too, so that the worker makes room
}

// Claimed is a run with the right to write it.
//
// A run is due when it is open, neither held nor paused nor driven by hand, and its WakeAt has passed
// or, unless it is blocked, a message has arrived since it was released. A new run is due at once.
//
// A worker is given no run that its own version has blocked while a registered worker of another version has the run's
// name: that one shall get it. Claims.More and NextWake do not speak of it then. Supervised homes do not know.
type Claimed struct {
	Record
	Ref     RunRef
	Crashes int // holders in a row that died holding it without a new record

	// Follows is the fence of the last commit that was applied, where commits end claims. The engine keeps
	// its copy of the run if that commit was its own last one; else it starts afresh from Record, which
	// is always whole.
	Follows int64

	Until time.Time // when the claim ends if no commit does before; zero for never
}

// Record is a run as it is stored.
type Record struct {
	RunInfo
	Operations []Operation // in the order of their numbers
	Messages   []Message   // unconsumed, in order
}

// RunRef is a run and the right to write it.
type RunRef struct {
	ID     string
	RunID  string
	Fence  int64 // grows with every claim
	Handle any   // the backend's own: a row number, a task token
}

// Arrival is messages for a run that is held.
type Arrival struct {
	Ref      RunRef
	Messages []Message
}

// MessageKind says what a message is.
type MessageKind uint8

// The kinds of messages.
const (
	MessageEvent  MessageKind = iota + 1 // a named event
	MessageChild                         // a child has ended
	MessageCancel                        // the run shall end
	MessagePause                         // the run shall be released
	MessageDrop                          // the event whose number is Operation shall be removed
)

// Message is something that arrived for a run. Cancel messages are never consumed.
type Message struct {
	Number    int64 // grows with arrival within a run
	Kind      MessageKind
	Name      string // an event's name
	Key       string // the sender's, for deduplication
	Payload   Payload
	ArrivedAt time.Time // the sender's clock

	Operation int64    // the child's operation; the number of the event to be dropped
	Status    Status   // of the child
	Error     *Failure // of the child; the reason of a cancellation or a pause, its Message of a pause; nil for none
}

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
	Claim    bool // Commit.Worker holds it from its first moment

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

// PurgeRequest selects ended runs.
type PurgeRequest struct {
	ID          string    // all runs of this id; empty for any id
	EndedBefore time.Time // zero for any time
	Limit       int       // runs at most, without an ID; 0 means 1,000
}
