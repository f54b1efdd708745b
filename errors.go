package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What callers branch on. All of them keep their identity through recording, with errors.Is.
var (
	// ErrNotFound: there is no orchestration with that id.
	ErrNotFound = errors.New("orchestration not found")
	// ErrExists: the id is used, and the start's policy says that this is an error.
	ErrExists = errors.New("orchestration id is already used")
	// ErrClosed: the orchestration has ended.
	ErrClosed = errors.New("orchestration has ended")
	// ErrOpen: the orchestration has not ended.
	ErrOpen = errors.New("orchestration has not ended")
	// ErrMode: the orchestration is driven by workers, not by hand, or the other way round.
	ErrMode = errors.New("orchestration is driven in the other mode")
	// ErrCancelled: the orchestration, or the branch, was cancelled. It is context.Canceled too.
	ErrCancelled error = &cancelledError{}
	// ErrTerminated: the orchestration was ended by force.
	ErrTerminated = errors.New("orchestration was terminated")
	// ErrTooLarge: a payload or an id is over its limit. Nothing was recorded.
	ErrTooLarge = errors.New("too large")
	// ErrInvalidID: an id is empty, not UTF-8 or has control characters, or the id of a new orchestration is one that
	// is made for a child. Nothing was recorded.
	ErrInvalidID = errors.New("invalid id")
	// ErrInvalidPayload: a value cannot be encoded, or a payload is not what the codec makes.
	ErrInvalidPayload = errors.New("invalid payload")
	// ErrWaiting: an orchestration driven by hand waits, and the context given to Create has ended; or it is paused,
	// see [PausedError]. Nothing is recorded; call again later.
	ErrWaiting = errors.New("orchestration waits")
	// ErrFenced: somebody else owns the run, or the worker was declared dead.
	ErrFenced = errors.New("run has another owner")
	// ErrStale: a condition on what was seen does not hold any more. Between engine and backend only.
	ErrStale = errors.New("newer messages have arrived")
	// ErrOutcomeUnknown: the backend could not tell whether a write was applied, or the caller's context ended
	// while it was on its way. Starts are safe to repeat, and so are events with a key.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrBusy: somebody else kept the store locked for too long. Nothing was applied; it may be tried again.
	ErrBusy = errors.New("store is busy")
	// ErrStopped: the engine drains or has stopped.
	ErrStopped = errors.New("engine has stopped")
)

type cancelledError struct{}

func (*cancelledError) Error() string        { return "orchestration was cancelled" }
func (*cancelledError) Is(target error) bool { return target == context.Canceled }

// branchEndedError is what the open operations of a branch are recorded with that its race, or the end of its
// orchestration, has ended. It is ErrCancelled too.
type branchEndedError struct{ why string }

func (e *branchEndedError) Error() string { return e.why }
func (*branchEndedError) Unwrap() error   { return ErrCancelled }

// TaskError is the failure of a task, a step or a service call after its last attempt.
type TaskError struct {
	Task        string // the task's name; empty for a step
	OperationID string // the operation's path
	Attempt     int    // the attempt that failed last, from 1
	Err         error  // what the attempt returned; context.DeadlineExceeded in it for a time-out
}

// Error names the operation and the cause.
func (e *TaskError) Error() string {
	name := e.OperationID
	if e.Task != "" {
		name += " (" + e.Task + ")"
	}
	return fmt.Sprintf("%s, attempt %d: %v", name, e.Attempt, e.Err)
}

// Unwrap returns the cause.
func (e *TaskError) Unwrap() error { return e.Err }

// EventTimeoutError says that an event did not arrive in time. It is context.DeadlineExceeded too, as is the
// end of a run by its deadline: errors.As tells them apart.
type EventTimeoutError struct {
	Event       string
	OperationID string
	Deadline    time.Time
}

// Error names the event and the deadline.
func (e *EventTimeoutError) Error() string {
	return fmt.Sprintf("%s: event %q did not arrive by %s", e.OperationID, e.Event, e.Deadline.Format(time.RFC3339))
}

