package homes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Who started a run in this process hears of its termination at once.
func TestResultOfATerminatedRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { time.Sleep(10 * time.Minute); return 1, nil })
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Terminate(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(b, time.Minute)
		if _, err := run.Result(ctx); !errors.Is(err, lambdabiz.ErrTerminated) {
			t.Error(err)
		}
		cancel()
		time.Sleep(20 * time.Minute)
	})
}

// Complete returns when the outcome is durable, the second call too.
func TestCompleteTwiceAtOnce(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			time.Sleep(time.Duration(d.Load()))
			return inner.Commit(ctx, batch)
		}}
		e := b.engine(lambdabiz.Config{})
		o, err := e.Create(b.ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		d.Store(int64(time.Second))
		go func() { _ = o.Complete(1) }()
		time.Sleep(100 * time.Millisecond)
		if err := o.Complete(1); err != nil {
			t.Fatal(err)
		}
		if s := b.state(e, "h"); !s.Status.Ended() {
			t.Errorf("Complete has returned nil, the run is %v", s.Status)
		}
		time.Sleep(time.Minute)
	}, "memory")
}

// A time-out that is over before it begins is over, and not none at all.
func TestNegativeTimeouts(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
			_, err := lambdabiz.WaitForEvent[int](o, "e", lambdabiz.Timeout(-time.Second))
			return fmt.Sprint(errors.Is(err, context.DeadlineExceeded)), nil
		})
		e, _ := b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if got, err := start(b, e, d, "x", 0).Result(ctx); got != "true" || err != nil {
			t.Error(got, err)
		}
	})
}

// Start by workers of an id that is driven by hand is an error, even when the names agree.
func TestStartOfAnIDThatIsDrivenByHand(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("same", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		e, _ := b.worker(d)
		o, err := e.Create(b.ctx, "same")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		if _, err := lambdabiz.Start(b.ctx, e, d, "same", 1); err == nil {
			t.Error("Start returned a handle to a run that no worker will ever drive")
		}
	}, "memory", "sqlite")
}

// randomPrograms is how many seeds TestRandomProgramsOnEveryHome takes on each home. More find more.
const randomPrograms = 3

// Everything at once, with a store that fails before and after. The seed is in the name of the subtest.
func TestRandomProgramsOnEveryHome(t *testing.T) {
	t.Parallel()
	for seed := range randomPrograms {
		for i, name := range []string{"memory", "memory, a commit ends the claim", "memory, and performs timers", "sqlite"} {
			if name == "sqlite" && seed > 0 {
				continue // it takes the longest
			}
			t.Run(fmt.Sprint("seed ", seed, " ", i), func(t *testing.T) {
				onHomes(t, func(t *testing.T, b *bench) { chaos(t, b, uint64(seed)) }, name)
			})
		}
	}
}

