package lambdabiz

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/alarm"
	"github.com/lambdabiz/lambdabiz/internal/delay"
	"github.com/lambdabiz/lambdabiz/internal/idle"
	"github.com/lambdabiz/lambdabiz/internal/probe"
	"github.com/lambdabiz/lambdabiz/internal/slots"
	"github.com/lambdabiz/lambdabiz/internal/spare"
)

// Engine runs orchestrations on a backend and answers for them. It is a client until [Engine.Run]
// makes it a worker too. Its methods may be called by many goroutines at once.
type Engine struct {
	env
	residents
	registry *registry

	backend  Backend      // guarded
	waker    Waker        // nil if the backend is none
	informer Informer     // the same
	locked   Locked       // the same
	counter  Counter      // the same
	watcher  Watcher      // the same, guarded
	waiting  *waitingRoom // the same: it has an Ender
	queue    Queue        // the same
	kept     spare.Pool   // goroutines that call the backend; kept while the engine is a worker

	unserved sync.Map    // of names: definitions that were started and are not registered here
	running  atomic.Bool // Run has begun
}

// New makes an engine on a backend, without I/O. It returns an error for a config that cannot work.
func New(b Backend, c Config) (*Engine, error) {
	if b == nil {
		return nil, errors.New("configure engine: Backend is nil (open one with sqlite.Open or memory.New)")
	}
	if err := c.fill(); err != nil {
		return nil, err
	}
	desc := b.Describe()
	if desc.Spread {
		orDefault(&c.MaxActive, max(2*256, 16*runtime.GOMAXPROCS(0)))
	}
	orDefault(&c.MaxActive, c.MaxResident)
	e := &Engine{
		backend: guardedBackend{b}, residents: newResidents(c.MaxResident, c.MaxActive, desc.CommitEndsClaim),
	}
	if desc.Spread {
		e.piece = claimsOfMany
	}
	v := &e.env
	v.desc, v.config, v.endsClaim, v.version = desc, c, desc.CommitEndsClaim, cmp.Or(c.Version, codeVersion())
	v.payloads = newPayloads(c.Codec, c.MaxPayloadBytes, desc.MaxPayloadBytes)
	e.registry = newRegistry(desc.MaxFailureBytes)
	v.failures = &e.registry.errorRegistry
	v.lines = newLines(c.Logger.Handler())
	v.log = v.lines.log()
	v.hooks = newHookCaller(c.Hooks, v.log)
	v.interceptor, _ = b.(probe.Interceptor)
	v.slots = slots.New(c.MaxTasks)
	v.committer = newCommitter(b, &v.desc, v.hooks, &e.kept)
	if t, ok := b.(Transactor); ok {
		v.transactor = &guardedTransactor{t}
	}
	v.alarms = alarm.New(resident.ring)
	v.flushes = delay.New(flushDelay, resident.flushIfLate)
	v.idle = idle.New(idle.Limits{After: c.ParkAfter, Budget: c.MemoryBudget}, resident.park)
	v.owner = e
	e.waker, _ = b.(Waker)
	e.informer, _ = b.(Informer)
	e.locked, _ = b.(Locked)
	e.counter, _ = b.(Counter)
	if ender, ok := b.(Ender); ok {
		e.waiting = newWaitingRoom(ender, e.resultPoll)
	}
	if watcher, ok := b.(Watcher); ok {
		e.watcher = guardedWatcher{watcher}
	}
	if queue, ok := b.(Queue); ok {
		e.queue = guardedQueue{queue}
	}
	return e, nil
}

// Register makes definitions, tasks and error types known by name. It is done before [Engine.Run]: other
// workers and clients know the names that were registered by then. A task that is only called by value
// need not be registered. A name that is registered already is an error, unless it is the same value.
func (e *Engine) Register(items ...Registrable) error { return e.registry.add(items) }

// Decode reads a payload of a [State] or of a Run[Payload] with the engine's codec.
func (e *Engine) Decode(p Payload, v any) error { return e.decode("payload", p, v) }

// outcomeError is the error of an orchestration that ended with the status.
func (e *Engine) outcomeError(id, name string, status Status, failure *Failure) error {
	cause := e.failures.rebuild(failure)
	if cause == nil && status == StatusTerminated {
		cause = ErrTerminated
	}
	return &OrchestrationError{ID: id, Name: name, Status: status, Err: cause}
}

// wants reports whether a run of the definition can run here.
func (e *Engine) wants(name string) bool { return e.registry.definition(name) != nil }

func (e *Engine) claim(ctx context.Context, req ClaimRequest) (Claims, error) {
	return e.backend.Claim(ctx, req)
}

func (e *Engine) wake() <-chan struct{} {
	if e.waker == nil {
		return nil
	}
	return e.waker.Wake()
}

// resultPoll is how often a waiting client looks: seldom when this process runs orchestrations itself
// and so learns of their ends.
func (e *Engine) resultPoll() time.Duration {
	switch {
	case e.config.PollInterval < 0:
		return time.Duration(1<<62 - 1)
	case e.isAccepting():
		return max(5*time.Second, e.desc.PollEvery)
	default:
		return max(e.config.PollInterval, 20*time.Millisecond, e.desc.PollEvery)
	}
}

// Close closes the backend. A worker must have stopped before. What hooks and the log handler are still to be told
// they are told before, unless that takes longer than two seconds.
func (e *Engine) Close() error {
	e.settleNotices()
	return e.backend.Close()
}

// settleNotices waits until hooks and the log handler have been told all, but not for long.
func (e *Engine) settleNotices() {
	e.hooks.settle()
	e.lines.settle()
}
