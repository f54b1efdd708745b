package orders_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// fan is a number of branches and how they are joined.
type fan struct {
	Kinds  []string // what each branch does
	Delays []int    // its timers, in milliseconds
	Before int      // how long the function sleeps before it joins them
	Order  []int    // in which they are waited for
	Join   string   // wait, nested, map, race
	Limit  int      // of a map's concurrency
	Salt   int
}

func (f fan) value(i int) int { return f.Salt*10_000 + i }

var branchKinds = []string{"step", "task", "timer", "child", "event", "nothing"}

var (
	fanTask  = lambdabiz.NewTask("FanTask", func(_ context.Context, n int) (int, error) { return n, nil })
	fanChild = lambdabiz.Define("FanChild", func(o lambdabiz.Context, n int) (int, error) {
		if n%2 == 0 {
			return n, nil
		}
		return n, lambdabiz.Sleep(o, "nap@5ms", 5*time.Millisecond)
	})
)

// branch is the work of the ith branch.
func (f fan) branch(o lambdabiz.Context, i int) (int, error) {
	v := f.value(i)
	switch f.Kinds[i] {
	case "step":
		return lambdabiz.Step(o, "step", func(context.Context) (int, error) { return v, nil })
	case "task":
		return lambdabiz.Call(o, "task", fanTask, v)
	case "timer":
		return v, lambdabiz.Sleep(o, "timer", time.Duration(f.Delays[i])*time.Millisecond)
	case "child":
		return lambdabiz.CallChild(o, "child", fanChild, v)
	case "event":
		return lambdabiz.WaitForEvent[int](o, "event", lambdabiz.Named(fmt.Sprint("E", i)))
	default:
		return v, nil
	}
}

