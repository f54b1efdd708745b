package homes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var errFlaky = errors.New("not yet")

func TestTimeoutLimitsOneAttempt(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		began := time.Now()
		var second atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt == 2 {
					second.Store(int64(seconds(began)))
					return 7, nil
				}
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
					t.Errorf("the attempt's context ended with %v", context.Cause(ctx))
				}
				return 0, ctx.Err()
			}, lambdabiz.Timeout(time.Minute), attempts(2, time.Second))
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "x", 0)); got != 7 || !b.exact(int(second.Load()), 61) {
			t.Errorf("result is %d, the second attempt began after %d s", got, second.Load())
		}
		if o := operation(t, b.state(e, "x"), "s"); o.Attempts != 2 || o.Status != lambdabiz.StatusSucceeded {
			t.Errorf("the step is %+v", o)
		}
	}, notOnSWF("a step may take 50 s there"), keepsClaims(countsTime))
}

func TestLateResultOfATimedOutAttemptIsDropped(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls, late atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			n, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) {
				if calls.Add(1) == 1 { // its result comes while the second attempt runs
					time.Sleep(90 * time.Second)
					late.Add(1)
					return 1, nil
				}
				time.Sleep(50 * time.Second)
				return 2, nil
			}, lambdabiz.Timeout(time.Minute), attempts(2, time.Second))
			if err != nil {
				return 0, err
			}
			return n, lambdabiz.Sleep(o, "a while", time.Minute)
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "x", 0)); got != 2 || late.Load() != 1 {
			t.Errorf("result is %d; the first attempt ended %d times", got, late.Load())
		}
		if o := operation(t, b.state(e, "x"), "s"); string(o.Result) != "2" || o.Attempts != 2 {
			t.Errorf("recorded is %s in attempt %d", o.Result, o.Attempts)
		}
	}, notOnSWF("a step may take 50 s there"), keepsClaims(countsTime))
}

func TestTaskThatHangsIsLeftBehindByItsTimeout(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		forever := make(chan struct{})
		defer close(forever)
		task := lambdabiz.NewTask("Hangs", func(context.Context, int) (int, error) { <-forever; return 1, nil })
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Call(o, "hangs", task, 0, lambdabiz.Timeout(time.Minute), attempts(3, time.Second))
		})
		e, stop := b.worker(d, task)
		err := failure(b, start(b, e, d, "x", 0))
		var failed *lambdabiz.TaskError
		if !errors.As(err, &failed) || failed.Attempt != 3 || failed.Task != "Hangs" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		if o := operation(t, b.state(e, "x"), "hangs"); o.Status != lambdabiz.StatusTimeout || o.Attempts != 3 {
			t.Errorf("the task is %+v", o)
		}
		stop() // although three bodies never end
	}, keepsClaims("a body of a minute does not end where workers begin anew within it"))
}

func TestDeadlineLimitsAllAttemptsTogether(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		began := time.Now()
		var seen notes
		d := define(func(o lambdabiz.Context) (int, error) {
			_, err := lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				seen.add(seconds(began))
				<-ctx.Done()
				return 0, ctx.Err()
			}, lambdabiz.Timeout(10*time.Second), lambdabiz.Deadline(25*time.Second), lambdabiz.Retry(
				lambdabiz.Backoff{Attempts: -1, Initial: time.Second, Factor: 1, Jitter: -1}))
			return 0, err
		})
		e, _ := b.worker(d)
		err := failure(b, start(b, e, d, "x", 0))
		if !errors.Is(err, context.DeadlineExceeded) || !b.exact(seconds(began), 25) || b.faults == nil && seen.String() != "0, 11, 22" {
			t.Errorf("attempts began after %v, it ended after %d s: %v", &seen, seconds(began), err)
		}
		if o := operation(t, b.state(e, "x"), "s"); o.Status != lambdabiz.StatusTimeout || o.ExpiresAt.IsZero() {
			t.Errorf("the step is %+v", o)
		}
	}, keepsClaims(countsTime))
}

func TestDeadlineOfACallCountsFromItsRecordAcrossATakeover(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		began, calls := time.Now(), atomic.Int64{}
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				if calls.Add(1) == 1 {
					return 0, errFlaky
				}
				<-ctx.Done()
				if got := seconds(began); !b.exact(got, 100) {
					t.Errorf("the second attempt was cut after %d s", got)
				}
				return 0, ctx.Err()
			}, lambdabiz.Deadline(100*time.Second), attempts(-1, 50*time.Second))
		})
		e, kill := b.killable(d)
		start(b, e, d, "x", 0)
		time.Sleep(20 * time.Second)
		kill()
		e, _ = b.worker(d)
		if err := failure(b, lambdabiz.Get(e, d, "x")); !errors.Is(err, context.DeadlineExceeded) || !b.exact(int(calls.Load()), 2) {
			t.Errorf("error is %v after %d attempts", err, calls.Load())
		}
	}, keepsClaims(countsTime))
}

