package main

import (
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// stateView is a State in JSON with every field that scripts rely on present, null when there is
// nothing: the state itself leaves out times that are not known.
type stateView struct {
	*lambdabiz.State
	StartedAt  *time.Time      `json:"startedAt"`
	EndedAt    *time.Time      `json:"endedAt"`
	Operations []operationView `json:"operations"`
}

type operationView struct {
	lambdabiz.Operation
	StartedAt *time.Time `json:"startedAt"`
	EndedAt   *time.Time `json:"endedAt"`
}

func viewOf(s *lambdabiz.State) stateView {
	v := stateView{s, known(s.StartedAt), known(s.EndedAt), []operationView{}}
	for _, o := range s.Operations {
		v.Operations = append(v.Operations, operationView{o, known(o.StartedAt), known(o.EndedAt)})
	}
	return v
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
