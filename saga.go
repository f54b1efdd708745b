package lambdabiz

import (
	"errors"
	"slices"
	"sync"
)

// Compensations is what a [Saga] takes back when it fails.
type Compensations struct {
	mu   sync.Mutex
	list []compensation
}

type compensation struct {
	id   string
	undo func(o Context) error
}

// Add says how to take back what the saga is about to do, or has done. undo runs in a branch with the id, so ids inside
// it are in a scope of their own; the id must be unique in the saga's scope, as every id. undo works in that branch's
// context, which a cancellation of the orchestration does not end.
//
// A call whose outcome nobody knows (a time-out, say) may have done its work all the same: add its compensation before the
// call, and let undo bear that there is nothing to take back.
func (c *Compensations) Add(id string, undo func(o Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, compensation{id, undo})
}

// Saga runs f, and when f returns an error takes back what f has added to its compensations, the latest first, one
// after the other. It does so too when the orchestration was cancelled or has passed its deadline: f gets that as the error of
// an operation. Compensations are operations like others: recorded, and found again after a crash at any moment.
//
// All of them are tried, also when one fails. The result is f's error alone if all succeed; else it joins a
// *[CompensationError] for each that failed. So give the calls inside a compensation enough attempts (see [Retry]): after the
// last one, only a person can help.
//
// When f succeeds, nothing is taken back. Neither is it when f returns the error of [ContinueAsNew]: what the next run
// shall be able to take back, it must be told by its input. The end of an orchestration by [Engine.Terminate] runs no code.
func Saga[T any](o Context, f func(undo *Compensations) (T, error)) (T, error) {
	undo := &Compensations{}
	out, err := f(undo)
	if _, next := asContinue(err); err == nil || next || !goesOn(o) {
		return out, err
	}
	errs := []error{err}
	for _, c := range slices.Backward(undo.list) {
		branch := Go(Detached(o), c.id, func(o Context) (struct{}, error) { return struct{}{}, c.undo(o) })
		_, fault := branch.Wait(Detached(o))
		switch {
		case !goesOn(o):
			return out, err // driven by hand, and its caller's context has ended: it is called again
		case fault != nil:
			errs = append(errs, &CompensationError{ID: c.id, Err: fault})
		}
	}
	if len(errs) == 1 {
		return out, err
	}
	return out, errors.Join(errs...)
}

// goesOn reports whether operations can be performed, or read from the record of a run that has ended.
func goesOn(o Context) bool {
	r := o.run()
	r.mu.Lock()
	defer r.unlock()
	return r.goesOn(o.scope())
}
