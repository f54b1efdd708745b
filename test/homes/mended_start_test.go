package homes_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Where commits end claims, a start of unknown outcome was repeated while the worker had claimed the run: it was
// taken for the start's own claim, and two copies of the run wrote under one fence.
func TestAStartThatComesTwiceAfterAClaimMakesNoSecondCopy(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{
			Backend: inner,
			claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
				c, err := inner.Claim(ctx, r)
				if err == nil && len(c.Runs) > 0 {
					time.Sleep(2 * time.Second) // its answer is slower than the second start
				}
				return c, err
			},
			commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
				v, err := inner.Commit(ctx, batch)
				if err == nil && len(batch[0].Starts) > 0 && lose {
					lose = false
					time.Sleep(1500 * time.Millisecond) // the worker claims meanwhile
					return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
				}
				return v, err
			},
		}
		d := define(func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "s", time.Minute) })
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(30 * time.Second)
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusStarted || s.StartedAt.IsZero() {
			t.Errorf("it is %v, started at %v", s.Status, s.StartedAt)
		}
		if got := result(b, run); got != 1 {
			t.Errorf("result is %d", got)
		}
	}, notOnSWF("its starts have names of their own"), bears(20, countsTime))
}

// A start of unknown outcome was refused when it came again, if its run had continued as another one meanwhile.
func TestAStartThatComesTwiceAfterItsRunHasContinuedIsItsOwn(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if err == nil && len(batch[0].Starts) > 0 && lose {
				lose = false
				time.Sleep(time.Minute) // it continues meanwhile
				return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return v, err
		}}
		client := b.engine(lambdabiz.Config{})
		b.backend = inner
		d := lambdabiz.Define("D", func(o lambdabiz.Context, round int) (int, error) {
			if round < 2 {
				return 0, lambdabiz.ContinueAsNew(o, round+1)
			}
			return round, lambdabiz.Sleep(o, "s", 2*time.Minute)
		})
		b.worker(d)
		run := start(b, client, d, "x", 0, lambdabiz.OnUsedID(lambdabiz.RejectExisting))
		if got := result(b, run); got != 2 {
			t.Errorf("result is %d", got)
		}
	}, "memory", "memory, a commit ends the claim", "sqlite")
}
