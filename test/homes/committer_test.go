package homes_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
)

// A verdict that is very late held up other runs, and the end of the worker.
func TestLateVerdictHoldsUpNeitherOtherRunsNorTheDrain(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		inner := b.backend
		release := make(chan struct{})
		late := make(chan struct{})
		var once sync.Once
		b.backend = &laned{&proxy{Backend: inner, commit: func(
			ctx context.Context, batch []*lambdabiz.Commit,
		) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			for _, c := range batch {
				if c.Run != nil && c.Run.ID == "late" {
					first := false
					once.Do(func() { first = true })
					if first {
						close(late)
						<-release
					}
				}
			}
			return v, err
		}}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if _, err := lambdabiz.Step(o, "s", one); err != nil {
				return 0, err
			}
			_, err := lambdabiz.WaitForEvent[bool](o, "go")
			return 1, err
		})
		e, stop := b.workerWith(lambdabiz.Config{DrainTimeout: 5 * time.Second}, d)
		b.backend = inner
		time.AfterFunc(10*time.Minute, func() { close(release) })
		start(b, e, d, "late", 0)
		<-late
		began := time.Now()
		other := start(b, e, d, "other", 0)
		synctest.Wait()
		raise(b, e, "other", "go", true)
		if got := result(b, other); got != 1 || time.Since(began) > 2*time.Minute {
			t.Errorf("the other run gave %d after %v", got, time.Since(began))
		}
		began = time.Now()
		stop()
		if took := time.Since(began); took > time.Minute+20*time.Second {
			t.Errorf("the drain took %v", took)
		}
		<-release
		synctest.Wait()
		e, _ = b.worker(d)
		raise(b, e, "late", "go", true)
		if got := result(b, lambdabiz.Get(e, d, "late")); got != 1 {
			t.Errorf("the late run gave %d", got)
		}
	}, exception{"sqlite", "there is one writer"})
}

// A backend that panics does not take the lane with it.
func TestBackendThatPanicsLeavesTheLane(t *testing.T) {
	b := &bench{t: t, backend: homes[0].open(t), logs: &logbook.Book{}, ctx: t.Context()}
	inner, once := b.backend, true
	b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		if once {
			once = false
			panic("backend")
		}
		return inner.Commit(ctx, batch)
	}}
	d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
	e := b.engine(lambdabiz.Config{})
	func() { // as an HTTP server does
		defer func() { _ = recover() }()
		_, _ = lambdabiz.Start(b.ctx, e, d, "a", 0)
	}()
	done := make(chan error, 1)
	go func() {
		_, err := lambdabiz.Start(b.ctx, e, d, "b", 0)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the next commit waits for ever")
	}
}
