package homes_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// blocks runs a definition that makes a mistake, and checks that the run is blocked with the reason,
// the operation and a line of this file, and that nothing of the mistake is recorded.
func blocks[In any](b *bench, d *lambdabiz.Definition[In, int], in In, reason, op string) *lambdabiz.State {
	b.t.Helper()
	e, stop := b.worker(d)
	start(b, e, d, "m", in)
	b.settle()
	s := b.state(e, "m")
	if s.Status != lambdabiz.StatusStarted || s.Blocked == nil {
		b.t.Fatalf("it is not blocked: %+v", s.RunInfo)
	}
	if !strings.Contains(s.Blocked.Reason, reason) || s.Blocked.Operation != op {
		b.t.Errorf("it is blocked at %q because %q", s.Blocked.Operation, s.Blocked.Reason)
	}
	if !regexp.MustCompile(`_test\.go:\d+$`).MatchString(s.Blocked.Source) {
		b.t.Errorf("the source line is %q", s.Blocked.Source)
	}
	stop()
	return s
}

func step(o lambdabiz.Context, id string) (int, error) {
	return lambdabiz.Step(o, id, func(context.Context) (int, error) { return 1, nil })
}

func TestBlockedByTheSameIdTwice(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		_, _, line, _ := runtime.Caller(0)
		d := lambdabiz.Define("Twice", func(o lambdabiz.Context, _ int) (int, error) {
			for _, id := range []string{"a", "b", "a"} {
				if n, err := lambdabiz.Step(o, id, func(context.Context) (int, error) { return 1, nil }); err != nil {
					return n, err
				}
			}
			return 0, nil
		})
		s := blocks(b, d, 0, "the same id twice", "a")
		if first := fmt.Sprintf("blocked_test.go:%d", line+3); !strings.Contains(s.Blocked.Reason, first) {
			t.Errorf("the reason does not name the first line: %q", s.Blocked.Reason)
		}
		if len(s.Operations) != 2 {
			t.Errorf("recorded are %+v", s.Operations)
		}
	})
}

func TestBlockedByAContextThatTwoGoroutinesUse(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Shared", func(o lambdabiz.Context, _ int) (int, error) {
			waits, over := make(chan struct{}), make(chan struct{})
			defer close(waits)
			go func() {
				defer close(over)
				<-waits
				_, _ = step(o, "theirs")
			}()
			return lambdabiz.Step(o, "mine", func(context.Context) (int, error) {
				waits <- struct{}{}
				<-over
				return 1, nil
			})
		})
		s := blocks(b, d, 0, "used by two goroutines", "theirs")
		if operation(t, s, "mine").Status != lambdabiz.StatusSucceeded || len(s.Operations) != 1 {
			t.Errorf("recorded are %+v", s.Operations)
		}
	}, calmOnly("tried again, its code makes no mistake"))
}

func TestBlockedByAnOperationInsideAStep(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		d := lambdabiz.Define("Nested", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "outer", func(context.Context) (int, error) { return step(o, "inner") })
		})
		blocks(b, d, 0, "used by two goroutines", "inner")
	})
}

// changed runs one version of the code, then another one, which is blocked.
func changed(b *bench, before, after *lambdabiz.Definition[int, int], reason, op string, tasks ...lambdabiz.Registrable) {
	b.t.Helper()
	e, stop := b.worker(before, lambdabiz.Registrables(tasks))
	start(b, e, before, "m", 0)
	b.settle()
	stop()
	e, stop = b.workerWith(lambdabiz.Config{Version: "2"}, after, lambdabiz.Registrables(tasks))
	raise(b, e, "m", "go", true)
	b.settle()
	s := b.state(e, "m")
	if s.Blocked == nil || !strings.Contains(s.Blocked.Reason, reason) || s.Blocked.Operation != op {
		b.t.Fatalf("blocked is %+v, waiting for %+v", s.Blocked, s.WaitingFor)
	}
	stop()
	e, _ = b.workerWith(lambdabiz.Config{Version: "3"}, before, lambdabiz.Registrables(tasks))
	if got := result(b, lambdabiz.Get(e, before, "m")); got != 1 {
		b.t.Errorf("after the code was put back the result is %d", got)
	}
}

