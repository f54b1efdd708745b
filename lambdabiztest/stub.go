package lambdabiztest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/probe"
)

// Call is what a test says of the operations with one path: a stub of [Stub], [StubStep] or [StubDo], or an expectation
// of [Env.Expect]. At the end of the test each must have met an operation, as often as
// Times says.
type Call struct {
	env   *Env
	at    string // the line that made it
	path  string
	of    string // the orchestration id; "" for any
	kinds []string
	with  string // the function that made the stub

	perform func(ctx context.Context, input []byte) (any, error)
	misfit  func(o *probe.Operation) string // why the types do not fit

	counts   bool
	times    int
	optional bool
	compare  bool
	input    lambdabiz.Payload
	inputAt  string // the line that says so
	used     bool   // met an operation
}

// Stub replaces what the operations with this path do: a task, a service call, or a child, which does not run then. The
// path is the operation's id, with the ids of its branches before it, as in the state: "parcels/tea/pack". A "*" stands
// for any text within an id: "parcels/*/pack", "remind-*". Of several stubs for one operation the last one counts.
//
// In and Out must be the very types that the code calls it with; [lambdabiz.Payload] fits all, as the codec made it. Of
// a REST call they are rest.Request and rest.Response. The result takes its way through the codec, errors are recorded
// and retried as the code says, and lambdabiz.TaskInfoFrom knows the context. A child's stub makes an outcome: its error
// reaches the parent as *lambdabiz.OrchestrationError. Branches call stubs at the same time.
func Stub[In, Out any](env *Env, path string, f func(ctx context.Context, in In) (Out, error)) *Call {
	env.t.Helper()
	c := env.newCall(path)
	c.with, c.kinds = "Stub", []string{"TASK", "SERVICE", "CHILD"}
	c.misfit = func(o *probe.Operation) string {
		var in In
		if _, raw := any(in).(lambdabiz.Payload); raw || o.Value == nil {
			return misfitResult[Out](o)
		}
		if _, ok := o.Value.(In); !ok {
			return fmt.Sprintf("takes %s, and the code calls it with %T", typeName[In](), o.Value)
		}
		return misfitResult[Out](o)
	}
	c.perform = func(ctx context.Context, input []byte) (any, error) {
		var in In
		if p, raw := any(&in).(*lambdabiz.Payload); raw {
			*p = bytes.Clone(input)
		} else if len(input) > 0 {
			if err := env.codec().Decode(input, &in); err != nil {
				return nil, lambdabiz.NonRetryable(fmt.Errorf("decode the input for the stub of %q: %w", path, err))
			}
		}
		return f(ctx, in)
	}
	return c
}

// StubStep replaces the closures of the steps with this path; else it is as [Stub]. It is for the time, random numbers and
// new ids as well: with a stub they are the same in every run of a test.
func StubStep[Out any](env *Env, path string, f func(ctx context.Context) (Out, error)) *Call {
	env.t.Helper()
	c := env.newCall(path)
	c.with, c.kinds = "StubStep", []string{"STEP"}
	c.misfit = misfitResult[Out]
	c.perform = func(ctx context.Context, _ []byte) (any, error) { return f(ctx) }
	return c
}

// StubDo is [StubStep] for a step that lambdabiz.Do runs.
func StubDo(env *Env, path string, f func(ctx context.Context) error) *Call {
	env.t.Helper()
	c := StubStep(env, path, func(ctx context.Context) (*struct{}, error) { return nil, f(ctx) })
	c.with = "StubDo"
	return c
}

// Expect says that operations with this path are called, and leaves what they do alone. It is for all kinds: tasks,
// steps, services, children, timers, event waits, raised events and races.
func (env *Env) Expect(path string) *Call {
	env.t.Helper()
	return env.newCall(path)
}

func (env *Env) newCall(path string) *Call {
	env.t.Helper()
	if path == "" {
		env.t.Fatal("lambdabiztest: the path of an operation is empty")
	}
	c := &Call{env: env, at: site(), path: path}
	env.mu.Lock()
	defer env.mu.Unlock()
	env.calls = append(env.calls, c)
	return c
}

// Of limits it to the operations of one orchestration.
func (c *Call) Of(orchestrationID string) *Call {
	c.set(func() { c.of = orchestrationID })
	return c
}

// Times says how often it shall be called: attempts are counted, and what a crash repeats is not counted again. 0 says
// never. Without Times it must be called at least once.
func (c *Call) Times(n int) *Call {
	c.set(func() { c.counts, c.times = true, n })
	return c
}

