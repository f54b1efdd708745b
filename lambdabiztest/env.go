package lambdabiztest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/meaning"
	"github.com/lambdabiz/lambdabiz/memory"
)

// Run runs f in a testing/synctest bubble with an [Env] of its own: an engine on a home in memory, with virtual time.
// When f returns, the worker is stopped and everything that was expected is checked. An orchestration that is open then
// fails the test, unless [Env.AllowOpen] names it; so do goroutines that a stub or a task has left behind.
//
// As in each bubble, f cannot call t.Run, t.Parallel and t.Deadline: call t.Parallel before Run.
func Run(t *testing.T, f func(t *testing.T, env *Env)) {
	t.Helper()
	at := site()
	synctest.Test(t, func(t *testing.T) { scene(t, t, at, nil, f) })
}

// scene is one life of an Env, inside a bubble; at is the line that began it. What the Env complains of goes to tb.
func scene(t *testing.T, tb testing.TB, at string, strike *cut, f func(t *testing.T, env *Env)) {
	t.Helper()
	backend := memory.New()
	env := &Env{
		t: tb, backend: backend, strike: strike, moved: make(chan struct{}), ended: make(chan struct{}), failed: make(chan struct{}),
		runAt: at, at: at, restless: restless, startedAt: map[string]string{}, starts: map[string]int{},
	}
	env.journal.operations = map[operationKey]*called{}
	env.children, env.performing = map[string]stubbedChild{}, map[*Call]int{}
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
	runAt    string // the line that began it

	mu       sync.Mutex
	at       string // the line of the test that called the Env last
	anyOpen  bool   // every orchestration may be open at the end
	mayOpen  []string
	moments  int       // at which something was stored
	moment   time.Time // the last of them
	restless int
	ended    chan struct{} // closed and replaced whenever an orchestration may have ended
	limit    chan struct{} // closed at the moment with the number most
	most     int
	moved    chan struct{} // closed and replaced whenever something is stored
	failed   chan struct{} // closed with the first complaint
	worker   *process
	strike   *cut // nil if no process shall die
	settled  bool // it has settled since the last death
	closing  bool // the world is at rest: nobody dies any more
	revived  chan struct{}
	calls    []*Call
	orders   []order
	children map[string]stubbedChild // by orchestration id

	startedAt  map[string]string // lines, by orchestration id
	starts     map[string]int    // how many run ids of each were made for starts from outside
	performing map[*Call]int     // bodies of stubs that have not returned

	journal journal
	notes   notes
}

// Register makes definitions, tasks, resolvers and error types known, as [lambdabiz.Engine.Register] does. A task or
// a service that is registered is performed; one that is not must be stubbed. It must come before the first Start,
// Raise or Engine.
func (env *Env) Register(items ...lambdabiz.Registrable) {
	env.t.Helper()
	env.enter()
	if env.client != nil {
		env.t.Fatal("lambdabiztest: Register comes too late: the engine runs already (call it before the first Start)")
	}
	env.items = append(env.items, items...)
}

// Configure sets the engine's configuration: a codec, limits, a logger (by default nothing is logged). Of its fields
// PollInterval and Version are the Env's own. It must come before the first Start, Raise or Engine.
func (env *Env) Configure(c lambdabiz.Config) {
	env.t.Helper()
	env.enter()
	if env.client != nil {
		env.t.Fatal("lambdabiztest: Configure comes too late: the engine runs already (call it before the first Start)")
	}
	env.config = c
}

// Engine returns an engine on the test's home, for what the Env has no method for: Cancel, Pause, List, Create. It is a
// client; the worker is another engine, which the Env starts and stops.
func (env *Env) Engine() *lambdabiz.Engine {
	env.t.Helper()
	env.enter()
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
	client, err := env.newProcess()
	env.check(err)
	env.client = client.engine
	worker, err := env.newProcess()
	env.check(err)
	env.check(worker.begin())
	return env.client
}

// Context ends when the test fails, or when the Env does. It is for calls of [Env.Engine].
func (env *Env) Context() context.Context { return env.ctx }

// Raise raises an event in an orchestration, which must be there: unknown and ended ones end the test.
func (env *Env) Raise(id, event string, payload any, opts ...lambdabiz.RaiseOption) {
	env.t.Helper()
	env.check(env.Engine().RaiseEvent(env.ctx, id, event, payload, opts...))
}

