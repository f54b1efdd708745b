package homes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// booking is code that books in rounds for as long as its context says so, and takes all of it back at the end.
type booking struct {
	j     *journal
	round func(k *booking, o lambdabiz.Context, i int) bool // reports whether it has booked
}

func (k *booking) do(o lambdabiz.Context, what string, i int) bool {
	return lambdabiz.Do(o, fmt.Sprint(what, i), func(ctx context.Context) error {
		k.j.add(ctx, fmt.Sprint(what, i))
		return nil
	}) == nil
}

func (k *booking) nap(o lambdabiz.Context, i int) error {
	return lambdabiz.Sleep(o, fmt.Sprint("nap", i), 10*time.Second)
}

func (k *booking) code(o lambdabiz.Context) (int, error) {
	booked := k.rounds(o)
	return 0, k.takeBack(o, booked)
}

func (k *booking) inABranch(o lambdabiz.Context) (int, error) {
	booked, err := lambdabiz.Go(o, "all", func(o lambdabiz.Context) ([]int, error) { return k.rounds(o), nil }).Wait(o)
	if o.Err() == nil {
		return 0, errors.New("the function has not heard what its branch has")
	}
	return 0, errors.Join(err, k.takeBack(o, booked))
}

func (k *booking) rounds(o lambdabiz.Context) (booked []int) {
	for i := 0; o.Err() == nil; i++ {
		if k.round(k, o, i) {
			booked = append(booked, i)
		}
	}
	return booked
}

