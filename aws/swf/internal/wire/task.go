package wire

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Task is the input of an activity.
type Task struct {
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
	Input     Payload        `json:"input"`
	Details   Payload        `json:"details,omitempty"`
}

func (e *Task) format() int { return e.Version }
