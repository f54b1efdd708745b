package history

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// arrivals puts journals together that come in parts, and holds one back that came with a closing.
type arrivals struct {
	started int64 // the last DecisionTaskStarted
	held    bool  // it is neither answered nor over

	fence   int64         // of the decision that what follows belongs to
	markers []string      // those that have come of a journal in markers
	wanted  int           // how many it has; 0 for no such journal
	closing *wire.Journal // of a decision that closes the run, until it is known whether it did
	sent    []string      // parts of the journal of a decision to come
}

func (a *arrivals) clone() arrivals {
	c := *a
	c.markers, c.sent = slices.Clone(a.markers), slices.Clone(a.sent)
	return c
}

// taskStarted takes a decision task: what was sent ahead of the answer of the one before is void.
func (a *arrivals) taskStarted(event int64) { a.started, a.held, a.sent = event, true, nil }

// isOwner reports whether the writer of a signal was the owner of the run when the signal arrived.
func (a *arrivals) isOwner(fence int64) bool { return fence == a.started && a.held }

// answered takes the answer of a decision task. The journal is nil when it was not written by this module, is still to
// come in markers, or waits for the run's end.
func (a *arrivals) answered(e *types.DecisionTaskCompletedEventAttributes) *wire.Journal {
	a.closing, a.markers, a.wanted, a.held = nil, nil, 0, false
	var j wire.Journal
	if wire.Open(aws.ToString(e.ExecutionContext), &j) != nil {
		return nil
	}
	a.fence = e.StartedEventId
	if j.Ahead && len(a.sent) == j.Parts {
		text := strings.Join(a.sent, "")
		if j = (wire.Journal{}); wire.Open(text, &j) != nil {
			return nil
		}
	}
	if a.sent = nil; j.Parts > 0 {
		a.wanted = j.Parts
		return nil
	}
	return a.orHold(&j)
}

// marker takes a part of a journal in markers, and returns the journal with its last one.
func (a *arrivals) marker(e *types.MarkerRecordedEventAttributes) *wire.Journal {
	if a.wanted == 0 || aws.ToString(e.MarkerName) != wire.JournalMarker {
		return nil
	}
	a.markers = append(a.markers, aws.ToString(e.Details))
	if len(a.markers) != a.wanted {
		return nil
	}
	var j wire.Journal
	text := strings.Join(a.markers, "")
	a.markers, a.wanted = nil, 0
	if wire.Open(text, &j) != nil {
		return nil
	}
	return a.orHold(&j)
}

// orHold keeps a journal that is void unless its decision closes the run.
func (a *arrivals) orHold(j *wire.Journal) *wire.Journal {
	if j.Closing {
		a.closing = j
		return nil
	}
	return j
}

// closed returns the journal that came with the closing which has happened.
func (a *arrivals) closed() *wire.Journal {
	j := a.closing
	a.closing = nil
	return j
}

// part takes a part of the journal of a decision to come. The first one begins it anew: its sender may try again.
func (a *arrivals) part(s *wire.Signal) {
	if !a.isOwner(s.Fence) {
		return
	}
	if s.Part == 0 {
		a.sent = nil
	}
	if s.Part == len(a.sent) {
		a.sent = append(a.sent, s.Text)
	}
}
