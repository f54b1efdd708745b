package lambdabiz

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/alarm"
	"github.com/lambdabiz/lambdabiz/internal/delay"
	"github.com/lambdabiz/lambdabiz/internal/idle"
	"github.com/lambdabiz/lambdabiz/internal/seam"
	"github.com/lambdabiz/lambdabiz/internal/slots"
	"github.com/lambdabiz/lambdabiz/internal/spare"
)

// Config sets up an [Engine]. The zero value works.
type Config struct {
	// Logger gets everything that the engine and orchestrations log, with the ids of orchestration,
	// run and operation, and never a payload. The default is slog.Default().
	Logger *slog.Logger

	// Codec makes payloads of values. The default is JSONCodec. All engines on one store need the
	// same.
	Codec Codec

	// Hooks are called by the engine for telemetry. The default is none.
	Hooks Hooks

	// Version names the code of this process. A run that was blocked by another version is tried
	// again as soon as a worker with this one starts. The default is the revision that the binary was
	// built from, or else the size and time of the executable.
	Version string

	// Lease is how long a worker may be silent before another one takes its runs over. The default
	// is 15 s, the least 1 s. Where the leases of two workers differ, the longer one counts between them.
	Lease time.Duration

	// PollInterval is how often a worker looks for what other processes did, for backends that do
	// not tell. The default is 200 ms. Negative means never: for a store that only this process uses.
	PollInterval time.Duration

	// DrainTimeout is how long a worker that stops lets tasks and steps go on before it ends their
	// contexts. What does not end then is run again elsewhere. The default is 20 s.
	DrainTimeout time.Duration

	// ParkAfter is how long an orchestration that only waits stays in memory. The default is 1 min.
	ParkAfter time.Duration

	// MemoryBudget bounds the memory of orchestrations that only wait, by estimate, with the events that wait
	// in them; the least recently used are parked first. What wakes within ten seconds stays. The default is 32 MiB.
	MemoryBudget int64

	// MaxResident bounds the orchestrations that this process runs at the same time, where it holds them
	// until it releases them: not on a home where a commit ends the claim (Amazon SWF). When others are due,
	// those that only wait are parked for them, the longest idle first. Children that one commit starts may
	// exceed it for a while. The default is 10,000.
	MaxResident int

	// TaskQueues are the queues whose tasks and services this worker performs, on a home that hands them
	// out (Amazon SWF). The default is the home's own.
	TaskQueues []string

	// MaxTasks bounds the bodies of tasks, steps and services that this process performs at the same time, whatever
	// orchestrations they belong to; who comes first is served first. The time limits of an attempt count from when its
	// body begins. A body that goes on after its time-out is not counted any more. A home that hands tasks out (Amazon
	// SWF) counts those apart: of each kind and each queue. The default is no limit, and 100 for tasks that are handed out.
	MaxTasks int

	// MaxPayloadBytes limits each input, result, event and progress value. The default is 1 MiB, or
	// the backend's limit when that is lower. The request and the response of a service call may have
	// half as much again, up to the backend's limit: a body of this size then fits in any encoding.
	MaxPayloadBytes int
}

// Engine runs orchestrations on a backend and answers for them. It is a client until [Engine.Run]
// makes it a worker too. Its methods may be called by many goroutines at once.
type Engine struct {
	env

	backend  Backend    // guarded
	waker    Waker      // nil if the backend is none
	informer Informer   // the same
	locked   Locked     // the same
	queue    Queue      // the same
	kept     spare.Pool // goroutines that call the backend; kept while the engine is a worker

	kicks chan struct{}
	busy  chan struct{} // receives when the first run has come

	mu        sync.Mutex
	residents map[string]*run          // by run id
	byID      map[string]*run          // the latest resident of an orchestration id
	hands     map[string][]*run        // driven by hand, by id
	early     map[string]earlyMessages // by run id
	swept     time.Time                // when what has left was last taken out of early
	watchers  map[string][]chan<- bool // who waits for an orchestration's end, by its id
	unserved  map[string]bool          // definitions that were started and are not registered here
	starting  int                      // starts of clients on their way that may claim, and claims being taken in
	claiming  int                      // runs that a claim on its way may bring
	accepting bool                     // a worker that is not draining
	claimer   int64                    // the worker whose claims may enter residents; 0 for none
	running   bool                     // Run has begun
	drained   chan struct{}            // closed when the last resident has left, while the worker drains
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
	e := &Engine{
		backend: guardedBackend{b}, kicks: make(chan struct{}, 1), busy: make(chan struct{}, 1),
		residents: map[string]*run{}, byID: map[string]*run{}, early: map[string]earlyMessages{},
		hands: map[string][]*run{}, watchers: map[string][]chan<- bool{},
		unserved: map[string]bool{},
	}
	v := &e.env
	v.desc, v.config, v.endsClaim, v.version = desc, c, desc.CommitEndsClaim, cmp.Or(c.Version, codeVersion())
	v.payloads = newPayloads(c.Codec, c.MaxPayloadBytes, desc.MaxPayloadBytes)
	v.registry = newRegistry(desc.MaxFailureBytes)
	v.lines = newLines(c.Logger.Handler())
	v.log = v.lines.log()
	v.hooks = newHookCaller(c.Hooks, v.log)
	v.interceptor, _ = b.(seam.Interceptor)
	v.slots = slots.New(c.MaxTasks)
	v.committer = newCommitter(b, max(desc.Lanes, 1), max(desc.BatchSize, 1), v.hooks, &e.kept)
	v.alarms = alarm.New((*run).ring)
	v.flushes = delay.New(flushDelay, (*run).flushIfLate)
	v.idle = idle.New(idle.Limits{After: c.ParkAfter, Budget: c.MemoryBudget}, (*run).park)
	v.owner = e
	e.waker, _ = b.(Waker)
	e.informer, _ = b.(Informer)
	e.locked, _ = b.(Locked)
	if queue, ok := b.(Queue); ok {
		e.queue = guardedQueue{queue}
	}
	return e, nil
}

