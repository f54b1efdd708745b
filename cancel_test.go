package lambdabiz_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Row 180: a cancellation that came as the next attempt of a task was due, where the home performs tasks, was not heard:
// the attempt was asked for, and the run waited for its end.
func TestARetryThatIsCancelledAsItIsDueIsNotAskedFor(t *testing.T) {
	t.Parallel()
	for home, open := range map[string]func(t *testing.T) lambdabiz.Backend{
		"memory": openMemory, "memory, a commit ends the claim": openWithoutClaims, "sqlite": openSQLite, "swf": openSWF,
	} {
		t.Run(home, func(t *testing.T) {
			t.Parallel()
			var bodies atomic.Int64
			fails := lambdabiz.NewTask("Fails", func(context.Context, int) (int, error) {
				bodies.Add(1)
				return 0, errors.New("not now")
			})
			d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
				return lambdabiz.Call(o, "task", fails, 1, lambdabiz.Retry(lambdabiz.Backoff{
					Initial: time.Minute, Jitter: -1, Attempts: 2,
				}))
			})
			inVirtualTime(t, open, lambdabiz.Config{}, func(ctx context.Context, t *testing.T, e *lambdabiz.Engine) {
				if _, err := lambdabiz.Start(ctx, e, d, "x", 0); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Second)
				e.CancelAsItWakes("x")
				_ = e.Cancel(ctx, "x", "") // for a claim, where a commit ends it; else it may have ended
				time.Sleep(time.Minute)
				s, err := e.State(ctx, "x")
				if err != nil {
					t.Fatal(err)
				}
				if !s.Status.Ended() || bodies.Load() != 1 || len(s.Operations) != 1 ||
					s.Operations[0].Status != lambdabiz.StatusCancelled {
					t.Errorf("it is %v after %d bodies, its operations %+v", s.Status, bodies.Load(), s.Operations)
				}
			}, d, fails)
		})
	}
}

// Row 163: a run was cancelled as a retry of it was due: the branch waited for a slot all the same, for as long as others
// kept it. (Where a commit ends the claim, a run that waits holds none.)
func TestARetryThatIsCancelledAsItIsDueWaitsForNoSlot(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("Retries", func(o lambdabiz.Context, id string) (int, error) {
		return 0, lambdabiz.Do(o, "step", func(ctx context.Context) error {
			if id != "long" {
				return errors.New("not yet")
			}
			select {
			case <-time.After(2 * time.Hour):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 5, Initial: time.Hour, Max: time.Hour, Jitter: -1}))
	})
	for home, open := range map[string]func(t *testing.T) lambdabiz.Backend{"memory": openMemory, "sqlite": openSQLite} {
		t.Run(home, func(t *testing.T) {
			t.Parallel()
			c := lambdabiz.Config{MaxTasks: 1, ParkAfter: 24 * time.Hour}
			inVirtualTime(t, open, c, func(ctx context.Context, t *testing.T, e *lambdabiz.Engine) {
				retries, err := lambdabiz.Start(ctx, e, d, "retries", "retries")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				long, err := lambdabiz.Start(ctx, e, d, "long", "long")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				began := time.Now()
				e.CancelAsItWakes("retries")
				_, err = retries.Result(ctx)
				if !errors.Is(err, lambdabiz.ErrCancelled) || time.Since(began) > time.Minute {
					t.Errorf("it ended with %v, %v later", err, time.Since(began))
				}
				if _, err := long.Result(ctx); err != nil {
					t.Error(err)
				}
			}, d)
		})
	}
}