func (k *booking) takeBack(o lambdabiz.Context, booked []int) error {
	clean := lambdabiz.Detached(o)
	for _, i := range booked {
		if !k.do(clean, "undo", i) {
			return errors.New("what was booked is not taken back")
		}
		if err := lambdabiz.Sleep(clean, fmt.Sprint("between", i), 3*time.Second); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %w", context.Cause(o), lambdabiz.ErrCancelled)
}

func (k *booking) branch(o lambdabiz.Context, id string, i int, f func(o lambdabiz.Context) error) *lambdabiz.Future[bool] {
	return lambdabiz.Go(o, fmt.Sprint(id, i), func(o lambdabiz.Context) (bool, error) {
		done := k.do(o, "book", i)
		_ = f(o) // what the round waits for does not say whether it was booked
		return done, nil
	})
}

var roundsOfBooking = map[string]func(k *booking, o lambdabiz.Context, i int) bool{
	"in the function": func(k *booking, o lambdabiz.Context, i int) bool {
		done := k.do(o, "book", i)
		_ = k.nap(o, i) // the loop looks at the context
		return done
	},
	"in a branch each": func(k *booking, o lambdabiz.Context, i int) bool {
		done, err := k.branch(o, "b", i, func(o lambdabiz.Context) error { return k.nap(o, i) }).Wait(o)
		return done && err == nil
	},
	"in a Map each": func(k *booking, o lambdabiz.Context, i int) bool {
		done, err := lambdabiz.Map(o, fmt.Sprint("m", i), []string{"x", "y"}, func(s string) string { return s },
			func(o lambdabiz.Context, item string) (bool, error) {
				if item == "y" {
					return true, nil
				}
				done := k.do(o, "book", i)
				return done, k.nap(o, i)
			})
		return len(done) > 0 && done[0] || err == nil
	},
	"before a race each": func(k *booking, o lambdabiz.Context, i int) bool {
		done := k.do(o, "book", i)
		nap := lambdabiz.Go(o, fmt.Sprint("nap", i), func(o lambdabiz.Context) (int, error) { return 0, k.nap(o, i) })
		loses := lambdabiz.Go(o, fmt.Sprint("never", i), func(o lambdabiz.Context) (int, error) {
			_ = lambdabiz.Sleep(o, "recorded", time.Second) // and no resumed run comes to it
			return never(o)
		})
		_, _ = lambdabiz.Race(o, fmt.Sprint("race", i), nap, loses)
		return done
	},
	"with clean-up between": func(k *booking, o lambdabiz.Context, i int) bool {
		done := k.do(o, "book", i)
		_ = lambdabiz.Sleep(lambdabiz.Detached(o), fmt.Sprint("detached", i), time.Second)
		_ = k.nap(o, i)
		return done
	},
}

// wantTakenBack: each was booked and taken back once, and in this order. Where calls fail, a body may have run although
// nobody came to record that: the code does not know of it, and cannot take it back.
func (b *bench) wantTakenBack(j *journal, id string, least int) {
	b.t.Helper()
	recorded := map[string]bool{}
	for _, o := range b.state(b.engine(lambdabiz.Config{}), id).Operations {
		recorded[o.ID[strings.LastIndexByte(o.ID, '/')+1:]] = o.Status == lambdabiz.StatusSucceeded
	}
	done := slices.DeleteFunc(strings.Fields(j.String()), func(what string) bool {
		i, booked := strings.CutPrefix(what, "book")
		return b.faults != nil && booked && !recorded[what] && !recorded["undo"+i]
	})
	var want []string
	for _, what := range []string{"book", "undo"} {
		for i := range len(done) / 2 {
			want = append(want, fmt.Sprint(what, i))
		}
	}
	if got := strings.Join(done, " "); got != strings.Join(want, " ") || len(done) < 2*least {
		b.t.Errorf("what was done is %s, of %s", got, j)
	}
}

// A resumed run whose end was requested before found its context ended before its recorded operations: the loop that
// looks at it ended before its first round, and nothing was taken back.
// Row 166 of docs/proof/bugs.md.
func TestResumedRunComesToWhatIsRecordedBeforeItsContextEnds(t *testing.T) {
	for name, round := range roundsOfBooking {
		for how, stop := range endings {
			var but []exception
			if how == "overdue" {
				but = append(but, oneClock(deadlineOfStart))
			}
			t.Run(name+", "+how, func(t *testing.T) {
				everywhere(t, func(t *testing.T, b *bench) {
					for id, code := range map[string]func(k *booking, o lambdabiz.Context) (int, error){
						"function": (*booking).code, "branch": (*booking).inABranch,
					} {
						k := &booking{&journal{}, round}
						stop(b, define(func(o lambdabiz.Context) (int, error) { return code(k, o) }), id)
						b.wantTakenBack(k.j, id, 2)
						s := b.state(b.engine(lambdabiz.Config{}), id)
						if s.Status == lambdabiz.StatusFailed || len(s.Orphans) > 0 {
							t.Errorf("it is %v, without %v", s.Status, s.Orphans)
						}
						b.stop()
					}
				}, but...)
			})
		}
	}
}

// endings resume a run that is to end, and wait until it has.
var endings = map[string]func(b *bench, d *lambdabiz.Definition[int, int], id string){
	"cancelled while nobody had it": func(b *bench, d *lambdabiz.Definition[int, int], id string) {
		e, stop := b.worker(d)
		start(b, e, d, id, 0)
		time.Sleep(25 * time.Second)
		b.settle() // it has booked twice at least
		stop()
		b.cancel(id)
		b.resumed(d, id)
	},
	"killed in its clean-up": func(b *bench, d *lambdabiz.Definition[int, int], id string) {
		e, kill := b.killable(d)
		start(b, e, d, id, 0)
		time.Sleep(25 * time.Second)
		b.settle()
		b.cancel(id)
		time.Sleep(5 * time.Second)
		kill()
		b.resumed(d, id)
	},
	"parked": func(b *bench, d *lambdabiz.Definition[int, int], id string) {
		e, _ := b.workerWith(lambdabiz.Config{ParkAfter: time.Second, MemoryBudget: 1}, d)
		start(b, e, d, id, 0)
		time.Sleep(25 * time.Second)
		b.settle()
		b.cancel(id)
		_ = failure(b, lambdabiz.Get(e, d, id))
	},
	"overdue": func(b *bench, d *lambdabiz.Definition[int, int], id string) {
		b.well() // its time is short
		e, stop := b.worker(d)
		start(b, e, d, id, 0, lambdabiz.Deadline(28*time.Second))
		time.Sleep(25 * time.Second)
		stop()
		b.ill()
		time.Sleep(10 * time.Second)
		b.resumed(d, id)
	},
}

func (b *bench) cancel(id string) {
	b.t.Helper()
	if err := b.engine(lambdabiz.Config{}).Cancel(b.ctx, id, "enough"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) resumed(d *lambdabiz.Definition[int, int], id string) {
	b.t.Helper()
	e, _ := b.worker(d)
	_ = failure(b, lambdabiz.Get(e, d, id))
}

// The same by hand, where the code is the caller's.
func TestByHandTheCodeComesToWhatIsRecordedBeforeItsContextEnds(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for name, code := range map[string]func(k *booking, o lambdabiz.Context) (int, error){
			"function": (*booking).code, "branch": (*booking).inABranch,
		} {
			k := &booking{&journal{}, roundsOfBooking["in the function"]}
			drive := func(most time.Duration) error {
				ctx, cancel := context.WithTimeout(b.ctx, most)
				defer cancel()
				o := byHand(b, ctx, b.engine(lambdabiz.Config{}), name)
				_, err := code(k, o)
				return o.Fail(err)
			}
			b.well()                    // its time is short
			_ = drive(25 * time.Second) // it cannot go on
			b.ill()
			b.cancel(name)
			if err := drive(time.Hour); err != nil {
				t.Error(err)
			}
			b.wantTakenBack(k.j, name, 2)
			if s := b.state(b.engine(lambdabiz.Config{}), name); s.Status != lambdabiz.StatusCancelled || len(s.Orphans) > 0 {
				t.Errorf("it is %v, without %v", s.Status, s.Orphans)
			}
		}
	}, keepsEnds())
}

