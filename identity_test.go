package lambdabiz_test

import (
	"context"
	"errors"
	"slices"
	"sync"
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
