package homes_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A timer that is due is not starved by starts that keep coming faster than they are done.
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
	}, "memory", "sqlite")
}

// A worker alone on its store, whose claim was lost and who could not leave, never took over from what it had been.
func TestAWorkerAloneTakesOverFromWhatItHasBeen(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		store := &leaver{Backend: inner, leave: func(ctx context.Context, worker, beat int64) error {
			if beat < 0 {
				return errors.New("the store is busy")
			}
			return inner.Leave(ctx, worker, beat)
		}}
		b.backend = &proxy{Backend: store, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			if err == nil && len(c.Runs) > 0 && lose {
				lose = false
				return lambdabiz.Claims{}, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return c, err
		}}
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		client := b.engine(lambdabiz.Config{})
		run := start(b, client, d, "x", 0)
		b.workerWith(lambdabiz.Config{PollInterval: -1}, d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; held by worker %d", v, err, b.state(client, "x").Worker)
		}
	}, "memory", "sqlite")
}