// Optional says that it need not meet an operation: for stubs that many tests share.
func (c *Call) Optional() *Call {
	c.set(func() { c.optional = true })
	return c
}

// Input says with which input each call shall come. What the codec makes of both must mean the same.
func (c *Call) Input(want any) *Call {
	c.env.t.Helper()
	p, err := c.env.encode(want)
	if err != nil {
		c.env.t.Fatalf("lambdabiztest: encode the expected input of %q: %v", c.path, err)
	}
	at := site()
	c.set(func() { c.compare, c.input, c.inputAt = true, p, at })
	return c
}

func (c *Call) set(f func()) {
	c.env.mu.Lock()
	defer c.env.mu.Unlock()
	f()
}

// InOrder says that each of the calls begins when all operations of the one before have ended. All of them must have
// met an operation.
func InOrder(calls ...*Call) {
	if len(calls) == 0 {
		return
	}
	o := order{site(), calls}
	calls[0].set(func() { calls[0].env.orders = append(calls[0].env.orders, o) })
}

// order is what [InOrder] was told, and where.
type order struct {
	at    string
	calls []*Call
}

// body is the stub's function, counted while it runs. The test's log shows where it panics.
func (c *Call) body(ctx context.Context, input []byte) (any, error) {
	c.set(func() { c.env.performing[c]++ })
	defer c.set(func() {
		if c.env.performing[c]--; c.env.performing[c] == 0 {
			delete(c.env.performing, c)
		}
		c.env.moveLocked()
	})
	returned := false
	defer func() {
		if p := recover(); !returned && p != nil {
			tellf(c.env.t, c.at, "the %s panics: %v\n%s", c.name(), p, debug.Stack())
			panic(p) // it fails the attempt, as in production
		}
	}()
	out, err := c.perform(ctx, input)
	returned = true
	return out, err
}

// matches reports whether the call speaks of an operation. A stub with a "*" passes by what it cannot replace.
func (c *Call) matches(orchestration, path, kind string) bool {
	if c.of != "" && c.of != orchestration {
		return false
	}
	if !strings.Contains(c.path, "*") {
		return c.path == path
	}
	if c.perform != nil && !slices.Contains(c.kinds, kind) {
		return false
	}
	want, got := strings.Split(c.path, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, glob)
}

// glob compares an id with one in which each "*" stands for any text.
func glob(want, got string) bool {
	parts := strings.Split(want, "*")
	last := len(parts) - 1
	if last == 0 {
		return want == got
	}
	got, ok := strings.CutPrefix(got, parts[0])
	for _, part := range parts[1:last] {
		at := strings.Index(got, part)
		ok = ok && at >= 0
		got = got[max(at, 0):]
		got = strings.TrimPrefix(got, part)
	}
	return ok && strings.HasSuffix(got, parts[last])
}

// name is the call in a failure.
func (c *Call) name() string {
	what := "expectation of"
	if c.perform != nil {
		what = "stub of"
	}
	if c.of != "" {
		return fmt.Sprintf("%s %q in orchestration %s", what, c.path, c.of)
	}
	return fmt.Sprintf("%s %q", what, c.path)
}

// misfitResult says why the result of a stub does not fit.
func misfitResult[Out any](o *probe.Operation) string {
	var out Out
	if _, raw := any(out).(lambdabiz.Payload); raw || o.Result == nil {
		return ""
	}
	if _, ok := o.Result.(*Out); ok {
		return ""
	}
	wants := strings.TrimPrefix(fmt.Sprintf("%T", o.Result), "*")
	if wants == "*struct {}" {
		return fmt.Sprintf("returns %s, and the code calls lambdabiz.Do: use StubDo", typeName[Out]())
	}
	return fmt.Sprintf("returns %s, and the code wants %s", typeName[Out](), wants)
}

// typeName is the name of a type, which may be an interface.
func typeName[T any]() string {
	var v *T
	return strings.TrimPrefix(fmt.Sprintf("%T", v), "*")
}