func chaos(t *testing.T, b *bench, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	roll := func(n int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) }
	var faults atomic.Bool
	var commits atomic.Int64
	faults.Store(true)
	inner := b.backend
	b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		commits.Add(1)
		plain := true
		for _, c := range batch {
			plain = plain && c.Run != nil && len(c.Starts) == 0
		}
		time.Sleep(time.Duration(roll(3)) * time.Millisecond)
		if !faults.Load() || !plain {
			return inner.Commit(ctx, batch)
		}
		switch roll(12) {
		case 0:
			return nil, errors.New("refused")
		case 1:
			if _, err := inner.Commit(ctx, batch); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("cut: %w", lambdabiz.ErrOutcomeUnknown)
		case 2:
			v, err := inner.Commit(ctx, batch)
			time.Sleep(time.Duration(roll(30)) * time.Millisecond)
			return v, err
		}
		return inner.Commit(ctx, batch)
	}}
	var bodies sync.Map // operation -> recorded
	step := func(o lambdabiz.Context, id string, v int) (int, error) {
		return lambdabiz.Step(o, id, func(ctx context.Context) (int, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			key := info.RunID + info.OperationID
			if _, done := bodies.Load(key); done {
				t.Errorf("%s of %s ran again after its result was recorded", info.OperationID, info.OrchestrationID)
			}
			time.Sleep(time.Duration(roll(20)) * time.Millisecond)
			if roll(10) == 0 {
				return 0, errors.New("no luck")
			}
			return v, nil
		}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: -1, Initial: 10 * time.Millisecond, Jitter: -1}))
	}
	child := lambdabiz.Define("C", func(o lambdabiz.Context, n int) (int, error) {
		if err := lambdabiz.Sleep(o, "s", time.Duration(n)*time.Second); err != nil {
			return 0, err
		}
		return step(o, "t", n)
	})
	d := lambdabiz.Define("D", func(o lambdabiz.Context, round int) (int, error) {
		sum := 0
		items, err := lambdabiz.Map(o, "m", []int{1, 2, 3, 4}, func(n int) string { return fmt.Sprint(n) },
			func(o lambdabiz.Context, n int) (int, error) {
				v, err := step(o, "a", n)
				if err != nil {
					return 0, err
				}
				if n == 2 {
					id := lambdabiz.ChildID(fmt.Sprint(o.ID(), ".", round))
					if w, err := lambdabiz.CallChild(o, "c", child, n, id); err != nil || w != n {
						return 0, fmt.Errorf("child: %d, %w", w, err)
					}
				}
				if err := lambdabiz.Sleep(o, "z", time.Duration(n)*time.Second); err != nil {
					return 0, err
				}
				return step(o, "b", v)
			}, lambdabiz.Concurrency(3))
		if err != nil {
			return 0, err
		}
		for _, v := range items {
			sum += v
		}
		ev := lambdabiz.Go(o, "ev", func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "e") })
		tm := lambdabiz.Go(o, "tm", func(o lambdabiz.Context) (int, error) { return -1, lambdabiz.Sleep(o, "z", 24*time.Hour) })
		if i, err := lambdabiz.Race(o, "r", ev, tm); i != 0 || err != nil {
			return 0, fmt.Errorf("race: %d, %w", i, err)
		}
		v, err := ev.Wait(o)
		if err != nil || v != round {
			return 0, fmt.Errorf("event %d in round %d, %w", v, round, err)
		}
		if err := lambdabiz.RaiseEvent(o, "raise", "sink", "e", fmt.Sprint(o.ID(), round)); err != nil {
			return 0, err
		}
		if _, err := lambdabiz.WaitForEvent[int](o, "none", lambdabiz.Timeout(time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			return 0, fmt.Errorf("no time-out: %w", err)
		}
		if round == 2 {
			return sum, nil
		}
		return 0, lambdabiz.ContinueAsNew(o, round+1)
	})
	const n = 4
	sink := lambdabiz.Define("S", func(o lambdabiz.Context, _ int) (map[string]int, error) {
		seen := map[string]int{}
		for i := range 3 * n {
			v, err := lambdabiz.WaitForEvent[string](o, fmt.Sprint("w", i), lambdabiz.Named("e"))
			if err != nil {
				return nil, err
			}
			seen[v]++
		}
		return seen, nil
	})
	items := []lambdabiz.Registrable{d, child, sink}
	config := lambdabiz.Config{ParkAfter: 2 * time.Second, DrainTimeout: 10 * time.Millisecond,
		Hooks: lambdabiz.Hooks{}}
	client := b.engine(lambdabiz.Config{})
	start(b, client, sink, "sink", 0)
	for i := range n {
		start(b, client, d, fmt.Sprint("d", i), 0)
	}
	_, stop := b.workerWith(config, items...)
	_, stop2 := b.workerWith(config, items...)
	go func() {
		for r := range 3 {
			for i := range n {
				time.Sleep(time.Duration(roll(900)) * time.Millisecond)
				if err := client.RaiseEvent(b.ctx, fmt.Sprint("d", i), "e", r); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for range 12 {
		time.Sleep(time.Duration(roll(2500)) * time.Millisecond)
		for i := range n {
			s := b.state(client, fmt.Sprint("d", i))
			for _, o := range s.Operations {
				if o.Kind == lambdabiz.KindStep && o.Status.Ended() {
					bodies.Store(s.RunID+o.ID, true)
				}
			}
		}
		if roll(2) == 0 {
			stop()
			_, stop = b.workerWith(config, items...)
		} else {
			stop2()
			_, stop2 = b.workerWith(config, items...)
		}
	}
	faults.Store(false)
	ctx, cancel := within(b, 3*time.Hour)
	defer cancel()
	for i := range n {
		id := fmt.Sprint("d", i)
		if v, err := lambdabiz.Get(client, d, id).Result(ctx); v != 10 || err != nil {
			s := b.state(client, id)
			t.Errorf("%s: %d, %v; round %s worker %d blocked %+v waits %+v events %d",
				id, v, err, s.Input, s.Worker, s.Blocked, s.WaitingFor, len(s.Events))
		}
	}
	seen, err := lambdabiz.Get(client, sink, "sink").Result(ctx)
	if err != nil || len(seen) != 3*n {
		t.Errorf("sink: %v, %v", seen, err)
	}
	if t.Failed() {
		b.logs.mu.Lock()
		text := b.logs.buf.String()
		t.Logf("%d commits\n%s", commits.Load(), text[max(0, len(text)-3000):])
		b.logs.mu.Unlock()
	}
	stop()
	stop2()
	time.Sleep(time.Minute)
}

// Due times are rounded up to microseconds: the engine's clock has no more, and would never reach them.
func TestDueTimesHaveMicroseconds(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			lambdabiz.Go(o, "a", func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "s", time.Hour+1500) })
			lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.WaitForEvent[int](o, "s", lambdabiz.Timeout(time.Hour+1500))
			})
			return lambdabiz.Go(o, "c", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return 0, errors.New("x") },
					lambdabiz.Retry(lambdabiz.Backoff{Attempts: 2, Initial: time.Hour + 1500, Max: 2 * time.Hour, Jitter: -1}))
			}).Wait(o)
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Minute)
		for _, o := range b.state(e, "x").Operations {
			if o.DueAt.Nanosecond()%1000 != 0 {
				t.Errorf("%s is due at %v", o.ID, o.DueAt)
			}
		}
	}, "memory")
}

