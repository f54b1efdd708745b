package main

import (
	"context"
	"errors"

	"github.com/lambdabiz/lambdabiz"
)

// driveByHand runs the sequence as the original did: this function's caller is the worker. After an interruption somebody
// has to call it again; what is recorded does not run again.
func driveByHand(ctx context.Context, engine *lambdabiz.Engine, id string, in Input) (OperationResult, error) {
	o, err := engine.Create(ctx, id)
	if err != nil {
		return OperationResult{}, err
	}
	switch err := o.Start(in); {
	case errors.Is(err, lambdabiz.ErrClosed): // it has ended
		return lambdabiz.Get(engine, definition, id).Result(ctx)
	case err != nil:
		return OperationResult{}, err
	}
	out, err := sequence(o, in)
	if err == nil {
		err = o.Complete(out)
	} else {
		err = o.Fail(err)
	}
	if err != nil { // it has not ended: this caller's time is over, or another caller has taken over
		return OperationResult{}, err
	}
	return lambdabiz.Get(engine, definition, id).Result(ctx)
}