func TestBackoffSurvivesAStopAndATakeover(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		began := time.Now()
		var second, third atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				info, _ := lambdabiz.TaskInfoFrom(ctx)
				switch info.Attempt {
				case 2:
					second.Store(int64(seconds(began)))
				case 3:
					third.Store(int64(seconds(began)))
					return 7, nil
				}
				return 0, errFlaky
			}, attempts(3, time.Minute))
		})
		b.well()
		e, stop := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(30 * time.Second)
		stop()
		s := b.state(b.engine(lambdabiz.Config{}), "x")
		o := operation(t, s, "s")
		if o.Status != lambdabiz.StatusScheduled || o.Attempts != 1 || o.Error == nil ||
			!strings.Contains(o.Error.Message, "not yet") || o.DueAt.Sub(began).Round(time.Second) != time.Minute {
			t.Errorf("between the attempts the step is %+v with error %+v", o, o.Error)
		}
		_, kill := b.killable(d)
		time.Sleep(time.Minute)
		kill()
		b.ill()
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != 7 || second.Load() != 60 || !b.exact(int(third.Load()), 180) {
			t.Errorf("result is %d, the second attempt came after %d s, the third one after %d s", got, second.Load(), third.Load())
		}
	}, keepsClaims(countsTime))
}

func TestRunAgainAfterACrashUsesUpNoAttempt(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				info, _ := lambdabiz.TaskInfoFrom(ctx)
				seen.add(info.Attempt)
				if seen.len() < 4 {
					<-ctx.Done() // until its process is dead
					return 0, ctx.Err()
				}
				return 7, nil
			}) // one attempt
		})
		e := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "x", 0)
		for range 3 {
			_, kill := b.killable(d)
			time.Sleep(10 * time.Second)
			kill()
		}
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != 7 || seen.String() != "1, 1, 1, 1" {
			t.Errorf("result is %d, attempts were %v", got, &seen)
		}
		if o := operation(t, b.state(e, "x"), "s"); o.Attempts != 1 {
			t.Errorf("recorded are %d attempts", o.Attempts)
		}
	}, notOnSWF("a step may take 50 s there"))
}

func TestResultThatCannotBeEncodedFailsWithoutRetry(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for name, test := range map[string]struct {
			value any
			want  error
		}{
			"channel":   {make(chan int), lambdabiz.ErrInvalidPayload},
			"too large": {strings.Repeat("x", 2<<20), lambdabiz.ErrTooLarge},
		} {
			var calls atomic.Int64
			d := lambdabiz.Define(name, func(o lambdabiz.Context, _ int) (int, error) {
				_, err := lambdabiz.Step(o, "s", func(context.Context) (any, error) {
					calls.Add(1)
					return test.value, nil
				}, attempts(5, time.Second))
				return 0, err
			})
			e, stop := b.worker(d)
			err := failure(b, start(b, e, d, name, 0))
			var failed *lambdabiz.TaskError
			if !errors.Is(err, test.want) || !errors.As(err, &failed) || failed.OperationID != "s" || calls.Load() != 1 {
				t.Errorf("%s: error is %v after %d attempts", name, err, calls.Load())
			}
			if o := operation(t, b.state(e, name), "s"); o.Status != lambdabiz.StatusFailed || len(o.Result) != 0 {
				t.Errorf("%s: the step is %+v", name, o)
			}
			stop()
		}
	}, keepsClaims(countsBodies))
}

// finalError says itself that another attempt makes no sense.
type finalError struct{}

func (finalError) Error() string   { return "final" }
func (finalError) Retryable() bool { return false }

func TestErrorsThatAreNotRetryable(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		listed := errors.New("listed")
		var calls atomic.Int64
		var cause atomic.Value
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ string) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
				calls.Add(1)
				err, _ := cause.Load().(func() error)
				return 0, err()
			}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, NonRetryable: []error{listed}}))
		})
		e, _ := b.worker(d)
		for name, test := range map[string]struct {
			err  error
			want int64
		}{
			"retryable": {errFlaky, 3}, "marked": {lambdabiz.NonRetryable(errFlaky), 1},
			"listed": {listed, 1}, "its own word": {finalError{}, 1},
			"marked and wrapped": {fmt.Errorf("outer: %w", lambdabiz.NonRetryable(errFlaky)), 1},
			"listed and joined":  {errors.Join(errFlaky, listed), 1},
		} {
			calls.Store(0)
			cause.Store(func() error { return test.err })
			err := failure(b, start(b, e, d, name, ""))
			if calls.Load() != test.want || !strings.Contains(err.Error(), test.err.Error()) {
				t.Errorf("%s: %d attempts, error %v", name, calls.Load(), err)
			}
		}
		if lambdabiz.NonRetryable(nil) != nil || lambdabiz.RetryAfter(nil, time.Second) != nil {
			t.Error("a nil error that is marked is an error")
		}
	}, keepsClaims(countsBodies))
}

