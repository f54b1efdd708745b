package homes_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A body that beats a hundred times a second wrote to the disk as often.
// Row 147 of docs/reliability.md.
func TestHeartbeatsAreNotWrittenAsOftenAsTheyCome(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		var commits atomic.Int64
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			commits.Add(1)
			return inner.Commit(ctx, batch)
		}}
		details := func(ctx context.Context) (n int) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			if err := info.DecodeDetails(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				if n := details(ctx); n > 0 {
					return n, nil // the second attempt
				}
				for n := range 1000 {
					if err := lambdabiz.Heartbeat(ctx, n+1); err != nil {
						return 0, err
					}
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				if err := lambdabiz.Heartbeat(ctx, 2000); err != nil {
					return 0, err
				}
				if err := lambdabiz.Heartbeat(ctx, 2001); err != nil {
					return 0, err
				}
				return 0, errors.New("again")
			}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 2}))
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(30 * time.Second)
		if got := string(operation(t, b.state(e, "x"), "s").Details); got != "1000" {
			t.Errorf("details while the body is silent: %s", got)
		}
		if n := commits.Load(); n > 15 {
			t.Errorf("%d commits for 10 s with 1,000 heartbeats", n)
		}
		if got := result(b, run); got != 2001 {
			t.Errorf("the second attempt had the details %d", got)
		}
	}, "memory", "sqlite")
}
