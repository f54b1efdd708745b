package homes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// meddler is a backend with something that is done before the first commit that it fits.
type meddler struct {
	lambdabiz.Backend
	once sync.Once
	fits func(c *lambdabiz.Commit) bool
	do   func()
}

func (b *meddler) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if slices.ContainsFunc(batch, b.fits) {
		b.once.Do(b.do)
	}
	return b.Backend.Commit(ctx, batch)
}

// untouched expects that an orchestration goes on as if nobody had asked it to end.
func untouched(b *bench, e *lambdabiz.Engine, id string) {
	b.t.Helper()
	if s := b.state(e, id); s.Status.Ended() || s.CancelRequested {
		b.t.Errorf("%s, which is somebody else's, is %v, a cancellation of it was requested: %v", id, s.Status, s.CancelRequested)
	}
}

// calls waits for a child with the given id.
func calls(id string) func(o lambdabiz.Context) (int, error) {
	return func(o lambdabiz.Context) (int, error) {
		return lambdabiz.CallChild(o, "child", sleeper, 0, lambdabiz.ChildID(id))
	}
}

// Row 72 of docs/proof/bugs.md.
func TestALosingBranchDoesNotCancelAStranger(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			quick := lambdabiz.Go(o, "quick", func(lambdabiz.Context) (int, error) { return 1, nil })
			first, err := lambdabiz.Race(o, "r", lambdabiz.Go(o, "slow", calls("payroll")), quick)
			return first, err
		})
		e, _ := b.worker(d, sleeper)
		start(b, e, sleeper, "payroll", 0)
		b.settle()
		result(b, start(b, e, d, "x", 0))
		b.settle()
		untouched(b, e, "payroll")
	})
}

func TestACancelledParentDoesNotCancelAStranger(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var e *lambdabiz.Engine
		d := define(func(o lambdabiz.Context) (int, error) {
			child := lambdabiz.Go(o, "branch", calls("payroll"))
			// No commit has taken the child's start yet when the cancellation comes.
			_, err := lambdabiz.Step(o, "step", func(ctx context.Context) (int, error) {
				if err := e.Cancel(context.WithoutCancel(ctx), "x", "early"); err != nil {
					t.Error(err)
				}
				<-ctx.Done()
				return 0, ctx.Err()
			})
			_, _ = child.Wait(o)
			return 0, err
		})
		e, _ = b.worker(d, sleeper)
		start(b, e, sleeper, "payroll", 0)
		b.settle()
		_ = failure(b, start(b, e, d, "x", 0))
		b.settle()
		untouched(b, e, "payroll")
	})
}

func TestACancelledParentDoesNotCancelTheNextOwnerOfItsChildsID(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			timer := lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (int, error) {
				return 1, lambdabiz.Sleep(o, "s", time.Minute)
			})
			return lambdabiz.Race(o, "r", lambdabiz.Go(o, "slow", calls("payroll")), timer)
		})
		client := b.engine(lambdabiz.Config{}, sleeper)
		b.backend = &meddler{
			Backend: b.backend, fits: func(c *lambdabiz.Commit) bool { return len(c.Controls) > 0 },
			do: func() {
				if err := client.Terminate(b.ctx, "payroll", "its id is for somebody else"); err != nil {
					t.Error(err)
				}
				start(b, client, sleeper, "payroll", 0, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
			},
		}
		e, _ := b.worker(d, sleeper)
		result(b, start(b, e, d, "x", 0))
		b.settle()
		untouched(b, e, "payroll")
		if s := b.state(e, "payroll"); s.Parent != nil {
			t.Errorf("the id did not come to somebody else: %+v", s.Parent)
		}
	})
}

func TestACancellationReachesTheRunThatContinuesTheChild(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		child := lambdabiz.Define("Child", func(o lambdabiz.Context, n int) (int, error) {
			if err := lambdabiz.Sleep(o, "s", time.Minute); err != nil {
				return 0, err
			}
			return 0, lambdabiz.ContinueAsNew(o, n+1)
		})
		d := define(func(o lambdabiz.Context) (int, error) {
			timer := lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (int, error) {
				return 1, lambdabiz.Sleep(o, "s", 150*time.Second)
			})
			return lambdabiz.Race(o, "r", lambdabiz.Go(o, "slow", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.CallChild(o, "child", child, 0, lambdabiz.ChildID("payroll"))
			}), timer)
		})
		e, _ := b.worker(d, child)
		result(b, start(b, e, d, "x", 0))
		if err := failure(b, lambdabiz.Get(e, child, "payroll")); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("the child ended with %v", err)
		}
	})
}

func TestAResumedParentCancelsItsOwnChildOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			mine := lambdabiz.Go(o, "mine", calls("mine"))
			theirs := lambdabiz.Go(o, "theirs", func(o lambdabiz.Context) (int, error) {
				_, err := calls("payroll")(o)
				if !errors.Is(err, lambdabiz.ErrExists) {
					t.Errorf("a child with the id of a stranger gave %v", err)
				}
				return never(o)
			})
			_, err := theirs.Wait(o)
			_, _ = mine.Wait(o)
			return 0, err
		})
		e, stop := b.worker(d, sleeper)
		start(b, e, sleeper, "payroll", 0)
		b.settle()
		start(b, e, d, "x", 0)
		b.settle()
		stop()
		e, _ = b.worker(d, sleeper)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		_ = failure(b, lambdabiz.Get(e, d, "x"))
		if err := failure(b, lambdabiz.Get(e, sleeper, "mine")); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("its own child ended with %v", err)
		}
		synctest.Wait()
		untouched(b, e, "payroll")
	})
}

// told is a child that says what it was told.
var told = lambdabiz.Define("Told", func(_ lambdabiz.Context, s string) (string, error) { return s, nil })

// Row 96 of docs/proof/bugs.md.
func TestIDsOfChildrenAndOfPeopleNeverMeet(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, child string) (string, error) {
			return lambdabiz.CallChild(o, child, told, "child of "+o.ID())
		})
		e, _ := b.worker(d, told, echo)
		expect := func(run *lambdabiz.Run[string], want string) {
			t.Helper()
			if got := result(b, run); got != want {
				t.Errorf("%s gave %q, want %q", run.ID(), got, want)
			}
		}
		expect(start(b, e, told, "example.com", "a person's"), "a person's")
		expect(start(b, e, d, "example", "com"), "child of example")
		expect(start(b, e, d, "example.com.de", "x"), "child of example.com.de")
		expect(start(b, e, told, "example.com.de.x", "a person's"), "a person's")
		if got := result(b, start(b, e, echo, "example.com.uk", 7)); got != 7 { // of another definition
			t.Errorf("example.com.uk gave %d", got)
		}
		expect(start(b, e, d, "example.com/", "uk"), "child of example.com/")
		for _, family := range [][2]string{
			{"a", "b.c"}, {"a.b", "c"}, {"a", "b"}, {"a", "b~-c"}, {"a", "b/c"}, {"a~", "c"}, {"a~", ".c"}, {"a~~", "c"},
			{"a.", "c"}, {"a", ".c"}, {"a", "~-c"}, {"a/b", "c"}, {"a~1b", "c"},
		} {
			id, path := family[0], family[1]
			expect(start(b, e, d, id, path, lambdabiz.OnUsedID(lambdabiz.RestartEnded)), "child of "+id)
		}
	})
}

func TestNobodyStartsAnIDThatIsMadeForAChild(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		inner := lambdabiz.Define("Inner", func(o lambdabiz.Context, _ int) (int, error) {
			_, err := lambdabiz.StartChild(o, "in/ner", sleeper, 0)
			return 1, err
		})
		d := define(func(o lambdabiz.Context) (int, error) {
			id, err := lambdabiz.StartChild(o, "made", sleeper, 0)
			if err != nil {
				return 0, err
			}
			for i, taken := range []string{id, "somebody~-else"} {
				_, err = lambdabiz.CallChild(o, fmt.Sprint("given ", i), sleeper, 0, lambdabiz.ChildID(taken))
				if !errors.Is(err, lambdabiz.ErrInvalidID) {
					t.Errorf("a child with the id %q gave %v", taken, err)
				}
			}
			return lambdabiz.CallChild(o, "inner", inner, 0)
		})
		e, _ := b.worker(d, inner, sleeper)
		start(b, e, d, "x", 0)
		b.settle()
		for _, made := range []string{"x~-made", "x~-other", "y~-made", "~-"} {
			if _, err := lambdabiz.Start(b.ctx, e, sleeper, made, 0); !errors.Is(err, lambdabiz.ErrInvalidID) {
				t.Errorf("a start of %q gave %v", made, err)
			}
			if _, err := e.StartByName(b.ctx, "Sleeper", made, 0); !errors.Is(err, lambdabiz.ErrInvalidID) {
				t.Errorf("a start by name of %q gave %v", made, err)
			}
			o, err := e.Create(b.ctx, made)
			if err == nil {
				err = o.Start("by hand")
			}
			if !errors.Is(err, lambdabiz.ErrInvalidID) && !errors.Is(err, lambdabiz.ErrMode) {
				t.Errorf("a start by hand of %q gave %v", made, err)
			}
		}
		for _, id := range []string{"x~-made", "x~-inner~-in~1ner"} { // but all else is possible
			if err := e.Cancel(b.ctx, id, ""); err != nil {
				t.Errorf("a cancellation of the child %s gave %v", id, err)
			}
		}
	})
}

