package lambdabiz

import (
	"context"
	"errors"
	"fmt"
)

// clientTries is how often a start of unknown outcome is made before its caller is told so.
const clientTries = 5

// commitClient makes changes from outside durable. When ctx ends, what is queued is withdrawn; what is on its way
// goes on without the caller, who gets ErrOutcomeUnknown with ctx's error, as does the caller of a start that had
// an unknown outcome before. Such a start is repeated meanwhile: it is idempotent.
//
// With ErrOutcomeUnknown it returns the submission that is still on its way, if there is one.
func (e *Engine) commitClient(ctx context.Context, c *Commit) (Verdict, *submission, error) {
	if a, ok := ctx.Value(taskKey{}).(interface{ holdsStore(v *env) bool }); ok && a.holdsStore(&e.env) {
		return Verdict{}, nil, errHoldsStore
	}
	if _, err := e.desc.checkCommit(c); err != nil {
		return Verdict{}, nil, err
	}
	var doubt error // an earlier try may have been applied
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return Verdict{}, nil, inDoubt(doubt, endOf(ctx))
		}
		v, way, err := e.committer.commitWithin(ctx, c)
		if err == nil {
			err = v.Err
		} else if ctx.Err() != nil {
			err = e.explainWait(ctx, err)
		}
		switch {
		case err == nil:
			return v, nil, nil
		case way != nil:
			return v, way, err
		case errors.Is(err, ErrFenced) && c.Worker != 0: // the worker was declared dead: start as a client
			c.Worker = 0
			for i := range c.Starts {
				c.Starts[i].Claim = false
			}
			e.kick()
			continue
		case errors.Is(err, ErrOutcomeUnknown):
			doubt = err
		}
		if doubt == nil || len(c.Starts) == 0 || try >= clientTries {
			return v, nil, inDoubt(doubt, err)
		}
		if sleepUntil(ctx, nil, commitBackoff.wait(try)) != nil {
			return v, nil, inDoubt(doubt, endOf(ctx))
		}
	}
}

// errHoldsStore is for the body of a step in a transaction beside which nothing can be written: it would wait for itself.
var errHoldsStore = fmt.Errorf("%w: the step that asks for it holds the only right to write: write it in the step's own "+
	"transaction, or after the step", ErrBusy)

// inDoubt is err, with the reason why nobody knows what became of an earlier try.
func inDoubt(doubt, err error) error {
	if doubt == nil || errors.Is(err, ErrOutcomeUnknown) {
		return err
	}
	return fmt.Errorf("%w (then: %w)", doubt, err)
}

// endOf is why a context has ended: its error, and its cause if that is another one.
func endOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// explainWait adds to the error of a caller whose patience has ended which process keeps the store locked.
func (e *Engine) explainWait(ctx context.Context, err error) error {
	if e.locked == nil || errors.Is(err, ErrBusy) {
		return err
	}
	var h *Holder
	_, fault := guard(func() (v any, err error) {
		h, err = e.locked.LockedBy(context.WithoutCancel(ctx), 0)
		return nil, err
	})
	if fault == nil && h != nil {
		return fmt.Errorf("%w (%s)", err, h)
	}
	return err
}

// carryOn finds out without its caller what became of a start that claims, and runs what it has started: this
// worker may hold the run, and nobody else would ever take it. It ends when the outcome is known, or when the
// worker has left, which gives back whatever it held. The start is counted until then.
func (e *Engine) carryOn(c *Commit, way *submission) {
	defer e.countStarts(-1)
	for try := 1; ; try++ {
		var v Verdict
		var err error
		if way != nil {
			<-way.Done()
			v, err, way = way.verdict, way.err, nil
		} else {
			v, err = e.committer.commit(context.Background(), c)
		}
		if err == nil {
			if v.Err == nil && e.adoptLast(c, v) == nil {
				e.kick()
			}
			return // a verdict is known
		}
		if e.worker.Load() != c.Worker {
			return
		}
		e.log.Warn("the outcome of a start is not known, asking again", "orchestration", c.Starts[0].ID, "error", err, "try", try)
		_ = sleepUntil(context.Background(), nil, commitBackoff.wait(try)) // that context does not end
	}
}

// commitWithin is commit for a caller who goes when ctx ends. A commit that is queued is withdrawn then; with one
// that is on its way the caller gets it with ErrOutcomeUnknown, and may learn of its end by its done.
func (c *committer) commitWithin(ctx context.Context, commit *Commit) (Verdict, *submission, error) {
	if ctx.Done() == nil {
		v, err := c.commit(ctx, commit)
		return v, nil, err
	}
	s := &submission{decision: decision{commit: commit}}
	s.enqueue(context.WithoutCancel(ctx), c)
	select {
	case <-s.Done():
		return s.verdict, nil, s.err
	case <-ctx.Done():
	}
	if c.lanes.Withdraw(&s.Item) {
		return Verdict{}, nil, endOf(ctx)
	}
	select {
	case <-s.Done(): // at the same moment
		return s.verdict, nil, s.err
	default:
		return Verdict{}, s, fmt.Errorf("%w: %w", ErrOutcomeUnknown, endOf(ctx))
	}
}