// fanOut returns what each branch gave, by its place; of a race the winner's only, with its place first.
var fanOut = lambdabiz.Define("FanOut", func(o lambdabiz.Context, f fan) ([]int, error) {
	if f.Join == "map" {
		items := make([]int, len(f.Kinds))
		for i := range items {
			items[i] = i
		}
		return lambdabiz.Map(o, "map", items, func(i int) string { return fmt.Sprint(i) }, f.branch, lambdabiz.Concurrency(f.Limit))
	}
	futures := make([]*lambdabiz.Future[int], len(f.Kinds))
	branches := make([]lambdabiz.Awaitable, len(f.Kinds))
	for i := range f.Kinds {
		futures[i] = lambdabiz.Go(o, fmt.Sprint("branch ", i), func(o lambdabiz.Context) (int, error) {
			if f.Join != "nested" {
				return f.branch(o, i)
			}
			return lambdabiz.Go(o, "inner", func(o lambdabiz.Context) (int, error) { return f.branch(o, i) }).Wait(o)
		})
		branches[i] = futures[i]
	}
	if f.Before > 0 { // so many of them have finished before they are joined
		if err := lambdabiz.Sleep(o, "before", time.Duration(f.Before)*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if f.Join == "race" && len(branches) > 0 {
		won, err := lambdabiz.Race(o, "race", branches...)
		if err != nil {
			return nil, err
		}
		v, err := futures[won].Wait(o)
		return []int{won, v}, err
	}
	results := make([]int, len(f.Kinds))
	for _, i := range f.Order {
		v, err := futures[i].Wait(o)
		if err != nil {
			return nil, err
		}
		results[i] = v
	}
	return results, nil
})

func someFan(random *rand.Rand, branches int) fan {
	f := fan{
		Order: random.Perm(branches), Join: []string{"wait", "nested", "map", "race"}[random.IntN(4)],
		Limit: 1 + random.IntN(branches+1), Salt: random.IntN(1000),
	}
	if random.IntN(2) == 0 {
		f.Before = 1 + random.IntN(20)
	}
	for range branches {
		f.Kinds = append(f.Kinds, branchKinds[random.IntN(len(branchKinds))])
		f.Delays = append(f.Delays, 1+random.IntN(20))
	}
	return f
}

// check compares what came with what was due.
func (f fan) check(s *stage, id string, got []int) {
	if f.Join == "race" && len(f.Kinds) > 0 {
		if len(got) != 2 || got[0] < 0 || got[0] >= len(f.Kinds) || got[1] != f.value(got[0]) {
			s.complainf("%s: of the race of %v came %v", id, f.Kinds, got)
		}
		return
	}
	want := make([]int, len(f.Kinds))
	for i := range want {
		want[i] = f.value(i)
	}
	if !slices.Equal(got, want) {
		s.complainf("%s (%s of %v): got %v, want %v", id, f.Join, f.Kinds, got, want)
	}
}

// fansIn plays the fans on one store, whose workers come and go, and sends their events.
func fansIn(
	t *testing.T, h home, random *rand.Rand, fans []fan, counts *tally, seenAs func(lambdabiz.Backend) lambdabiz.Backend,
) string {
	t.Helper()
	return h.perform(t, func(s *stage) {
		d := &dice{random: rand.New(rand.NewPCG(random.Uint64(), 0))}
		seen := slow(seenAs(s.store), d, 4*random.IntN(3), counts)
		items := lambdabiz.Registrables{fanOut, fanChild, fanTask}
		client := s.engine(seen, lambdabiz.Config{PollInterval: 10 * time.Millisecond}, items)
		var all sync.WaitGroup
		for i, f := range fans {
			id, pace := fmt.Sprint("fan-", i), upTo(random, 5)
			all.Go(func() {
				run := begin(s, client, fanOut, id, f)
				for _, i := range f.Order {
					if f.Kinds[i] == "event" {
						pass(pace)
						if client.RaiseEvent(s.ctx, id, fmt.Sprint("E", i), f.value(i)) != nil {
							break // a race is over
						}
					}
				}
				f.check(s, id, result(s, run))
				counts.add("branches", len(f.Kinds))
				counts.add(f.Join+"s", 1)
			})
		}
		s.comeAndGo(seen, random, counts, 2, items)
		all.Wait()
	})
}

// F18: branches of every kind finish before they are joined, after, and over restarts.
func TestFanInOfAllOrders(t *testing.T) {
	t.Parallel()
	const together = 50
	seed, rounds := campaign.Seed(t), campaign.Rounds(t, 8, 100_000/together)
	var counts tally
	must := func() []campaign.Count {
		return counts.list("waits", "nesteds", "maps", "races", "branches", "stops", "kills", "held")
	}
	for round := range campaign.More(rounds, must) {
		random := campaign.Random(seed, round)
		var fans []fan
		for range together {
			fans = append(fans, someFan(random, random.IntN(9)))
		}
		if complaint := fansIn(t, homes[round%len(homes)], random, fans, &counts, straight); complaint != "" {
			t.Fatalf("round %d: %s", round, complaint)
		}
	}
	campaign.Report(t, "F18", must(),
		campaign.Count{What: "cases", N: rounds * together})
}

// F18: a thousand branches at once.
func TestFanOutToAThousandBranches(t *testing.T) {
	t.Parallel()
	seed, rounds := campaign.Seed(t), campaign.Rounds(t, 2, 20)
	var counts tally
	for round := range rounds {
		random := campaign.Random(seed, round)
		f := someFan(random, 1000)
		f.Join = []string{"wait", "map"}[round%2]
		for i, kind := range f.Kinds {
			if kind == "event" || kind == "child" && i%5 > 0 {
				f.Kinds[i] = "step"
			}
		}
		if complaint := fansIn(t, homes[round%len(homes)], random, []fan{f}, &counts, straight); complaint != "" {
			t.Fatalf("round %d: %s", round, complaint)
		}
	}
	campaign.Report(t, "F18", counts.list("branches"), counts.list("stops", "kills")...)
}

// swapped gives resumed runs the results of two of their operations the wrong way round.
func swapped(b lambdabiz.Backend) lambdabiz.Backend {
	return &between{Backend: b, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
		c, err := b.Claim(ctx, r)
		for _, run := range c.Runs {
			var last *lambdabiz.Operation
			for i := range run.Operations {
				o := &run.Operations[i]
				if o.Status != lambdabiz.StatusSucceeded || len(o.Result) == 0 || o.Kind == lambdabiz.KindRace {
					continue
				}
				if last != nil {
					last.Result, o.Result = o.Result, last.Result
				}
				last = o
			}
		}
		return c, err
	}}
}

// crossedChildren gives what a child has given to the operation of another one.
func crossedChildren(b lambdabiz.Backend) lambdabiz.Backend {
	return &between{Backend: b, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
		c, err := b.Claim(ctx, r)
		crossed := func(messages []lambdabiz.Message) {
			var last *lambdabiz.Message
			for i := range messages {
				if m := &messages[i]; m.Kind == lambdabiz.MessageChild {
					if last != nil {
						last.Operation, m.Operation = m.Operation, last.Operation
					}
					last = m
				}
			}
		}
		for _, run := range c.Runs {
			crossed(run.Messages)
		}
		for _, a := range c.Arrived {
			crossed(a.Messages)
		}
		return c, err
	}}
}

func TestSabotageFanIn(t *testing.T) {
	t.Parallel()
	for protection, remove := range map[string]func(lambdabiz.Backend) lambdabiz.Backend{
		"each result at its operation": swapped,
		"each child at its operation":  crossedChildren,
	} {
		t.Run(protection, func(t *testing.T) {
			t.Parallel()
			seed := campaign.Seed(t)
			campaign.Red(t, "F18", protection, campaign.UntilRed(func(round int) string {
				random := campaign.Random(seed, round)
				var fans []fan
				for range 20 {
					f := someFan(random, 4)
					f.Kinds[1], f.Kinds[2] = "child", "child"
					fans = append(fans, f)
				}
				return fansIn(t, homes[0], random, fans, &tally{}, remove)
			}))
		})
	}
}
