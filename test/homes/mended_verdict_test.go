package homes_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// laned is a backend with several lanes, whose verdicts may be late.
type laned struct{ *proxy }

func (l *laned) Describe() lambdabiz.Description {
	d := l.Backend.Describe()
	d.Lanes = 8
	return d
}

// Wake implements lambdabiz.Waker where the backend does.
func (l *laned) Wake() <-chan struct{} {
	if w, ok := l.Backend.(lambdabiz.Waker); ok {
		return w.Wake()
	}
	return nil
}

// A caller whose commit's verdict came after a later Create took the run back.
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
	}, notOnSWF("there a new caller waits for the answer of the older one's decision task"), fencedByHand())
}

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
