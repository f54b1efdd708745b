package lambdabiz

import (
	"context"
	"fmt"
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
	// the worker can serve, and that were blocked by another version of the code, become claimable. So do runs that
	// are still owned by a worker which a Leave has removed that was cut.
	Join(ctx context.Context, w WorkerInfo) (int64, error)

	// Renew moves the worker's heartbeat. It returns ErrFenced when the worker has been removed by
	// Leave: then it owns nothing any more.
	Renew(ctx context.Context, worker int64) error

	// Leave removes a worker and makes what it owns claimable. The worker can write nothing any more from the moment
	// that it is removed. Each run is freed atomically, with a higher fence; not all need be freed at once, but when
	// Leave returns nil all are. After an error, or when its caller dies meanwhile, the worker may be removed and own
	// runs all the same: the next Leave, of whatever worker, frees them, and so does the next Join. Of a worker that
	// is gone already Leave frees what it still owns, and does nothing if that is nothing.
	//
	// A beat of 0 or more is how others remove one that has died: when
	// its heartbeat is another one by now, Leave does nothing and returns ErrStale; else the runs that it has
	// not released count as crashed (Claimed.Crashes), if they are freed by that call. With a beat below 0 the worker
	// leaves by itself. It lives, so nothing that it may still hold counts: a claim may have got lost on the way to it.
	Leave(ctx context.Context, worker int64, beat int64) error

	// Workers returns the registered workers in the order of their numbers. It is for people, and for the workers of
	// a home that is no Watcher: those ask each second.
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

// Watcher is an optional ability of a [Backend] that many workers share. Without it each worker lists all workers each
// second, to see whose heartbeat has stopped; with it each one watches those that come next, by a ring of their numbers.
type Watcher interface {
	// Watch is [Backend.Renew], and tells what follows on the worker. It is called each third of the lease.
	Watch(ctx context.Context, worker int64, next int) (Watched, error)
}

// Watched is what a worker sees with a heartbeat.
type Watched struct {
	// Next is so many registered workers as were asked for, or all others if there are less: those with the next higher
	// numbers in their order, and after the highest one the lowest. The worker itself is not among them.
	Next []WorkerRecord

	// Work says that Claim may have something for the worker, by a look that cost nothing more. False says nothing.
	Work bool
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

// Ender is an optional ability of a [Backend]: it tells of many runs at once which have ended. Without it each client that
// waits for a result asks for its own run, again and again.
type Ender interface {
	// Ended says of each run, in its place, whether it is open no more: it has ended, was continued as another run, or is
	// not there. Of the refs only ID and RunID count, and none of them is empty. It is called with 1,000 runs at most.
	Ended(ctx context.Context, runs []RunRef) ([]bool, error)
}

// Counter is an optional ability of a [Backend]: it counts runs without listing them.
type Counter interface {
	// Counts returns how many runs List would return of each status, on all pages together. Limit and Cursor of the
	// filter mean nothing. A status without a run may be left out.
	Counts(ctx context.Context, f Filter) (map[Status]int, error)
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

	// OneWriter, of a [Transactor]: while one of its transactions is open, nothing else can be written.
	OneWriter bool

	Queues      bool          // runs may be given to queues of workers
	StepTimeout time.Duration // the longest that a step may take; 0 for no limit
	RunTimeout  time.Duration // the longest life of a run; 0 for no limit
	TaskTimeout time.Duration // the longest attempt of a task that the home itself performs; 0 for no limit
	PollEvery   time.Duration // how often a client that waits for a result may ask; 0 for as often as it likes

	// Spread: workers on several machines may share the home. Each leaves to others then what it cannot work on now: see
	// Config.MaxActive.
	Spread bool

	Lanes     int // commits that may run at the same time; 0 means 1
	BatchSize int // commits in a batch; 0 means 1

	// MaxCommitItems and MaxCommitBytes are how much may be written at once, by Commit.Items and Commit.Bytes: of one commit,
	// and of all in a batch together; 0 for no limit. The engine makes batches by them, and code that adds to a
	// commit of half the size waits until that is written. But what belongs together, and what comes together (events, timers,
	// the ends of children), is one commit: a run whose commit is larger is blocked, nothing of it is written, and the
	// reason names the operation and the limit. From outside it is ErrTooLarge. Beside what counts the home has
	// room for ids and times, 1 KiB for each item. The least are 16 items, and eight payloads of
	// MaxPayloadBytes: half is for what waits already, the rest for an operation that has ended, and the outcome.
	MaxCommitItems int
	MaxCommitBytes int

	MaxPayloadBytes int // of one payload; 0 for no limit of its own
	MaxIDBytes      int // of an orchestration id; 0 for no limit of its own
	MaxTaskBytes    int // of the name of a task that the home itself performs; 0 for no limit of its own
	MaxFailureBytes int // of a recorded error's messages and data together; 0 for no limit of its own

	// Refuses names the features that this home cannot keep, each with the reason. The engine
	// answers with *UnsupportedError before anything is recorded.
	Refuses map[Feature]string
}

// PurgeRequest selects ended runs.
type PurgeRequest struct {
	ID          string    // all runs of this id; empty for any id
	EndedBefore time.Time // zero for any time
	Limit       int       // runs at most, without an ID; 0 means 1,000
}
