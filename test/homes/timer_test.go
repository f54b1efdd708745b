package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func TestYearOfTimersWithRestartsRunsInVirtualTime(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.ctx = t.Context() // the year is longer than the time that a test may take else
		d := lambdabiz.Define("Year", func(o lambdabiz.Context, weeks int) (int, error) {
			for i := range weeks {
				if err := lambdabiz.Sleep(o, fmt.Sprint("week-", i), 7*24*time.Hour); err != nil {
					return i, err
				}
			}
			return weeks, nil
		})
		config := lambdabiz.Config{PollInterval: -1} // nobody else uses the store
		e, stop := b.workerWith(config, d)
		began := time.Now()
		start(b, e, d, "y", 52)
		for range 12 {
			time.Sleep(20*24*time.Hour + 5*time.Minute)
			stop()
			e, stop = b.workerWith(config, d)
		}
		if got := result(b, lambdabiz.Get(e, d, "y")); got != 52 {
			t.Errorf("result is %d", got)
		}
		late := time.Since(began) - 52*7*24*time.Hour
		if late < 0 || b.faults == nil && late > time.Minute {
			t.Errorf("the year ended %v late", late)
		}
		for _, o := range b.state(e, "y").Operations {
			if o.EndedAt.Before(o.DueAt) || o.Attempts != 1 {
				t.Errorf("%s was due at %v and ended at %v, attempts %d", o.ID, o.DueAt, o.EndedAt, o.Attempts)
			}
		}
	}, notOnSWF("a year of its polls is half a million"))
}

// Due times are rounded up to microseconds: the engine's clock has no more, and would never reach them.
// Row 13 of docs/proof/bugs.md.
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

func TestTimersAtTheEndsOfTime(t *testing.T) {
	for name, at := range map[string]time.Time{
		"zero": {}, "1970": time.Unix(0, 0), "year -5": time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
					return 1, lambdabiz.SleepUntil(o, "s", at)
				})
				e, _ := b.worker(d)
				ctx, cancel := within(b, time.Minute)
				defer cancel()
				if _, err := start(b, e, d, "x", 0).Result(ctx); err != nil {
					t.Error(err, b.state(e, "x").Blocked)
				}
			})
		})
	}
	for name, at := range map[string]time.Time{
		"9999":     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		"10000":    time.Date(10001, 12, 31, 23, 59, 59, 0, time.UTC),
		"far":      time.Unix(1<<55, 0),
		"very far": time.Unix(1<<61, 0),
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
					f := lambdabiz.Go(o, "f", func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.SleepUntil(o, "s", at) })
					g := lambdabiz.Go(o, "g", func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "s", 5*time.Minute) })
					i, err := lambdabiz.Race(o, "r", f, g)
					if i == 0 {
						_, err = f.Wait(o)
					}
					return fmt.Sprint(i, err), nil
				})
				e, stop := b.worker(d)
				start(b, e, d, "x", 0)
				time.Sleep(time.Minute)
				stop()
				e, _ = b.worker(d)
				got, err := lambdabiz.Get(e, d, "x").Result(b.ctx)
				if err != nil || got != "1 <nil>" && !strings.Contains(got, "does not support waits") {
					t.Errorf("%q, %v", got, err)
				}
			})
		})
	}
}

// A timer that is due is not starved by starts that keep coming faster than they are done.
// Row 12 of docs/proof/bugs.md.
func TestATimerUnderLoadOfStarts(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		timer := lambdabiz.Define("T", func(o lambdabiz.Context, _ int) (int, error) {
			return 1, lambdabiz.Sleep(o, "s", 30*time.Second)
		})
		work := lambdabiz.Define("W", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "x", func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil })
		})
		e, _ := b.workerWith(lambdabiz.Config{MaxResident: 1, ParkAfter: time.Second}, timer, work)
		client := b.engine(lambdabiz.Config{}, timer, work)
		start(b, e, timer, "t", 1)
		time.Sleep(5 * time.Second) // it is parked
		for i := range 400 {
			start(b, client, work, fmt.Sprint("w", i), 1)
			time.Sleep(500 * time.Millisecond)
		}
		s := b.state(client, "t")
		if !s.Status.Ended() {
			t.Errorf("the timer of 30 s has not fired after %v, due %v", time.Since(s.ScheduledAt), operation(t, s, "s").DueAt)
		}
	}, "memory", "sqlite", "postgres")
}

func TestTimerIsNotEarlyByNanoseconds(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		due := time.Now().Add(time.Second + 900*time.Nanosecond)
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (time.Duration, error) {
			err := lambdabiz.SleepUntil(o, "s", due)
			return time.Until(due), err
		})
		e, _ := b.worker(d)
		if early := result(b, start(b, e, d, "x", 0)); early > 0 {
			t.Errorf("%v early", early)
		}
	})
}