// Is reports whether target is context.DeadlineExceeded.
func (e *EventTimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// DuplicateKeyError says that two items of a [Map] have the same key. Nothing of the map has begun.
type DuplicateKeyError struct {
	OperationID   string // the map's path
	Key           string
	First, Second int // the places of the items, from 0
}

// Error names the map, the key and the places of its items.
func (e *DuplicateKeyError) Error() string {
	return fmt.Sprintf("%s: items %d and %d have the same key %q", e.OperationID, e.First, e.Second, e.Key)
}

// OrchestrationError is the outcome of an orchestration that ended without success, as [Run.Result]
// and [CallChild] return it.
type OrchestrationError struct {
	ID     string
	Name   string
	Status Status
	Err    error // what its function returned; ErrCancelled or ErrTerminated in it by status
}

// Error names the orchestration, its status and the cause.
func (e *OrchestrationError) Error() string {
	return fmt.Sprintf("orchestration %s (%s) %s: %v", e.ID, e.Name, e.Status, e.Err)
}

// Unwrap returns the cause.
func (e *OrchestrationError) Unwrap() error { return e.Err }

// BlockedError is what the caller of an orchestration driven by hand gets for a mistake that would
// block a worker's run. Nothing is recorded.
type BlockedError struct {
	ID      string
	Blocked Blocked
}

// Error names the orchestration, the reason, the operation and the source line.
func (e *BlockedError) Error() string {
	text := fmt.Sprintf("orchestration %s is blocked: %s", e.ID, e.Blocked.Reason)
	if e.Blocked.Operation != "" {
		text += " (operation " + e.Blocked.Operation + ")"
	}
	if e.Blocked.Source != "" {
		text += " at " + e.Blocked.Source
	}
	return text
}

// PausedError is what the caller of an orchestration driven by hand gets while it is paused. It is ErrWaiting too:
// nothing is recorded. After [Engine.Resume] call again.
type PausedError struct {
	ID     string
	Reason string // as it was given to [Engine.Pause]; empty for none
}

// Error names the orchestration, the reason, and what lets it go on.
func (e *PausedError) Error() string {
	reason := ""
	if e.Reason != "" {
		reason = " (" + e.Reason + ")"
	}
	return fmt.Sprintf("orchestration %s is paused%s: Engine.Resume lets it go on, or: lambdabiz resume %s",
		e.ID, reason, e.ID)
}

// Unwrap returns ErrWaiting.
func (*PausedError) Unwrap() error { return ErrWaiting }

// UnsupportedError says that a home cannot keep a promise. Nothing was recorded.
type UnsupportedError struct {
	Backend string
	Feature Feature
	Why     string
}

// Error names the backend, the feature and the reason.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s does not support %s: %s", e.Backend, e.Feature, e.Why)
}

// NonRetryable marks an error so that no further attempt is made. A nil error stays nil.
func NonRetryable(err error) error {
	if err == nil {
		return nil
	}
	return &nonRetryableError{err}
}

type nonRetryableError struct{ err error }

func (e *nonRetryableError) Error() string   { return e.err.Error() }
func (e *nonRetryableError) Unwrap() error   { return e.err }
func (e *nonRetryableError) Retryable() bool { return false }

// RetryAfter sets the least time before the next attempt, instead of the backoff's when that is
// shorter. A nil error stays nil.
func RetryAfter(err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, wait}
}

type retryAfterError struct {
	err  error
	wait time.Duration
}

func (e *retryAfterError) Error() string             { return e.err.Error() }
func (e *retryAfterError) Unwrap() error             { return e.err }
func (e *retryAfterError) RetryAfter() time.Duration { return e.wait }

// CompensationError says that a [Saga] could not take something back.
type CompensationError struct {
	ID  string // of the compensation
	Err error  // what it returned
}

// Error names the compensation and the cause.
func (e *CompensationError) Error() string { return fmt.Sprintf("compensation %q: %v", e.ID, e.Err) }

// Unwrap returns the cause.
func (e *CompensationError) Unwrap() error { return e.Err }
