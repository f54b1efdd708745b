package lambdabiz

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
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

	// Lease is how long a worker may be silent before another one takes its runs over: it beats three times as often,
	// and is taken over from at most four thirds of the lease after its last beat, where more than two workers die at
	// once at most five thirds. The default is 7.5 s, so that is at most 10 s; the least is 1 s. Where the leases of two
	// workers differ, the longer one counts between them.
	Lease time.Duration

	// PollInterval is how often a worker looks for what other processes did, for backends that do
	// not tell; one that listens (PostgreSQL) names longer pauses while it does. The default is 200 ms. Negative means
	// never: for a store that only this process uses.
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
	// those that only wait are parked for them, the longest idle first. The default is 10,000.
	MaxResident int

	// MaxActive bounds the orchestrations that this worker takes on at the same time: it claims no more than there is room
	// for, and leaves the others as rows, for other workers or for later. Those count whose code or bodies run, or have not
	// begun, or wait for their turn by MaxTasks; those that only wait, for a timer, an event or a child, do not. What this
	// process holds already goes on when it wakes, whatever the number. A body that waits for another orchestration
	// keeps its place meanwhile: call that one as a child instead. It does not count on a home where a commit ends
	// the claim (Amazon SWF), which hands out one at a time. The default is MaxResident where all workers are on one machine,
	// and else (PostgreSQL: Description.Spread) 512, or 16 for each processor if that is more: as many as fill two batches of commits. Less
	// spreads long work better; more is for bodies that mostly wait for other services.
	MaxActive int

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
	if c.MaxPayloadBytes < 0 || c.MaxResident < 0 || c.MaxActive < 0 || c.MemoryBudget < 0 || c.MaxTasks < 0 {
		return errors.New("configure engine: MaxPayloadBytes, MaxResident, MaxActive, MemoryBudget and MaxTasks must be " +
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
	orDefault(&c.Lease, 7500*time.Millisecond)
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

// minLease is the shortest lease: beats come three times as often, and a disk or a scheduler may be slow.
const minLease = time.Second
