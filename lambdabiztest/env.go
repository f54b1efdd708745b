package lambdabiztest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// Run runs f in a testing/synctest bubble with an [Env] of its own: an engine on a home in memory, with virtual time.
// When f returns, the worker is stopped and everything that was expected is checked. Orchestrations may be open then;
// goroutines that a stub or a task has left behind fail the test.
func Run(t *testing.T, f func(t *testing.T, env *Env)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { scene(t, t, nil, f) })
}

// scene is one life of an Env, inside a bubble. What the Env complains of goes to tb.
func scene(t *testing.T, tb testing.TB, strike *cut, f func(t *testing.T, env *Env)) {
	t.Helper()
	backend, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	env := &Env{t: tb, backend: backend, strike: strike, moved: make(chan struct{}), failed: make(chan struct{})}
	env.journal.operations = map[operationKey]*called{}
	env.children = map[string]stubbedChild{}
	env.notes.effects, env.notes.same = map[string]int{}, map[string]string{}
	env.ctx, env.cancel = context.WithCancelCause(t.Context())
	defer env.end()
	f(t, env)
	env.finished = true
}

// Env is the world of one test: an engine in memory, stubs and expectations. Its methods are for the test's own
// goroutine; those that cannot do what they are asked for end the test.
type Env struct {
	t       testing.TB
	ctx     context.Context //nolint:containedctx // the test's
	cancel  context.CancelCauseFunc
	backend *memory.Backend
	config  lambdabiz.Config
	items   []lambdabiz.Registrable
	client  *lambdabiz.Engine // nil until the first use

	finished bool // the test's function has returned
	outcome  map[string]*outcome

	mu       sync.Mutex
	moved    chan struct{} // closed and replaced whenever something is stored
	failed   chan struct{} // closed with the first complaint
	worker   *process
	strike   *cut // nil if no process shall die
	settled  bool // it has settled since the last death
	closing  bool // the world is at rest: nobody dies any more
	revived  chan struct{}
	calls    []*Call
	orders   [][]*Call
	children map[string]stubbedChild // by orchestration id
	journal  journal
	notes    notes
}

// Register makes definitions, tasks, resolvers and error types known, as [lambdabiz.Engine.Register] does. A task or
// a service that is registered is performed; one that is not must be stubbed. It must come before the first Start,
// Raise or Engine.
func (env *Env) Register(items ...lambdabiz.Registrable) {
	env.t.Helper()
	if env.client != nil {
		env.t.Fatal("lambdabiztest: Register comes too late: the engine runs already (call it before the first Start)")
	}
	env.items = append(env.items, items...)
}

// Configure sets the engine's configuration: a codec, limits, a logger (by default nothing is logged). Of its fields
// PollInterval and Version are the Env's own. It must come before the first Start, Raise or Engine.
func (env *Env) Configure(c lambdabiz.Config) {
	env.t.Helper()
	if env.client != nil {
		env.t.Fatal("lambdabiztest: Configure comes too late: the engine runs already (call it before the first Start)")
	}
	env.config = c
}

// Engine returns an engine on the test's home, for what the Env has no method for: Cancel, Pause, List, Create. It is a
// client; the worker is another engine, which the Env starts and stops.
func (env *Env) Engine() *lambdabiz.Engine {
	env.t.Helper()
	if env.client != nil {
		return env.client
	}
	if env.config.Logger == nil {
		env.config.Logger = slog.New(slog.DiscardHandler)
	}
	if env.config.Codec == nil {
		env.config.Codec = lambdabiz.JSONCodec{}
	}
	env.config.PollInterval, env.config.Version = -1, "test"
	env.client = env.newProcess().engine
	if err := env.newProcess().begin(); err != nil {
		env.t.Fatal(err)
	}
	return env.client
}

// Context ends when the test fails, or when the Env does. It is for calls of [Env.Engine].
func (env *Env) Context() context.Context { return env.ctx }

// Raise raises an event in an orchestration, which must be there: unknown and ended ones end the test.
func (env *Env) Raise(id, event string, payload any, opts ...lambdabiz.RaiseOption) {
	env.t.Helper()
	env.check(env.Engine().RaiseEvent(env.ctx, id, event, payload, opts...))
}

// State returns the state of an orchestration, which must be there, after everything has happened that needs no time
// to pass.
func (env *Env) State(id string) *lambdabiz.State {
	env.t.Helper()
	env.Settle()
	s, err := env.Engine().State(env.ctx, id)
	env.check(err)
	return s
}

// Advance lets virtual time pass, and everything happen that is due in it. It ends early only with the test.
func (env *Env) Advance(d time.Duration) {
	env.t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-env.failed:
	}
	env.Settle()
}

// Settle waits until nothing moves any more as long as no time passes.
func (env *Env) Settle() {
	env.t.Helper()
	synctest.Wait()
	env.check(nil)
}

// check ends the test if there is an error, or if the Env has complained.
func (env *Env) check(err error) {
	env.t.Helper()
	select {
	case <-env.failed:
		env.t.FailNow()
	default:
	}
	if err != nil {
		env.t.Fatal(err)
	}
}

