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
// Row 147 of docs/proof/bugs.md.
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
	}, "memory", "sqlite", "postgres")
}

func TestHeartbeatTimeoutEndsASilentAttemptAndDetailsReachTheNext(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		began := time.Now()
		var second atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				info, _ := lambdabiz.TaskInfoFrom(ctx)
				if info.Attempt == 2 {
					second.Store(int64(seconds(began)))
					if string(info.Details) != "5" {
						t.Errorf("the second attempt has the details %q", info.Details)
					}
					return 7, nil
				}
				for i := range 6 { // longer than the time-out altogether
					time.Sleep(10 * time.Second)
					if err := lambdabiz.Heartbeat(ctx, i); err != nil {
						t.Error(err)
					}
				}
				<-ctx.Done()
				if err := lambdabiz.Heartbeat(ctx, "late"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a heartbeat after the end gave %v", err)
				}
				return 1, nil
			}, lambdabiz.HeartbeatTimeout(15*time.Second), attempts(2, time.Second))
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "x", 0)); got != 7 || !b.exact(int(second.Load()), 76) {
			t.Errorf("result is %d, the second attempt came after %d s", got, second.Load())
		}
	}, notOnSWF("a step may take 50 s there"), keepsClaims(countsTime))
}

func TestHeartbeatDetailsReachTheAttemptAfterACrash(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		if b.backend.Describe().CommitEndsClaim {
			t.Skip("nothing can be written while a body runs, where a commit ends the claim")
		}
		var seen notes
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				info, _ := lambdabiz.TaskInfoFrom(ctx)
				if seen.add(string(info.Details)); seen.len() == 2 {
					return 7, nil
				}
				if err := lambdabiz.Heartbeat(ctx, map[string]int{"row": 41}); err != nil {
					t.Error(err)
				}
				<-ctx.Done()
				return 0, ctx.Err()
			})
		})
		e, kill := b.killable(d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Minute)
		kill()
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != 7 || seen.String() != `, {"row":41}` {
			t.Errorf("result is %d, details were %v", got, &seen)
		}
	}, keepsClaims(countsTime))
}

// A body with a time-out, whose silence is not limited, timed out at its first heartbeat.
// Row 192 of docs/proof/bugs.md.
func TestHeartbeatOfABodyThatMayBeSilentEndsNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		beat := func(ctx context.Context, in int) (int, error) {
			for range 3 {
				if err := lambdabiz.Heartbeat(ctx, nil); err != nil {
					return 0, err
				}
				time.Sleep(5 * time.Second)
			}
			return in, ctx.Err()
		}
		task := lambdabiz.NewTask("Beat", beat)
		d := define(func(o lambdabiz.Context) (int, error) {
			a, err := lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				return beat(ctx, 3)
			}, lambdabiz.Timeout(40*time.Second))
			if err != nil {
				return 0, err
			}
			c, err := lambdabiz.Call(o, "t", task, 4, lambdabiz.Timeout(40*time.Second))
			return a + c, err
		})
		e, _ := b.worker(d, task)
		if got := result(b, start(b, e, d, "x", 0)); got != 7 {
			t.Errorf("result is %d", got)
		}
	})
}
