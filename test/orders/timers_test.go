package orders_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// chore is something with a timer in it.
type chore struct {
	What string // alone, event, twins, old
	MS   int
}

// alarmed is an orchestration whose timers are cancelled as they fire: they lose races against events and
// timers of the same moment, the run is cancelled, or it continues as new with the same timers.
type alarmed struct {
	effects tally // by run and id
	d       *lambdabiz.Definition[[]chore, int]
}

func newAlarmed() *alarmed {
	a := &alarmed{}
	a.d = lambdabiz.Define("Alarmed", func(o lambdabiz.Context, chores []chore) (int, error) {
		left, err := a.do(o, chores)
		if err != nil {
			clean := lambdabiz.Detached(o)
			if err := lambdabiz.Sleep(clean, "clean-up@5ms", 5*time.Millisecond); err != nil {
				return 0, fmt.Errorf("clean-up: %w", err)
			}
			a.effect(clean, "cleaned up")
			return 0, err
		}
		if len(left) > 0 {
			return 0, lambdabiz.ContinueAsNew(o, left)
		}
		return 1, nil
	})
	return a
}

// effect counts how often a step runs.
func (a *alarmed) effect(o lambdabiz.Context, id string) {
	_ = lambdabiz.Do(o, id, func(context.Context) error { // what it returns is seen in the record
		a.effects.add(o.ID()+" "+o.RunID()+" "+id, 1)
		return nil
	})
}

// do does the chores, and returns those for the next run.
func (a *alarmed) do(o lambdabiz.Context, chores []chore) ([]chore, error) {
	for i, c := range chores {
		timer := func(o lambdabiz.Context) (int, error) {
			return 0, lambdabiz.Sleep(o, fmt.Sprintf("timer@%dms", c.MS), time.Duration(c.MS)*time.Millisecond)
		}
		scope := fmt.Sprint(c.What, " ", i)
		switch c.What {
		case "alone":
			if _, err := lambdabiz.Go(o, scope, timer).Wait(o); err != nil {
				return nil, err
			}
		case "old": // the branch's timer fires as the run ends; the next run has one with the same id
			lambdabiz.Go(o, "left behind", timer)
			if err := lambdabiz.Sleep(o, scope, time.Duration(c.MS)*time.Millisecond); err != nil {
				return nil, err
			}
			return chores[i+1:], nil
		default:
			other := timer
			if c.What == "event" {
				other = func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "E") }
			}
			won, err := lambdabiz.Race(o, scope, lambdabiz.Go(o, scope+" a", timer), lambdabiz.Go(o, scope+" b", other))
			if err != nil {
				return nil, err
			}
			seen, err := lambdabiz.Step(o, "won "+scope, func(context.Context) (int, error) { return won, nil })
			if err != nil {
				return nil, err
			}
			if seen != won {
				return nil, fmt.Errorf("%s: branch %d had won, and now it is %d", scope, seen, won)
			}
		}
		if err := o.Err(); err != nil {
			return nil, lambdabiz.ErrCancelled
		}
		a.effect(o, "after "+scope)
	}
	return nil, nil
}

func someChores(random *rand.Rand) []chore {
	var list []chore
	for range 2 + random.IntN(4) {
		list = append(list, chore{[]string{"alone", "event", "twins", "old"}[random.IntN(4)], 10 * (1 + random.IntN(3))})
	}
	return list
}

// timersAsTheyFire plays n orchestrations on one store. Events and cancellations come at moments at which
// timers are due too.
func timersAsTheyFire(
	t *testing.T, h home, random *rand.Rand, n int, counts *tally, seenAs func(lambdabiz.Backend) lambdabiz.Backend,
) string {
	t.Helper()
	return h.perform(t, func(s *stage) {
		d := &dice{random: rand.New(rand.NewPCG(random.Uint64(), 0))}
		seen := slow(seenAs(s.store), d, []int{0, 3, 12}[random.IntN(3)], counts)
		a := newAlarmed()
		config := lambdabiz.Config{PollInterval: 10 * time.Millisecond}
		client := s.engine(seen, config, a.d)
		var all sync.WaitGroup
		for i := range n {
			id, chores := fmt.Sprint("x-", i), someChores(random)
			cancelled, every := random.IntN(3) == 0, 10*(1+random.IntN(4))
			at := 10 * random.IntN(15)
			all.Go(func() {
				run := begin(s, client, a.d, id, chores)
				over := make(chan struct{})
				var others sync.WaitGroup
				others.Go(func() { s.raiseEvery(client, id, time.Duration(every)*time.Millisecond, over) })
				if cancelled {
					others.Go(func() {
						pass(time.Duration(at) * time.Millisecond)
						if err := client.Cancel(s.ctx, id, ""); !errors.Is(err, lambdabiz.ErrClosed) {
							s.must(err, "cancel "+id)
							counts.add("cancellations", 1)
						}
					})
				}
				_, err := outcome(s, run)
				if !cancelled || !errors.Is(err, lambdabiz.ErrCancelled) {
					s.must(err, "result of "+id)
				}
				close(over)
				others.Wait()
			})
		}
		s.comeAndGo(seen, random, counts, 0, a.d)
		all.Wait()
		s.stop()
		a.check(s, counts)
	})
}

