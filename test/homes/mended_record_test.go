package homes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// An effect begins only when every result that any branch was given before is durable, after a backoff too.
func TestEffectAfterABackoffWaitsForWhatWasGiven(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		durable := map[string]bool{}
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			time.Sleep(50 * time.Millisecond)
			v, err := inner.Commit(ctx, batch)
			mu.Lock()
			defer mu.Unlock()
			for _, c := range batch {
				for _, o := range c.Operations {
					durable[o.ID+" "+o.Status.String()] = true
				}
			}
			return v, err
		}}
		var given atomic.Bool
		var early atomic.Bool
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			a := lambdabiz.Go(o, "a", func(o lambdabiz.Context) (int, error) {
				n := 0
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
					n++
					if n == 1 {
						return 0, errors.New("again")
					}
					mu.Lock()
					defer mu.Unlock()
					if given.Load() && !durable["b/s SUCCEEDED"] {
						early.Store(true)
					}
					return 1, nil
				}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 2, Initial: time.Second, Jitter: -1}))
			})
			lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) {
				v, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) { time.Sleep(999 * time.Millisecond); return 1, nil })
				given.Store(true)
				time.Sleep(time.Second)
				return v, err
			})
			return a.Wait(o)
		})
		e, _ := b.worker(d)
		result(b, start(b, e, d, "x", 0))
		time.Sleep(5 * time.Second) // the branch that was left
		if early.Load() {
			t.Error("the second attempt began before a result that was given is durable")
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

type codeError struct{ Code int }

func (e *codeError) Error() string { return fmt.Sprint("code ", e.Code) }

func TestErrorsAfterAResume(t *testing.T) {
	sentinel := errors.New("sentinel")
	makers := map[string]error{
		"eof":        io.EOF,
		"wrapped":    fmt.Errorf("outer: %w", fmt.Errorf("inner: %w", sentinel)),
		"joined":     errors.Join(errors.New("x"), sentinel, &codeError{7}),
		"retry":      lambdabiz.NonRetryable(lambdabiz.RetryAfter(fmt.Errorf("%w", &codeError{8}), time.Second)),
		"deadline":   fmt.Errorf("z: %w", context.DeadlineExceeded),
		"cancelled":  fmt.Errorf("z: %w", lambdabiz.ErrCancelled),
		"not utf8":   errors.New("bad \xff\xfe byte"),
		"nul":        errors.New("nul \x00 byte"),
		"long":       fmt.Errorf("%s%w", strings.Repeat("é", 9000)+"x", sentinel),
		"long utf8":  errors.New("x" + strings.Repeat("é", 9000)),
		"typed long": fmt.Errorf("%s%w", strings.Repeat("é", 9000), &codeError{9}),
		"html":       errors.New("<a>&amp; \u2028"),
	}
	describe := func(err error) string {
		var code *codeError
		var task *lambdabiz.TaskError
		errors.As(err, &code)
		errors.As(err, &task)
		return fmt.Sprintf("%d %q is %v %v %v %v code %v task %v", len(err.Error()), err.Error(),
			errors.Is(err, sentinel), errors.Is(err, context.DeadlineExceeded),
			errors.Is(err, context.Canceled), errors.Is(err, lambdabiz.ErrCancelled), code, task != nil)
	}
	for name, made := range makers {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				var described notes
				d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
					_, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) { return 0, made })
					described.add(describe(err))
					_, _ = lambdabiz.WaitForEvent[int](o, "go")
					return 0, err
				})
				regs := []lambdabiz.Registrable{d, lambdabiz.ErrorValue("s", sentinel), lambdabiz.ErrorType[*codeError]("code")}
				e, stop := b.worker(regs...)
				start(b, e, d, "x", 0)
				time.Sleep(time.Minute)
				stop()
				e, _ = b.worker(regs...)
				if err := e.RaiseEvent(b.ctx, "x", "go", 1); err != nil {
					t.Fatal(err)
				}
				if _, err := lambdabiz.Get(e, d, "x").Result(b.ctx); err == nil {
					t.Error("no error")
				}
				seen := slices.Compact(described.all())
				if len(seen) != 1 {
					t.Errorf("first run and resumed run see different errors:\n%.300q\n%.300q", seen[0], seen[1])
				}
			})
		})
	}
}

// The data of a registered error is a payload too.
func TestDataOfAnErrorIsLimited(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return 0, &bigError{strings.Repeat("x", 4<<20)} })
		})
		e, _ := b.worker(d, lambdabiz.ErrorType[*bigError]("big"))
		_, err := start(b, e, d, "x", 0).Result(b.ctx)
		if err == nil {
			t.Fatal("no error")
		}
		s := b.state(e, "x")
		if n := failureSize(s.Error) + failureSize(operation(t, s, "s").Error); n > 1<<20 {
			t.Errorf("%d bytes of errors were recorded, the limit of a payload is 1 MiB", n)
		}
	})
}

