package wire

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

// Journal is a commit as it stands in the history: in the execution context of its decision, or, when it is
// too long for that, in markers of the same decision.
type Journal struct {
	Version  int       `json:"lambdabiz"`
	At       time.Time `json:"at,omitzero"`
	Ops      []Record  `json:"ops,omitempty"`
	Consumed []int64   `json:"consumed,omitempty"`
	Progress Payload   `json:"progress,omitempty"`
	Started  bool      `json:"started,omitempty"`
	Orphans  []string  `json:"orphans,omitempty"`

	Parts   int                `json:"parts,omitempty"`   // the markers that hold the journal instead
	Ahead   bool               `json:"ahead,omitempty"`   // with Parts: signals that came before hold it, no markers
	Closing bool               `json:"closing,omitempty"` // void unless the decision closed the run
	Skip    bool               `json:"skip,omitempty"`    // not of the engine: the claim before it still follows
	Again   bool               `json:"again,omitempty"`   // the engine wants the next decision task, whatever it is for
	WakeAt  time.Time          `json:"wakeAt,omitzero"`
	Release bool               `json:"release,omitempty"`
	Blocked *lambdabiz.Blocked `json:"blocked,omitempty"`
}

func (j *Journal) format() int { return j.Version }

// Record is an operation in a journal.
type Record struct {
	Number    int64              `json:"n"`
	ID        string             `json:"id"`
	Kind      lambdabiz.Kind     `json:"kind"`
	Name      string             `json:"name,omitempty"`
	Status    lambdabiz.Status   `json:"status"`
	Attempts  int                `json:"attempts,omitempty"`
	Input     Payload            `json:"input,omitempty"`
	Result    Payload            `json:"result,omitempty"`
	Error     *lambdabiz.Failure `json:"error,omitempty"`
	Scheduled time.Time          `json:"scheduledAt,omitzero"`
	Started   time.Time          `json:"startedAt,omitzero"`
	Ended     time.Time          `json:"endedAt,omitzero"`
	Due       time.Time          `json:"dueAt,omitzero"`
	Expires   time.Time          `json:"expiresAt,omitzero"`
	Target    string             `json:"target,omitempty"`
	After     bool               `json:"afterStop,omitempty"`
	Last      bool               `json:"lastBeforeStop,omitempty"`
	Details   Payload            `json:"details,omitempty"`
	Attempt   *Attempt           `json:"attempt,omitempty"`
	Child     *Child             `json:"child,omitempty"`
	Raise     *Raise             `json:"raise,omitempty"`
}

// Child is how a child is to be started: the start has no input, which is the operation's.
type Child struct {
	List  string `json:"list"` // of tasks
	Start Start  `json:"start"`
}

// Raise is what else an event is to be raised with.
type Raise struct {
	Key string `json:"key"`
}

// Attempt is how an attempt is to be performed.
type Attempt struct {
	Local     bool          `json:"local,omitempty"`
	Timeout   time.Duration `json:"timeout,omitempty"` // in nanoseconds
	Heartbeat time.Duration `json:"heartbeat,omitempty"`
	Key       string        `json:"key"`
}

// RecordOf is an operation as a journal has it.
func RecordOf(op *lambdabiz.Operation) Record {
	return Record{
		Number: op.Number, ID: op.ID, Kind: op.Kind, Name: op.Name, Status: op.Status, Attempts: op.Attempts,
		Input: Payload(op.Input), Result: Payload(op.Result), Error: op.Error, Target: op.Target,
		Details: Payload(op.Details), Scheduled: Stamp(op.ScheduledAt), Started: Stamp(op.StartedAt),
		Ended: Stamp(op.EndedAt), Due: Stamp(op.DueAt), Expires: Stamp(op.ExpiresAt),
		After: op.AfterStop, Last: op.LastBeforeStop,
	}
}

// Operation is the reverse of RecordOf.
func (r *Record) Operation() lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: r.Number, ID: r.ID, Kind: r.Kind, Name: r.Name, Status: r.Status, Attempts: r.Attempts,
		Input: lambdabiz.Payload(r.Input), Result: lambdabiz.Payload(r.Result), Error: r.Error,
		ScheduledAt: r.Scheduled, StartedAt: r.Started, EndedAt: r.Ended, DueAt: r.Due, ExpiresAt: r.Expires,
		Target: r.Target, Details: lambdabiz.Payload(r.Details), AfterStop: r.After, LastBeforeStop: r.Last,
	}
}

// JournalMarker is the name of the markers that hold parts of a journal.
const JournalMarker = "LambdaBiz"

// Split cuts a text into parts that a marker can hold, between characters.
func Split(text string) []string {
	var parts []string
	for len(text) > chunk {
		at := chunk
		for !utf8.RuneStart(text[at]) {
			at--
		}
		parts = append(parts, text[:at])
		text = text[at:]
	}
	return append(parts, text)
}

// Beginning is as much of a text as one signal holds, to the end of a character.
func Beginning(text string) string {
	size := min(len(text), chunk-1000) // the rest of the envelope is short
	for {
		for size < len(text) && !utf8.RuneStart(text[size]) {
			size--
		}
		part := text[:size]
		if Quoted([]byte(part)) <= chunk-1000 {
			return part
		}
		size = size * 3 / 4
	}
}

// Quoted is the length of a text inside a request.
func Quoted(p []byte) int {
	text, err := json.Marshal(string(p))
	if err != nil {
		return 2 * len(p)
	}
	return len(text)
}
