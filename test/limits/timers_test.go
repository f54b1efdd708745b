package limits_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// wakeUps counts how often each sleeper was woken, and how early at worst.
type wakeUps struct {
	mu     sync.Mutex
	times  map[string]int
	early  time.Duration
	latest time.Duration
}

// sleeper sleeps until a moment and notes when it was woken, by a step, which runs once.
func (w *wakeUps) sleeper() *lambdabiz.Definition[time.Time, int] {
	return lambdabiz.Define("Sleeper", func(o lambdabiz.Context, due time.Time) (int, error) {
		if err := lambdabiz.SleepUntil(o, "timer", due); err != nil {
			return 0, err
		}
		return lambdabiz.Step(o, "woken", func(context.Context) (int, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.times[o.ID()]++
			late := time.Since(due)
			w.early, w.latest = max(w.early, -late), max(w.latest, late)
			return w.times[o.ID()], nil
		})
	})
}

// storm lets n timers fall due in one second, and says what is wrong.
func storm(t *testing.T, h home, n int, random *rand.Rand, wrap func(lambdabiz.Backend) lambdabiz.Backend) (woken int, complaint string) {
	t.Helper()
	w := &wakeUps{times: map[string]int{}}
	complaint = bubble(t, h, 24*time.Hour, wrap, func(b *bench) {
		d := w.sleeper()
		e, _ := b.worker(lambdabiz.Config{MaxResident: n + 1}, d)
		at := time.Now().Add(2 * time.Hour)
		var all sync.WaitGroup
		runs := make([]*lambdabiz.Run[int], n)
		dues := make([]time.Time, n)
		for i := range n {
			dues[i] = at.Add(time.Duration(random.Int64N(int64(time.Second))))
		}
		for part := range 256 {
			all.Go(func() {
				for i := part; i < n; i += 256 {
					run, err := lambdabiz.Start(b.ctx, e, d, fmt.Sprint("sleeper-", i), dues[i])
					if err != nil {
						panic(err)
					}
					runs[i] = run
				}
			})
		}
		all.Wait()
		for _, run := range runs {
			want(b, run, 1)
		}
		if len(w.times) != n {
			b.complainf("%d of %d timers fired", len(w.times), n)
		}
		for id, times := range w.times {
			if times != 1 {
				b.complainf("the timer of %s fired %d times", id, times)
			}
		}
		if w.early > 0 {
			b.complainf("a timer fired %v early", w.early)
		}
		if w.latest > 3*time.Second {
			b.complainf("a timer fired %v late", w.latest)
		}
	})
	return len(w.times), complaint
}

// A storm of timers in one second: each fires once, never early.
func TestTimerStorm(t *testing.T) {
	n := campaign.Rounds(t, 5_000, 100_000)
	if underRace {
		n = campaign.Rounds(t, 300, 100_000)
	}
	seed := campaign.Seed(t)
	onHomes(t, func(t *testing.T, h home) {
		woken, complaint := storm(t, h, n, campaign.Random(seed, 0), nil)
		if complaint != "" {
			t.Error(complaint)
		}
		campaign.Report(t, "F13", []campaign.Count{{What: "timers", N: woken}})
	})
}

// hasty moves the times at which waiting orchestrations and their timers are due.
type hasty struct{ lambdabiz.Backend }

// Commit commits timers that are due ten minutes sooner.
func (h hasty) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	for _, c := range batch {
		for i := range c.Operations {
			if o := &c.Operations[i]; o.Kind == lambdabiz.KindTimer && !o.Status.Ended() {
				o.DueAt = o.DueAt.Add(-10 * time.Minute)
			}
		}
		if c.Release != nil && !c.Release.WakeAt.IsZero() {
			c.Release.WakeAt = c.Release.WakeAt.Add(-10 * time.Minute)
		}
	}
	return h.Backend.Commit(ctx, batch)
}

// Wake tells of changes, as the backend does.
func (h hasty) Wake() <-chan struct{} { return h.Backend.(lambdabiz.Waker).Wake() }

// With due times that are moved in the store, timers fire early.
func TestSabotageTimersMoved(t *testing.T) {
	t.Parallel()
	_, complaint := storm(t, homes[0], 50, campaign.Random(1, 0), func(b lambdabiz.Backend) lambdabiz.Backend { return hasty{b} })
	campaign.Red(t, "F13", "the due time of a timer", complaint)
}

// Timers at the ends of time and of common number formats, and in the past: those in the past fire at once, the others
// when they are due, with a restart in between, and a far one waits without fuss.
func TestTimersAtTheEdgesOfNumbers(t *testing.T) {
	zero := time.Time{}
	past := map[string]time.Time{
		"zero": zero, "year 1": zero.Add(1), "1900": date(1900), "1970": time.Unix(0, 0), "before 1970": time.Unix(-1, 0),
		"least": time.Unix(math.MinInt64/2, 0), "year -300": date(-300),
	}
	future := map[string]time.Time{
		"2038": time.Unix(math.MaxInt32, 0), "after 2038": time.Unix(math.MaxInt32+1, 500), "2106": time.Unix(math.MaxUint32, 0),
	}
	// The clock of a bubble ends where nanoseconds end, in 2262.
	far := map[string]time.Time{
		"2262": time.Unix(0, math.MaxInt64), "after 2262": time.Unix(math.MaxInt64/1_000_000_000+1, 0),
		"9999": date(9999), "10000": date(10_000), "most": time.Unix(math.MaxInt64/2, 0),
	}
	onHomes(t, func(t *testing.T, h home) {
		w := &wakeUps{times: map[string]int{}}
		complaint := bubble(t, h, 200*365*24*time.Hour, nil, func(b *bench) {
			d := lambdabiz.Define("Edge", func(o lambdabiz.Context, due [2]int64) (int, error) {
				at := time.Unix(due[0], due[1])
				if err := lambdabiz.SleepUntil(o, "timer", at); err != nil {
					return 0, err
				}
				return lambdabiz.Step(o, "woken", func(context.Context) (int, error) {
					w.mu.Lock()
					defer w.mu.Unlock()
					if w.times[o.ID()]++; time.Now().Before(at) {
						b.complainf("%s fired at %v", o.ID(), time.Now())
					}
					return w.times[o.ID()], nil
				})
			})
			config := lambdabiz.Config{Lease: 100 * 365 * 24 * time.Hour} // heartbeats of centuries take long
			e, stop := b.worker(config, d)
			begin := func(set map[string]time.Time) []*lambdabiz.Run[int] {
				runs := make([]*lambdabiz.Run[int], 0, len(set))
				for name, at := range set {
					runs = append(runs, start(b, e, d, name, [2]int64{at.Unix(), int64(at.Nanosecond())}))
				}
				return runs
			}
			begin(far)
			soon := begin(future)
			began := time.Now()
			for _, run := range begin(past) {
				want(b, run, 1)
			}
			if time.Since(began) > time.Minute {
				b.complainf("timers in the past took %v", time.Since(began))
			}
			time.Sleep(time.Hour)
			stop()
			e, _ = b.worker(config, d)
			for _, run := range soon {
				want(b, lambdabiz.Get(e, d, run.ID()), 1)
			}
			for name := range far {
				if s := b.state(e, name); s.Status.Ended() || w.times[name] > 0 {
					b.complainf("%s fired: %v", name, s.Status)
				}
			}
		})
		if complaint != "" {
			t.Error(complaint)
		}
		campaign.Report(t, "F13", []campaign.Count{{What: "timers at the edges", N: len(w.times)}})
	})
}

func date(year int) time.Time { return time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC) }
