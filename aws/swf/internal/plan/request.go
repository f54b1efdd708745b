package plan

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Request is an answer as it goes to SWF.
type Request struct {
	Ahead     []string // parts of the journal, to be sent before as signals of the run to itself, in order
	Decisions []types.Decision
	Context   string
}

// Request puts the journal where it has room: in the execution context, or else in markers, or else ahead of the answer.
func (a *Answer) Request() (*Request, error) {
	text, err := a.text()
	switch {
	case err != nil:
		return nil, err
	case isLong(text):
		parts := inParts(text)
		text, err := wire.Marshal(&wire.Journal{Version: wire.Version, Parts: len(parts), Ahead: true})
		return &Request{Ahead: parts, Decisions: a.Decisions, Context: text}, err
	case wire.Units(text) <= wire.MaxChars:
		return &Request{Decisions: a.Decisions, Context: text}, nil
	}
	parts := wire.Split(text)
	decisions := make([]types.Decision, 0, len(parts)+len(a.Decisions))
	for _, part := range parts {
		decisions = append(decisions, types.Decision{
			DecisionType: types.DecisionTypeRecordMarker,
			RecordMarkerDecisionAttributes: &types.RecordMarkerDecisionAttributes{
				MarkerName: aws.String(wire.JournalMarker), Details: aws.String(part),
			},
		})
	}
	text, err = wire.Marshal(&wire.Journal{Version: wire.Version, Parts: len(parts)})
	return &Request{Decisions: append(decisions, a.Decisions...), Context: text}, err
}

func (a *Answer) text() (string, error) {
	a.Journal.Version = wire.Version
	return wire.Marshal(&a.Journal)
}

// isLong reports whether a journal is too long for one request.
func isLong(text string) bool { return wire.Quoted([]byte(text)) > wire.MaxJournal }

// inParts cuts a journal into parts that a signal can hold. Readers put it together when the decision itself comes, and
// drop the parts when it never does.
func inParts(text string) []string {
	var parts []string
	for text != "" {
		part := wire.Beginning(text)
		parts = append(parts, part)
		text = text[len(part):]
	}
	return parts
}

// IsLong reports whether the journal is too long for one request, for what a decision before the closing one can record.
func (a *Answer) IsLong() bool {
	size := 0
	for i := range a.Journal.Ops {
		if o := &a.Journal.Ops[i]; o.Status.Ended() && o.Kind != lambdabiz.KindEvent {
			size += wire.Quoted(o.Result) + wire.Quoted(o.Input) + 500
		}
	}
	return size > wire.MaxJournal
}