func withFirst(f func(o lambdabiz.Context) error) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Changed", func(o lambdabiz.Context, _ int) (int, error) {
		if err := f(o); err != nil {
			return 0, err
		}
		_, err := lambdabiz.WaitForEvent[bool](o, "go")
		return 1, err
	})
}

func TestBlockedByARecordedIdOfAnotherKind(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		before := withFirst(func(o lambdabiz.Context) error { _, err := step(o, "x"); return err })
		after := withFirst(func(o lambdabiz.Context) error { return lambdabiz.Sleep(o, "x", time.Second) })
		changed(b, before, after, "recorded as STEP", "x")
	})
}

func TestBlockedByARecordedIdOfAnotherTask(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		call := func(task *lambdabiz.Task[numbers, operationResult]) func(o lambdabiz.Context) error {
			return func(o lambdabiz.Context) error {
				_, err := lambdabiz.Call(o, "x", task, numbers{1, 2})
				return err
			}
		}
		changed(b, withFirst(call(sum)), withFirst(call(div)), `recorded as TASK "Sum"`, "x", sum, div)
	})
}

func TestBlockedByARecordThatCannotBeRead(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		before := withFirst(func(o lambdabiz.Context) error { _, err := step(o, "x"); return err })
		after := withFirst(func(o lambdabiz.Context) error {
			_, err := lambdabiz.Step(o, "x", func(context.Context) (struct{ A []string }, error) {
				return struct{ A []string }{}, nil
			})
			return err
		})
		changed(b, before, after, "cannot be read", "x")
	})
}

func TestBlockedByABranchWhereAnOperationWas(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		before := withFirst(func(o lambdabiz.Context) error { _, err := step(o, "x"); return err })
		after := withFirst(func(o lambdabiz.Context) error {
			_, err := lambdabiz.Go(o, "x", func(lambdabiz.Context) (int, error) { return 1, nil }).Wait(o)
			return err
		})
		changed(b, before, after, "the code has a branch now", "x")
	})
}

func TestBlockedByAnUnknownTask(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Unknown", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallTask[int](o, "x", "NoSuchTask", 1)
		})
		if s := blocks(b, d, 0, `"NoSuchTask"`, "x"); len(s.Operations) != 0 {
			t.Errorf("recorded are %+v", s.Operations)
		}
		known := lambdabiz.NewTask("NoSuchTask", func(context.Context, int) (int, error) { return 7, nil })
		e, _ := b.workerWith(lambdabiz.Config{Version: "with the task"}, d, known)
		if got := result(b, lambdabiz.Get(e, d, "m")); got != 7 {
			t.Errorf("result is %d", got)
		}
	}, notOnSWF("a name that is not registered is a Lambda function there"))
}

func TestBlockedByAPanicInOrchestrationCode(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var fixed atomic.Bool
		d := lambdabiz.Define("Panics", func(o lambdabiz.Context, _ int) (int, error) {
			n, err := step(o, "before")
			if !fixed.Load() {
				panic("out of order")
			}
			return n, err
		})
		s := blocks(b, d, 0, "out of order", "")
		if operation(t, s, "before").Status != lambdabiz.StatusSucceeded || s.Blocked.Detail == "" {
			t.Errorf("state is %+v", s)
		}
		fixed.Store(true)
		e, _ := b.worker(d)
		began := time.Now()
		if got := result(b, lambdabiz.Get(e, d, "m")); got != 1 || time.Since(began) > time.Minute {
			t.Errorf("result is %d after %v", got, time.Since(began))
		}
	})
}

func TestBlockedByAPanicInABranch(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		d := lambdabiz.Define("Panics", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Go(o, "branch", func(lambdabiz.Context) (int, error) { panic("in a branch") }).Wait(o)
		})
		blocks(b, d, 0, "in a branch", "branch")
	})
}

func TestBlockedByCodeThatEndsItsGoroutine(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Exits", func(lambdabiz.Context, int) (int, error) {
			runtime.Goexit()
			return 0, nil
		})
		e, _ := b.worker(d)
		start(b, e, d, "m", 0)
		b.settle()
		if s := b.state(e, "m"); s.Blocked == nil || !strings.Contains(s.Blocked.Reason, "ended its goroutine") {
			t.Errorf("blocked is %+v", s.Blocked)
		}
	})
}