func TestRetryAfterIsTheLeastWait(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		type waits struct{ Initial, After time.Duration }
		var first, wait atomic.Int64 // in Unix nanoseconds, and in seconds
		d := lambdabiz.Define("D", func(o lambdabiz.Context, in waits) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt == 1 {
					first.Store(time.Now().UnixNano())
					return 0, fmt.Errorf("busy: %w", lambdabiz.RetryAfter(errFlaky, in.After))
				}
				wait.Store(int64(seconds(time.Unix(0, first.Load()))))
				return 1, nil
			}, attempts(2, in.Initial))
		})
		e, _ := b.worker(d)
		for i, test := range []struct {
			in   waits
			want int
		}{
			{waits{time.Second, 10 * time.Second}, 10}, {waits{10 * time.Second, time.Second}, 10},
		} {
			result(b, start(b, e, d, fmt.Sprint("x", i), test.in))
			if !b.exact(int(wait.Load()), test.want) {
				t.Errorf("%+v: the second attempt came after %d s", test.in, wait.Load())
			}
		}
	})
}

func TestBackoffGrowsToItsMostWithJitter(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		type times struct{ first, last [4]time.Time } // of each attempt: one that is cut begins anew
		began := map[string]*times{}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, backoff lambdabiz.Backoff) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				info, _ := lambdabiz.TaskInfoFrom(ctx)
				mu.Lock()
				defer mu.Unlock()
				x := began[o.ID()]
				if x == nil {
					x = &times{}
					began[o.ID()] = x
				}
				n := info.Attempt - 1
				if x.last[n] = time.Now(); x.first[n].IsZero() {
					x.first[n] = x.last[n]
				}
				if info.Attempt < 4 {
					return 0, errFlaky
				}
				return 1, nil
			}, lambdabiz.Retry(backoff))
		})
		e, _ := b.worker(d)
		chance := map[time.Duration]bool{}
		least := map[string]float64{}
		var runs []*lambdabiz.Run[int]
		for i := range 20 {
			for jitter, part := range map[float64]float64{0: 0.8, 0.5: 0.5, 1: 0, -1: 1} {
				id := fmt.Sprint("jitter ", jitter, " ", i)
				least[id] = part
				runs = append(runs, start(b, e, d, id, lambdabiz.Backoff{
					Attempts: 4, Initial: 10 * time.Second, Max: 30 * time.Second, Factor: 2, Jitter: jitter,
				}))
			}
		}
		for _, run := range runs {
			result(b, run)
			id := run.ID()
			mu.Lock()
			for n, most := range []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second} {
				wait := began[id].first[n+1].Sub(began[id].last[n])
				chance[wait.Round(time.Millisecond)] = true
				// Some milliseconds are for the engine: a commit that waits for company.
				if wait < time.Duration(least[id]*float64(most)) || b.faults == nil && wait > most+100*time.Millisecond {
					t.Errorf("%s: wait %d is %v", id, n+1, wait)
				}
			}
			mu.Unlock()
		}
		if len(chance) < 50 {
			t.Errorf("of 240 waits only %d are different", len(chance))
		}
	}, notOnSWF("its timers go by whole seconds"))
}

func TestIdempotencyKeyIsOneForAllAttemptsAndAnotherInTheNextRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		keys := map[string][]string{} // by run and operation, in the order of the attempts
		body := func(ctx context.Context) (int, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			mu.Lock()
			at := info.RunID + " " + info.OperationID
			keys[at] = append(keys[at], info.IdempotencyKey)
			n := len(keys[at])
			mu.Unlock()
			if n < 3 {
				return 0, errFlaky
			}
			return 1, nil
		}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, round int) (int, error) {
			for _, id := range []string{"a", "b"} {
				if _, err := lambdabiz.Step(o, id, body, attempts(3, time.Second)); err != nil {
					return 0, err
				}
			}
			if round == 0 {
				return 0, lambdabiz.ContinueAsNew(o, 1)
			}
			return lambdabiz.Step(o, "own", body, attempts(3, time.Second), lambdabiz.IdempotencyKey("mine"))
		})
		e, _ := b.worker(d)
		result(b, start(b, e, d, "x", 0))
		distinct := map[string]bool{}
		for at, list := range keys {
			if len(list) != 3 || list[0] == "" || list[0] != list[1] || list[1] != list[2] {
				t.Errorf("the keys of %s are %v", at, list)
			}
			distinct[list[0]] = true
		}
		if len(keys) != 5 || len(distinct) != 5 || !distinct["mine"] {
			t.Errorf("the keys are %v", keys)
		}
	}, keepsClaims(countsBodies))
}

