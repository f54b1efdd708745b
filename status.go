package lambdabiz

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Status is the state of an orchestration or of an operation.
type Status uint8

// The statuses. An open orchestration is STARTED from the first commit that claims it; SCHEDULED means
// that no worker has taken it yet.
const (
	StatusNone       Status = iota // does not exist
	StatusScheduled                // recorded, not begun; or waiting for its next attempt
	StatusStarted                  // begun, not ended
	StatusSucceeded                // ended with a result
	StatusFailed                   // ended with an error
	StatusTimeout                  // ended because its time was over
	StatusCancelled                // ended by a cancellation
	StatusTerminated               // ended by force, without a word to its code
)

var statusNames = []string{
	"NONE", "SCHEDULED", "STARTED", "SUCCEEDED", "FAILED", "TIMEOUT", "CANCELLED", "TERMINATED",
}

// String returns the status in capitals, as it stands in the state.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// Ended reports whether nothing follows this status.
func (s Status) Ended() bool { return s >= StatusSucceeded }

// ParseStatus returns the status with the given name, which is matched exactly.
func ParseStatus(name string) (Status, error) {
	if i := slices.Index(statusNames, name); i >= 0 {
		return Status(i), nil //nolint:gosec // an index of a short table
	}
	return StatusNone, fmt.Errorf("parse status: %q is none of %v", name, statusNames)
}

// MarshalText writes the status by name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a status by name.
func (s *Status) UnmarshalText(text []byte) error {
	parsed, err := ParseStatus(string(text))
	*s = parsed
	return err
}

// Kind says what an operation does.
type Kind uint8

// The kinds of operations.
const (
	KindNone    Kind = iota
	KindTask         // named work outside the orchestration code
	KindStep         // unnamed work inline
	KindService      // a call to a REST service
	KindTimer        // a wait until a point in time
	KindEvent        // a wait for a named event
	KindRaise        // an event raised in another orchestration
	KindChild        // another orchestration, started by this one
	KindRace         // the choice of the first branch that ended
)

var kindNames = []string{"NONE", "TASK", "STEP", "SERVICE", "TIMER", "EVENT", "RAISE", "CHILD", "RACE"}

// String returns the kind in capitals, as it stands in the state.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// MarshalText writes the kind by name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind by name.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kindNames, string(text))
	if i < 0 {
		return fmt.Errorf("parse kind: %q is none of %v", text, kindNames)
	}
	*k = Kind(i) //nolint:gosec // an index of a short table
	return nil
}

// Mode says who drives a run. It is recorded at the start and never changes.
type Mode uint8

const (
	// ModeWorker is a run of a registered definition, driven by any worker.
	ModeWorker Mode = iota
	// ModeHand is a run driven by its caller through [Engine.Create]; workers never claim it.
	ModeHand
)

// String returns "worker" or "hand".
func (m Mode) String() string {
	if m == ModeHand {
		return "hand"
	}
	return "worker"
}

// MarshalText writes the mode by name.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads a mode by name.
func (m *Mode) UnmarshalText(text []byte) error {
	switch string(text) {
	case "worker":
		*m = ModeWorker
	case "hand":
		*m = ModeHand
	default:
		return fmt.Errorf("parse mode: %q is neither worker nor hand", text)
	}
	return nil
}

// Payload is an encoded value. In JSON it appears as itself when it is JSON, and as a base64 string
// when another codec made it.
type Payload []byte

// MarshalJSON writes the payload as described at [Payload]; an empty one is null.
func (p Payload) MarshalJSON() ([]byte, error) {
	switch {
	case len(p) == 0:
		return []byte("null"), nil
	case json.Valid(p):
		return p, nil
	default:
		return json.Marshal([]byte(p))
	}
}

// UnmarshalJSON keeps the JSON text as it stands.
func (p *Payload) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*p = nil
		return nil
	}
	*p = append((*p)[:0], text...)
	return nil
}
