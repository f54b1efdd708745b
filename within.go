package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A step in a transaction of the home's ends like this: the body writes, its result is encoded, and then the transaction
// records the end under the run's fence and commits. That is a commit of the run: no other one is on its way meanwhile, or
// what it says of the step could come after. Once it has begun, nothing ends the step otherwise: neither its time-out nor
// the end of its branch. Where the home has one writer, the run is kept from committing from the begin of the
// transaction on: a commit would wait for the transaction, and that for the commit.

// maxLost is how often the body is called again in one attempt since its transaction was lost.
const maxLost = 10

// errGone is what the body of an attempt comes to that nobody waits for any more. Nobody is told.
var errGone = errors.New("the attempt is over: nothing of its transaction stays")

// transacts returns an error if the home has no such transactions.
func (v *env) transacts(w Within) error {
	why := "it writes in a transaction of " + w.Home
	switch {
	case w.Home != v.desc.Name:
	case v.transactor == nil:
		why += ", and what is wrapped around that home does not pass lambdabiz.Transactor on"
	default:
		return nil
	}
	return &UnsupportedError{Backend: v.desc.Name, Feature: FeatureTransaction, Why: why}
}

// stepWithin is an attempt of a step in a transaction of the home's.
type stepWithin struct {
	r    *run
	o    *op
	rec  Operation // as the attempt began
	body *bodyWithin

	// Guarded by the run's lock.
	ending   bool // its end is on its way to the store
	over     bool // nobody waits for the body any more
	recorded bool // its end is; the body's goroutine writes it
}

// run calls the body in a transaction, again while that is lost.
func (a *stepWithin) run(ctx context.Context) returned {
	lost := 0
	for try := 1; ; try++ {
		out, begun, again := a.once(ctx)
		if begun {
			lost++
		}
		if !again || lost > maxLost || ctx.Err() != nil {
			return out
		}
		a.r.log().Warn("a transaction was lost, and is begun again", "operation", a.rec.ID, "try", try, "error", textOf(out.err))
		timer := time.NewTimer(commitBackoff.wait(try))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return out
		}
	}
}

// once calls the body in one transaction. It reports whether the body was called, and, with an error, whether
// another transaction may do better.
func (a *stepWithin) once(ctx context.Context) (out returned, begun, again bool) {
	e := a.r.env
	reserved := false
	if e.desc.OneWriter {
		if !a.reserve() {
			return returned{err: errGone}, false, false
		}
		reserved = true
		defer func() {
			if reserved {
				a.free()
			}
		}()
	}
	t, err := e.transactor.begin(ctx, a.body.How)
	if err != nil {
		return returned{err: err}, false, isTemporary(err)
	}
	defer t.rollback() // also when the body ends its goroutine
	out = a.body.perform(ctx, &e.payloads, t.Transaction)
	if out.err != nil {
		return out, true, t.lost(out.err)
	}
	if !reserved && !a.reserve() {
		return returned{err: errGone}, true, false
	}
	reserved = false
	if err := a.commit(ctx, t, out.result); err != nil {
		return returned{err: err}, true, isTemporary(err)
	}
	return out, true, false
}

func isTemporary(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}

// leave is asked when the attempt's time is over. It reports false when the end of the body is being recorded.
func (a *stepWithin) leave() bool {
	a.r.mu.Lock()
	defer a.r.unlock()
	if a.ending || a.recorded {
		return false
	}
	a.over = true
	return true
}

// reserve keeps the run from committing until free, or commit. It reports false, and does not, when nobody wants the outcome
// any more.
func (a *stepWithin) reserve() bool {
	r := a.r
	r.mu.Lock()
	defer r.unlock()
	for r.committing && a.isWantedLocked() {
		r.await(&r.moved)
	}
	if !a.isWantedLocked() {
		return false
	}
	r.committing = true
	return true
}

// isWantedLocked reports whether the outcome of the attempt may still be recorded.
func (a *stepWithin) isWantedLocked() bool {
	return !a.over && a.r.phase != phaseDead && a.o.Status == StatusStarted && a.o.Attempts == a.rec.Attempts
}

// free lets the run commit again.
func (a *stepWithin) free() {
	a.r.mu.Lock()
	defer a.r.unlock()
	a.freeLocked()
}

func (a *stepWithin) freeLocked() {
	a.r.committing = false
	if a.r.phase != phaseDead {
		committedLocked(&a.r.pump)
	}
}

// commit records the end of the step and commits its transaction, in place of a commit of the run's, and lets the run commit
// again.
func (a *stepWithin) commit(ctx context.Context, t guardedTransaction, result Payload) error {
	r, o := a.r, a.o
	r.mu.Lock()
	if !a.isWantedLocked() {
		a.freeLocked()
		r.unlock()
		return errGone
	}
	dirty := o.dirty
	r.withdraw(o)
	a.ending = true
	ref := r.ref
	c := &Commit{Run: &ref, Worker: r.writer(), At: now(), Operations: []Operation{o.Operation}}
	end := &c.Operations[0]
	end.Status, end.Result, end.Error, end.EndedAt, end.DueAt = StatusSucceeded, result, nil, c.At, time.Time{}
	r.unlock()
	err := a.settle(ctx, t, c)

	r.mu.Lock()
	defer r.unlock()
	a.ending = false
	r.committing = false
	a.recorded = err == nil
	switch {
	case r.phase == phaseDead:
		return err
	case errors.Is(err, ErrFenced):
		r.evictLocked(ErrFenced)
		return err
	case err == nil: // whatever has become of its branch meanwhile
		o.Status, o.Result, o.Error, o.EndedAt, o.DueAt = end.Status, result, nil, end.EndedAt, end.DueAt
		if !o.dirty {
			o.change = 0
		}
		r.record.changed(o)
		r.hookEnded(o)
	case dirty:
		r.touch(o)
	}
	committedLocked(&r.pump)
	return err
}

// settle commits the transaction, and asks as long as nobody knows what has become of it: the body must not be called again
// before that is known. It gives up when the run has left this process, and what is in the store counts.
func (a *stepWithin) settle(ctx context.Context, t guardedTransaction, c *Commit) error {
	for try := 1; ; try++ {
		err := t.commit(ctx, c)
		if !errors.Is(err, ErrOutcomeUnknown) {
			return err
		}
		a.r.log().Error("what became of a transaction is not known, looking again", "operation", a.rec.ID, "try", try,
			"error", err)
		if !a.r.submitter.pause(commitBackoff.wait(try)) {
			return fmt.Errorf("%w: %w", ErrFenced, err)
		}
	}
}