type bigError struct{ Text string }

func (e *bigError) Error() string { return "big" }

func failureSize(f *lambdabiz.Failure) int {
	if f == nil {
		return 0
	}
	n := len(f.Message) + len(f.Data)
	for _, c := range f.Causes {
		n += failureSize(c)
	}
	return n
}

type unmarshalable struct{}

func (unmarshalable) MarshalJSON() ([]byte, error) { panic("marshal") }

func TestResultsThatCannotBeMarshalled(t *testing.T) {
	for name, opts := range map[string][]lambdabiz.CallOption{"plain": nil, "limited": {lambdabiz.Timeout(time.Minute)}} {
		t.Run(name, func(t *testing.T) {
			blocksInRealTime(t, lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
				_, err := lambdabiz.Step(o, "s", func(context.Context) (unmarshalable, error) { return unmarshalable{}, nil }, opts...)
				return 0, err
			}))
		})
	}
	t.Run("error of the function", func(t *testing.T) {
		blocksInRealTime(t, lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) {
			var e *brittleError
			return 0, e
		}))
	})
	t.Run("error of a branch", func(t *testing.T) {
		blocksInRealTime(t, lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Go(o, "b", func(_ lambdabiz.Context) (int, error) {
				var e *brittleError
				return 0, e
			}).Wait(o)
		}))
	})
}

// Events are consumed once and in order, whatever happens around them.
func TestEventsAreConserved(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		const n = 60
		var mu sync.Mutex
		var got []int
		d := lambdabiz.Define("D", func(o lambdabiz.Context, from int) (int, error) {
			for i := range 7 {
				if from+i >= n {
					return from + i, nil
				}
				v, err := lambdabiz.WaitForEvent[int](o, fmt.Sprint("w", i), lambdabiz.Named("e"))
				if err != nil {
					return 0, err
				}
				if _, err := lambdabiz.Step(o, fmt.Sprint("s", i), func(context.Context) (int, error) {
					mu.Lock()
					defer mu.Unlock()
					if len(got) == 0 || got[len(got)-1] != v {
						got = append(got, v)
					}
					return v, nil
				}); err != nil {
					return 0, err
				}
			}
			return 0, lambdabiz.ContinueAsNew(o, from+7)
		})
		e, stop := b.workerWith(lambdabiz.Config{ParkAfter: time.Second}, d)
		client := b.engine(lambdabiz.Config{})
		start(b, client, d, "x", 0)
		for i := range n {
			if err := client.RaiseEvent(b.ctx, "x", "e", i); err != nil {
				t.Fatal(err)
			}
			switch i % 9 {
			case 2:
				time.Sleep(time.Millisecond)
			case 5:
				stop()
				e, stop = b.workerWith(lambdabiz.Config{ParkAfter: time.Second}, d)
			case 7:
				time.Sleep(5 * time.Second)
			}
		}
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		v, err := lambdabiz.Get(e, d, "x").Result(ctx)
		if v != n || err != nil {
			t.Errorf("result %d, %v", v, err)
		}
		for i, v := range got {
			if i != v {
				t.Fatalf("events came as %v", got)
			}
		}
	})
}

// One raised event cost many claims and commits where a commit ends the claim.
func TestClaimsAreNotAnsweredForNothing(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var commits atomic.Int64
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			for _, c := range batch {
				if c.Run != nil {
					commits.Add(1)
				}
			}
			return inner.Commit(ctx, batch)
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			for i := range 20 {
				if _, err := lambdabiz.Step(o, fmt.Sprint("s", i), one); err != nil {
					return 0, err
				}
			}
			return 1, nil
		})
		e, _ := b.worker(d)
		result(b, start(b, e, d, "x", 0))
		if n := commits.Load(); n > 21 {
			t.Errorf("%d commits for 20 steps", n)
		}
	}, "memory, a commit ends the claim")
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
	}, "memory", "sqlite")
}

// One context, two goroutines, one after the other: no misuse.
func TestOneContextOneAfterTheOther(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			for i := range 20 {
				done := make(chan error)
				go func() {
					_, err := lambdabiz.Step(o, fmt.Sprint("s", i), one)
					done <- err
				}()
				if err := <-done; err != nil {
					return 0, err
				}
				out, err := lambdabiz.Map(o, fmt.Sprint("m", i), []string{"a", "b"}, func(s string) string { return s },
					func(o lambdabiz.Context, s string) (int, error) {
						f := lambdabiz.Go(o, "g", func(o lambdabiz.Context) (int, error) { return lambdabiz.Step(o, "s", one) })
						_ = lambdabiz.SetProgress(o, s)
						return f.Wait(o)
					})
				if err != nil || len(out) != 2 {
					return 0, err
				}
			}
			return 1, nil
		})
		e, _ := b.worker(d)
		result(b, start(b, e, d, "x", 0))
	}, bears(0, onePass))
}
