package homes_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// picky is a backend that does not take one run's commit.
type picky struct {
	*proxy
	fail func() error // how it says so

	mu     sync.Mutex
	shared int // batches of several commits that it has spoiled
	met    int
}

// busyError is the fault of a store that is busy.
type busyError struct{ error }

// Temporary implements what Backend.Commit asks for.
func (busyError) Temporary() bool { return true }

var poisonMark = []byte("poison")

// newPicky wraps the bench's backend. It takes its time, so that commits come together.
func newPicky(b *bench, fail func() error) *picky {
	p := &picky{fail: fail}
	inner := b.backend
	p.proxy = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		time.Sleep(time.Millisecond)
		for _, c := range batch {
			for _, o := range c.Operations {
				if bytes.Contains(o.Result, poisonMark) {
					if err := p.meet(len(batch)); err != nil {
						return nil, err
					}
				}
			}
		}
		return inner.Commit(ctx, batch)
	}}
	b.backend = p
	return p
}

func (p *picky) meet(batch int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.met++
	if batch > 1 {
		p.shared++
	}
	return p.fail()
}

// poisonedOrders runs one order whose commit is not taken among many others.
func poisonedOrders(b *bench) (*lambdabiz.Engine, []*lambdabiz.Run[string]) {
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, what string) (string, error) {
		for i := range 5 {
			got, err := lambdabiz.Step(o, fmt.Sprint("step-", i), func(context.Context) (string, error) { return what, nil })
			if err != nil {
				return got, err
			}
		}
		return "done", nil
	})
	e, _ := b.worker(order)
	runs := make([]*lambdabiz.Run[string], 50)
	var all sync.WaitGroup
	for i := range runs {
		what := "tea"
		if i == 13 {
			what = string(poisonMark)
		}
		all.Go(func() { runs[i] = start(b, e, order, fmt.Sprint("order-", i), what) })
	}
	all.Wait()
	return e, runs
}

// A commit that the backend does not take, whether it says so by an error of the batch, by one that it panics with, or
// by its verdict, spoiled the batches of all others again and again, and its run stood still without a reason.
// Row 103 of docs/proof/bugs.md.
func TestCommitThatIsNeverTakenBlocksItsRunAndHarmsNobody(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("cannot be written") },
		"panic": func() error { panic("cannot be written") },
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				p := newPicky(b, fail)
				e, runs := poisonedOrders(b)
				for i, run := range runs {
					if i == 13 {
						continue
					}
					ctx, cancel := within(b, 5*time.Second)
					if got, err := run.Result(ctx); got != "done" || err != nil {
						t.Errorf("order %d: %q, %v", i, got, err)
					}
					cancel()
				}
				time.Sleep(20 * time.Second)
				state := b.state(e, "order-13")
				if state.Blocked == nil || !strings.Contains(state.Blocked.Reason, "cannot be written") {
					t.Errorf("blocked: %+v", state.Blocked)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.shared > 1 {
					t.Errorf("it spoiled %d batches of several", p.shared)
				}
				p.fail = func() error { return nil }
				if err := e.Resume(b.ctx, "order-13"); err != nil {
					t.Fatal(err)
				}
			}, notOnSWF("there each decision is a call of its own"), calmOnly(breaksItself))
		})
	}
}

// A store that is busy, full or out of reach blocks nobody, however long that lasts.
func TestStoreThatIsBusyForLongBlocksNobody(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		p := newPicky(b, func() error { return busyError{errors.New("the disk is full")} })
		b.well() // else a start may be given up
		e, runs := poisonedOrders(b)
		b.ill()
		time.Sleep(10 * time.Minute)
		if state := b.state(e, "order-13"); state.Blocked != nil {
			t.Errorf("blocked: %+v", state.Blocked)
		}
		p.mu.Lock()
		p.fail = func() error { return nil }
		met := p.met
		p.mu.Unlock()
		if got := result(b, runs[13]); got != "done" || met < 10 {
			t.Errorf("%q, after %d failures", got, met)
		}
	}, notOnSWF("there each decision is a call of its own"), keepsClaims(breaksItself))
}

// A commit that the backend refuses for good is replaced by one that blocks. The verdict on that one was taken for the
// verdict on the first.
// Row 3 of docs/proof/bugs.md.
func TestRefusedCommitIsNotTakenForDurable(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			for _, c := range batch {
				if c.Close != nil {
					v := make([]lambdabiz.Verdict, len(batch))
					for i := range v {
						v[i].Err = errors.New("poison")
					}
					return v, nil
				}
			}
			return inner.Commit(ctx, batch)
		}}
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		e, _ := b.worker(d)
		ctx, cancel := within(b, 3*time.Minute)
		defer cancel()
		v, err := start(b, e, d, "x", 0).Result(ctx)
		if s := b.state(e, "x"); err == nil && !s.Status.Ended() {
			t.Errorf("Result returned %v, but the run is %v, blocked %+v", v, s.Status, s.Blocked)
		}
	}, "memory")
}

// No effect begins after a commit was refused: what it rests on is not recorded.
// Row 1 of docs/proof/bugs.md.
func TestNoEffectAfterARefusedCommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			for _, c := range batch {
				for _, o := range c.Operations {
					if o.ID == "a" {
						return []lambdabiz.Verdict{{Err: errors.New("poison")}}, nil
					}
				}
			}
			return inner.Commit(ctx, batch)
		}}
		var effects atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if _, err := lambdabiz.Step(o, "a", one); err != nil {
				return 0, err
			}
			return lambdabiz.Step(o, "b", func(context.Context) (int, error) { return int(effects.Add(1)), nil })
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(3 * time.Minute)
		if effects.Load() != 0 {
			t.Errorf("the effect after the result that could not be stored ran %d times", effects.Load())
		}
	}, "memory")
}
