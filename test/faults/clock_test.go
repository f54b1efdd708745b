package faults_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/test/campaign"
	"github.com/lambdabiz/lambdabiz/test/faulty"
)

const day = 24 * time.Hour

// skews are how far the clocks of workers and clients are off.
var skews = []time.Duration{0, time.Hour, -time.Hour, day, -day}

// clocks runs the program with workers and a client whose clocks are off by as much as a day. Workers come and go:
// one of them dies each time, and the next one, with another clock, takes over, so that the clock of an
// orchestration jumps, backwards too, while its lease runs.
func clocks(
	t *testing.T, h home, random *rand.Rand, clock func(by time.Duration) faulty.Clock,
) (complaint string, jumps map[string]int) {
	t.Helper()
	jumps = map[string]int{}
	inBubble(t, h, func(r *rig) {
		const orders = 3
		r.ledger.Overlaps = true // the dead ones of this test compute on
		r.sleep(1000 * day)      // so that no clock is before its epoch
		p := newProgram(r, orders)
		p.patience = 1000 * day // no clock makes the timers due that must lose
		p.pace = 2 * time.Second
		ids := orderIDs(orders)
		see := func(by time.Duration) lambdabiz.Backend {
			return faulty.Skew(r.ledger.Watch(r.store), clock(by))
		}
		last := skews[random.IntN(len(skews))]
		pick := func() time.Duration {
			by := skews[random.IntN(len(skews))]
			switch {
			case by > last:
				jumps["forwards"]++
			case by < last:
				jumps["backwards"]++
			}
			last = by
			return by
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		sent := make(chan bool, 1)
		client := r.engine(see(pick()))
		go func() { sent <- p.send(ctx, client, ids) }()
		stopSteady := r.work(see(pick()), p.items...)
		for range 4 {
			s := &severed{Backend: see(pick())}
			stop := r.work(s, p.items...)
			r.sleep(time.Duration(random.IntN(6000)+500) * time.Millisecond)
			complaint += r.judgeMidway()
			if random.IntN(2) == 0 {
				s.cut.Store(true)
				jumps["deaths"]++
			}
			stop()
		}
		stopSteady()
		stopLast := r.work(see(day), p.items...) // everything is due on this clock
		r.waitForAll(30 * time.Minute)
		cancel()
		<-sent
		stopLast()
		r.sleep(time.Minute)
		if err := p.verdict(r.engine(r.store), ids); err != nil {
			complaint += err.Error() + "\n"
		} else {
			jumps["ended"] += len(ids) + 1
		}
		if text := r.judge(invariant.Options{Ended: true, Skew: 2*day + time.Hour}); text != "" {
			complaint += text + "\n"
		}
	})
	return complaint, jumps
}

// Clocks of workers that are hours and days apart make no timer early by the clock of the worker that fires it, end
// no lease, and let nobody write who has lost a run.
func TestClocksOfWorkersDiffer(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	for _, h := range []home{inMemory, endsHere, onDisk} {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			short, full := 5, 10_000
			if h.name == onDisk.name {
				short, full = 1, 1000
			}
			counts := map[string]int{}
			n := campaign.Rounds(t, short, full)
			must := func() []campaign.Count {
				return []campaign.Count{
					{What: "jumps backwards", N: counts["backwards"]}, {What: "jumps forwards", N: counts["forwards"]},
					{What: "deaths", N: counts["deaths"]}, {What: "ended", N: counts["ended"]},
				}
			}
			for round := range campaign.More(n, must) {
				complaint, jumps := clocks(t, h, campaign.Random(seed, round), faulty.Fast)
				if complaint != "" {
					t.Fatalf("round %d: %s", round, complaint)
				}
				for what, k := range jumps {
					counts[what] += k
				}
			}
			campaign.Report(t, "F15", must(), campaign.Count{What: "rounds", N: n})
		})
	}
}

// A worker that takes the times of others for times of its own clock moves what they have recorded.
func TestSabotageOfTheClock(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	complaints := campaign.UntilRed(func(round int) string {
		complaint, _ := clocks(t, inMemory, campaign.Random(seed, round), func(by time.Duration) faulty.Clock {
			return faulty.Clock{In: by}
		})
		return complaint
	})
	campaign.Red(t, "F15", "the one meaning of a recorded time", complaints)
}
