package wire

import "time"

// Control goes with what SWF performs, and comes back with its events.
type Control struct {
	Version  int       `json:"lambdabiz"`
	Op       int64     `json:"op,omitempty"`
	Attempt  int       `json:"attempt,omitempty"`
	Detached bool      `json:"detached,omitempty"`
	Key      string    `json:"key,omitempty"` // of a raised event
	Wake     time.Time `json:"wake,omitzero"` // of the timer that wakes the run, not an operation's
}

func (c *Control) format() int { return c.Version }
