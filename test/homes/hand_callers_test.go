package homes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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
			}, "memory", "sqlite", "postgres")
		})
	}
}

// Complete returns when the outcome is durable, the second call too.
func TestCompleteTwiceAtOnce(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			time.Sleep(time.Duration(d.Load()))
			return inner.Commit(ctx, batch)
		}}
		e := b.engine(lambdabiz.Config{})
		o, err := e.Create(b.ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		d.Store(int64(time.Second))
		go func() { _ = o.Complete(1) }()
		time.Sleep(100 * time.Millisecond)
		if err := o.Complete(1); err != nil {
			t.Fatal(err)
		}
		if s := b.state(e, "h"); !s.Status.Ended() {
			t.Errorf("Complete has returned nil, the run is %v", s.Status)
		}
		time.Sleep(time.Minute)
	}, "memory")
}

// Start by workers of an id that is driven by hand is an error, even when the names agree.
func TestStartOfAnIDThatIsDrivenByHand(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("same", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		e, _ := b.worker(d)
		o, err := e.Create(b.ctx, "same")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		if _, err := lambdabiz.Start(b.ctx, e, d, "same", 1); err == nil {
			t.Error("Start returned a handle to a run that no worker will ever drive")
		}
	}, "memory", "sqlite", "postgres")
}

// Driven by hand: the state says STARTED.
func TestRunDrivenByHandIsStarted(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		o, err := e.Create(b.ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		if _, err := lambdabiz.Step(o, "s", one); err != nil {
			t.Fatal(err)
		}
		s, err := o.State()
		if err != nil || s.Status != lambdabiz.StatusStarted || s.StartedAt.IsZero() {
			t.Errorf("%v, %+v", err, s.RunInfo)
		}
		synctest.Wait()
	}, "memory", "sqlite", "postgres")
}

// An ended run that is driven by hand answers every unrecorded operation with ErrClosed. The second one was taken for
// misuse.
func TestRunEndedByHandAnswersTwice(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		o, err := e.Create(b.ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		if _, err := lambdabiz.Step(o, "s", one); err != nil {
			t.Fatal(err)
		}
		if err := o.Complete(1); err != nil {
			t.Fatal(err)
		}
		o, err = e.Create(b.ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if _, err := lambdabiz.Step(o, fmt.Sprint("new", i), one); !errors.Is(err, lambdabiz.ErrClosed) {
				t.Errorf("operation %d: %v", i, err)
			}
		}
		if v, err := lambdabiz.Step(o, "s", one); v != 1 || err != nil {
			t.Errorf("recorded operation: %v, %v", v, err)
		}
	}, "memory", "sqlite", "postgres")
}

// A caller whose commit's verdict came after a later Create took the run back.
// Row 20 of docs/proof/bugs.md.
func TestOlderCallersLateVerdictDoesNotTakeTheRunBack(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		inner := b.backend
		var once sync.Once
		var newer *lambdabiz.Orchestration
		client := b.engine(lambdabiz.Config{})
		b.backend = &laned{&proxy{Backend: inner, commit: func(
			ctx context.Context, batch []*lambdabiz.Commit,
		) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if batch[0].Run != nil {
				once.Do(func() {
					if newer, err = client.Create(b.ctx, "x"); err != nil {
						t.Error(err)
					}
				})
			}
			return v, err
		}}}
		older := byHand(b, b.ctx, b.engine(lambdabiz.Config{}), "x")
		b.backend = inner
		_, _ = lambdabiz.Step(older, "s", one)
		if _, err := lambdabiz.Step(older, "other", one); !errors.Is(err, lambdabiz.ErrFenced) {
			t.Errorf("the older caller's next step gave %v", err)
		}
		if v, err := lambdabiz.Step(newer, "s", one); v != 1 || err != nil {
			t.Errorf("the newer caller's step gave %d, %v", v, err)
		}
		if err := newer.Complete(1); err != nil {
			t.Errorf("the newer caller's Complete gave %v", err)
		}
	}, notOnSWF("there a new caller waits for the answer of the older one's decision task"), keepsEnds())
}

// The end of the caller's context is not charged to the attempt, nor recorded as its failure.
func TestByHandTheEndOfTheContextIsNoFailure(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		failed := 0
		for i := range 200 {
			id := fmt.Sprint("h", i)
			ctx, cancel := context.WithCancel(b.ctx)
			o, err := e.Create(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Start(1); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Second, cancel)
			_, err = lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
			if !errors.Is(err, lambdabiz.ErrWaiting) {
				failed++
			}
			cancel()
			synctest.Wait()
			if s := b.state(e, id); len(s.Operations) > 0 && s.Operations[0].Status == lambdabiz.StatusFailed {
				failed++
			}
		}
		if failed > 0 {
			t.Errorf("%d attempts were charged or returned something else than ErrWaiting", failed)
		}
	}, "memory")
}

// A branch blocks while a commit of something else is on its way: after that the run arms its alarm, polls or parks.
// Nobody did.
func TestByHandPollsAfterACommitOnItsWay(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		e, other := b.engine(lambdabiz.Config{}), b.engine(lambdabiz.Config{})
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		o, err := e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		if _, err := lambdabiz.WaitForEvent[int](o, "go"); !errors.Is(err, lambdabiz.ErrWaiting) {
			t.Fatal(err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(b.ctx, time.Hour)
		defer cancel()
		if o, err = e.Create(ctx, "h"); err != nil {
			t.Fatal(err)
		}
		d.Store(int64(20 * time.Millisecond))
		if err := lambdabiz.SetProgress(o, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // the flush is on its way
		time.AfterFunc(time.Minute, func() {
			if err := other.RaiseEvent(b.ctx, "h", "go", 7); err != nil {
				t.Error(err)
			}
		})
		if v, err := lambdabiz.WaitForEvent[int](o, "go"); v != 7 || err != nil {
			t.Errorf("the event was not seen: %v, %v", v, err)
		}
	}, "memory")
}

func TestByHandIsTalkedToDuringACommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		b.backend = &lanes{b.backend}
		e := b.engine(lambdabiz.Config{PollInterval: -1})
		ctx, cancel := context.WithTimeout(b.ctx, time.Hour)
		defer cancel()
		o, err := e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		d.Store(int64(time.Second))
		time.AfterFunc(500*time.Millisecond, func() {
			if err := e.RaiseEvent(b.ctx, "h", "go", 7); err != nil {
				t.Error(err)
			}
		})
		if v, err := lambdabiz.WaitForEvent[int](o, "go"); v != 7 || err != nil {
			t.Errorf("the event was not seen: %v, %v", v, err)
		}
	}, "memory")
}
