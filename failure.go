package lambdabiz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// maxFailureBytes bounds the messages and data of a recorded tree together.
const maxFailureBytes = 64 << 10

// maxMessageBytes bounds a recorded message.
const maxMessageBytes = 16 << 10

var sentinels = map[string]error{
	"notFound": ErrNotFound, "exists": ErrExists, "closed": ErrClosed, "open": ErrOpen, "mode": ErrMode,
	"cancelled": ErrCancelled, "terminated": ErrTerminated, "tooLarge": ErrTooLarge,
	"invalidID": ErrInvalidID, "invalidPayload": ErrInvalidPayload,
	"canceled": context.Canceled, "deadlineExceeded": context.DeadlineExceeded,
}

// FailureOf records an error without registered types: backends use it for refusals.
func FailureOf(err error) *Failure { return (&errorRegistry{}).record(err) }

// errorRegistry is an engine's error types by name, and in the order in which they were registered.
type errorRegistry struct {
	types map[string]*ErrorRegistration
	order []*ErrorRegistration
	limit int // of a recorded tree's bytes; 0 for maxFailureBytes
}

// common is the error types that every engine knows.
var common struct {
	mu    sync.RWMutex
	types []*ErrorRegistration
}

// RegisterErrors makes error types known to every engine of the process. It is for packages that define
// such types, to be called while they are initialised; a program hands its own to [Engine.Register].
func RegisterErrors(types ...*ErrorRegistration) {
	common.mu.Lock()
	defer common.mu.Unlock()
	common.types = append(common.types, types...)
}

// all returns the types of the engine and the common ones: of two that fit an error the first decides.
func (r *errorRegistry) all(yield func(t *ErrorRegistration) bool) {
	for _, t := range r.order {
		if !yield(t) {
			return
		}
	}
	common.mu.RLock()
	types := common.types
	common.mu.RUnlock()
	for _, t := range types {
		if !yield(t) {
			return
		}
	}
}

// ErrorRegistration is an error type or value that keeps its identity through recording. Make one
// with [ErrorType] or [ErrorValue] and hand it to [Engine.Register].
type ErrorRegistration struct {
	name   string
	wraps  bool // it is recorded with what it wraps
	encode func(err error) (data json.RawMessage, ok bool, fault error)
	decode func(data json.RawMessage) (error, error)
}

// ErrorType registers the error type T, which encoding/json must be able to write and read. After a
// resume errors.As finds it again. The name is what is recorded: it must stay when T is renamed.
func ErrorType[T error](name string) *ErrorRegistration {
	return &ErrorRegistration{
		name: name, wraps: true,
		encode: func(err error) (json.RawMessage, bool, error) {
			if _, ok := err.(T); !ok { //nolint:errorlint // each node of the tree is asked for itself
				return nil, false, nil
			}
			data, fault := json.Marshal(bare(err))
			return data, true, fault
		},
		decode: func(data json.RawMessage) (error, error) {
			var v T
			if err := json.Unmarshal(data, &v); err != nil {
				return nil, fmt.Errorf("decode error type %s: %w", name, err)
			}
			return v, nil
		},
	}
}

// ErrorValue registers a sentinel: after a resume errors.Is finds it again. A value that Go cannot compare matches
// nothing, as with errors.Is. Where an error is of a registered type and a registered value too, what was registered first
// is recorded.
func ErrorValue(name string, sentinel error) *ErrorRegistration {
	return &ErrorRegistration{
		name: name,
		encode: func(err error) (json.RawMessage, bool, error) {
			return nil, equal(err, sentinel), nil // each node of the tree is asked for itself
		},
		decode: func(json.RawMessage) (error, error) { return sentinel, nil },
	}
}

// equal compares two errors; what cannot be compared is equal to nothing.
func equal(a, b error) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	return x.IsValid() && y.IsValid() && x.Type() == y.Type() && x.Comparable() && y.Comparable() &&
		a == b //nolint:errorlint // the values themselves
}