// AllowOpen says that these orchestrations may be open when the test's function returns: a test that is about the
// beginning of one, say. Without ids it says so of all. Without it an open one fails the test: most tests that end before
// their orchestrations do have forgotten something.
func (env *Env) AllowOpen(ids ...string) {
	env.mu.Lock()
	defer env.mu.Unlock()
	env.mayOpen = append(env.mayOpen, ids...)
	env.anyOpen = env.anyOpen || len(ids) == 0
}

// State returns the state of an orchestration, which must be there, after everything has happened that needs no time
// to pass, as [Env.Settle] does.
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
	env.enter()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-env.failed:
	}
	synctest.Wait()
	env.check(nil)
}

// Settle waits until nothing moves any more as long as no time passes. Call it before you look at what your fakes have.
// If [CrashEverywhere] has let the process die, it waits for the next one, and lets the [Outage] pass.
func (env *Env) Settle() {
	env.t.Helper()
	env.enter()
	for env.awaitProcess() {
	}
	env.check(nil)
}

// awaitProcess waits until nothing moves, and then for the process that comes after one that has died. It reports
// whether there was one to wait for.
func (env *Env) awaitProcess() bool {
	synctest.Wait()
	env.mu.Lock()
	revived := env.revived
	env.mu.Unlock()
	if revived == nil {
		return false
	}
	select {
	case <-revived:
		return false
	default:
		<-revived
		return true
	}
}

// enter notes which line of the test calls the Env: what goes wrong from now on is reported there.
func (env *Env) enter() {
	at := site()
	env.mu.Lock()
	defer env.mu.Unlock()
	env.at = at
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
	env.faultAtLockedf(env.at, format, args...)
}

// faultAtLockedf is faultLockedf with the line of the test that it is about.
func (env *Env) faultAtLockedf(at, format string, args ...any) {
	complainf(env.t, at, format, args...)
	select {
	case <-env.failed:
	default:
		close(env.failed)
		env.cancel(errors.New("the test has failed"))
	}
}

// tired is closed when something has been stored at too many moments from now on.
func (env *Env) tired() <-chan struct{} {
	env.mu.Lock()
	defer env.mu.Unlock()
	env.limit, env.most = make(chan struct{}), env.moments+env.restless
	return env.limit
}

