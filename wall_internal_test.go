package lambdabiz

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestABackoffOfAnySizeIsNoHotLoop(t *testing.T) {
	t.Parallel()
	const most = time.Duration(math.MaxInt64)
	for _, c := range []struct {
		b       Backoff
		attempt int
		want    time.Duration
	}{
		{Backoff{Initial: most, Max: most, Jitter: -1}, 1, most},
		{Backoff{Initial: most - 1, Max: most, Jitter: -1}, 1, most},
		{Backoff{Initial: time.Second, Max: most, Jitter: -1}, 100, most},
		{Backoff{Initial: time.Second, Max: most, Jitter: -1}, math.MaxInt, most},
		{Backoff{Initial: time.Second, Max: most, Factor: math.Inf(1), Jitter: -1}, 2, most},
		{Backoff{Initial: time.Second, Max: most, Factor: math.NaN(), Jitter: -1}, 2, 2 * time.Second},
		{Backoff{Initial: time.Second, Max: most, Factor: math.MaxFloat64, Jitter: math.NaN()}, 3, most},
		{Backoff{Initial: math.MinInt64, Max: math.MinInt64, Jitter: -1}, 1, time.Second},
		{Backoff{Initial: time.Hour, Jitter: -1}, 1, time.Minute},
	} {
		if got := c.b.wait(c.attempt); got != c.want {
			t.Errorf("%+v waits %v after attempt %d, want %v", c.b, got, c.attempt, c.want)
		}
	}
	for range 1000 {
		if got := (Backoff{Initial: most, Max: most, Jitter: 0.5}).wait(1); got < most/2-time.Second {
			t.Fatalf("it waits %v", got)
		}
	}
}

// A laptop that sleeps: the clock of timers stands still, the wall clock goes on. So no timer is set for longer than a
// minute, and the worker asks the store only when something is due.
func TestAWorkerThatDoesNotPollLooksAtTheWallClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &worker{e: &Engine{residents: newResidents(1, 1, false), env: env{config: Config{PollInterval: -1, MaxResident: 1}}}}
		timer := time.NewTimer(0)
		defer timer.Stop()
		w.next = now().Add(10 * time.Hour)
		began := time.Now()
		w.sleep(t.Context(), timer, nil)
		if got := time.Since(began); got != 10*time.Hour {
			t.Errorf("it woke after %v", got)
		}
		if w.snoozes < 599 {
			t.Errorf("it looked at the wall clock %d times", w.snoozes)
		}
		w.next = time.Time{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began = time.Now()
		w.sleep(ctx, timer, nil)
		if got := time.Since(began); got != time.Hour {
			t.Errorf("with nothing to come it woke after %v", got)
		}
	})
}