// record calls the error's own methods; a panic of theirs is recorded instead.
func (r *errorRegistry) record(err error) *Failure {
	if err == nil {
		return nil
	}
	v, fault := guard(func() (any, error) { return r.recordNode(err, 0), nil })
	if fault != nil {
		return &Failure{Message: fmt.Sprintf("%T, whose methods panic: %v", err, fault)}
	}
	f, _ := v.(*Failure)
	budget := r.budget()
	f.trim(&budget)
	return f
}

// recordOutcome records how a child ended, with the cause as the child has recorded it. Nothing of that is rebuilt, so
// no foreign method is called, and what only the child's worker knows stays in the record.
func (r *errorRegistry) recordOutcome(id, name string, status Status, cause *Failure) *Failure {
	if cause == nil && status == StatusTerminated {
		cause = r.record(ErrTerminated)
	}
	child := &OrchestrationError{ID: id, Name: name, Status: status}
	if cause != nil {
		child.Err = &recordedError{message: cause.Message}
	}
	f := r.record(child)
	f.Causes = nil
	if cause != nil {
		f.Causes = []*Failure{cause.clone(1)}
	}
	budget := r.budget()
	f.trim(&budget)
	return f
}

// clone copies a tree down to the greatest depth that is recorded.
func (f *Failure) clone(depth int) *Failure {
	c := *f
	if c.Causes = nil; depth <= maxFailureDepth {
		for _, cause := range f.Causes {
			c.Causes = append(c.Causes, cause.clone(depth+1))
		}
	}
	return &c
}

func (r *errorRegistry) budget() int {
	if r.limit > 0 {
		return min(r.limit, maxFailureBytes)
	}
	return maxFailureBytes
}

// trim drops the parts of a tree that are over the budget, the deepest and last first.
func (f *Failure) trim(budget *int) {
	*budget -= len(f.Message) + len(f.Data)
	if *budget < 0 {
		f.Message, f.Causes = cut(f.Message, 256), nil
		if len(f.Data) > 256 {
			f.Type, f.Code, f.Data = "", "", nil
		}
		return
	}
	for _, c := range f.Causes {
		c.trim(budget)
	}
}

func (r *errorRegistry) recordNode(err error, depth int) *Failure {
	f := &Failure{Message: cut(strings.ToValidUTF8(err.Error(), "\uFFFD"), min(maxMessageBytes, r.budget()/4))}
	if depth > maxFailureDepth {
		return f
	}
	switch t := r.recordRegistered(f, err); {
	case t != nil && !t.wraps, t == nil && recordSentinel(f, err):
		return f
	case t == nil:
		recordType(f, err)
	}
	for _, cause := range causesOf(err) {
		if cause == nil {
			continue
		}
		if c := r.recordNode(cause, depth+1); f.Code != "" || c.recognised() {
			f.Causes = append(f.Causes, c)
		}
	}
	return f
}

// recognised reports whether rebuilding gives more than the message.
func (f *Failure) recognised() bool { return f.Code != "" || f.Type != "" || len(f.Causes) > 0 }

// recordRegistered returns the registration that the error fits; nil for none.
func (r *errorRegistry) recordRegistered(f *Failure, err error) *ErrorRegistration {
	for t := range r.all {
		data, ok, fault := t.encode(err)
		if ok && fault == nil {
			f.Type, f.Data = t.name, data
			return t
		}
	}
	return nil
}

func recordSentinel(f *Failure, err error) bool {
	for code, sentinel := range sentinels {
		if err == sentinel { //nolint:errorlint // each node of the tree is asked for itself
			f.Code = code
			return true
		}
	}
	return false
}

