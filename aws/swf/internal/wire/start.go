package wire

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Start is the input of a workflow execution. An input without it (from the console, say) is taken
// as the orchestration's input.
type Start struct {
	Version  int               `json:"lambdabiz"`
	RunID    string            `json:"runId"`
	At       time.Time         `json:"at"` // when the start was asked for
	Hand     bool              `json:"hand,omitempty"`
	Name     string            `json:"name,omitempty"` // of a run driven by hand: its type is that of all of them
	Tags     map[string]string `json:"tags,omitempty"`
	Parent   *lambdabiz.Parent `json:"parent,omitempty"`
	Deadline time.Time         `json:"deadline,omitzero"`
	Input    Payload           `json:"input"`

	// From the run before, after ContinueAsNew; and events that were kept before the start.
	Previous string      `json:"previous,omitempty"`
	Events   []KeptEvent `json:"events,omitempty"`
	Keys     []string    `json:"keys,omitempty"`  // as they are: what was written before Known
	Known    string      `json:"known,omitempty"` // hashes of keys
	Own      string      `json:"own,omitempty"`   // those of events whose senders gave none
	Paused   bool        `json:"paused,omitempty"`
	// PauseReason is why, if somebody said so.
	PauseReason string  `json:"pauseReason,omitempty"`
	Cancel      *Cancel `json:"cancel,omitempty"`
}

func (e *Start) format() int { return e.Version }

// Cancel is a request to cancel that moves on.
type Cancel struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// KeptEvent is an event that a start brings along.
type KeptEvent struct {
	Name string    `json:"name"`
	Key  string    `json:"key,omitempty"`
	At   time.Time `json:"at"`
	Data Payload   `json:"data"`
}

// RunTag begins the tag that has our run id, so that lists show it; HandTag is on runs driven by hand, and NameTag begins
// the one that has their name if that is not their id.
const (
	RunTag  = "run="
	HandTag = "driven by hand"
	NameTag = "name="
)

// HandType is the workflow type of all runs driven by hand. Their names are their ids, and a domain has 10,000 types for
// ever ("Amazon SWF Quotas").
const HandType = "LambdaBiz by hand"

// StartOf is the input of a new run.
func StartOf(s *lambdabiz.RunStart, at time.Time) *Start {
	return &Start{
		Version: Version, RunID: s.RunID, At: Stamp(at), Hand: s.Mode == lambdabiz.ModeHand, Tags: s.Tags, Parent: s.Parent,
		Deadline: Stamp(s.Deadline), Input: Payload(s.Input),
	}
}

// TagsOf are the tags of a new run.
func TagsOf(e *Start) []string {
	tags := []string{RunTag + e.RunID}
	if e.Hand {
		tags = append(tags, HandTag)
	}
	return tags
}

// TypeOf is the workflow type of a new run, whose name goes with its start if that is another one.
func TypeOf(id, name string, e *Start) (typeName string, tags []string) {
	if !e.Hand {
		return name, TagsOf(e)
	}
	e.Name = name
	tags = TagsOf(e)
	if tag := NameTag + name; name != id && Units(tag) <= MaxName {
		tags = append(tags, tag)
	}
	return HandType, tags
}
