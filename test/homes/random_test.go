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

// randomPrograms is how many seeds TestRandomProgramsOnEveryHome takes on each home. More find more.
const randomPrograms = 3

// Everything at once, with a store that fails before and after. The seed is in the name of the subtest.
func TestRandomProgramsOnEveryHome(t *testing.T) {
	t.Parallel()
	for seed := range randomPrograms {
		for i, name := range []string{"memory", "memory, a commit ends the claim", "memory, and performs timers", "sqlite", "postgres"} {
			if (name == "sqlite" || name == "postgres") && seed > 0 {
				continue // they take the longest
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
		t.Logf("%d commits\n%s", commits.Load(), b.logs.Tail(3000))
	}
	stop()
	stop2()
	time.Sleep(time.Minute)
}