// A loop that calls a child in each of its runs.
func TestChildInEveryRunOfALoop(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		c := lambdabiz.Define("C", func(_ lambdabiz.Context, n int) (int, error) { return n, nil })
		d := lambdabiz.Define("D", func(o lambdabiz.Context, n int) (int, error) {
			if v, err := lambdabiz.CallChild(o, "c", c, n); err != nil || v == 3 {
				return v, err
			}
			return 0, lambdabiz.ContinueAsNew(o, n+1)
		})
		e, _ := b.worker(d, c)
		if v, err := start(b, e, d, "x", 0).Result(b.ctx); v != 3 || err != nil {
			t.Error(v, err)
		}
	})
}

// Where a commit ends the claim, a wait whose time is over when a fresh copy of the run comes to it ends in
// that claim: the next one may come to another worker, which begins afresh too.
func TestTimeOutInAFreshClaim(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			time.Sleep(10 * time.Millisecond)
			return inner.Commit(ctx, batch)
		}, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			for i := range c.Runs {
				c.Runs[i].Follows = -1 // as if another worker had had it meanwhile
			}
			return c, err
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if _, err := lambdabiz.WaitForEvent[int](o, "e", lambdabiz.Timeout(time.Second)); !errors.Is(err, context.DeadlineExceeded) {
				return 0, errors.New("no time-out")
			}
			return 1, nil
		})
		e, _ := b.worker(d)
		ctx, cancel := within(b, 30*time.Second)
		defer cancel()
		if v, err := start(b, e, d, "x", 0).Result(ctx); v != 1 || err != nil {
			t.Error(v, err, b.state(e, "x").WaitingFor)
		}
	}, "memory, a commit ends the claim")
}

// slowInput is an input that takes its time to encode.
type slowInput int

func (n slowInput) MarshalJSON() ([]byte, error) {
	if n > 0 {
		time.Sleep(time.Second)
	}
	return []byte(fmt.Sprint(int(n))), nil
}

// A message that comes while the outcome is encoded.
func TestCancelWhileTheOutcomeIsEncoded(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, n slowInput) (int, error) {
			if n == 0 {
				return 0, lambdabiz.ContinueAsNew(o, slowInput(1))
			}
			return 1, nil
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(500 * time.Millisecond)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		_, _ = run.Result(b.ctx)
	}, "memory")
}

// Pause while code waits and while a body runs; Resume goes on with everything.
func TestPauseAndResume(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var bodies atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			f := lambdabiz.Go(o, "f", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
					time.Sleep(10 * time.Second)
					return int(bodies.Add(1)), nil
				})
			})
			a, err := lambdabiz.WaitForEvent[int](o, "e")
			if err != nil {
				return 0, err
			}
			v, err := f.Wait(o)
			return a + v, err
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		for range 3 {
			time.Sleep(3 * time.Second)
			if err := e.Pause(b.ctx, "x", ""); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second)
			if s := b.state(e, "x"); !s.Paused || s.Worker != 0 || operation(t, s, "f/s").Status != lambdabiz.StatusSucceeded {
				t.Errorf("%+v", s)
			}
			if err := e.Resume(b.ctx, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Pause(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		if err := e.RaiseEvent(b.ctx, "x", "e", 10); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if s := b.state(e, "x"); s.Status.Ended() {
			t.Error("a paused run has ended")
		}
		if err := e.Resume(b.ctx, "x"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		if v, err := run.Result(ctx); v != 11 || err != nil || bodies.Load() != 1 {
			t.Error(v, err, bodies.Load())
		}
	}, keepsClaims(countsBodies))
}
