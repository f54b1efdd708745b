package lambdabiz

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// RunInfo is what is known of a run without its operations.
type RunInfo struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	RunID    string            `json:"runId"` // another one for every run of the id; see Continues
	Mode     Mode              `json:"mode"`
	Status   Status            `json:"status"`
	Paused   bool              `json:"paused"`
	Blocked  *Blocked          `json:"blocked"`
	Tags     map[string]string `json:"tags,omitempty"`
	Queue    string            `json:"queue,omitempty"` // whose workers drive it
	Parent   *Parent           `json:"parent,omitempty"`
	Previous string            `json:"previousRunId,omitempty"` // the run that continued as this one

	Input    Payload  `json:"input"`
	Result   Payload  `json:"result"`
	Error    *Failure `json:"error"`
	Progress Payload  `json:"progress,omitempty"`

	PauseReason     string    `json:"pauseReason,omitempty"` // as it was given to Pause, while it is paused
	CancelRequested bool      `json:"cancelRequested,omitempty"`
	CancelReason    string    `json:"cancelReason,omitempty"` // as it was given to the first Cancel
	ScheduledAt     time.Time `json:"scheduledAt"`            // when the start was accepted
	StartedAt       time.Time `json:"startedAt,omitzero"`     // when a worker first took it
	EndedAt         time.Time `json:"endedAt,omitzero"`       // when it ended
	Deadline        time.Time `json:"deadline,omitzero"`      // when its context ends; zero for never
	WakeAt          time.Time `json:"wakeAt,omitzero"`        // when a parked run is due next
	Worker          int64     `json:"worker,omitempty"`       // the worker that holds it; 0 for none
	Version         string    `json:"version,omitempty"`      // of the code that ran it last up to where it waits; see Release
	Orphans         []string  `json:"orphans,omitempty"`      // recorded ids that the completed pass never visited
	ContinuedAs     string    `json:"nextRunId,omitempty"`    // the run that this one continued as
}

// Continues reports whether the run is a later one of the same chain as the run of its orchestration with the given run id:
// whether that has continued as this one by [ContinueAsNew], or as a run that has, and so on. False for the run itself, and
// for a run that somebody has started anew. It holds when the runs between them are purged: the id of a run that continues
// is that of the first run of its chain, "-", and its place in the chain, from 2. (Run ids made before that rule do not
// tell their chain: of those it knows the one right before this run, and those that continue it.)
func (i *RunInfo) Continues(runID string) bool {
	if i.Previous == "" || runID == "" {
		return false
	}
	root, n := splitRunID(i.RunID)
	before, m := splitRunID(runID)
	return i.Previous == runID || n > 1 && (runID == root || before == root && m < n)
}

// Parent names the operation that started a child.
type Parent struct {
	ID        string `json:"id"`
	RunID     string `json:"runId"`
	Operation int64  `json:"operation"`          // the operation's number in the parent's run
	Detached  bool   `json:"detached,omitempty"` // nobody waits for the outcome
}

// Blocked says why a run that is open cannot go on. Nothing of the mistake is recorded but this.
type Blocked struct {
	Reason    string    `json:"reason"`
	Operation string    `json:"operation,omitempty"` // the operation's path
	Source    string    `json:"source,omitempty"`    // file:line of the author's code
	Detail    string    `json:"detail,omitempty"`    // a stack, for a panic
	Version   string    `json:"version,omitempty"`   // the version of the code that it happened in
	Times     int       `json:"times"`               // how often in a row
	Crashes   int       `json:"crashes,omitempty"`   // workers that died, when that is the reason
	Recorded  int       `json:"recorded,omitempty"`  // operations and ends of operations that were recorded by then
	Since     time.Time `json:"since"`
	RetryAt   time.Time `json:"retryAt,omitzero"`
}