// patient waits for the end of its context, and takes back then what it has booked: in a branch, if it says so.
func patient(k *booking, inside bool) *lambdabiz.Definition[int, int] {
	code := func(o lambdabiz.Context) (int, error) {
		k.do(o, "book", 0)
		k.do(o, "book", 1)
		<-o.Done()
		return 0, k.takeBack(o, []int{0, 1})
	}
	return define(func(o lambdabiz.Context) (int, error) {
		if !inside {
			return code(o)
		}
		return lambdabiz.Go(o, "branch", code).Wait(o)
	})
}

// The clean-up is all that is recorded when the code waits for its context again.
func TestResumedCodeThatWaitsForItsContextGoesOn(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		for id, inside := range map[string]bool{"function": false, "branch": true} {
			k := &booking{j: &journal{}}
			endings["killed in its clean-up"](b, patient(k, inside), id)
			b.wantTakenBack(k.j, id, 2)
			b.stop()
		}
	}, notOnSWF("its code may not wait outside of operations there"))
}

// What is recorded and not in the code any more does not keep its context from ending.
func TestContextEndsWhereTheCodeHasLostWhatIsRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for id, further := range map[string]bool{"asks": false, "goes further first": true} {
			k := &booking{j: &journal{}}
			e, stop := b.worker(patient(k, false))
			start(b, e, patient(k, false), id, 0)
			time.Sleep(10 * time.Second)
			stop()
			var told atomic.Pointer[time.Time]
			var passes atomic.Int64
			d := define(func(o lambdabiz.Context) (int, error) {
				passes.Add(1)
				if further {
					k.do(o, "new", 0)
				}
				<-o.Done()
				at := time.Now()
				told.Store(&at)
				return 0, lambdabiz.ErrCancelled
			})
			e, stop = b.worker(d)
			time.Sleep(10 * time.Second)
			b.settle()
			b.well() // a store that fails takes its own time to say that the run is cancelled
			cancelled := time.Now()
			if err := e.Cancel(b.ctx, id, ""); err != nil {
				t.Fatal(err)
			}
			_ = failure(b, lambdabiz.Get(e, d, id))
			b.ill()
			// In a second pass "new" is recorded too, and says no more that the code has passed the others.
			atOnce := further && passes.Load() == 1
			if took := told.Load().Sub(cancelled); atOnce && took > 2*time.Second || took > 20*time.Second {
				t.Errorf("%s: its context ended after %v", id, took)
			}
			stop()
		}
	}, notOnSWF("its code may not wait outside of operations there"))
}

// A run that has not been resumed hears at once, wherever its code waits.
func TestContextsEndAtOnceInARunThatWasNotResumed(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var told notes
		d := define(func(o lambdabiz.Context) (int, error) {
			if err := lambdabiz.Do(o, "first", func(context.Context) error { return nil }); err != nil {
				return 0, err
			}
			var all []*lambdabiz.Future[int]
			for _, f := range []func(o lambdabiz.Context) (int, error){
				func(o lambdabiz.Context) (int, error) { <-o.Done(); return 0, nil },
				func(o lambdabiz.Context) (int, error) { return lambdabiz.Step(o, "body", untilDone) },
				func(o lambdabiz.Context) (int, error) {
					return lambdabiz.Go(o, "inner", func(o lambdabiz.Context) (int, error) { <-o.Done(); return 0, nil }).Wait(o)
				},
			} {
				all = append(all, lambdabiz.Go(o, fmt.Sprint("branch", len(all)), func(o lambdabiz.Context) (int, error) {
					_, err := f(o)
					told.add(time.Now().Unix(), context.Cause(o))
					return 0, err
				}))
			}
			<-o.Done()
			told.add(time.Now().Unix(), context.Cause(o))
			for _, f := range all {
				_, _ = f.Wait(o)
			}
			return 0, lambdabiz.ErrCancelled
		})
		b.well() // one that has lost its claim is resumed
		defer b.ill()
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(10 * time.Second)
		at := fmt.Sprint(time.Now().Unix(), lambdabiz.ErrCancelled)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		_ = failure(b, lambdabiz.Get(e, d, "x"))
		if want := strings.Join([]string{at, at, at, at}, ", "); told.String() != want {
			t.Errorf("they heard %s, want %s", &told, want)
		}
	}, notOnSWF("its code may not wait outside of operations there"))
}

