package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// whereHeld runs a test on the homes where a claim is held over commits.
func whereHeld(t *testing.T, f func(t *testing.T, b *bench), but ...exception) {
	t.Helper()
	everywhere(t, func(t *testing.T, b *bench) {
		if b.backend.Describe().CommitEndsClaim {
			t.Skip("a commit ends the claim here")
		}
		f(t, b)
	}, but...)
}

// effectsWhileStuck runs two steps in sequence on a store that does not finish the commit with the first
// one's result, and returns how many bodies have run when all is still. With lies the store says that it has.
func effectsWhileStuck(b *bench, lies bool) (bodies int64) {
	var ran atomic.Int64
	open := make(chan struct{})
	inner := b.backend
	defer func() { b.backend = inner }()
	b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		for _, c := range batch {
			for _, o := range c.Operations {
				if o.ID != "first" || !o.Status.Ended() {
					continue
				}
				if lies {
					return make([]lambdabiz.Verdict, len(batch)), nil
				}
				<-open
			}
		}
		return inner.Commit(ctx, batch)
	}}
	body := func(context.Context) (int, error) { ran.Add(1); return 1, nil }
	d := define(func(o lambdabiz.Context) (int, error) {
		if _, err := lambdabiz.Step(o, "first", body); err != nil {
			return 0, err
		}
		return lambdabiz.Step(o, "second", body)
	})
	e, stop := b.worker(d)
	start(b, e, d, "x", 0)
	time.Sleep(time.Second)
	synctest.Wait()
	bodies = ran.Load()
	close(open)
	if !lies {
		result(b, lambdabiz.Get(e, d, "x"))
	}
	stop()
	return bodies
}

func TestNoEffectBeginsBeforeTheResultsBeforeItAreDurable(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		if got := effectsWhileStuck(b, false); got != 1 {
			t.Errorf("%d bodies have run although the first one's result is not durable", got)
		}
	}, calmOnly(breaksItself))
}

// The twin of the test above: where the store answers at once and stores nothing, the check must notice.
func TestSabotageOfTheBarrier(t *testing.T) {
	whereHeld(t, func(t *testing.T, b *bench) {
		b.broken = true
		if got := effectsWhileStuck(b, true); got != 2 {
			t.Errorf("%d bodies have run: the check does not see that the barrier is missing", got)
		} else {
			campaign.Red(t, "G3", "the barrier", fmt.Sprintf("%d bodies have run although no result is durable", got))
		}
	})
}

func TestParallelStepsShareTheirCommits(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		const n = 100
		var commits atomic.Int64
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			commits.Add(1)
			return inner.Commit(ctx, batch)
		}}
		defer func() { b.backend = inner }()
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		d := define(func(o lambdabiz.Context) (int, error) {
			out, err := lambdabiz.Map(o, "m", items, func(i int) string { return fmt.Sprint(i) },
				func(o lambdabiz.Context, i int) (int, error) {
					return lambdabiz.Step(o, "s", func(context.Context) (int, error) { time.Sleep(time.Second); return i, nil })
				})
			return len(out), err
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "x", 0)); got != n {
			t.Errorf("%d results", got)
		}
		// The start, STARTED of all, the results of all with the end, and some for chance.
		if got := commits.Load(); got > 20 {
			t.Errorf("%d parallel steps took %d commits", n, got)
		}
		t.Logf("%d commits", commits.Load())
	})
}

// besides runs a step that another branch's result has overtaken while it waited for a commit, and reports whether its
// body began although that result was not durable.
func besides(b *bench) (early bool) {
	var commits sync.Map // the gates of commits by the operation whose end they carry
	for _, id := range []string{"first", "known"} {
		commits.Store(id, make(chan struct{}))
	}
	gate := func(id string) chan struct{} {
		g, _ := commits.Load(id)
		return g.(chan struct{})
	}
	inner := b.backend
	defer func() { b.backend = inner }()
	b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		for _, c := range batch {
			for _, o := range c.Operations {
				if _, id, _ := strings.Cut(o.ID, "/"); o.Status.Ended() && (id == "first" || id == "known") {
					<-gate(id)
				}
			}
		}
		return inner.Commit(ctx, batch)
	}}
	var ran, told atomic.Bool
	learn, began := make(chan struct{}), make(chan struct{})
	d := define(func(o lambdabiz.Context) (int, error) {
		a := lambdabiz.Go(o, "a", func(o lambdabiz.Context) (int, error) {
			if err := lambdabiz.Do(o, "first", func(context.Context) error { <-began; return nil }); err != nil {
				return 0, err
			}
			return lambdabiz.Step(o, "second", func(context.Context) (int, error) { ran.Store(true); return 1, nil })
		})
		k := lambdabiz.Go(o, "k", func(o lambdabiz.Context) (int, error) {
			n, err := lambdabiz.Step(o, "known", func(context.Context) (int, error) { close(began); <-learn; return 1, nil })
			told.Store(true) // by now the body of the other branch may know it, too
			return n, err
		})
		_, errA := a.Wait(o)
		_, errK := k.Wait(o)
		return 0, errors.Join(errA, errK)
	})
	e, stop := b.worker(d)
	start(b, e, d, "x", 0)
	time.Sleep(time.Second)
	synctest.Wait() // the first step's result is on its way
	close(learn)
	synctest.Wait()
	if !told.Load() {
		b.t.Error("the other branch has not got its result")
	}
	close(gate("first"))
	time.Sleep(time.Second)
	synctest.Wait()
	early = ran.Load()
	close(gate("known"))
	result(b, lambdabiz.Get(e, d, "x"))
	stop()
	return early
}

// A result that was given to another branch while a body waited for a slow commit was not durable when it began.
// Row 133 of docs/proof/bugs.md.
func TestNoEffectBeginsBeforeWhatOtherBranchesKnowIsDurable(t *testing.T) {
	whereHeld(t, func(t *testing.T, b *bench) {
		if besides(b) {
			t.Error("a body has begun although what another branch knows is not durable")
		}
	}, keepsClaims(breaksItself))
}

// Bodies that wait for the same commit begin together, however quickly the first of them give their results.
func TestQuickStepsSideBySideShareTheirCommits(t *testing.T) {
	whereHeld(t, func(t *testing.T, b *bench) {
		const n = 200
		var commits atomic.Int64
		inner := b.backend
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			commits.Add(1)
			time.Sleep(10 * time.Millisecond)
			return inner.Commit(ctx, batch)
		}}
		defer func() { b.backend = inner }()
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		d := define(func(o lambdabiz.Context) (int, error) {
			out, err := lambdabiz.Map(o, "m", items, func(i int) string { return fmt.Sprint(i) },
				func(o lambdabiz.Context, i int) (int, error) {
					for _, id := range []string{"s", "t", "u"} {
						if _, err := lambdabiz.Step(o, id, one); err != nil {
							return 0, err
						}
					}
					return i, nil
				})
			return len(out), err
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "x", 0)); got != n {
			t.Errorf("%d results", got)
		}
		t.Logf("%d commits", commits.Load())
		if got := commits.Load(); got > 20 {
			t.Errorf("%d times three quick steps took %d commits", n, got)
		}
	})
}

// An effect begins only when every result that any branch was given before is durable, after a backoff too.
// Row 2 of docs/proof/bugs.md.
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
