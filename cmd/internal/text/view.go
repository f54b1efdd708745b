package text

import (
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// StateView is a State in JSON with every field that scripts rely on present, null when there is
// nothing: the state itself leaves out times that are not known.
type StateView struct {
	*lambdabiz.State
	StartedAt  *time.Time      `json:"startedAt"`
	EndedAt    *time.Time      `json:"endedAt"`
	Operations []OperationView `json:"operations"`
}

// OperationView is the same of an Operation.
type OperationView struct {
	lambdabiz.Operation
	StartedAt *time.Time `json:"startedAt"`
	EndedAt   *time.Time `json:"endedAt"`
}

// ViewOf returns the view of a state.
func ViewOf(s *lambdabiz.State) StateView {
	v := StateView{s, known(s.StartedAt), known(s.EndedAt), []OperationView{}}
	for _, o := range s.Operations {
		v.Operations = append(v.Operations, OperationView{o, known(o.StartedAt), known(o.EndedAt)})
	}
	return v
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