// minLease is the shortest lease: beats come three times as often, and a disk or a scheduler may be slow.
const minLease = time.Second

func (c *Config) fill() error {
	for name, d := range map[string]time.Duration{
		"Lease": c.Lease, "DrainTimeout": c.DrainTimeout, "ParkAfter": c.ParkAfter,
	} {
		if d < 0 {
			return fmt.Errorf("configure engine: %s is %v, it must be positive, or 0 for its default", name, d)
		}
	}
	if c.Lease > 0 && c.Lease < minLease {
		return fmt.Errorf("configure engine: Lease is %v, it must be %v at least, or 0 for its default: "+
			"a worker that is only slow would be taken for dead", c.Lease, minLease)
	}
	if c.MaxPayloadBytes < 0 || c.MaxResident < 0 || c.MemoryBudget < 0 || c.MaxTasks < 0 {
		return errors.New("configure engine: MaxPayloadBytes, MaxResident, MemoryBudget and MaxTasks must be " +
			"positive, or 0 for their defaults")
	}
	for _, queue := range c.TaskQueues {
		if err := checkID("queue", queue); err != nil {
			return fmt.Errorf("configure engine: TaskQueues: %w", err)
		}
	}
	c.TaskQueues = slices.Clone(c.TaskQueues)
	if len(c.TaskQueues) == 0 {
		c.TaskQueues = []string{""}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Codec == nil {
		c.Codec = JSONCodec{}
	}
	orDefault(&c.Lease, 15*time.Second)
	orDefault(&c.PollInterval, 200*time.Millisecond)
	orDefault(&c.DrainTimeout, 20*time.Second)
	orDefault(&c.ParkAfter, time.Minute)
	orDefault(&c.MemoryBudget, 32<<20)
	orDefault(&c.MaxResident, 10_000)
	orDefault(&c.MaxPayloadBytes, 1<<20)
	return nil
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Register makes definitions, tasks and error types known by name. It is done before [Engine.Run]: other
// workers and clients know the names that were registered by then. A task that is only called by value
// need not be registered. A name that is registered already is an error, unless it is the same value.
func (e *Engine) Register(items ...Registrable) error { return e.registry.add(items) }

// Decode reads a payload of a [State] or of a Run[Payload] with the engine's codec.
func (e *Engine) Decode(p Payload, v any) error { return e.decode("payload", p, v) }

// outcomeError is the error of an orchestration that ended with the status.
func (e *Engine) outcomeError(id, name string, status Status, failure *Failure) error {
	cause := e.registry.rebuild(failure)
	if cause == nil && status == StatusTerminated {
		cause = ErrTerminated
	}
	return &OrchestrationError{ID: id, Name: name, Status: status, Err: cause}
}

// kick makes the worker look for work now.
func (e *Engine) kick() {
	select {
	case e.kicks <- struct{}{}:
	default:
	}
}

// wants reports whether a new run of the definition may be claimed with its start; counted is how many of the
// starts on their way are this one.
func (e *Engine) wants(name string, counted int) bool {
	if e.registry.definition(name) == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.accepting && len(e.residents)+e.starting-counted+e.claiming < e.config.MaxResident
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
