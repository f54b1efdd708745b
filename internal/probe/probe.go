package probe

import "context"

// Operation is an operation that the code of an orchestration has come to, before anything is done with it.
type Operation struct {
	Orchestration string // its id
	RunID         string
	Path          string // the operation's
	Kind          string // as lambdabiz.Kind names it
	Name          string
	Source        string // file:line of the author's code

	Value      any    // the input as the code gives it; nil for kinds without one
	Input      []byte // the same, encoded
	Result     any    // a pointer to where the result goes; nil for kinds without one
	Registered bool   // a task or service that is registered with the engine, or that a resolver knows
	NotRenamed bool   // the code says that it is new

	// What is recorded of it, if Recorded.
	Recorded      bool
	RecordedPath  string // another one than Path if it was renamed
	Ended         bool
	RecordedInput []byte
	Changed       bool // the recorded input means something else than Input
	Cancelled     bool // it ends now: the answer counts for nothing
}

// Answer says what becomes of the operation. The zero value lets it go on.
type Answer struct {
	// Refuse blocks the run with this reason.
	Refuse string
	// Hold lets the code wait there, until Rest names it: then it is asked again. A new operation is not recorded.
	Hold bool
	// Pass ends a new operation at once with Result. Nothing is performed, and nothing recorded.
	Pass   bool
	Result []byte
	// Perform is called instead of the body of a task, a step or a service call, with the recorded input.
	Perform func(ctx context.Context, input []byte) (any, error)
}

// Interceptor is what a backend must be to be asked.
type Interceptor interface {
	// Intercept is called on the goroutine of the code, without a lock, when the hooks have been told all that was
	// before. A panic in it blocks the run.
	Intercept(o Operation) Answer
	// Alive is called right before a body. False ends the body's goroutine: the process of the test is dead.
	Alive() bool
	// Repeats says that a new operation looks like a recorded one under another id: for sure, and then reason would
	// block the run, or by its place alone, without a reason. It reports whether it may go on. It is called with a lock
	// of the run held: it must be quick, and must not call the engine.
	Repeats(o Operation, recorded, reason string) bool
	// Rest says that all code of a run waits, and nothing of it is to be stored. It returns the paths of held
	// operations to ask about again. It is called as Repeats is.
	Rest(orchestration string) []string
	// RunID makes the id of a run that shall begin: one that no other run has, and the same when the same start is
	// made again. From is, of a child, the parent's run and the operation's path; empty for a start from outside. A run
	// that continues another one is not asked for: its id follows from the other's.
	RunID(orchestration string, from ...string) string
}
