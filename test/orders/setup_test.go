package orders_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// home is a store that the tests run on.
type home struct {
	name string
	open func(t *testing.T) (lambdabiz.Backend, error)
}

var homes = []home{
	{"memory", inMemory(memory.Config{})},
	{"sqlite", func(t *testing.T) (lambdabiz.Backend, error) {
		return sqlite.Open(filepath.Join(directory(t), "test.db"))
	}},
	{"memory, a commit ends the claim", inMemory(memory.Config{CommitEndsClaim: true})},
	{"memory, and performs timers", inMemory(memory.Config{
		CommitEndsClaim: true, Performs: []lambdabiz.Kind{lambdabiz.KindTimer},
	})},
}

// directory is one in memory, where there is such: what a disk keeps is tested elsewhere, and the orders here
// are many.
func directory(t *testing.T) string {
	t.Helper()
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err != nil || !info.IsDir() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(shared, "lambdabiz-orders-") //nolint:usetesting // t.TempDir is on the disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func inMemory(c memory.Config) func(t *testing.T) (lambdabiz.Backend, error) {
	return func(*testing.T) (lambdabiz.Backend, error) { return memory.NewWith(c) }
}

// stage is one store with the engines on it, in a bubble of virtual time. What the checks find is kept as
// complaints, so that a test can fail with them and its twin can ask for them.
type stage struct {
	ctx    context.Context //nolint:containedctx // the bubble's
	home   home
	store  lambdabiz.Backend // without any decorator
	stops  []func()
	mu     sync.Mutex
	faults []string
	known  map[string]string // the outcome of each run that has been seen ended
}

// perform plays f on a new store of the home, in virtual time, and returns what the checks complained of.
func (h home) perform(t *testing.T, f func(s *stage)) string {
	t.Helper()
	var s *stage
	synctest.Test(t, func(t *testing.T) {
		// Virtual time passes for ever while a worker polls: a test that hangs must end.
		ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
		defer cancel()
		store, err := h.open(t)
		if err != nil {
			t.Fatal(err)
		}
		s = &stage{ctx: ctx, home: h, store: store, known: map[string]string{}}
		defer func() {
			s.stop()
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(s)
		s.stop()
		s.audit()
	})
	return strings.Join(s.faults, "\n")
}

// complainf notes that a check has failed.
func (s *stage) complainf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) < 20 { // the first ones say what is wrong
		s.faults = append(s.faults, s.home.name+": "+fmt.Sprintf(format, args...))
	}
}

// must complains of an error.
func (s *stage) must(err error, doing string) bool {
	if err != nil {
		s.complainf("%s: %v", doing, err)
	}
	return err == nil
}

// engine makes an engine on the store as b shows it.
func (s *stage) engine(b lambdabiz.Backend, c lambdabiz.Config, items ...lambdabiz.Registrable) *lambdabiz.Engine {
	if c.PollInterval == 0 {
		c.PollInterval = time.Second
	}
	c.Logger = slog.New(slog.DiscardHandler)
	e, err := lambdabiz.New(b, c)
	if err == nil {
		err = e.Register(items...)
	}
	if err != nil {
		panic(err) // a mistake of the test's own
	}
	return e
}

// work makes an engine a worker until the stage ends, or the returned function is called.
func (s *stage) work(e *lambdabiz.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); !errors.Is(err, errCut) { // it may be killed before it has joined
			s.must(err, "run engine")
		}
	}()
	stop = func() {
		cancel()
		<-done // not a sync.Once: in a bubble nobody may wait for a mutex while time is to pass
	}
	s.stops = append(s.stops, stop)
	return stop
}

// worker makes an engine that works at once.
func (s *stage) worker(b lambdabiz.Backend, c lambdabiz.Config, items ...lambdabiz.Registrable) (*lambdabiz.Engine, func()) {
	e := s.engine(b, c, items...)
	stop := s.work(e)
	synctest.Wait()
	return e, stop
}

// kill ends a worker's process, which reaches the store through c: it releases nothing. What it held can be
// claimed when kill returns; its goroutines end later.
func (s *stage) kill(c *cut, stop func()) {
	c.die()
	workers, err := s.store.Workers(s.ctx)
	s.must(err, "list workers")
	dead := c.workers()
	for _, w := range workers {
		if slices.Contains(dead, w.Number) {
			s.must(s.store.Leave(s.ctx, w.Number, w.Beat), "leave for a dead worker")
		}
	}
	go stop()
}

// shortLife is the configuration of a worker that may be killed: its goroutines do not wait for long.
func shortLife(c lambdabiz.Config) lambdabiz.Config {
	c.DrainTimeout = time.Millisecond
	return c
}

// pass lets virtual time pass, and waits for no real one.
func pass(d time.Duration) { time.Sleep(d) }

// stop ends all workers.
func (s *stage) stop() {
	for _, stop := range s.stops {
		stop()
	}
	s.stops = nil
	time.Sleep(time.Minute) // what is held back on its way arrives
	synctest.Wait()
}

// load reads the latest run of an id.
func (s *stage) load(id string) (*lambdabiz.Record, bool) {
	rec, err := s.store.Load(s.ctx, id, "")
	return rec, s.must(err, "load "+id)
}

// find finds an operation of a record by its path.
func find(rec *lambdabiz.Record, path string) *lambdabiz.Operation {
	for i := range rec.Operations {
		if rec.Operations[i].ID == path {
			return &rec.Operations[i]
		}
	}
	return nil
}

// outcome waits for the end of a run, for two minutes at most: all that is played takes less than ten seconds.
func outcome[Out any](s *stage, run *lambdabiz.Run[Out]) (Out, error) {
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Minute)
	defer cancel()
	out, err := run.Result(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		s.complainf("%s has not ended within two minutes: %s", run.ID(), s.plight(run.ID()))
	}
	return out, err
}

// plight says what keeps a run from its end.
func (s *stage) plight(id string) string {
	rec, err := s.store.Load(s.ctx, id, "")
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("it is %v, held by worker %d, wakes at %v, has %d operations and %d messages at %v", rec.Status,
		rec.Worker, rec.WakeAt, len(rec.Operations), len(rec.Messages), time.Now())
	if rec.Blocked != nil {
		text += ", blocked: " + rec.Blocked.Reason
	}
	for _, o := range rec.Operations {
		if !o.Status.Ended() {
			return text + fmt.Sprintf(", and waits for %+v", o)
		}
	}
	return text
}

// result waits for an outcome that must be a success.
func result[Out any](s *stage, run *lambdabiz.Run[Out]) Out {
	out, err := outcome(s, run)
	s.must(err, "result of "+run.ID())
	return out
}

// begin starts an orchestration that must be accepted.
func begin[In, Out any](
	s *stage, e *lambdabiz.Engine, d *lambdabiz.Definition[In, Out], id string, in In, opts ...lambdabiz.StartOption,
) *lambdabiz.Run[Out] {
	run, err := lambdabiz.Start(s.ctx, e, d, id, in, opts...)
	if !s.must(err, "start "+id) {
		return lambdabiz.Get(e, d, id)
	}
	return run
}

// tally counts what happened, by name.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) add(what string, n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[what] += n
	return c.n[what]
}

func (c *tally) get(what string) int { return c.add(what, 0) }

// upTo is a random duration of whole milliseconds from 0 to n.
func upTo(random *rand.Rand, n int) time.Duration {
	return time.Duration(random.IntN(n+1)) * time.Millisecond
}

// dice is a source of numbers for many goroutines.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (d *dice) upTo(n int) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return upTo(d.random, n)
}

func (d *dice) one(in int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(in) == 0
}
