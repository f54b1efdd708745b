package lambdabiz

import (
	"context"
	"errors"
	"fmt"
)

// TaskFunc performs a task on its payloads: the input as the codec made it, and a result that the codec can
// read (another one fails the operation with ErrInvalidPayload, without retry). As a task's function it runs
// at least once, and [TaskInfoFrom] knows its context.
type TaskFunc func(ctx context.Context, in Payload) (Payload, error)

// TaskResolver performs tasks that are called by a name which is not registered. Make one with
// [NewTaskResolver] and hand it to [Engine.Register].
type TaskResolver struct {
	resolve func(name string) TaskFunc
}

// NewTaskResolver gives the names that no registered task has to somebody who performs them, as package
// aws/lambdatask does with Lambda functions. The function returns nil for a name that it does not know; then
// the next resolver is asked, in the order in which they were registered. It is called whenever the
// orchestration's code comes to such a call: it must be quick, and do nothing else. A backend that performs
// tasks itself gets such names first: there resolvers are never asked.
func NewTaskResolver(resolve func(name string) TaskFunc) *TaskResolver {
	return &TaskResolver{resolve}
}

func (t *TaskResolver) register(e *Engine) error {
	if t == nil || t.resolve == nil {
		return errors.New("task resolver: its function is nil (make one with NewTaskResolver)")
	}
	e.registry.mu.Lock()
	defer e.registry.mu.Unlock()
	e.registry.resolvers = append(e.registry.resolvers, t)
	return nil
}

// task returns the task that is registered with the name and kind of t, or t itself, with a function by a
// resolver if it has none. An error means that a resolver has panicked.
func (e *Engine) task(t *taskSpec) (*taskSpec, error) {
	t = e.registry.task(t)
	if t.run != nil || t.kind != KindTask || e.performs(KindTask) {
		return t, nil
	}
	e.registry.mu.RLock()
	resolvers := e.registry.resolvers // grows only
	e.registry.mu.RUnlock()
	for _, r := range resolvers {
		v, err := guard(func() (any, error) { return r.resolve(t.name), nil })
		if err != nil {
			return t, fmt.Errorf("a task resolver over task %q: %w", t.name, err)
		}
		if f, ok := v.(TaskFunc); ok && f != nil {
			return &taskSpec{name: t.name, kind: t.kind, run: func(ctx context.Context, _ *Engine, in Payload) (any, error) {
				return f(ctx, in)
			}}, nil
		}
	}
	return t, nil
}