func TestTaskThatPanicsFailsItsAttemptWithAClearError(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int64
		task := lambdabiz.NewTask("Panics", func(context.Context, int) (int, error) {
			calls.Add(1)
			panic("index out of luck")
		})
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Call(o, "call", task, 0, attempts(2, time.Second))
		})
		e, _ := b.worker(d, task)
		err := failure(b, start(b, e, d, "x", 0))
		var failed *lambdabiz.TaskError
		if !errors.As(err, &failed) || failed.Attempt != 2 || !strings.Contains(err.Error(), "panic") ||
			!strings.Contains(err.Error(), "index out of luck") || calls.Load() != 2 {
			t.Errorf("error is %v after %d attempts", err, calls.Load())
		}
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusFailed || s.Blocked != nil {
			t.Errorf("the run is %v, blocked %+v", s.Status, s.Blocked)
		}
		if !b.logged("attempts_test.go") {
			t.Error("the stack is not logged")
		}
	}, keepsClaims(countsBodies))
}

func TestTaskInfoSaysWhatRuns(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		if _, ok := lambdabiz.TaskInfoFrom(t.Context()); ok || lambdabiz.Heartbeat(t.Context(), 1) != nil {
			t.Error("there is a task outside of tasks")
		}
		task := lambdabiz.NewTask("Info", func(ctx context.Context, _ int) (lambdabiz.TaskInfo, error) {
			info, ok := lambdabiz.TaskInfoFrom(ctx)
			if !ok {
				t.Error("no information in a task")
			}
			return info, lambdabiz.Heartbeat(ctx, nil)
		})
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (lambdabiz.TaskInfo, error) {
			if _, ok := lambdabiz.TaskInfoFrom(o); ok {
				t.Error("the orchestration's context is a task's")
			}
			return lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (lambdabiz.TaskInfo, error) {
				return lambdabiz.Call(o, "call", task, 0)
			}).Wait(o)
		})
		e, _ := b.worker(d, task)
		run := start(b, e, d, "x", 0)
		got := result(b, run)
		if got.IdempotencyKey == "" {
			t.Error("no idempotency key")
		}
		got.IdempotencyKey, got.Details = "", nil
		want := fmt.Sprintf("%+v", lambdabiz.TaskInfo{
			OrchestrationID: "x", RunID: run.RunID(), OperationID: "branch/call", Task: "Info", Attempt: 1,
		})
		if fmt.Sprintf("%+v", got) != want {
			t.Errorf("the task was told %+v", got)
		}
	})
}

type credential struct{}

func TestValuesOfAContextAreNotRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		secret := "first secret"
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
				seen.add(ctx.Value(credential{}))
				if seen.len() == 1 {
					return 0, errFlaky
				}
				return 1, nil
			}, lambdabiz.WithValue(credential{}, secret), attempts(2, time.Minute))
		})
		e, stop := b.worker(d)
		start(b, e, d, "x", 0)
		b.settle()
		stop()
		secret = "second secret"
		e, _ = b.worker(d)
		result(b, lambdabiz.Get(e, d, "x"))
		if seen.String() != "first secret, second secret" {
			t.Errorf("the bodies saw %v", &seen)
		}
		rec, err := b.backend.Load(b.ctx, "x", "")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := json.Marshal(rec); err != nil || strings.Contains(string(text), "secret") {
			t.Errorf("it is recorded: %s, %v", text, err)
		}
	}, keepsClaims(countsBodies))
}

// No attempt begins after the deadline of its call.
func TestNoAttemptAfterTheDeadlineOfTheCall(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		begun := time.Now()
		var last atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "s", func(_ context.Context) (int, error) {
				last.Store(int64(time.Since(begun)))
				if time.Since(begun) > time.Minute {
					return 1, nil
				}
				return 0, errors.New("not yet")
			}, lambdabiz.Deadline(time.Minute), lambdabiz.Retry(lambdabiz.Backoff{
				Attempts: -1, Initial: 50 * time.Second, Max: 50 * time.Second, Jitter: -1,
			}))
		})
		e, stop := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(10 * time.Second)
		stop()
		time.Sleep(time.Hour)
		e, _ = b.worker(d)
		_, err := lambdabiz.Get(e, d, run.ID()).Result(b.ctx)
		if at := time.Duration(last.Load()); at > time.Minute || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an attempt began %v after the call; %v", at, err)
		}
	}, keepsClaims(countsTime))
}
