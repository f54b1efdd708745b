package homes_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// decision waits for one of two events, and then for both of them: what was not taken the first time is still there.
var decision = lambdabiz.Define("Decision", func(o lambdabiz.Context, within time.Duration) (string, error) {
	var opts []lambdabiz.WaitOption
	if within > 0 {
		opts = append(opts, lambdabiz.Timeout(within))
	}
	event, by, err := lambdabiz.WaitForAnyEvent[string](o, "decision", []string{"Approve", "Reject"}, opts...)
	if err != nil {
		return "", err
	}
	other := map[string]string{"Approve": "Reject", "Reject": "Approve"}[event]
	left, err := lambdabiz.WaitForEvent[string](o, "other", lambdabiz.Named(other), lambdabiz.Timeout(time.Hour))
	return event + " by " + by + ", then " + left, err
})

func TestWaitForAnyEventTakesTheOneThatCameFirstAndLeavesTheOthers(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, stop := b.worker(decision)
		late, early := start(b, e, decision, "late", 0), start(b, e, decision, "early", 0)
		synctest.Wait()
		raise(b, e, "late", "Reject", "Ann") // while it waits
		time.Sleep(time.Minute)
		stop()
		client := b.engine(lambdabiz.Config{}, decision)
		raise(b, client, "early", "Reject", "Ann") // while nobody works: this one first
		time.Sleep(time.Second)
		raise(b, client, "early", "Approve", "Bob")
		raise(b, client, "late", "Approve", "Bob")
		e, _ = b.worker(decision)
		for _, run := range []*lambdabiz.Run[string]{late, early} {
			if got := result(b, lambdabiz.Get(e, decision, run.ID())); got != "Reject by Ann, then Bob" {
				t.Errorf("%s: %s", run.ID(), got)
			}
		}
	})
}

func TestWaitForAnyEventTimesOutForAllOfThem(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(decision)
		began := time.Now()
		_, err := start(b, e, decision, "d", time.Hour).Result(b.ctx)
		var late *lambdabiz.EventTimeoutError
		if !errors.As(err, &late) || late.Event != "Approve, Reject" || late.Deadline.Sub(began) < time.Hour {
			t.Errorf("got %v", err)
		}
	})
}

func TestWaitForAnyEventRefusesWhatMakesNoSense(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Bad", func(o lambdabiz.Context, _ int) (string, error) {
			var words []string
			for _, events := range [][]string{nil, {"A", "B", "A"}} {
				_, _, err := lambdabiz.WaitForAnyEvent[int](o, "e", events)
				words = append(words, err.Error())
			}
			_, _, err := lambdabiz.WaitForAnyEvent[int](o, "e", []string{"A"}, lambdabiz.Named("B"))
			return strings.Join(append(words, err.Error()), "\n"), nil
		})
		e, _ := b.worker(d)
		got := strings.Split(result(b, start(b, e, d, "bad", 0)), "\n")
		for i, want := range []string{"no event", "twice", "Named"} {
			if !strings.Contains(got[i], want) || !strings.HasPrefix(got[i], `orchestration bad, operation "e": `) {
				t.Errorf("got %s", got[i])
			}
		}
		if n := len(b.state(e, "bad").Operations); n != 0 {
			t.Errorf("%d operations are recorded", n)
		}
	})
}

func TestAWaitUntilAPointInTimeKeepsTheFirstOne(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Until", func(o lambdabiz.Context, _ int) (time.Time, error) {
			_, err := lambdabiz.WaitForEvent[int](o, "e", lambdabiz.Until(time.Now().Add(time.Hour)), lambdabiz.Timeout(48*time.Hour))
			var late *lambdabiz.EventTimeoutError
			if !errors.As(err, &late) {
				return time.Time{}, err
			}
			return late.Deadline, nil
		})
		began := time.Now()
		e, stop := b.worker(d)
		run := start(b, e, d, "u", 0)
		time.Sleep(30 * time.Minute)
		stop()
		time.Sleep(10 * time.Minute)
		e, _ = b.worker(d)
		due := result(b, lambdabiz.Get(e, d, run.ID()))
		late := 10 * time.Second
		if b.faults != nil {
			late = 20 * time.Minute // the first pass may be late, and the second one is 40 minutes later
		}
		if wait := due.Sub(began); wait < time.Hour || wait > time.Hour+late {
			t.Errorf("it was over after %v", wait)
		}
	})
}

// Row 70 of docs/proof/bugs.md.
func TestAnEmptyEventKeyIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(collect)
		run := start(b, e, collect, "c", 1)
		if err := run.Raise(b.ctx, "E", "x", lambdabiz.Key("")); !errors.Is(err, lambdabiz.ErrInvalidID) {
			t.Errorf("got %v", err)
		}
		if err := run.Raise(b.ctx, "E", "y", lambdabiz.Key("k")); err != nil {
			t.Error(err)
		}
		if got := result(b, run); len(got) != 1 || got[0] != "y" {
			t.Errorf("got %v", got)
		}
	})
}
