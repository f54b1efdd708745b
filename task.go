package lambdabiz

import (
	"context"
	"fmt"
)

// Task is named work outside the orchestration code, with its input and output types. Make one with
// [NewTask]; register it with [Engine.Register] so that it can be called by name.
type Task[In, Out any] struct{ spec *taskSpec }

// taskSpec is a task without its types.
type taskSpec struct {
	name string
	kind Kind
	run  func(ctx context.Context, p *payloads, in Payload, given any) (any, error) // given is what in was encoded of, if known
}

// NewTask names a function as a task. It runs at least once per operation that calls it, and may run
// again after a crash: make its effects idempotent with [TaskInfo.IdempotencyKey]. The context ends
// when the attempt's time is over, when the orchestration is cancelled, or when the worker must stop.
func NewTask[In, Out any](name string, f func(ctx context.Context, in In) (Out, error)) *Task[In, Out] {
	return newTask(name, KindTask, f)
}

// NewService names a function as a call to a service. It differs from a task in the kind that is
// recorded, which lets a home perform it elsewhere. Package rest is built on it.
func NewService[In, Out any](name string, f func(ctx context.Context, in In) (Out, error)) *Task[In, Out] {
	return newTask(name, KindService, f)
}

func newTask[In, Out any](name string, kind Kind, f func(context.Context, In) (Out, error)) *Task[In, Out] {
	return &Task[In, Out]{&taskSpec{name: name, kind: kind,
		run: func(ctx context.Context, p *payloads, stored Payload, given any) (any, error) {
			if in, is := copied[In](p, given); is {
				return f(ctx, in)
			}
			in, err := decoded[In](p, stored)
			if err != nil {
				return nil, NonRetryable(err)
			}
			return f(ctx, in)
		},
	}}
}

// decoded has the value outside of its caller, which needs no memory for it then if it decodes nothing.
func decoded[In any](p *payloads, stored Payload) (in In, err error) {
	err = p.decode("input", stored, &in)
	return in, err
}

// Name returns the task's name.
func (t *Task[In, Out]) Name() string { return t.spec.name }

// TaskInfo is what a running task or step knows of itself.
type TaskInfo struct {
	OrchestrationID string
	RunID           string
	OperationID     string  // the operation's path
	Task            string  // the task's name; empty for a step
	Attempt         int     // from 1; a re-run after a crash has the same number
	IdempotencyKey  string  // the same for every attempt, another one in the next run of the id
	Details         Payload // of the last heartbeat of an earlier attempt; see DecodeDetails

	codec Codec
}

// DecodeDetails reads what the last heartbeat of an earlier attempt gave into v. Without one it leaves v
// as it is.
func (i TaskInfo) DecodeDetails(v any) error {
	if len(i.Details) == 0 {
		return nil
	}
	if err := i.codec.Decode(i.Details, v); err != nil {
		return fmt.Errorf("decode heartbeat details: %w: %w", ErrInvalidPayload, err)
	}
	return nil
}

type taskKey struct{}

// liveTask is what the context of a body carries.
type liveTask interface {
	info() TaskInfo
	beat(details any) error
}

// TaskInfoFrom returns the information of the task or step that ctx belongs to, and false outside of
// one. TaskInfo.Details are what the last heartbeat of an earlier attempt gave.
func TaskInfoFrom(ctx context.Context) (TaskInfo, bool) {
	t, ok := ctx.Value(taskKey{}).(liveTask)
	if !ok {
		return TaskInfo{}, false
	}
	return t.info(), true
}

// Heartbeat reports that a task or step is alive, with details that the next attempt finds in
// [TaskInfo]. They are written with the next commit, within milliseconds, and within a second when it is called more
// often than that: the last ones always are, unless the process dies before. It returns the context's
// error when the attempt is over, and ErrTooLarge for details over the limit. Outside of a task it
// does nothing.
func Heartbeat(ctx context.Context, details any) error {
	t, ok := ctx.Value(taskKey{}).(liveTask)
	if !ok {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return t.beat(details)
}