// Operation is one recorded operation of a run.
type Operation struct {
	Number   int64    `json:"-"`  // place in the order of recording, from 1
	ID       string   `json:"id"` // the path: ids joined by "/", escaped inside
	Kind     Kind     `json:"kind"`
	Name     string   `json:"name"` // of the task, the event, the child's definition or the HTTP method
	Status   Status   `json:"status"`
	Attempts int      `json:"attempts"` // attempts begun; a re-run after a crash is not counted again
	Input    Payload  `json:"input"`
	Result   Payload  `json:"result"`
	Error    *Failure `json:"error"` // of the last attempt, while another one is to come

	ScheduledAt time.Time `json:"scheduledAt"`
	StartedAt   time.Time `json:"startedAt,omitzero"`
	EndedAt     time.Time `json:"endedAt,omitzero"`
	DueAt       time.Time `json:"dueAt,omitzero"`     // a timer's end, a wait's time-out, the next attempt
	ExpiresAt   time.Time `json:"expiresAt,omitzero"` // the deadline of all attempts together
	Target      string    `json:"target,omitempty"`   // the orchestration that is raised in or started
	Details     Payload   `json:"details,omitempty"`  // the last heartbeat's

	// Where the code was when it was told to stop, by a cancellation or the deadline. A run that is resumed tells it there
	// again: see [Context]. Code that [Detached] lets go on begins operations after it.
	AfterStop      bool `json:"afterStop,omitempty"`      // its code had been told when it began it
	LastBeforeStop bool `json:"lastBeforeStop,omitempty"` // its code was told afterwards, and before its next one

	// Tried: the backend has performed the last attempt, without success as Status and Error say, and no
	// commit has said yet what follows from it.
	Tried *Tried `json:"-"`
}

// Tried is what a failed attempt says of a next one.
type Tried struct {
	Final      bool          // no attempt shall follow
	RetryAfter time.Duration // the least wait before one
	NotBegun   bool          // it could not begin, and does not count
}

// State is a run with its operations, as one consistent snapshot.
type State struct {
	RunInfo
	Operations []Operation `json:"operations"`
	WaitingFor []Waiting   `json:"waitingFor"`
	Events     []Buffered  `json:"events,omitempty"` // arrived, not yet consumed, in order
}

// Waiting is one thing that an open run waits for.
type Waiting struct {
	Operation string    `json:"operation"`
	Kind      Kind      `json:"kind"`
	Name      string    `json:"name,omitempty"`
	Until     time.Time `json:"until,omitzero"`
}

// Buffered is an event that has arrived and is not yet consumed.
type Buffered struct {
	Number    int64     `json:"number"` // what [Engine.DropEvent] takes
	Name      string    `json:"name"`
	Key       string    `json:"key,omitempty"`
	Payload   Payload   `json:"payload"`
	ArrivedAt time.Time `json:"arrivedAt"`
}

// Filter selects runs. The zero value selects the latest run of every orchestration.
type Filter struct {
	Status   []Status          // any of these; empty for all
	Name     string            // the definition's name
	IDPrefix string            // how the orchestration id begins
	Tags     map[string]string // all of these
	Blocked  bool              // blocked runs only
	Paused   bool              // paused runs only

	ScheduledAfter  time.Time // at or after; zero for no bound
	ScheduledBefore time.Time // before; zero for no bound

	AllRuns bool   // every run of an id, not the latest only
	Limit   int    // rows of a page; 0 means 100, 1,000 at most
	Cursor  string // Page.Next of the page before
}

// Page is a part of a list, newest start first. Inputs, results and progress are left out.
type Page struct {
	Runs []RunInfo `json:"runs"`
	Next string    `json:"next,omitempty"` // empty on the last page
}

// Failure is an error as it is recorded: a message, and as much of the error tree as can be rebuilt,
// so that errors.Is and errors.As hold after a resume. Rebuilt are the sentinels and types of this
// package, context.Canceled, context.DeadlineExceeded, and what [ErrorType] and [ErrorValue] name.
type Failure struct {
	Message string          `json:"message"`
	Code    string          `json:"code,omitempty"` // a sentinel or a type of this package
	Type    string          `json:"type,omitempty"` // a registered name
	Data    json.RawMessage `json:"data,omitempty"` // the fields of a type
	Causes  []*Failure      `json:"causes,omitempty"`
}

// continuedRunID makes the id of the run that continues another one: that of the first run of their chain, "-", and how many
// runs the chain has then. So it tells the chain when the runs before it are purged.
func continuedRunID(run *RunInfo) string {
	root, n := run.RunID, 1
	if run.Previous != "" { // else it is the first, whatever its id looks like
		root, n = splitRunID(run.RunID)
	}
	return root + "-" + strconv.Itoa(n+1)
}

// splitRunID takes the id of a run that continues another one apart. A run that got an id of its own, as all did once, counts
// as the first of those that continue it.
func splitRunID(runID string) (root string, n int) {
	i := strings.LastIndexByte(runID, '-')
	if i <= 0 {
		return runID, 1
	}
	n, err := strconv.Atoi(runID[i+1:])
	if err != nil || n < 2 || strconv.Itoa(n) != runID[i+1:] {
		return runID, 1
	}
	return runID[:i], n
}
