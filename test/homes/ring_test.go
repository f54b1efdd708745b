package homes_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// ring is many workers on one store. Each holds an orchestration of its own, whose body takes longer than any test.
type ring struct {
	b       *bench
	store   *memory.Backend
	members []*member
	sees    atomic.Int64 // the most that a worker sees of others; 0 for what it asks for
	frozen  atomic.Bool  // the store answers to nobody
	replays atomic.Bool  // a frozen store gives its last answer again: a sabotage

	definition *lambdabiz.Definition[int, int]

	mu    sync.Mutex
	begun map[string][]time.Time // bodies, by orchestration
	rows  int                    // records of workers that were read
	most  int                    // crashes of one orchestration
}

// member is a worker of a ring, and the store as it sees it.
type member struct {
	*memory.Backend
	r    *ring
	id   string // of its orchestration
	dead atomic.Bool
	died time.Time
	stop func()
	last lambdabiz.Watched
}

var errFrozen = fmt.Errorf("the store does not answer")

func (m *member) check() error {
	switch {
	case m.dead.Load():
		return errDead
	case m.r.frozen.Load():
		return errFrozen
	}
	return nil
}

func (m *member) Watch(ctx context.Context, worker int64, next int) (lambdabiz.Watched, error) {
	if err := m.check(); err != nil {
		if m.r.replays.Load() && !m.dead.Load() {
			return m.last, nil
		}
		return lambdabiz.Watched{}, err
	}
	if sees := m.r.sees.Load(); sees > 0 {
		next = min(next, int(sees))
	}
	seen, err := m.Backend.Watch(ctx, worker, next)
	m.last = seen
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	m.r.rows += len(seen.Next)
	return seen, err
}

func (m *member) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	if err := m.check(); err != nil {
		return 0, err
	}
	return m.Backend.Join(ctx, w)
}

func (m *member) Leave(ctx context.Context, worker, beat int64) error {
	if err := m.check(); err != nil {
		if m.r.replays.Load() && !m.dead.Load() {
			return m.Backend.Leave(ctx, worker, beat)
		}
		return err
	}
	return m.Backend.Leave(ctx, worker, beat)
}

func (m *member) Claim(ctx context.Context, q lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if err := m.check(); err != nil {
		return lambdabiz.Claims{}, err
	}
	claims, err := m.Backend.Claim(ctx, q)
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	for _, c := range claims.Runs {
		m.r.most = max(m.r.most, c.Crashes)
	}
	return claims, err
}

func (m *member) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return m.Backend.Commit(ctx, batch)
}

// onRing runs a test with so many workers, whose beats come at random moments.
func onRing(t *testing.T, members int, f func(r *ring)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		r := &ring{
			b:     &bench{t: t, backend: store, logs: &logbook.Book{}, ctx: t.Context()},
			store: store, begun: map[string][]time.Time{},
		}
		r.definition = lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "long", func(ctx context.Context) (int, error) {
				r.mu.Lock()
				r.begun[o.ID()] = append(r.begun[o.ID()], time.Now())
				r.mu.Unlock()
				<-ctx.Done()
				return 0, ctx.Err()
			})
		})
		for range members {
			time.Sleep(time.Duration(rand.Int64N(int64(3 * time.Second))))
			r.join()
		}
		defer func() {
			r.replays.Store(false)
			r.frozen.Store(false)
			r.b.stop()
		}()
		time.Sleep(time.Minute)
		f(r)
	})
}

func (r *ring) join() *member {
	r.b.t.Helper()
	m := &member{Backend: r.store, r: r, id: fmt.Sprintf("of-%d", len(r.members))}
	r.b.backend = m
	e, stop := r.b.workerWith(lambdabiz.Config{DrainTimeout: time.Millisecond}, r.definition)
	r.b.backend = r.store
	m.stop = stop
	r.members = append(r.members, m)
	start(r.b, e, r.definition, m.id, 0)
	return m
}

// kill lets members die.
func (r *ring) kill(members ...int) {
	for _, i := range members {
		m := r.members[i]
		m.died = time.Now()
		m.dead.Store(true)
		go m.stop() // what it still does reaches nobody
	}
}

// takenWithin says what was not taken over so soon after the death of its worker.
func (r *ring) takenWithin(most time.Duration, members ...int) (complaint string) {
	time.Sleep(most + time.Second)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range members {
		m := r.members[i]
		took := time.Hour
		for _, at := range r.begun[m.id] {
			if at.After(m.died) {
				took = min(took, at.Sub(m.died))
			}
		}
		if took > most {
			complaint += fmt.Sprintf("the orchestration of worker %d was taken over after %v, not within %v\n", i, took, most)
		}
	}
	return complaint
}

const (
	takeOver     = 10 * time.Second // of a worker that dies, or of two neighbours at once
	takeOverMany = 12*time.Second + 500*time.Millisecond
)

