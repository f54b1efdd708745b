package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// starving is how a worker sees its store while it gets no time to renew its lease.
type starving struct {
	lambdabiz.Backend

	mu      sync.Mutex
	random  *rand.Rand
	most    time.Duration // how late a renewal may be
	starved atomic.Bool   // no renewal comes through
	renewed atomic.Int64
	late    atomic.Int64
}

// Renew is late, or does not come.
func (s *starving) Renew(ctx context.Context, worker int64) error {
	s.mu.Lock()
	delay := time.Duration(s.random.Int64N(int64(s.most)))
	s.mu.Unlock()
	rest(ctx, delay)
	if s.starved.Load() {
		s.late.Add(1)
		return errUnlucky
	}
	s.renewed.Add(1)
	return s.Backend.Renew(ctx, worker)
}

// longTask is a task that takes ten leases. It does not look at its context: it computes.
type longTask struct {
	definition *lambdabiz.Definition[int, int]
	begun      atomic.Int64
	started    chan struct{} // receives when a body has begun
}

func newLongTask(r *rig) *longTask {
	l := &longTask{started: make(chan struct{}, 100)}
	l.definition = lambdabiz.Define("long", func(o lambdabiz.Context, _ int) (int, error) {
		first, err := lambdabiz.Step(o, "compute", func(ctx context.Context) (int, error) {
			r.ledger.Body(ctx)
			n := int(l.begun.Add(1))
			l.started <- struct{}{}
			rest(context.WithoutCancel(ctx), 10*lease)
			return n, nil
		})
		if err != nil {
			return 0, err
		}
		return first, lambdabiz.Sleep(o, "nap", time.Second)
	})
	return l
}

// starve lets one worker begin the long task, with another one beside it. In the end it says what is wrong.
func starve(
	r *rig, random *rand.Rand, starved bool, over func(b lambdabiz.Backend) lambdabiz.Backend,
) (complaint string, s *starving, bodies int64) {
	r.t.Helper()
	r.ledger.Overlaps = starved
	view := r.store
	if over != nil {
		view = over(view)
	}
	s = &starving{Backend: r.ledger.Watch(view), random: rand.New(rand.NewPCG(random.Uint64(), 1)), most: lease / 2}
	long := newLongTask(r)
	client := r.engine(r.store)
	if _, err := lambdabiz.Start(r.t.Context(), client, long.definition, "x", 0); err != nil {
		r.t.Fatal(err)
	}
	stopFirst := r.work(s, long.definition)
	<-long.started
	stopSecond := r.work(r.ledger.Watch(view), long.definition)
	s.starved.Store(starved)
	r.sleep(time.Duration(random.IntN(5)+3) * lease)
	s.starved.Store(false) // it has time again, and works on
	r.waitForAll(40 * lease)
	stopFirst()
	stopSecond()
	r.sleep(11 * lease) // the body of the worker that lost the run ends too
	if err := r.outcomes(client, "x"); err != nil {
		complaint = err.Error() + "; "
	}
	bodies = long.begun.Load()
	if !starved && bodies != 1 {
		complaint += fmt.Sprintf("the body of a worker that renewed its lease began %d times; ", bodies)
	}
	return complaint + r.judge(invariant.Options{Ended: true}), s, bodies
}

// A task that takes ten leases is nobody else's while its worker renews, however late. When the worker gets no time
// to renew, another one takes over, and one of the two is recorded, for ever.
func TestStarvedHeartbeat(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	for _, h := range []home{inMemory, onDisk} {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			short, full := 8, 1000
			if h.name == onDisk.name {
				short, full = 2, 300
			}
			var renewals, starvations, takeovers int
			n := campaign.Rounds(t, short, full)
			must := func() []campaign.Count {
				return []campaign.Count{
					{What: "renewals", N: renewals}, {What: "renewals starved", N: starvations}, {What: "takeovers", N: takeovers},
				}
			}
			for round := range campaign.More(n, must) {
				for _, starved := range []bool{false, true} {
					inBubble(t, h, func(r *rig) {
						complaint, s, bodies := starve(r, campaign.Random(seed, round), starved, nil)
						if complaint != "" {
							r.t.Errorf("round %d, starved %t: %s", round, starved, complaint)
						}
						renewals += int(s.renewed.Load())
						starvations += int(s.late.Load())
						if starved && bodies > 1 {
							takeovers++
						}
					})
				}
			}
			campaign.Report(t, "F6", must(), campaign.Count{What: "rounds", N: n})
		})
	}
}

// impatient takes every other worker for one that does not beat.
type impatient struct{ lambdabiz.Backend }

// Workers shows the others as gone.
func (i *impatient) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	workers, err := i.Backend.Workers(ctx)
	for k := range workers {
		workers[k].Gone = true
	}
	return workers, err
}

func TestSabotageOfTheLease(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	t.Run("renewals", func(t *testing.T) {
		t.Parallel()
		campaign.Red(t, "F6", "the lease", campaign.UntilRed(func(round int) (complaint string) {
			inBubble(t, inMemory, func(r *rig) {
				complaint, _, _ = starve(r, campaign.Random(seed, round), false, func(b lambdabiz.Backend) lambdabiz.Backend {
					return &impatient{b}
				})
			})
			return complaint
		}))
	})
	t.Run("fence", func(t *testing.T) {
		t.Parallel()
		campaign.Red(t, "F6", "the fence", campaign.UntilRed(func(round int) (complaint string) {
			inBubble(t, inMemory, func(r *rig) {
				complaint, _, _ = starve(r, campaign.Random(seed, round), true, func(b lambdabiz.Backend) lambdabiz.Backend {
					return &forging{Backend: b}
				})
			})
			return complaint
		}))
	})
}