// recordType stores the types of this package by code, with their fields.
func recordType(f *Failure, err error) {
	var data any
	switch e := err.(type) { //nolint:errorlint // each node of the tree is asked for itself
	case *TaskError:
		f.Code, data = "task", taskErrorData{e.Task, e.OperationID, e.Attempt}
	case *EventTimeoutError:
		f.Code, data = "eventTimeout", e
	case *DuplicateKeyError:
		f.Code, data = "duplicateKey", e
	case *OrchestrationError:
		f.Code, data = "orchestration", orchestrationErrorData{e.ID, e.Name, e.Status}
	case *CompensationError:
		f.Code, data = "compensation", compensationErrorData{e.ID}
	case *nonRetryableError:
		f.Code = "nonRetryable"
	default:
		return
	}
	if encoded, fault := json.Marshal(data); fault == nil && data != nil {
		f.Data = encoded
	}
}

type taskErrorData struct {
	Task        string `json:"task"`
	OperationID string `json:"operationId"`
	Attempt     int    `json:"attempt"`
}

type orchestrationErrorData struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status Status `json:"status"`
}

type compensationErrorData struct {
	ID string `json:"id"`
}

var errNotRebuilt = errors.New("nothing knows the record")

// rebuild makes an error of what was recorded. What cannot be rebuilt keeps its message.
func (r *errorRegistry) rebuild(f *Failure) error {
	if f == nil {
		return nil
	}
	causes := make([]error, 0, len(f.Causes))
	for _, c := range f.Causes {
		if cause := r.rebuild(c); cause != nil {
			causes = append(causes, cause)
		}
	}
	// The types' own methods may panic over what is recorded.
	var err error
	text, fault := guard(func() (any, error) {
		if err = r.rebuildTyped(f, causes); err == nil {
			return nil, errNotRebuilt
		}
		return err.Error(), nil
	})
	switch {
	case fault != nil:
		return &recordedError{f.Message, causes}
	case text != f.Message:
		return &recordedError{f.Message, []error{err}}
	}
	return err
}

func (r *errorRegistry) rebuildTyped(f *Failure, causes []error) error {
	for t := range r.all {
		if t.name != f.Type {
			continue
		}
		if err, fault := t.decode(f.Data); fault == nil {
			return wrapping(f, err, causes)
		}
		return nil
	}
	if sentinel, ok := sentinels[f.Code]; ok {
		return sentinel
	}
	cause := errors.Join(causes...)
	if len(causes) == 1 {
		cause = causes[0]
	}
	switch f.Code {
	case "task":
		var d taskErrorData
		if json.Unmarshal(f.Data, &d) == nil {
			return &TaskError{Task: d.Task, OperationID: d.OperationID, Attempt: d.Attempt, Err: cause}
		}
	case "orchestration":
		var d orchestrationErrorData
		if json.Unmarshal(f.Data, &d) == nil {
			return &OrchestrationError{ID: d.ID, Name: d.Name, Status: d.Status, Err: cause}
		}
	case "compensation":
		var d compensationErrorData
		if json.Unmarshal(f.Data, &d) == nil {
			return &CompensationError{ID: d.ID, Err: cause}
		}
	case "eventTimeout":
		var d EventTimeoutError
		if json.Unmarshal(f.Data, &d) == nil {
			return &d
		}
	case "duplicateKey":
		var d DuplicateKeyError
		if json.Unmarshal(f.Data, &d) == nil {
			return &d
		}
	case "nonRetryable":
		return NonRetryable(cause)
	}
	return nil
}

// retryable reports whether another attempt makes sense, by the word of the error and of all that it wraps: one that is
// not retryable decides.
func retryable(err error) bool {
	var r interface{ Retryable() bool }
	if errors.As(err, &r) && !r.Retryable() {
		return false
	}
	again := true
	for node := range treeOf(err) {
		if r, ok := node.(interface{ Retryable() bool }); ok && !r.Retryable() {
			again = false
		}
	}
	return again
}

// retryWait is the least wait that the error, or what it wraps, asks for.
func retryWait(err error) (wait time.Duration) {
	var r interface{ RetryAfter() time.Duration }
	if errors.As(err, &r) {
		wait = r.RetryAfter()
	}
	for node := range treeOf(err) {
		if r, ok := node.(interface{ RetryAfter() time.Duration }); ok {
			wait = max(wait, r.RetryAfter())
		}
	}
	return wait
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