// Row 97 of docs/proof/bugs.md.
func TestMapOverEqualKeysIsAnErrorOfMap(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var begun atomic.Int64
		var asked atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, keys []string) (int, error) {
			return lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (int, error) {
				out, err := lambdabiz.Map(o, "parcels", keys, func(s string) string { asked.Add(1); return s },
					func(o lambdabiz.Context, s string) (string, error) {
						begun.Add(1)
						return lambdabiz.Step(o, "pack", func(context.Context) (string, error) { return s, nil })
					})
				return len(out), err
			}).Wait(o)
		})
		client := b.engine(lambdabiz.Config{}, d)
		run := start(b, client, d, "x", []string{"coffee", "tea", "milk", "tea"})
		e, stop := b.worker(d)
		var twice *lambdabiz.DuplicateKeyError
		if err := failure(b, run); !errors.As(err, &twice) || *twice != (lambdabiz.DuplicateKeyError{
			OperationID: "branch/parcels", Key: "tea", First: 1, Second: 3,
		}) {
			t.Errorf("equal keys gave %v", err)
		}
		if begun.Load() != 0 || len(b.state(e, "x").Operations) != 0 {
			t.Errorf("%d items began, %d operations are recorded", begun.Load(), len(b.state(e, "x").Operations))
		}
		asked.Store(0)
		if n := result(b, start(b, e, d, "y", []string{"coffee", "tea"})); n != 2 || asked.Load()%2 != 0 {
			t.Errorf("%d results, keys were asked for %d times", n, asked.Load())
		}
		stop()
	})
}

// Row 98 of docs/proof/bugs.md.
func TestTagsAreCheckedAtTheDoor(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			for i, bad := range []string{"a\x00b", "\xff", "\n", "\u0085"} {
				_, err := lambdabiz.StartChild(o, fmt.Sprint("child ", i), sleeper, 0, lambdabiz.Tags(map[string]string{"k": bad}))
				if !errors.Is(err, lambdabiz.ErrInvalidID) {
					t.Errorf("a child with the tag %q gave %v", bad, err)
				}
			}
			return 1, nil
		})
		e, _ := b.worker(d, sleeper)
		for _, bad := range []string{"a\x00b", "\xff", "\n", "\u0085", "\xed\xa0\x80"} {
			for _, tags := range []map[string]string{{"k": bad}, {bad: "v"}, {"ok": "", "k": "ok" + bad}} {
				_, err := lambdabiz.Start(b.ctx, e, sleeper, "tagged", 0, lambdabiz.Tags(tags))
				if !errors.Is(err, lambdabiz.ErrInvalidID) {
					t.Errorf("a start with the tags %q gave %v", tags, err)
				}
				if _, err := e.List(b.ctx, lambdabiz.Filter{Tags: tags}); !errors.Is(err, lambdabiz.ErrInvalidID) {
					t.Errorf("a list by the tags %q gave %v", tags, err)
				}
			}
		}
		if _, err := e.State(b.ctx, "tagged"); !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Errorf("something was started: %v", err)
		}
		start(b, e, sleeper, "plain", 0, lambdabiz.Tags(map[string]string{"k": "", "é": "日本"}))
		result(b, start(b, e, d, "x", 0))
	})
}

// An id whose operation was refused was free again in this pass: a second operation was recorded under it, which a
// resumed run would have found at the place of the first one.
func TestAnIDWhoseOperationWasRefusedIsUsed(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			waited := lambdabiz.Sleep(o, "long", time.Hour)
			_, err := lambdabiz.Step(o, "undo", one)
			if errors.Is(err, lambdabiz.ErrCancelled) {
				_, err = lambdabiz.Step(lambdabiz.Detached(o), "undo", one)
			}
			return 0, errors.Join(waited, err)
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		s := b.state(e, "x")
		if s.Blocked == nil || !strings.Contains(s.Blocked.Reason, `the same id twice: operation "undo"`) {
			t.Errorf("blocked: %+v, status %s", s.Blocked, s.Status)
		}
		for _, o := range s.Operations {
			if o.ID == "undo" {
				t.Errorf("recorded: %+v", o)
			}
		}
	}, keepsClaims(countsTime))
}

// One context, two goroutines, one after the other: no misuse.
func TestOneContextOneAfterTheOther(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			for i := range 20 {
				done := make(chan error)
				go func() {
					err := errors.New("the run has left")
					defer func() { done <- err }()
					_, err = lambdabiz.Step(o, fmt.Sprint("s", i), one)
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
	})
}

// Clean-up runs after an operation that a cancellation has refused. That one left its context busy, and clean-up was
// taken for misuse.
func TestCleanUpAfterARefusedOperation(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			err := lambdabiz.Sleep(o, "long", time.Hour)
			_, err2 := lambdabiz.Step(o, "refused", one)
			if !errors.Is(err2, lambdabiz.ErrCancelled) {
				return 0, errors.New("not refused")
			}
			if _, err := lambdabiz.Step(lambdabiz.Detached(o), "undo", one); err != nil {
				return 0, err
			}
			return 0, err
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		_, err := run.Result(ctx)
		if !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("result: %v, blocked: %+v", err, b.state(e, "x").Blocked)
		}
	})
}
