package lambdabiz

import (
	"context"
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
