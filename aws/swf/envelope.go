package swf

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// startEnvelope is the input of a workflow execution. An input without it (from the console, say) is taken
// as the orchestration's input.
type startEnvelope struct {
	Version  int               `json:"lambdabiz"`
	RunID    string            `json:"runId"`
	At       time.Time         `json:"at"` // when the start was asked for
	Hand     bool              `json:"hand,omitempty"`
	Name     string            `json:"name,omitempty"` // of a run driven by hand: its type is that of all of them
	Tags     map[string]string `json:"tags,omitempty"`
	Parent   *lambdabiz.Parent `json:"parent,omitempty"`
	Deadline time.Time         `json:"deadline,omitzero"`
	Input    payload           `json:"input"`

	// From the run before, after ContinueAsNew; and events that were kept before the start.
	Previous string      `json:"previous,omitempty"`
	Events   []keptEvent `json:"events,omitempty"`
	Keys     []string    `json:"keys,omitempty"`  // as they are: what was written before Known
	Known    string      `json:"known,omitempty"` // hashes of keys
	Own      string      `json:"own,omitempty"`   // those of events whose senders gave none
	Paused   bool        `json:"paused,omitempty"`
	// PauseReason is why, if somebody said so.
	PauseReason string        `json:"pauseReason,omitempty"`
	Cancel      *cancelRecord `json:"cancel,omitempty"`
}

func (e *startEnvelope) format() int { return e.Version }

// cancelRecord is a request to cancel that moves on.
type cancelRecord struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// keptEvent is an event that a start brings along.
type keptEvent struct {
	Name string    `json:"name"`
	Key  string    `json:"key,omitempty"`
	At   time.Time `json:"at"`
	Data payload   `json:"data"`
}

// The kinds of signals of this package. An event is the one without.
const (
	signalEvent   = ""
	signalCancel  = "cancel"
	signalPause   = "pause"
	signalResume  = "resume"
	signalDrop    = "drop"
	signalClaim   = "claim"   // a caller by hand asks for a decision task
	signalJournal = "journal" // a commit that leaves the decision task open
	signalPart    = "part"    // a part of the journal of a decision to come
)

// controlSignal is the name of signals that are no events.
const controlSignal = "LambdaBiz"

