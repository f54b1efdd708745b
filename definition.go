package lambdabiz

import "errors"

// Definition is an orchestration's function with its name and types. Make one with [Define].
type Definition[In, Out any] struct{ spec *definitionSpec }

// definitionSpec is a definition without its types.
type definitionSpec struct {
	name       string
	strict     bool
	notRenamed bool
	run        func(o Context, p *payloads, in Payload) (any, error)

	// Whether a payload of a value is an input, or a result, that can be read.
	readsInput, readsResult func(p *payloads, what string, v any, stored Payload) error
}

// Define names a function as an orchestration. The function runs from its top whenever a worker takes
// the run; its recorded operations return what is recorded. What it returns is the outcome: SUCCEEDED,
// or FAILED with the error; CANCELLED if it returns ErrCancelled after a cancellation, TIMEOUT if it
// returns context.DeadlineExceeded after the deadline of its start. So a function that swallows a
// cancellation and returns a value has SUCCEEDED. A panic blocks the run.
//
// A function that runs again after its cancellation finds its context ended where it ended before: a loop that looks at
// o.Err goes as many rounds as before, and what follows it can take back what they did. See [Context].
//
// Deferred functions run whenever the run leaves this process, parked or stopped, not only at its end:
// they are for what the process holds, not for compensation, which belongs after an operation's error.
func Define[In, Out any](
	name string, f func(o Context, in In) (Out, error), opts ...DefineOption,
) *Definition[In, Out] {
	spec := &definitionSpec{name: name, readsInput: reads[In], readsResult: reads[Out]}
	spec.run = func(o Context, p *payloads, stored Payload) (any, error) {
		var in In
		if err := p.decode("input of the orchestration", stored, &in); err != nil {
			return nil, &undecodableError{err}
		}
		return f(o, in)
	}
	for _, opt := range opts {
		opt.applyDefine(spec)
	}
	return &Definition[In, Out]{spec}
}

// Name returns the definition's name.
func (d *Definition[In, Out]) Name() string { return d.spec.name }

// undecodableError blocks a run: the record cannot be read by this code.
type undecodableError struct{ err error }

func (e *undecodableError) Error() string { return e.err.Error() }
func (e *undecodableError) Unwrap() error { return e.err }

// continueError is what ContinueAsNew gives the author to return.
type continueError struct{ input any }

func (*continueError) Error() string { return "continue as new" }

// EndCancelled returns an error for the orchestration's function to return: the orchestration ends as CANCELLED, by its own
// decision, with the reason as its error. It is [ErrCancelled] too, children that it waits for are cancelled with it, and a
// [Saga] that returns it takes back what it has done. The error is of no use elsewhere.
func EndCancelled(reason string) error { return &endCancelledError{reason} }

type endCancelledError struct{ reason string }

func (e *endCancelledError) Error() string { return e.reason }
func (*endCancelledError) Unwrap() error   { return ErrCancelled }

func asContinue(err error) (*continueError, bool) {
	return errors.AsType[*continueError](err)
}

// DefineOption is an option of [Define].
type DefineOption interface{ applyDefine(d *definitionSpec) }

// StrictInputs blocks a run when a finished operation is called with another input than the recorded
// one. The default is to keep the recorded result and to log a warning. Inputs are compared by what they mean: the codec
// may write the same value in other bytes each time, encrypted or in the order of a map.
func StrictInputs() DefineOption { return strictOption{} }

type strictOption struct{}

func (strictOption) applyDefine(d *definitionSpec) { d.strict = true }

func (NotRenamedOption) applyDefine(d *definitionSpec) { d.notRenamed = true }

// readsInput reports whether what begins can read its input: what is known of its definition decides, or else the
// type of the value itself.
func (p *payloads) readsInput(d *definitionSpec, v any, stored Payload) error {
	if d != nil && d.readsInput != nil {
		return d.readsInput(p, "input", v, stored)
	}
	return p.readsBack("input", v, stored)
}