// raiseEvery raises an event at every so many milliseconds.
func (s *stage) raiseEvery(e *lambdabiz.Engine, id string, every time.Duration, over <-chan struct{}) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-over:
			return
		case <-ticks.C:
			if err := e.RaiseEvent(s.ctx, id, "E", 0); err != nil {
				if !errors.Is(err, lambdabiz.ErrClosed) {
					s.must(err, "raise in "+id)
				}
				return
			}
		}
	}
}

// check looks at every timer, and at what followed from it. That timers are not early is in every audit.
func (a *alarmed) check(s *stage, counts *tally) {
	for _, rec := range s.records() {
		for i := range rec.Operations {
			o := &rec.Operations[i]
			switch {
			case o.Kind == lambdabiz.KindTimer && o.Status == lambdabiz.StatusSucceeded:
				counts.add("fired", 1)
			case o.Kind == lambdabiz.KindTimer && o.Status == lambdabiz.StatusCancelled:
				counts.add("cancelled", 1)
			case o.Kind == lambdabiz.KindRace && o.Status == lambdabiz.StatusSucceeded:
				counts.add("races", 1)
			}
		}
		if rec.ContinuedAs != "" {
			counts.add("continued", 1)
		}
	}
	for what, n := range a.effects.n {
		if n != 1 {
			s.complainf("%s ran %d times, and no worker was killed", what, n)
		}
	}
}

// F17: timers are cancelled at the very moment at which they fire.
func TestTimersCancelledAsTheyFire(t *testing.T) {
	t.Parallel()
	const together = 25
	seed, rounds := campaign.Seed(t), campaign.Rounds(t, 8, 10_000/together)
	var counts tally
	must := func() []campaign.Count {
		return counts.list("fired", "cancelled", "races", "continued", "cancellations", "held", "stops")
	}
	for round := range campaign.More(rounds, must) {
		random := campaign.Random(seed, round)
		if complaint := timersAsTheyFire(t, homes[round%len(homes)], random, together, &counts, straight); complaint != "" {
			t.Fatalf("round %d: %s", round, complaint)
		}
	}
	campaign.Report(t, "F17", must(),
		campaign.Count{What: "seeds", N: rounds * together})
}

// undying keeps timers open whose cancellation is committed.
func undying(b lambdabiz.Backend) lambdabiz.Backend {
	return eachCommit(b, func(c *lambdabiz.Commit) {
		var kept []lambdabiz.Operation
		for _, o := range c.Operations {
			if o.Kind == lambdabiz.KindTimer && o.Status == lambdabiz.StatusCancelled {
				o.Status, o.EndedAt, o.Error = lambdabiz.StatusStarted, time.Time{}, nil
			}
			kept = append(kept, o)
		}
		c.Operations = kept
	})
}

// hasty hands timers out that are due at once, as if they were those of an earlier run.
func hasty(b lambdabiz.Backend) lambdabiz.Backend {
	return &between{Backend: b, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
		c, err := b.Claim(ctx, r)
		for _, run := range c.Runs {
			for i := range run.Operations {
				if o := &run.Operations[i]; o.Kind == lambdabiz.KindTimer && !o.Status.Ended() {
					o.DueAt = o.ScheduledAt
				}
			}
		}
		return c, err
	}}
}

func TestSabotageTimers(t *testing.T) {
	t.Parallel()
	for protection, remove := range map[string]func(lambdabiz.Backend) lambdabiz.Backend{
		"the end of a loser's timer": undying,
		"a timer's own due time":     hasty,
	} {
		t.Run(protection, func(t *testing.T) {
			t.Parallel()
			seed := campaign.Seed(t)
			campaign.Red(t, "F17", protection, campaign.UntilRed(func(round int) string {
				return timersAsTheyFire(t, homes[0], campaign.Random(seed, round), 20, &tally{}, remove)
			}))
		})
	}
}