// signalEnvelope is the input of a signal. One without it (from the console, the command line, the
// original) is an event whose payload is the input as it is.
type signalEnvelope struct {
	Version int       `json:"lambdabiz"`
	Kind    string    `json:"kind,omitempty"`
	Key     string    `json:"key,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Data    payload   `json:"data,omitempty"`
	Drop    int64     `json:"drop,omitempty"`  // the number of the event to be removed
	Fence   int64     `json:"fence,omitempty"` // of a journal: the decision task that it belongs to
	Journal *journal  `json:"journal,omitempty"`
	Part    int       `json:"part,omitempty"` // its number, from 0
	Text    string    `json:"text,omitempty"` // of a part
}

func (e *signalEnvelope) format() int { return e.Version }

// journal is a commit as it stands in the history: in the execution context of its decision, or, when it is
// too long for that, in markers of the same decision.
type journal struct {
	Version  int        `json:"lambdabiz"`
	At       time.Time  `json:"at,omitzero"`
	Ops      []opRecord `json:"ops,omitempty"`
	Consumed []int64    `json:"consumed,omitempty"`
	Progress payload    `json:"progress,omitempty"`
	Started  bool       `json:"started,omitempty"`
	Orphans  []string   `json:"orphans,omitempty"`

	Parts   int                `json:"parts,omitempty"`   // the markers that hold the journal instead
	Ahead   bool               `json:"ahead,omitempty"`   // with Parts: signals that came before hold it, no markers
	Closing bool               `json:"closing,omitempty"` // void unless the decision closed the run
	Skip    bool               `json:"skip,omitempty"`    // not of the engine: the claim before it still follows
	Again   bool               `json:"again,omitempty"`   // the engine wants the next decision task, whatever it is for
	WakeAt  time.Time          `json:"wakeAt,omitzero"`
	Release bool               `json:"release,omitempty"`
	Blocked *lambdabiz.Blocked `json:"blocked,omitempty"`
}

func (j *journal) format() int { return j.Version }

// opRecord is an operation in a journal.
type opRecord struct {
	Number    int64              `json:"n"`
	ID        string             `json:"id"`
	Kind      lambdabiz.Kind     `json:"kind"`
	Name      string             `json:"name,omitempty"`
	Status    lambdabiz.Status   `json:"status"`
	Attempts  int                `json:"attempts,omitempty"`
	Input     payload            `json:"input,omitempty"`
	Result    payload            `json:"result,omitempty"`
	Error     *lambdabiz.Failure `json:"error,omitempty"`
	Scheduled time.Time          `json:"scheduledAt,omitzero"`
	Started   time.Time          `json:"startedAt,omitzero"`
	Ended     time.Time          `json:"endedAt,omitzero"`
	Due       time.Time          `json:"dueAt,omitzero"`
	Expires   time.Time          `json:"expiresAt,omitzero"`
	Target    string             `json:"target,omitempty"`
	Details   payload            `json:"details,omitempty"`
	Attempt   *attemptRecord     `json:"attempt,omitempty"`
	Child     *childRecord       `json:"child,omitempty"`
	Raise     *raiseRecord       `json:"raise,omitempty"`
}

// childRecord is how a child is to be started: the start has no input, which is the operation's.
type childRecord struct {
	List  string        `json:"list"` // of tasks
	Start startEnvelope `json:"start"`
}

// raiseRecord is what else an event is to be raised with.
type raiseRecord struct {
	Key string `json:"key"`
}

// attemptRecord is how an attempt is to be performed.
type attemptRecord struct {
	Local     bool          `json:"local,omitempty"`
	Timeout   time.Duration `json:"timeout,omitempty"` // in nanoseconds
	Heartbeat time.Duration `json:"heartbeat,omitempty"`
	Key       string        `json:"key"`
}

func recordOf(op *lambdabiz.Operation) opRecord {
	return opRecord{
		Number: op.Number, ID: op.ID, Kind: op.Kind, Name: op.Name, Status: op.Status, Attempts: op.Attempts,
		Input: payload(op.Input), Result: payload(op.Result), Error: op.Error, Target: op.Target,
		Details: payload(op.Details), Scheduled: stamp(op.ScheduledAt), Started: stamp(op.StartedAt),
		Ended: stamp(op.EndedAt), Due: stamp(op.DueAt), Expires: stamp(op.ExpiresAt),
	}
}

func (r *opRecord) operation() lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: r.Number, ID: r.ID, Kind: r.Kind, Name: r.Name, Status: r.Status, Attempts: r.Attempts,
		Input: lambdabiz.Payload(r.Input), Result: lambdabiz.Payload(r.Result), Error: r.Error,
		ScheduledAt: r.Scheduled, StartedAt: r.Started, EndedAt: r.Ended, DueAt: r.Due, ExpiresAt: r.Expires,
		Target: r.Target, Details: lambdabiz.Payload(r.Details),
	}
}

// control goes with what SWF performs, and comes back with its events.
type control struct {
	Version  int       `json:"lambdabiz"`
	Op       int64     `json:"op,omitempty"`
	Attempt  int       `json:"attempt,omitempty"`
	Detached bool      `json:"detached,omitempty"`
	Key      string    `json:"key,omitempty"` // of a raised event
	Wake     time.Time `json:"wake,omitzero"` // of the timer that wakes the run, not an operation's
}

func (c *control) format() int { return c.Version }

// taskEnvelope is the input of an activity.
type taskEnvelope struct {
	Version   int            `json:"lambdabiz"`
	ID        string         `json:"id"`
	RunID     string         `json:"runId"`
	Operation string         `json:"operation"`
	Kind      lambdabiz.Kind `json:"kind"`
	Name      string         `json:"name"`
	Attempt   int            `json:"attempt"`
	Key       string         `json:"key"`
	Timeout   time.Duration  `json:"timeout,omitempty"`
	Heartbeat time.Duration  `json:"heartbeat,omitempty"`
	Input     payload        `json:"input"`
	Details   payload        `json:"details,omitempty"`
}

func (e *taskEnvelope) format() int { return e.Version }

// outcomeEnvelope is what an activity or a run has come to, where the plain text would not do.
type outcomeEnvelope struct {
	Version    int                `json:"lambdabiz"`
	Status     lambdabiz.Status   `json:"status"`
	Result     payload            `json:"result,omitempty"`
	Error      *lambdabiz.Failure `json:"error,omitempty"`
	Final      bool               `json:"final,omitempty"`
	RetryAfter time.Duration      `json:"retryAfter,omitempty"`
	NotBegun   bool               `json:"notBegun,omitempty"`
	Duplicate  bool               `json:"duplicate,omitempty"` // a start that came twice; the run is another one
}

func (e *outcomeEnvelope) format() int { return e.Version }
