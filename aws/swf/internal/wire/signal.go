package wire

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// The kinds of signals of the backend. An event is the one without.
const (
	SignalEvent   = ""
	SignalCancel  = "cancel"
	SignalPause   = "pause"
	SignalResume  = "resume"
	SignalDrop    = "drop"
	SignalClaim   = "claim"   // a caller by hand asks for a decision task
	SignalJournal = "journal" // a commit that leaves the decision task open
	SignalPart    = "part"    // a part of the journal of a decision to come
)

// ControlSignal is the name of signals that are no events.
const ControlSignal = "LambdaBiz"

// Signal is the input of a signal. One without it (from the console, the command line, the
// original) is an event whose payload is the input as it is.
type Signal struct {
	Version int       `json:"lambdabiz"`
	Kind    string    `json:"kind,omitempty"`
	Key     string    `json:"key,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Data    Payload   `json:"data,omitempty"`
	Drop    int64     `json:"drop,omitempty"`  // the number of the event to be removed
	Fence   int64     `json:"fence,omitempty"` // of a journal: the decision task that it belongs to
	Journal *Journal  `json:"journal,omitempty"`
	Part    int       `json:"part,omitempty"` // its number, from 0
	Text    string    `json:"text,omitempty"` // of a part
}

func (e *Signal) format() int { return e.Version }

// EventOf is the input of a signal that raises an event.
func EventOf(r *lambdabiz.Raise, at time.Time) *Signal {
	return &Signal{Version: Version, Key: r.Key, At: at, Data: Payload(r.Payload)}
}