// storedLocked counts the moments, and wakes those who wait for an orchestration's end if it may be one.
func (env *Env) storedLocked(c *lambdabiz.Commit) {
	if at := time.Now(); !at.Equal(env.moment) {
		env.moment = at
		if env.moments++; env.moments == env.most {
			close(env.limit)
		}
	}
	if c.Run == nil || c.Close != nil || len(c.Controls) > 0 {
		close(env.ended)
		env.ended = make(chan struct{})
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
	var open []*lambdabiz.Record
	if env.client != nil {
		for !env.rests() {
			if env.finished {
				time.Sleep(settling)
			}
			synctest.Wait()
		}
		env.stopWorker()
		env.awaitStubs()
		synctest.Wait()
		if records, err := env.records(); err != nil {
			env.faultf("read what is stored: %v", err)
		} else {
			env.outcome = env.outcomes(records)
			open = env.open(records)
		}
	}
	env.cancel(errors.New("the test is over"))
	if err := env.backend.Close(); err != nil {
		env.t.Error(err)
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	if env.finished && !env.t.Failed() {
		env.checkOpenLocked(open)
		env.checkCallsLocked()
	}
	if env.t.Failed() {
		tellf(env.t, env.runAt, "what was called:\n%s", env.journal.text())
	}
}

// open are the runs that have not ended, and may not be open.
func (env *Env) open(records []*lambdabiz.Record) []*lambdabiz.Record {
	env.mu.Lock()
	defer env.mu.Unlock()
	if env.anyOpen {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(records), func(rec *lambdabiz.Record) bool {
		return rec.Status.Ended() || slices.Contains(env.mayOpen, rec.ID)
	})
}

func (env *Env) checkOpenLocked(open []*lambdabiz.Record) {
	for _, rec := range open {
		s := &lambdabiz.State{RunInfo: rec.RunInfo}
		for i := range rec.Operations {
			if o := &rec.Operations[i]; !o.Status.Ended() {
				s.WaitingFor = append(s.WaitingFor, lambdabiz.Waiting{Operation: o.ID, Kind: o.Kind, Name: o.Name, Until: o.DueAt})
			}
		}
		for i := range rec.Messages {
			if m := &rec.Messages[i]; m.Kind == lambdabiz.MessageEvent {
				s.Events = append(s.Events, lambdabiz.Buffered{Number: m.Number, Name: m.Name})
			}
		}
		env.faultAtLockedf(cmp.Or(env.startedAt[rec.ID], env.runAt),
			"orchestration %s (%s) is still open at the end of the test: it is %s\n"+
				"let it end (Result, Advance, Raise, Cancel), or call env.AllowOpen(%q) if this is meant",
			rec.ID, rec.Name, openText(s), rec.ID)
	}
}

// awaitStubs waits until the bodies of stubs have returned: one that sleeps for an hour needs no time.
func (env *Env) awaitStubs() {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		env.mu.Lock()
		performing, moved := len(env.performing), env.moved
		env.mu.Unlock()
		if performing == 0 {
			return
		}
		select {
		case <-moved:
		case <-late.C:
			env.mu.Lock()
			defer env.mu.Unlock()
			for c := range env.performing {
				env.faultAtLockedf(c.at, "the %s has not returned ten virtual years after the end of the test", c.name())
			}
			return
		}
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

// meanings compares payloads by what they mean.
func (env *Env) meanings() meaning.Codec {
	return meaning.Codec{
		Encode: func(v any) ([]byte, error) { return env.codec().Encode(v) },
		Decode: func(p []byte, v any) error { return env.codec().Decode(p, v) },
	}
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
	env.mu.Lock()
	env.startedAt[id] = env.at
	env.mu.Unlock()
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

// restless is at how many moments something is stored while Result waits: a loop that goes on for ever takes real time in
// each of its rounds.
const restless = 20_000

// Result waits until the orchestration has ended, and returns what it returned: a *lambdabiz.OrchestrationError if it
// ended without success. One that waits for an event that nobody raises, or polls for ever, ends the test: Result waits
// for ten virtual years at most, and until something was stored at 20,000 different moments.
func (s *Started[Out]) Result() (Out, error) {
	env := s.env
	env.t.Helper()
	env.enter()
	began, late, runID, over := time.Now(), time.NewTimer(patience), s.run.RunID(), ""
	defer late.Stop()
	tired := env.tired()
	for {
		env.mu.Lock()
		ended := env.ended
		env.mu.Unlock()
		state, err := s.reached(context.WithoutCancel(env.ctx), runID)
		env.check(err)
		switch runID = state.RunID; {
		case state.Status.Ended() && state.ContinuedAs != "":
			runID = state.ContinuedAs
			continue
		case state.Status.Ended():
			out, err := s.run.Result(env.ctx)
			env.check(nil)
			return out, err
		case over != "":
			env.t.Fatalf("lambdabiztest: orchestration %s has not ended %s: it is %s", s.ID(), over, openText(state))
		}
		select {
		case <-ended:
		case <-env.failed:
			env.t.FailNow()
		case <-tired:
			over = fmt.Sprintf("in %v, though something was stored at %d moments", time.Since(began), env.restless)
		case <-late.C:
			over = "after ten virtual years"
		}
	}
}

// reached is the state of a run, or of the one that its chain has come to if the test has purged it.
func (s *Started[Out]) reached(ctx context.Context, runID string) (*lambdabiz.State, error) {
	state, err := s.env.client.StateOf(ctx, s.ID(), runID)
	if !errors.Is(err, lambdabiz.ErrNotFound) {
		return state, err
	}
	latest, lost := s.env.client.State(ctx, s.ID())
	if lost != nil || !latest.Continues(runID) {
		return nil, err
	}
	return latest, nil
}

// openText says how an open orchestration is, what it waits for, and what has come that it does not.
func openText(s *lambdabiz.State) string {
	var b strings.Builder
	b.WriteString(s.Status.String())
	if s.Paused {
		b.WriteString(" and paused")
	}
	for _, w := range s.WaitingFor {
		fmt.Fprintf(&b, ", operation %q waits for %s", w.Operation, w.Kind)
		if w.Name != "" {
			fmt.Fprintf(&b, " %q", w.Name)
		}
		if !w.Until.IsZero() {
			fmt.Fprintf(&b, " until %s", w.Until.UTC().Format(time.RFC3339))
		}
	}
	for _, e := range s.Events {
		fmt.Fprintf(&b, ", nobody has taken event %d (%q)", e.Number, e.Name)
	}
	return b.String()
}
