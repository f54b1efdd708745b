package homes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Several callers drive the same run by hand, each for a short time.
func TestManyCallersDriveOneRunByHand(t *testing.T) {
	for seed := range 8 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			onHomes(t, func(t *testing.T, b *bench) {
				rng := rand.New(rand.NewPCG(uint64(seed), 2))
				var mu sync.Mutex
				roll := func(n int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) }
				inner := b.backend
				b.backend = &proxy{Backend: inner, commit: func(
					ctx context.Context, batch []*lambdabiz.Commit,
				) ([]lambdabiz.Verdict, error) {
					time.Sleep(time.Duration(roll(20)) * time.Millisecond)
					return inner.Commit(ctx, batch)
				}}
				e1, e2 := b.engine(lambdabiz.Config{}), b.engine(lambdabiz.Config{})
				returned := map[string]int{} // what an operation returned to any caller
				note := func(id string, v int) {
					mu.Lock()
					defer mu.Unlock()
					if old, ok := returned[id]; ok && old != v {
						t.Errorf("%s returned %d and %d", id, old, v)
					}
					returned[id] = v
				}
				n := 0
				drive := func(e *lambdabiz.Engine) (done bool, err error) {
					ctx, cancel := context.WithTimeout(b.ctx, time.Duration(1+roll(1500))*time.Millisecond)
					defer cancel()
					o, err := e.Create(ctx, "h")
					if err != nil {
						return false, err
					}
					if err := o.Start(1); err != nil {
						return errors.Is(err, lambdabiz.ErrClosed), err
					}
					for i := range 6 {
						v, err := lambdabiz.Step(o, fmt.Sprint("s", i), func(_ context.Context) (int, error) {
							time.Sleep(time.Duration(roll(200)) * time.Millisecond)
							mu.Lock()
							defer mu.Unlock()
							n++
							return n, nil
						})
						if err != nil {
							return false, o.Fail(err)
						}
						note(fmt.Sprint("s", i), v)
						out, err := lambdabiz.Map(o, fmt.Sprint("m", i), []int{1, 2}, func(n int) string { return fmt.Sprint(n) },
							func(o lambdabiz.Context, n int) (int, error) {
								if err := lambdabiz.Sleep(o, "z", 100*time.Millisecond); err != nil {
									return 0, err
								}
								return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return n, nil })
							})
						if err != nil {
							return false, o.Fail(err)
						}
						if out[0] != 1 || out[1] != 2 {
							t.Errorf("map: %v", out)
						}
						ev, err := lambdabiz.WaitForEvent[int](o, fmt.Sprint("w", i), lambdabiz.Named("e"))
						if err != nil {
							return false, o.Fail(err)
						}
						if ev != i {
							t.Errorf("event %d came %d.", i, ev)
						}
						note(fmt.Sprint("w", i), ev)
					}
					return true, o.Complete(1)
				}
				go func() {
					for i := range 6 {
						for {
							time.Sleep(time.Duration(roll(700)) * time.Millisecond)
							if err := e1.RaiseEvent(b.ctx, "h", "e", i); err == nil {
								break
							}
						}
					}
				}()
				var wait sync.WaitGroup
				for _, e := range []*lambdabiz.Engine{e1, e2} {
					wait.Go(func() {
						for range 400 {
							done, err := drive(e)
							if done && (err == nil || errors.Is(err, lambdabiz.ErrClosed)) {
								return
							}
							if !errors.Is(err, lambdabiz.ErrWaiting) && !errors.Is(err, lambdabiz.ErrFenced) &&
								!errors.Is(err, context.DeadlineExceeded) {
								t.Errorf("%v", err)
							}
							time.Sleep(time.Duration(roll(3000)) * time.Millisecond)
						}
						t.Error("not done after 400 calls")
					})
				}
				wait.Wait()
				s := b.state(e1, "h")
				if s.Status != lambdabiz.StatusSucceeded {
					t.Errorf("the run is %v: %+v", s.Status, s.Error)
				}
				time.Sleep(time.Minute)
			}, "memory", "sqlite")
		})
	}
}