// forging is unfenced for many workers at once. A worker that was removed writes too.
type forging struct {
	lambdabiz.Backend
	mu    sync.Mutex
	inner unfenced
}

func (f *forging) forge() *unfenced {
	if f.inner.latest == nil {
		f.inner = unfenced{f.Backend, map[string]int64{}}
	}
	return &f.inner
}

// Claim never says that a worker was removed: it goes on with what it has.
func (f *forging) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	claims, err := f.forge().Claim(ctx, r)
	if errors.Is(err, lambdabiz.ErrFenced) {
		return lambdabiz.Claims{Through: r.After}, nil
	}
	return claims, err
}

// Commit forges fences.
func (f *forging) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.forge().Commit(ctx, batch)
}

// crowd is how many orchestrations the workers of a restart share.
const crowd = 6

// severed is a worker's view of the store that can be cut: then nothing of it gets through.
type severed struct {
	lambdabiz.Backend
	cut atomic.Bool
}

var errSevered = errors.New("severed")

// Leave does not get through when the view is cut.
func (s *severed) Leave(ctx context.Context, worker, beat int64) error {
	if s.cut.Load() {
		return errSevered
	}
	return s.Backend.Leave(ctx, worker, beat)
}

// Commit does not get through when the view is cut.
func (s *severed) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if s.cut.Load() {
		return nil, errSevered
	}
	return s.Backend.Commit(ctx, batch)
}

// restarts runs two workers in one process on one store, and lets one of them end and begin again, in good order or
// as if it had died, while the other one works.
func restarts(
	r *rig, random *rand.Rand, over func(b lambdabiz.Backend) lambdabiz.Backend,
) (complaint string, deaths, stops int) {
	r.t.Helper()
	var mu sync.Mutex
	stayed := map[string]int{} // bodies that the worker which stays has begun
	define := func(who string) *lambdabiz.Definition[int, int] {
		return lambdabiz.Define("job", func(o lambdabiz.Context, _ int) (int, error) {
			for i := range 3 {
				_, err := lambdabiz.Step(o, fmt.Sprint("part-", i), func(ctx context.Context) (int, error) {
					r.ledger.Body(ctx)
					info, _ := lambdabiz.TaskInfoFrom(ctx)
					if who == "stays" {
						mu.Lock()
						stayed[info.OrchestrationID+" "+info.OperationID]++
						mu.Unlock()
					}
					rest(ctx, 20*time.Second)
					return i, ctx.Err()
				})
				if err != nil {
					return 0, err
				}
			}
			return crowd, nil
		})
	}
	stays, goes := define("stays"), define("goes")
	client := r.engine(r.store)
	ids := make([]string, crowd)
	watched := r.ledger.Watch(r.store)
	stop := r.work(watched, stays)
	for i := range ids {
		ids[i] = fmt.Sprint("job-", i)
		if _, err := lambdabiz.Start(r.t.Context(), client, stays, ids[i], 0); err != nil {
			r.t.Fatal(err)
		}
		if i == crowd/2 {
			r.sleep(2 * time.Second) // the first half is the worker's that stays
		}
	}
	for range 4 {
		view := watched
		if over != nil {
			view = over(view)
		}
		s := &severed{Backend: view}
		stopOther := r.work(s, goes)
		r.sleep(time.Duration(random.IntN(15000)) * time.Millisecond)
		if random.IntN(2) == 0 {
			s.cut.Store(true)
			deaths++
		} else {
			stops++
		}
		stopOther()
	}
	r.waitForAll(time.Hour)
	stop()
	r.sleep(time.Minute)
	var wrong []string
	if err := r.outcomes(client, ids...); err != nil {
		wrong = append(wrong, err.Error())
	}
	for operation, n := range stayed {
		if n > 1 {
			wrong = append(wrong, fmt.Sprintf("the worker that stays began %s %d times", operation, n))
		}
	}
	if text := r.judge(invariant.Options{Ended: true}); text != "" {
		wrong = append(wrong, text)
	}
	return strings.Join(wrong, "; "), deaths, stops
}

// A worker that ends or dies beside another one in the same process takes nothing away from that one, and loses
// nothing of its own.
func TestWorkerRestartsBesideAnother(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	for _, h := range []home{inMemory, onDisk} {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			short, full := 5, 1000
			if h.name == onDisk.name {
				short, full = 2, 300
			}
			deaths, stops := 0, 0
			n := campaign.Rounds(t, short, full)
			must := func() []campaign.Count {
				return []campaign.Count{{What: "deaths", N: deaths}, {What: "stops", N: stops}}
			}
			for round := range campaign.More(n, must) {
				inBubble(t, h, func(r *rig) {
					complaint, died, stopped := restarts(r, campaign.Random(seed, round), nil)
					if complaint != "" {
						r.t.Errorf("round %d: %s", round, complaint)
					}
					deaths, stops = deaths+died, stops+stopped
				})
			}
			campaign.Report(t, "F7", must(), campaign.Count{What: "rounds", N: n})
		})
	}
}

// A worker that takes all others of its process for its own dead ones takes over from the living.
func TestSabotageOfTheRecovery(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	complaint := campaign.UntilRed(func(round int) (complaint string) {
		inBubble(t, inMemory, func(r *rig) {
			complaint, _, _ = restarts(r, campaign.Random(seed, round), func(b lambdabiz.Backend) lambdabiz.Backend {
				return &impatient{b}
			})
		})
		return complaint
	})
	campaign.Red(t, "F7", "the difference between a dead worker and one of the same process", complaint)
}
