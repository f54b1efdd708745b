package limits_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

const day = 24 * time.Hour

// plan is what an orchestration of a year does, one entry for each stretch: days to sleep, or to wait for an event.
type plan struct{ Days []int }

// year runs a plan: sleeps, waits with a time-out, steps, children, in turn and in branches.
func year(bodies *sync.Map) (*lambdabiz.Definition[plan, int], *lambdabiz.Definition[int, int]) {
	child := lambdabiz.Define("Child", func(o lambdabiz.Context, days int) (int, error) {
		if err := lambdabiz.Sleep(o, "nap", time.Duration(days)*day); err != nil {
			return 0, err
		}
		return days, nil
	})
	parent := lambdabiz.Define("Year", func(o lambdabiz.Context, in plan) (int, error) {
		sum := 0
		for i, days := range in.Days {
			var err error
			switch i % 3 {
			case 0:
				err = lambdabiz.Sleep(o, fmt.Sprint("sleep-", i), time.Duration(days)*day)
			case 1:
				_, err = lambdabiz.WaitForEvent[bool](o, fmt.Sprint("wait-", i), lambdabiz.Timeout(time.Duration(days)*day))
				if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); late {
					err = nil
				}
			case 2:
				_, err = lambdabiz.CallChild(o, fmt.Sprint("child-", i), child, days)
			}
			if err != nil {
				return sum, err
			}
			got, err := lambdabiz.Step(o, fmt.Sprint("step-", i), func(context.Context) (int, error) {
				id := fmt.Sprint(o.ID(), "/", i)
				if _, twice := bodies.LoadOrStore(id, true); twice {
					return 0, fmt.Errorf("%s ran twice", id)
				}
				return days, nil
			})
			if err != nil {
				return sum, err
			}
			sum += got
		}
		return sum, nil
	})
	return parent, child
}

// liveAYear runs a year of several orchestrations with restarts of the worker, and says what is wrong.
func liveAYear(
	t *testing.T, h home, random *rand.Rand, restarts int, wrap func(lambdabiz.Backend) lambdabiz.Backend,
) (done int, complaint string) {
	t.Helper()
	complaint = bubble(t, h, 3*365*day, wrap, func(b *bench) {
		var bodies sync.Map
		parent, child := year(&bodies)
		config := lambdabiz.Config{Lease: 30 * day} // else a year has two million heartbeats
		e, stop := b.worker(config, parent, child)
		began := time.Now()
		sums := map[string]int{}
		for i := range 3 {
			in, left := plan{}, 365
			for left > 0 {
				days := min(left, 1+random.IntN(60))
				in.Days, left = append(in.Days, days), left-days
			}
			id := fmt.Sprint("year-", i)
			sums[id] = 365
			start(b, e, parent, id, in)
		}
		stops := make([]time.Duration, restarts)
		for i := range stops {
			stops[i] = time.Duration(random.Int64N(int64(365 * day)))
		}
		slices.Sort(stops)
		for _, at := range stops {
			time.Sleep(at - time.Since(began))
			stop()
			if random.IntN(2) == 0 {
				time.Sleep(time.Duration(random.Int64N(int64(time.Minute))))
			}
			e, stop = b.worker(config, parent, child)
		}
		for id, sum := range sums {
			want(b, lambdabiz.Get(e, parent, id), sum)
			done++
		}
		if took := time.Since(began); took < 365*day || took > 366*day {
			b.complainf("the year took %v", took)
		}
		for id := range sums {
			for _, o := range b.state(e, id).Operations {
				if !o.DueAt.IsZero() && o.EndedAt.Before(o.DueAt) {
					b.complainf("%s of %s ended %v before it was due", o.ID, id, o.DueAt.Sub(o.EndedAt))
				}
			}
		}
	})
	return done, complaint
}

// A year of virtual time with 50 restarts of the worker.
func TestYearWithRestarts(t *testing.T) {
	rounds := campaign.Rounds(t, 3, 100)
	if underRace {
		rounds = campaign.Rounds(t, 1, 100)
	}
	seed := campaign.Seed(t)
	onHomes(t, func(t *testing.T, h home) {
		done := 0
		for round := range rounds {
			n, complaint := liveAYear(t, h, campaign.Random(seed, round), 50, nil)
			if complaint != "" {
				t.Fatalf("round %d: %s", round, complaint)
			}
			done += n
		}
		campaign.Report(t, "F14", []campaign.Count{{What: "years", N: done}, {What: "restarts", N: rounds * 50}})
	})
}

// With a store that forgets ended steps over a restart, bodies run twice.
func TestSabotageStepsForgotten(t *testing.T) {
	t.Parallel()
	forget := func(b lambdabiz.Backend) lambdabiz.Backend {
		return recordings{b, func(r *lambdabiz.Record) {
			r.Operations = slices.DeleteFunc(r.Operations, func(o lambdabiz.Operation) bool { return o.Kind == lambdabiz.KindStep })
		}}
	}
	_, complaint := liveAYear(t, homes[0], campaign.Random(1, 0), 10, forget)
	campaign.Red(t, "F14", "the record of a step", complaint)
}