// faultf fails the test. It may be called by any goroutine, and does not end it: the test's own goroutine ends at its
// next call of the Env.
func (env *Env) faultf(format string, args ...any) {
	env.mu.Lock()
	defer env.mu.Unlock()
	env.faultLockedf(format, args...)
}

func (env *Env) faultLockedf(format string, args ...any) {
	env.t.Errorf("lambdabiztest: "+format, args...)
	select {
	case <-env.failed:
	default:
		close(env.failed)
		env.cancel(errors.New("the test has failed"))
	}
}

// moveLocked wakes those who wait for something to be stored.
func (env *Env) moveLocked() {
	close(env.moved)
	env.moved = make(chan struct{})
}

// end stops everything, and checks what was expected if nothing has failed yet.
func (env *Env) end() {
	env.t.Helper()
	if env.client != nil {
		for !env.rests() {
			if env.finished {
				time.Sleep(settling)
			}
			synctest.Wait()
		}
		env.stopWorker()
		synctest.Wait()
		env.outcome = env.outcomes()
	}
	env.cancel(errors.New("the test is over"))
	if err := env.backend.Close(); err != nil {
		env.t.Error(err)
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	if env.finished && !env.t.Failed() {
		env.checkCallsLocked()
	}
	if env.t.Failed() {
		env.t.Logf("lambdabiztest: what was called:\n%s", env.journal.text())
	}
}

// settling is how long the world goes on after the test's function has returned: what a stub has just given is recorded
// in it.
const settling = 10 * time.Millisecond

// rests waits until a process that has died is replaced, and reports whether none has died since it was called last.
func (env *Env) rests() bool {
	env.mu.Lock()
	defer env.mu.Unlock()
	revived := env.revived
	if revived == nil && env.settled {
		env.closing = true
		return true
	}
	env.revived, env.settled = nil, true
	if revived != nil {
		env.mu.Unlock()
		<-revived
		env.mu.Lock()
	}
	return false
}

func (env *Env) stopWorker() {
	env.mu.Lock()
	worker := env.worker
	env.mu.Unlock()
	if worker != nil {
		if err := worker.stop(); err != nil {
			env.t.Errorf("lambdabiztest: stop the worker: %v", err)
		}
	}
}

// encode makes a payload as the engine does.
func (env *Env) encode(v any) (lambdabiz.Payload, error) {
	if p, raw := v.(lambdabiz.Payload); raw {
		return p, nil
	}
	return env.codec().Encode(v)
}

func (env *Env) codec() lambdabiz.Codec {
	if env.config.Codec == nil {
		return lambdabiz.JSONCodec{}
	}
	return env.config.Codec
}

// Started is a handle to an orchestration that [Start] has started.
type Started[Out any] struct {
	env *Env
	run *lambdabiz.Run[Out]
}

// Start starts an orchestration, as [lambdabiz.Start] does. Its definition must be registered.
func Start[In, Out any](
	env *Env, d *lambdabiz.Definition[In, Out], id string, in In, opts ...lambdabiz.StartOption,
) *Started[Out] {
	env.t.Helper()
	engine := env.Engine()
	if !env.serves(d.Name()) {
		env.t.Fatalf("lambdabiztest: start orchestration %s: its definition %q is not registered (call env.Register first)", id, d.Name())
	}
	run, err := lambdabiz.Start(env.ctx, engine, d, id, in, opts...)
	env.check(err)
	return &Started[Out]{env, run}
}

// ID is the orchestration id.
func (s *Started[Out]) ID() string { return s.run.ID() }

// State is [Env.State] of the orchestration.
func (s *Started[Out]) State() *lambdabiz.State {
	s.env.t.Helper()
	return s.env.State(s.ID())
}

// patience is how long Result waits. It is virtual: if the orchestration waits for something that never comes, nothing
// happens meanwhile.
const patience = 10 * 365 * 24 * time.Hour

// Result waits until the orchestration has ended, for ten virtual years at most, and returns what it returned: a
// *lambdabiz.OrchestrationError if it ended without success. One that waits for an event that nobody raises ends the
// test.
func (s *Started[Out]) Result() (Out, error) {
	env := s.env
	env.t.Helper()
	runID, late := s.run.RunID(), time.NewTimer(patience)
	defer late.Stop()
	for {
		env.mu.Lock()
		moved := env.moved
		env.mu.Unlock()
		state, err := env.client.StateOf(context.WithoutCancel(env.ctx), s.ID(), runID)
		env.check(err)
		switch {
		case state.Status.Ended() && state.ContinuedAs != "":
			runID = state.ContinuedAs
			continue
		case state.Status.Ended():
			out, err := s.run.Result(env.ctx)
			env.check(nil)
			return out, err
		}
		select {
		case <-moved:
		case <-env.failed:
			env.t.FailNow()
		case <-late.C:
			env.t.Fatalf("lambdabiztest: orchestration %s has not ended after ten virtual years: it is %s%s",
				s.ID(), state.Status, waitsFor(state))
		}
	}
}

// waitsFor says what an open orchestration waits for.
func waitsFor(s *lambdabiz.State) string {
	var b strings.Builder
	for _, w := range s.WaitingFor {
		fmt.Fprintf(&b, ", operation %q waits for %s %q", w.Operation, w.Kind, w.Name)
	}
	return b.String()
}