func TestBlockedByACrashLoop(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		if b.backend.Describe().CommitEndsClaim {
			t.Skip("a worker holds nothing here between commits")
		}
		d := lambdabiz.Define("Crashes", func(o lambdabiz.Context, _ int) (int, error) { return step(o, "s") })
		e := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "m", 0)
		claim := func(worker int64) {
			got, err := b.backend.Claim(b.ctx, lambdabiz.ClaimRequest{
				Worker: worker, Names: []string{"Crashes"}, Limit: 1, Now: time.Now(),
			})
			if err != nil || len(got.Runs) != 1 {
				t.Fatalf("claimed %+v, %v", got, err)
			}
		}
		for range 5 {
			worker, err := b.backend.Join(b.ctx, lambdabiz.WorkerInfo{Names: []string{"Crashes"}})
			if err != nil {
				t.Fatal(err)
			}
			claim(worker)
			if err := removeDead(b.ctx, b.backend, worker); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		b.well()
		e, _ = b.worker(d)
		s := b.state(e, "m")
		b.ill()
		if s.Blocked == nil || !strings.Contains(s.Blocked.Reason, "died") {
			t.Fatalf("blocked is %+v", s.Blocked)
		}
		if got := result(b, lambdabiz.Get(e, d, "m")); got != 1 || b.faults == nil && time.Since(began) > time.Minute {
			t.Errorf("it did not go on by itself: %d after %v", got, time.Since(began))
		}
	})
}

func TestBlockedRunGoesOnByResume(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var fixed atomic.Bool
		d := lambdabiz.Define("Panics", func(lambdabiz.Context, int) (int, error) {
			if !fixed.Load() {
				panic("out of order")
			}
			return 1, nil
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "m", 0)
		time.Sleep(time.Hour)
		s := b.state(e, "m")
		if s.Blocked == nil || s.Blocked.Times < 5 {
			t.Fatalf("blocked is %+v", s.Blocked)
		}
		fixed.Store(true)
		began := time.Now()
		if err := e.Resume(b.ctx, "m"); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != 1 || time.Since(began) > 5*time.Second {
			t.Errorf("result is %d after %v", got, time.Since(began))
		}
	}, keepsClaims(countsTime))
}

func TestRunOfAnUnknownDefinitionWaitsForAWorkerThatKnowsIt(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Later", func(o lambdabiz.Context, _ int) (int, error) { return step(o, "s") })
		e, _ := b.worker(collect)
		run := start(b, e, d, "m", 0)
		time.Sleep(time.Minute)
		s := b.state(e, "m")
		if s.Status != lambdabiz.StatusScheduled || s.Blocked == nil || !strings.Contains(s.Blocked.Reason, `"Later"`) {
			t.Errorf("state is %v, blocked %+v", s.Status, s.Blocked)
		}
		b.worker(d)
		if got := result(b, run); got != 1 {
			t.Errorf("result is %d", got)
		}
	}, notOnSWF("all workers share one task list, and one that does not know the definition says so"))
}

func TestFinishedOperationWithAnotherInputKeepsItsResultAndWarnsOrBlocks(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		double := lambdabiz.NewTask("Double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
		version := func(in int, opts ...lambdabiz.DefineOption) *lambdabiz.Definition[int, int] {
			return lambdabiz.Define("Inputs", func(o lambdabiz.Context, _ int) (int, error) {
				n, err := lambdabiz.Call(o, "x", double, in)
				if err != nil {
					return 0, err
				}
				_, err = lambdabiz.WaitForEvent[bool](o, "go")
				return n, err
			}, opts...)
		}
		e, stop := b.worker(version(1), double)
		start(b, e, version(1), "lax", 0)
		start(b, e, version(1), "strict", 0)
		b.settle()
		stop()
		e, stop = b.worker(version(5), double)
		raise(b, e, "lax", "go", true)
		if got := result(b, lambdabiz.Get(e, version(5), "lax")); got != 2 || !b.logged("input differs") {
			t.Errorf("result is %d", got)
		}
		stop()
		e, _ = b.worker(version(5, lambdabiz.StrictInputs()), double)
		raise(b, e, "strict", "go", true)
		b.settle()
		if s := b.state(e, "strict"); s.Blocked == nil || s.Blocked.Operation != "x" {
			t.Errorf("blocked is %+v", s.Blocked)
		}
	})
}