func TestNeighboursThatDieAreTakenOver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(r *ring) string{
		"one": func(r *ring) string {
			r.kill(7)
			return r.takenWithin(takeOver, 7)
		},
		"two neighbours": func(r *ring) string {
			r.kill(7, 8)
			return r.takenWithin(takeOver, 7, 8)
		},
		"the last and the first": func(r *ring) string {
			r.kill(19, 0)
			return r.takenWithin(takeOver, 19, 0)
		},
		"five neighbours": func(r *ring) string {
			r.kill(4, 5, 6, 7, 8)
			return r.takenWithin(takeOverMany, 4, 5, 6, 7, 8)
		},
		"one, and then its watchers": func(r *ring) string {
			r.kill(7)
			time.Sleep(4 * time.Second) // its last beat was at most 2.5 s ago, and nobody takes it over before 7.5 s
			r.kill(6, 5)
			r.members[7].died = time.Now() // nobody is left who has seen it die
			return r.takenWithin(takeOverMany, 7, 6, 5)
		},
		"one, as others join behind it": func(r *ring) string {
			r.kill(18, 19)
			for range 4 {
				time.Sleep(time.Second)
				r.join()
			}
			return r.takenWithin(takeOver, 18, 19)
		},
		"one, as its watchers leave": func(r *ring) string {
			r.kill(7)
			time.Sleep(time.Second)
			r.members[6].stop()
			r.members[5].stop()
			return r.takenWithin(takeOverMany, 7)
		},
		"all but one": func(r *ring) string {
			var all []int
			for i := range 19 {
				all = append(all, i)
			}
			r.kill(all...)
			return r.takenWithin(takeOverMany, all...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onRing(t, 20, func(r *ring) {
				if complaint := test(r); complaint != "" {
					t.Error(complaint)
				}
				if r.most > 1 {
					t.Errorf("an orchestration has %d crashes: its worker died once", r.most)
				}
				if r.b.logged("has lost its orchestrations") {
					t.Error("a living worker was declared dead")
				}
			})
		})
	}
}

// Each worker reads of two others, however many there are.
func TestAWorkerWatchesTwo(t *testing.T) {
	t.Parallel()
	onRing(t, 30, func(r *ring) {
		r.mu.Lock()
		r.rows = 0
		r.mu.Unlock()
		time.Sleep(time.Minute)
		r.mu.Lock()
		rows := r.rows
		r.mu.Unlock()
		if want := 30 * 2 * 24; rows > want+want/10 {
			t.Errorf("%d records of workers were read in a minute, want %d", rows, want)
		}
		if r.b.logged("took over") {
			t.Error("a living worker was taken over from")
		}
	})
}

// A store that answers nobody for a while lets no lease end: nobody's beat can be written.
func TestAStoreThatDoesNotAnswerEndsNoLease(t *testing.T) {
	t.Parallel()
	freeze := func(r *ring) string {
		r.frozen.Store(true)
		time.Sleep(30 * time.Second)
		r.frozen.Store(false)
		time.Sleep(30 * time.Second)
		if r.b.logged("took over") || r.b.logged("has lost its orchestrations") {
			return "a worker was declared dead because the store did not answer"
		}
		return ""
	}
	onRing(t, 5, func(r *ring) {
		if complaint := freeze(r); complaint != "" {
			t.Error(complaint)
		}
	})
}

func TestSabotageOfTheRing(t *testing.T) {
	t.Parallel()
	t.Run("look further", func(t *testing.T) {
		t.Parallel()
		onRing(t, 20, func(r *ring) {
			var all []int
			for i := range 19 {
				all = append(all, i)
			}
			r.sees.Store(2)
			r.kill(all...)
			campaign.Red(t, "F7", "the look beyond neighbours that are silent", r.takenWithin(takeOverMany, all...))
			time.Sleep(5 * time.Minute) // one after the other
		})
	})
	t.Run("no beat, no look", func(t *testing.T) {
		t.Parallel()
		onRing(t, 5, func(r *ring) {
			r.replays.Store(true)
			r.frozen.Store(true)
			time.Sleep(30 * time.Second)
			r.frozen.Store(false)
			complaint := ""
			if r.b.logged("took over") {
				complaint = "a worker was declared dead because the store did not answer"
			}
			campaign.Red(t, "F7", "the rule that who cannot beat does not look", strings.TrimSpace(complaint))
		})
	})
}

// telling is a store that tells of its changes, by heartbeats too, and counts how often it is asked.
type telling struct {
	*memory.Backend
	claims, watches atomic.Int64
	work, deaf      atomic.Bool
}

func (s *telling) Wake() <-chan struct{} {
	if s.deaf.Load() {
		return make(chan struct{})
	}
	return s.Backend.Wake()
}

func (s *telling) Claim(ctx context.Context, q lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	s.claims.Add(1)
	claims, err := s.Backend.Claim(ctx, q)
	claims.Quiet = time.Minute
	return claims, err
}

func (s *telling) Watch(ctx context.Context, worker int64, next int) (lambdabiz.Watched, error) {
	s.watches.Add(1)
	seen, err := s.Backend.Watch(ctx, worker, next)
	seen.Work = s.work.Load()
	return seen, err
}

// A worker on a store that tells it of changes beats, and asks once a minute. What it is not told of it hears with a beat.
func TestAWorkerThatIsToldAsksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &telling{Backend: memory.New()}
		store.deaf.Store(true)
		b := &bench{t: t, backend: store, logs: &logbook.Book{}, ctx: t.Context()}
		defer b.stop()
		d := define(func(lambdabiz.Context) (int, error) { return 1, nil })
		b.workerWith(lambdabiz.Config{PollInterval: 200 * time.Millisecond}, d)
		time.Sleep(time.Minute + time.Second)
		store.claims.Store(0)
		store.watches.Store(0)
		time.Sleep(time.Minute)
		if n := store.claims.Load() + store.watches.Load(); n > 26 {
			t.Errorf("%d beats and %d claims in a minute", store.watches.Load(), store.claims.Load())
		}
		b.backend = store.Backend
		began := time.Now()
		run := start(b, b.engine(lambdabiz.Config{}), d, "x", 0)
		store.work.Store(true)
		if result(b, run) != 1 || time.Since(began) > 4*time.Second {
			t.Errorf("it took %v", time.Since(began))
		}
	})
}
