package lambdabiz

import (
	"context"
	"fmt"
)

// StartWithin is [Start] for the package of a backend that is a [Transactor]: the run is there if the application commits its
// transaction, and a worker takes it after that. What the start policy says counts as the transaction sees the id.
func StartWithin[In, Out any](
	ctx context.Context, e *Engine, w Within, d *Definition[In, Out], id string, in In, opts ...StartOption,
) (*Run[Out], error) {
	h, err := startWithin(ctx, e, w, d.spec, id, in, opts)
	if err != nil {
		return nil, err
	}
	return &Run[Out]{h}, nil
}

// RaiseWithin is [Engine.RaiseEvent] for the package of a backend that is a [Transactor]: the event is raised if the
// application commits its transaction. [WithReceipt] is told no more than ReceiptUnknown.
func RaiseWithin(
	ctx context.Context, e *Engine, w Within, id, event string, payload any, opts ...RaiseOption,
) error {
	return raiseWithin(ctx, e, w, id, event, payload, opts)
}

// startWithin starts a run in a transaction of the application's.
func startWithin(
	ctx context.Context, e *Engine, w Within, d *definitionSpec, id string, input any, opts []StartOption,
) (*handle, error) {
	s, err := e.newStart(d, id, input, opts)
	if err != nil {
		return nil, err
	}
	v, err := e.writeWithin(ctx, w, &Commit{At: now(), Starts: []RunStart{s}})
	if err != nil {
		return nil, fmt.Errorf("start orchestration %s: %w", id, err)
	}
	return handleOf(e, &s, &v.Starts[0])
}

// raiseWithin raises an event in a transaction of the application's.
func raiseWithin(ctx context.Context, e *Engine, w Within, id, event string, payload any, opts []RaiseOption) error {
	raise, _, err := e.newRaise(id, event, payload, opts)
	if err != nil {
		return err
	}
	v, err := e.writeWithin(ctx, w, &Commit{At: now(), Raises: []Raise{raise}})
	if err == nil {
		err = v.Raises[0].Err
	}
	if err != nil {
		return fmt.Errorf("raise event %q in orchestration %s: %w", event, id, err)
	}
	return nil
}

func (v *env) writeWithin(ctx context.Context, w Within, c *Commit) (Verdict, error) {
	if _, err := v.desc.checkCommit(c); err != nil {
		return Verdict{}, err
	}
	if err := v.transacts(w); err != nil {
		return Verdict{}, err
	}
	out, err := v.transactor.write(ctx, w.How, c)
	if err == nil && (out.Err != nil || len(out.Starts) != len(c.Starts) || len(out.Raises) != len(c.Raises)) {
		err = fmt.Errorf("the backend gave a verdict on %d starts and %d raises: %w", len(out.Starts), len(out.Raises), out.Err)
	}
	return out, err
}