// Intercept is asked by the engine about each operation that code comes to.
func (p *process) Intercept(o probe.Operation) probe.Answer {
	env := p.env
	other := env.otherThanExpected(&o)
	env.mu.Lock()
	defer env.mu.Unlock()
	if _, stub := env.children[o.Orchestration]; stub || o.Ended {
		return probe.Answer{}
	}
	env.journal.met(&o)
	var stub *Call
	for _, c := range env.calls {
		if !c.matches(o.Orchestration, o.Path, o.Kind) {
			continue
		}
		c.used = true
		if c.perform != nil {
			stub = c
		}
		if slices.Contains(other, c) {
			env.faultAtLockedf(c.inputAt, "orchestration %s calls operation %q with another input than expected\n\tat:       %s\n"+
				"\tgot:      %s\n\texpected: %s", o.Orchestration, o.Path, o.Source, o.Input, c.input)
		}
	}
	switch {
	case stub == nil && !o.Registered && (o.Kind == "TASK" || o.Kind == "SERVICE"):
		return probe.Answer{Refuse: fmt.Sprintf("the %s %q is neither stubbed nor registered: call "+
			"lambdabiztest.Stub(env, %q, ...), or env.Register to have it performed", strings.ToLower(o.Kind), o.Name, o.Path)}
	case stub == nil:
		return probe.Answer{}
	case !slices.Contains(stub.kinds, o.Kind):
		return probe.Answer{Refuse: fmt.Sprintf("%s (the stub is at %s)", stub.wrongKind(&o), stub.at)}
	}
	if why := stub.misfit(&o); why != "" {
		return probe.Answer{Refuse: fmt.Sprintf("the %s %s (the stub is at %s)", stub.name(), why, stub.at)}
	}
	if o.Kind == "CHILD" {
		return probe.Answer{} // when its start is committed
	}
	return probe.Answer{Perform: stub.body}
}

// otherThanExpected are the calls that expect another input of an operation. It calls the codec: not with env.mu held.
func (env *Env) otherThanExpected(o *probe.Operation) []*Call {
	if o.Recorded {
		return nil
	}
	type expected struct {
		call  *Call
		input lambdabiz.Payload
	}
	var all []expected
	env.mu.Lock()
	for _, c := range env.calls {
		if c.compare && c.matches(o.Orchestration, o.Path, o.Kind) {
			all = append(all, expected{c, c.input})
		}
	}
	env.mu.Unlock()
	var other []*Call
	for _, want := range all {
		if !env.meanings().Same(want.input, o.Input, o.Value) {
			other = append(other, want.call)
		}
	}
	return other
}

func (c *Call) wrongKind(o *probe.Operation) string {
	switch o.Kind {
	case "TASK", "SERVICE", "CHILD":
		return fmt.Sprintf("operation %q is a %s: use Stub instead of %s", o.Path, o.Kind, c.with)
	case "STEP":
		return fmt.Sprintf("operation %q is a STEP: use StubStep or StubDo instead of %s", o.Path, c.with)
	default:
		return fmt.Sprintf("operation %q is of kind %s, which cannot be stubbed: use env.Expect, and let time pass or raise the event",
			o.Path, o.Kind)
	}
}

// stubbedChild is an orchestration that a stub stands for, and the parent's operation.
type stubbedChild struct {
	stub          *Call
	orchestration string
	run           string
	path          string
}

// stubName is the definition that stands for stubbed children.
const stubName = "lambdabiztest stub"

// stubDefinition performs the stub of a child.
func stubDefinition(env *Env) *lambdabiz.Definition[lambdabiz.Payload, lambdabiz.Payload] {
	return lambdabiz.Define(stubName, func(o lambdabiz.Context, in lambdabiz.Payload) (lambdabiz.Payload, error) {
		env.mu.Lock()
		child := env.children[o.ID()]
		env.mu.Unlock()
		return lambdabiz.Step(o, "stub", func(ctx context.Context) (lambdabiz.Payload, error) {
			out, err := child.stub.body(ctx, in)
			if err != nil {
				return nil, err
			}
			return env.encode(out)
		})
	})
}

// stubChildren lets the stub's definition stand for the children that are stubbed.
func (env *Env) stubChildren(batch []*lambdabiz.Commit) []*lambdabiz.Commit {
	env.mu.Lock()
	defer env.mu.Unlock()
	for i, c := range batch {
		if c.Run == nil {
			continue
		}
		for j := range c.Starts {
			s := &c.Starts[j]
			stub := env.childStubLocked(c, s)
			if stub == nil {
				continue
			}
			own := *c
			own.Starts = slices.Clone(c.Starts)
			own.Starts[j].Name, own.Starts[j].Claim = stubName, false
			batch = slices.Clone(batch)
			batch[i], c = &own, &own
		}
	}
	return batch
}

func (env *Env) childStubLocked(c *lambdabiz.Commit, s *lambdabiz.RunStart) *Call {
	path := pathOf(c, s.Operation)
	if path == "" {
		return nil
	}
	for _, call := range slices.Backward(env.calls) {
		if call.perform != nil && call.matches(c.Run.ID, path, "CHILD") {
			env.children[s.ID] = stubbedChild{call, c.Run.ID, c.Run.RunID, path}
			return call
		}
	}
	return nil
}