func TestStartedOperationRunsAgainWithItsRecordedInput(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		fail := errors.New("not yet")
		var seen atomic.Int64
		task := lambdabiz.NewTask("Flaky", func(_ context.Context, n int) (int, error) {
			if seen.Add(1) == 1 {
				return 0, fail
			}
			return n, nil
		})
		version := func(in int) *lambdabiz.Definition[int, int] {
			return lambdabiz.Define("Inputs", func(o lambdabiz.Context, _ int) (int, error) {
				return lambdabiz.Call(o, "x", task, in, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 2, Initial: time.Hour}))
			})
		}
		e, stop := b.worker(version(1), task)
		start(b, e, version(1), "m", 0)
		b.settle()
		stop()
		e, _ = b.worker(version(5), task)
		if got := result(b, lambdabiz.Get(e, version(5), "m")); got != 1 {
			t.Errorf("it ran with the input %d", got)
		}
	})
}

func TestOrphansAreReportedWithTheState(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		before := withFirst(func(o lambdabiz.Context) error { _, err := step(o, "removed"); return err })
		after := withFirst(func(o lambdabiz.Context) error { _, err := step(o, "inserted"); return err })
		e, stop := b.worker(before)
		start(b, e, before, "m", 0)
		b.settle()
		stop()
		e, _ = b.worker(after)
		raise(b, e, "m", "go", true)
		if got := result(b, lambdabiz.Get(e, after, "m")); got != 1 {
			t.Errorf("result is %d", got)
		}
		s := b.state(e, "m")
		if len(s.Orphans) != 1 || s.Orphans[0] != "removed" {
			t.Errorf("orphans are %v", s.Orphans)
		}
		operation(t, s, "inserted")
	})
}

// A blocked run that is resumed, or whose event is dropped, while it is being tried again is tried again at once: on SWF
// the answer that blocks it came after the request, and it waited for its next retry.
// Row 58 of docs/proof/bugs.md.
func TestAResumeOfABlockedRunThatIsBeingTriedIsHeard(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, ask := range []string{"resume", "drop"} {
			var armed atomic.Bool
			var reads atomic.Int32
			reading, goOn := make(chan struct{}), make(chan struct{})
			onReading(b, func(n int) error {
				if n == 2 {
					return nil
				}
				reads.Add(1)
				if armed.CompareAndSwap(true, false) {
					close(reading)
					<-goOn
				}
				return errors.New("no letter")
			})
			e, stop := b.worker(readLetter)
			run := start(b, e, readLetter, ask, 0)
			b.settle()
			mail(b, e, ask, "E", 1)
			mail(b, e, ask, "E", 2)
			time.Sleep(20 * time.Minute) // its retries are minutes apart
			s := b.state(e, ask)
			if s.Blocked == nil || len(s.Events) != 2 {
				t.Fatalf("%s: it is %+v", ask, s)
			}
			armed.Store(true)
			<-reading
			var err error
			if ask == "drop" {
				err = e.DropEvent(b.ctx, ask, s.Events[0].Number)
			} else {
				err = e.Resume(b.ctx, ask)
			}
			if err != nil {
				t.Fatal(err)
			}
			asked, before := time.Now(), reads.Load()
			close(goOn)
			if ask == "resume" {
				time.Sleep(10 * time.Second)
				if reads.Load() == before {
					t.Errorf("%s: it was not tried again", ask)
				}
				if err := e.DropEvent(b.ctx, ask, s.Events[0].Number); err != nil {
					t.Fatal(err)
				}
			}
			if got := result(b, run); got != 2 || time.Since(asked) > 20*time.Second {
				t.Errorf("%s: it read %d, %v later", ask, got, time.Since(asked))
			}
			stop()
		}
	}, keepsClaims(countsTime), oneClock(onlySender))
}

// A blocked run that showed its progress on the way to its mistake began its backoff anew each time: it was tried every
// second, for ever.
// Row 60 of docs/proof/bugs.md.
func TestABlockedRunThatShowsProgressBacksOff(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var tries atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			if err := lambdabiz.SetProgress(o, tries.Add(1)); err != nil {
				return 0, err
			}
			time.Sleep(time.Second) // it computes, and its progress is written
			panic("a mistake")
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(10 * time.Minute)
		if s := b.state(e, "x"); s.Blocked == nil || s.Blocked.Times < 5 || tries.Load() > 15 {
			t.Errorf("it was tried %d times, and is blocked: %+v", tries.Load(), s.Blocked)
		}
	}, keepsClaims(countsTime))
}