// A run that leaves the process ends all contexts, those of clean-up too.
func TestContextsEndWhenTheRunLeaves(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var ended notes
		d := define(func(o lambdabiz.Context) (int, error) {
			for i, o := range []lambdabiz.Context{o, lambdabiz.Detached(o)} {
				lambdabiz.Go(o, fmt.Sprint("branch", i), func(o lambdabiz.Context) (int, error) {
					<-o.Done()
					ended.add("branch")
					return 0, nil
				})
			}
			<-lambdabiz.Detached(o).Done()
			<-o.Done()
			ended.add("function")
			return 0, nil
		})
		b.well() // a worker that has lost its claim ends the contexts, too
		e, stop := b.workerWith(lambdabiz.Config{DrainTimeout: time.Second}, d)
		start(b, e, d, "x", 0)
		time.Sleep(5 * time.Second)
		if ended.len() > 0 {
			t.Errorf("before it leaves the contexts have ended of %s", &ended)
		}
		b.ill()
		stop()
		synctest.Wait()
		if ended.len() != 3 {
			t.Errorf("the contexts have ended of %s", &ended)
		}
		if err := b.engine(lambdabiz.Config{}).Terminate(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
	}, notOnSWF("its code may not wait outside of operations there"))
}

// After a cancellation a resumed run must see the results of the branches that it had seen before.
// Row 6 of docs/proof/bugs.md.
func TestResumeAfterCancelSeesTheBranches(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var undone atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			f := lambdabiz.Go(o, "charge", func(o lambdabiz.Context) (int, error) { return lambdabiz.Step(o, "s", one) })
			if _, err := f.Wait(o); err != nil {
				return 0, err // nothing was charged
			}
			err := lambdabiz.Sleep(o, "ship", time.Hour)
			if err == nil {
				return 1, nil
			}
			clean := lambdabiz.Detached(o)
			if err := lambdabiz.Sleep(clean, "later", 10*time.Minute); err != nil {
				return 0, err
			}
			refund := func(context.Context) (int, error) { return int(undone.Add(1)), nil }
			if _, err := lambdabiz.Step(clean, "refund", refund); err != nil {
				return 0, err
			}
			return 0, err
		})
		e, stop := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		stop()
		e, _ = b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		_, err := lambdabiz.Get(e, d, run.ID()).Result(ctx)
		if !errors.Is(err, lambdabiz.ErrCancelled) || undone.Load() != 1 {
			t.Errorf("result: %v, refunded %d times", err, undone.Load())
		}
	}, keepsClaims(countsTime))
}

// What was refused because of the deadline must stay refused in a resumed run.
func TestResumeAfterTheDeadline(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var late atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			_ = lambdabiz.Sleep(o, "long", time.Hour)
			_, err := lambdabiz.Step(o, "late", func(context.Context) (int, error) { return int(late.Add(1)), nil })
			if err2 := lambdabiz.Sleep(lambdabiz.Detached(o), "clean", 10*time.Minute); err2 != nil {
				return 0, err2
			}
			return 0, err
		})
		e, stop := b.worker(d)
		run := start(b, e, d, "x", 0, lambdabiz.Deadline(time.Minute))
		time.Sleep(2 * time.Minute)
		if late.Load() != 0 {
			t.Error("it ran before the restart")
		}
		stop()
		e, _ = b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		_, err := lambdabiz.Get(e, d, run.ID()).Result(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || late.Load() != 0 {
			t.Errorf("result: %v, the late step ran %d times", err, late.Load())
		}
	}, oneClock(deadlineOfStart))
}
