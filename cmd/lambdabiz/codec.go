package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// checkCodec refuses to write values beside an engine that encodes its own in another way than JSON, encrypted
// say: what this program would write as plain JSON blocks the orchestration that reads it. The workers say so; where
// none is registered, the input of the orchestration may.
func (s *store) checkCodec(ctx context.Context, id string) error {
	workers, err := s.Workers(ctx)
	if err != nil {
		return err
	}
	for i := range workers {
		if codec := workers[i].Codec; codec != "" {
			return &codecError{codec}
		}
	}
	state, err := s.State(ctx, id)
	if errors.Is(err, lambdabiz.ErrNotFound) && len(workers) == 0 { // then another one of the store, the newest
		var page lambdabiz.Page
		if page, err = s.List(ctx, lambdabiz.Filter{Limit: 1}); err == nil && len(page.Runs) > 0 {
			state, err = s.State(ctx, page.Runs[0].ID)
		}
	}
	switch {
	case errors.Is(err, lambdabiz.ErrNotFound):
		return nil
	case err != nil:
		return err
	case state != nil && len(state.Input) > 0 && !json.Valid(state.Input):
		return &codecError{"the input of " + state.ID + " is no JSON"}
	}
	return nil
}

// codecError is wrong usage: no repetition helps.
type codecError struct{ codec string }

func (e *codecError) Error() string {
	return fmt.Sprintf("the values of this store are written with a codec of their own (%s), and this program writes plain "+
		"JSON, which its workers cannot read: use a program that has the codec, with Engine.RaiseEvent or Engine.StartByName", e.codec)
}
