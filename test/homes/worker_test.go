package homes_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

func TestRunWhileWorksUntilTheFunctionReturns(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("One", func(o lambdabiz.Context, _ int) (int, error) { return step(o, "s") })
		e := b.engine(lambdabiz.Config{}, d)
		want := errors.New("the function's own")
		err := e.RunWhile(b.ctx, func(context.Context) error {
			if got := result(b, start(b, e, d, "o", 0)); got != 1 {
				t.Errorf("result is %d", got)
			}
			b.well() // else it may not leave
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("it returned %v", err)
		}
		workers, err := e.Workers(b.ctx)
		if err != nil || len(workers) != 0 {
			t.Errorf("workers are %v, %v", workers, err)
		}
	})
}

// refusing is a backend that takes no worker.
type refusing struct{ lambdabiz.Backend }

var errRefused = errors.New("no workers here")

func (refusing) Join(context.Context, lambdabiz.WorkerInfo) (int64, error) { return 0, errRefused }

func TestRunWhileEndsTheFunctionWhenTheWorkerCannotBegin(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = refusing{inner}
		defer func() { b.backend = inner }()
		e := b.engine(lambdabiz.Config{})
		err := e.RunWhile(b.ctx, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if !errors.Is(err, errRefused) {
			t.Errorf("it returned %v", err)
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
