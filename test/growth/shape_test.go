package growth_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// place is an engine with a worker, in virtual time.
type place struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // the test's
	backend lambdabiz.Backend
	e       *lambdabiz.Engine
	stop    func()
}

func open(t *testing.T, c lambdabiz.Config, items ...lambdabiz.Registrable) *place {
	t.Helper()
	p := &place{t: t, ctx: t.Context(), backend: memory.New()}
	p.work(c, items...)
	return p
}

// work begins another worker on the same home.
func (p *place) work(c lambdabiz.Config, items ...lambdabiz.Registrable) {
	p.t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	e, err := lambdabiz.New(p.backend, c)
	p.must(err)
	p.must(e.Register(items...))
	ctx, cancel := context.WithCancel(p.ctx)
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	synctest.Wait()
	p.e, p.stop = e, func() {
		cancel()
		p.must(<-done)
	}
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) start(d *lambdabiz.Definition[int, int], id string, n int) *lambdabiz.Run[int] {
	p.t.Helper()
	run, err := lambdabiz.Start(p.ctx, p.e, d, id, n)
	p.must(err)
	return run
}

func (p *place) raise(id, event string, key int) {
	p.t.Helper()
	p.must(p.e.RaiseEvent(p.ctx, id, event, key, lambdabiz.Key(strconv.Itoa(key))))
}

// ends waits for the result, which is n for all shapes.
func (p *place) ends(run *lambdabiz.Run[int], n int) {
	p.t.Helper()
	if got, err := run.Result(p.ctx); got != n || err != nil {
		p.t.Fatalf("it ended with %d, %v", got, err)
	}
}

// one runs one orchestration to its end. Meanwhile, do may act on it.
func one(c lambdabiz.Config, f func(o lambdabiz.Context, n int) error, do func(p *place, n int)) func(*testing.T, int) {
	return func(t *testing.T, n int) {
		d := lambdabiz.Define("One", func(o lambdabiz.Context, n int) (int, error) { return n, f(o, n) })
		p := open(t, c, d, child)
		run := p.start(d, "one", n)
		if do != nil {
			synctest.Wait()
			do(p, n)
		}
		p.ends(run, n)
		p.stop()
	}
}

var child = lambdabiz.Define("Child", func(_ lambdabiz.Context, n int) (int, error) { return n, nil })

func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// each works on n items at the same time.
func each(o lambdabiz.Context, n int, f func(o lambdabiz.Context, i int) error) error {
	_, err := lambdabiz.Map(o, "all", numbers(n), strconv.Itoa, func(o lambdabiz.Context, i int) (int, error) {
		return 0, f(o, i)
	})
	return err //nolint:wrapcheck // it names the operation
}

// loop does n things one after the other.
func loop(n int, f func(i int, id string) error) error {
	for i := range n {
		if err := f(i, strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

func nothing(context.Context) error { return nil }

func raiseAll(event func(i int) string) func(p *place, n int) {
	return func(p *place, n int) {
		for i := range n {
			p.raise("one", event(i), i)
		}
		p.raise("one", "go", n)
	}
}

// buffered takes n events that have come before.
func buffered(f func(o lambdabiz.Context, n int) error) func(o lambdabiz.Context, n int) error {
	return func(o lambdabiz.Context, n int) error {
		if _, err := lambdabiz.WaitForEvent[int](o, "go"); err != nil {
			return err //nolint:wrapcheck // it names the operation
		}
		return f(o, n)
	}
}

func wait(o lambdabiz.Context, id string, opts ...lambdabiz.WaitOption) error {
	_, err := lambdabiz.WaitForEvent[int](o, id, opts...)
	return err //nolint:wrapcheck // it names the operation
}

// shapes are what an orchestration, or a worker, may have very many of.
var shapes = map[string]func(t *testing.T, n int){
	"steps": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return loop(n, func(_ int, id string) error { return lambdabiz.Do(o, id, nothing) })
	}, nil),
	"steps at once": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return each(o, n, func(o lambdabiz.Context, _ int) error {
			return loop(3, func(_ int, id string) error { return lambdabiz.Do(o, id, nothing) })
		})
	}, nil),
	"branches that nobody waits for": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return loop(n, func(_ int, id string) error {
			lambdabiz.Go(o, id, func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Do(o, "s", nothing) })
			return lambdabiz.Do(o, "s"+id, nothing)
		})
	}, nil),
	"branches one by one": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return loop(n, func(_ int, id string) error {
			_, err := lambdabiz.Go(o, id, func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Do(o, "s", nothing) }).Wait(o)
			return err //nolint:wrapcheck // it names the operation
		})
	}, nil),
	"open branches at the end": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return loop(n, func(_ int, id string) error {
			lambdabiz.Go(o, id, func(o lambdabiz.Context) (int, error) { return 0, wait(o, "never") })
			return nil
		})
	}, nil),
	"races": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return loop(n, func(_ int, id string) error {
			first := lambdabiz.Go(o, "a"+id, func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Do(o, "s", nothing) })
			second := lambdabiz.Go(o, "b"+id, func(o lambdabiz.Context) (int, error) {
				return 0, wait(o, "e", lambdabiz.Timeout(time.Hour))
			})
			_, err := lambdabiz.Race(o, "r"+id, first, second)
			return err //nolint:wrapcheck // it names the operation
		})
	}, nil),
	"races at once": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return each(o, n, func(o lambdabiz.Context, _ int) error {
			first := lambdabiz.Go(o, "a", func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Sleep(o, "s", time.Second) })
			second := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) { return 0, wait(o, "e") })
			_, err := lambdabiz.Race(o, "r", first, second)
			return err //nolint:wrapcheck // it names the operation
		})
	}, nil),
	"a race of many": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		var all []lambdabiz.Awaitable
		for i := range n {
			all = append(all, lambdabiz.Go(o, strconv.Itoa(i), func(o lambdabiz.Context) (int, error) {
				return 0, lambdabiz.Sleep(o, "s", time.Minute+time.Duration(i)*time.Second)
			}))
		}
		_, err := lambdabiz.Race(o, "r", all...)
		return err //nolint:wrapcheck // it names the operation
	}, nil),
	"events of one name": one(lambdabiz.Config{}, buffered(func(o lambdabiz.Context, n int) error {
		return loop(n, func(_ int, id string) error { return wait(o, id, lambdabiz.Named("e")) })
	}), raiseAll(func(int) string { return "e" })),
	"events of many names": one(lambdabiz.Config{}, buffered(func(o lambdabiz.Context, n int) error {
		return loop(n, func(_ int, id string) error { return wait(o, id) })
	}), raiseAll(strconv.Itoa)),
	"events for branches": one(lambdabiz.Config{}, buffered(func(o lambdabiz.Context, n int) error {
		return each(o, n, func(o lambdabiz.Context, _ int) error { return wait(o, "e") })
	}), raiseAll(func(int) string { return "e" })),
	"events that find branches waiting": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return each(o, n, func(o lambdabiz.Context, _ int) error { return wait(o, "e") })
	}, raiseAll(func(int) string { return "e" })),
	"events that a losing branch gives back": one(lambdabiz.Config{}, buffered(func(o lambdabiz.Context, n int) error {
		return loop(n, func(_ int, id string) error {
			first := lambdabiz.Go(o, "a"+id, func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Sleep(o, "s", 0) })
			second := lambdabiz.Go(o, "b"+id, func(o lambdabiz.Context) (int, error) { return 0, wait(o, "e") })
			_, err := lambdabiz.Race(o, "r"+id, first, second)
			return err //nolint:wrapcheck // it names the operation
		})
	}), raiseAll(func(int) string { return "e" })),
	"events that nobody waits for": one(lambdabiz.Config{MemoryBudget: 1 << 40}, func(o lambdabiz.Context, _ int) error {
		return wait(o, "go")
	}, raiseAll(func(i int) string { return "e" + strconv.Itoa(i%7) })),
	"waits that time out": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return each(o, n, func(o lambdabiz.Context, _ int) error {
			if err := wait(o, "e", lambdabiz.Timeout(time.Second)); err == nil {
				return fmt.Errorf("an event from nowhere")
			}
			return nil
		})
	}, nil),
	"timers": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return loop(n, func(_ int, id string) error { return lambdabiz.Sleep(o, id, time.Second) })
	}, nil),
	"timers at once": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return each(o, n, func(o lambdabiz.Context, i int) error {
			return lambdabiz.Sleep(o, "s", time.Duration(i)*time.Millisecond)
		})
	}, nil),
	"children": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return loop(n, func(i int, id string) error {
			_, err := lambdabiz.CallChild(o, id, child, i)
			return err //nolint:wrapcheck // it names the operation
		})
	}, nil),
	"children at once": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return each(o, n, func(o lambdabiz.Context, i int) error {
			_, err := lambdabiz.CallChild(o, "c", child, i)
			return err //nolint:wrapcheck // it names the operation
		})
	}, nil),
	"children that are refused": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		return each(o, n, func(o lambdabiz.Context, i int) error {
			if _, err := lambdabiz.StartChild(o, "c", child, i, lambdabiz.ChildID("one")); err == nil {
				return fmt.Errorf("a child with its parent's id")
			}
			return nil
		})
	}, nil),
	"operations that are cancelled": one(lambdabiz.Config{}, func(o lambdabiz.Context, n int) error {
		if err := each(o, n, func(o lambdabiz.Context, _ int) error { return wait(o, "e") }); err == nil {
			return fmt.Errorf("not cancelled")
		}
		return nil
	}, func(p *place, _ int) { p.must(p.e.Cancel(p.ctx, "one", "")) }),
	"events that are dropped": one(lambdabiz.Config{}, func(o lambdabiz.Context, _ int) error { return wait(o, "go") },
		func(p *place, n int) {
			for i := range n {
				p.raise("one", "e", i)
			}
			s, err := p.e.State(p.ctx, "one")
			p.must(err)
			controls := make([]lambdabiz.Control, n)
			for i, event := range s.Events {
				controls[i] = lambdabiz.Control{Kind: lambdabiz.ControlDrop, ID: "one", Number: event.Number}
			}
			_, err = p.backend.Commit(p.ctx, []*lambdabiz.Commit{{At: time.Now(), Controls: controls}})
			p.must(err)
			s, err = p.e.State(p.ctx, "one")
			p.must(err)
			if len(s.Events) != 0 {
				p.t.Errorf("%d events are left", len(s.Events))
			}
			p.raise("one", "go", n)
		}),
	"events before the start": func(t *testing.T, n int) {
		d := lambdabiz.Define("Late", func(o lambdabiz.Context, n int) (int, error) {
			return n, loop(n, func(_ int, id string) error { return wait(o, id, lambdabiz.Named("e")) })
		})
		p := open(t, lambdabiz.Config{}, d)
		for i := range n {
			for range 2 { // the second is known
				key := lambdabiz.Key(strconv.Itoa(i))
				p.must(p.e.RaiseEvent(p.ctx, "late", "e", i, key, lambdabiz.BeforeStart(time.Hour)))
			}
		}
		p.ends(p.start(d, "late", n), n)
		p.stop()
	},
	"a chain of runs": func(t *testing.T, n int) {
		d := lambdabiz.Define("Chain", func(o lambdabiz.Context, n int) (int, error) {
			if err := lambdabiz.Sleep(o, "s", time.Second); err != nil || n == 0 {
				return n, err //nolint:wrapcheck // it names the operation
			}
			return n, lambdabiz.ContinueAsNew(o, n-1)
		})
		p := open(t, lambdabiz.Config{}, d)
		p.ends(p.start(d, "chain", n), 0)
		p.must(p.e.Purge(p.ctx, "chain"))
		p.stop()
	},
	"a resume":                 resume(lambdabiz.Config{}),
	"orchestrations that nap":  nap,
	"orchestrations that wait": sleepers,
}

// resume leaves an orchestration with much behind it to another worker.
func resume(c lambdabiz.Config) func(t *testing.T, n int) {
	return func(t *testing.T, n int) {
		d := lambdabiz.Define("Resume", func(o lambdabiz.Context, n int) (int, error) {
			err := each(o, n, func(o lambdabiz.Context, _ int) error {
				first := lambdabiz.Go(o, "a", func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Do(o, "s", nothing) })
				second := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) { return 0, wait(o, "e") })
				if _, err := lambdabiz.Race(o, "r", first, second); err != nil {
					return err //nolint:wrapcheck // it names the operation
				}
				return wait(o, "e")
			})
			return n, err
		})
		p := open(t, c, d)
		run := p.start(d, "one", n)
		synctest.Wait()
		p.stop()
		for i := range n {
			p.raise("one", "e", i)
		}
		p.work(c, d)
		p.ends(lambdabiz.Get(p.e, d, run.ID()), n)
		p.stop()
	}
}

// nap is n orchestrations that sleep and wake, and are more than the memory budget allows.
func nap(t *testing.T, n int) {
	d := lambdabiz.Define("Nap", func(o lambdabiz.Context, i int) (int, error) {
		return i, loop(3, func(j int, id string) error { return lambdabiz.Sleep(o, id, time.Duration(1+(i+j)%5)*time.Second) })
	})
	p := open(t, lambdabiz.Config{MemoryBudget: 1}, d)
	var runs []*lambdabiz.Run[int]
	for i := range n {
		runs = append(runs, p.start(d, strconv.Itoa(i), i))
	}
	for i, run := range runs {
		p.ends(run, i)
	}
	p.stop()
}

// sleepers is n orchestrations that wait for an event each.
func sleepers(t *testing.T, n int) {
	d := lambdabiz.Define("Sleeper", func(o lambdabiz.Context, i int) (int, error) { return i, wait(o, "e") })
	p := open(t, lambdabiz.Config{MemoryBudget: 1 << 40}, d)
	var runs []*lambdabiz.Run[int]
	for i := range n {
		runs = append(runs, p.start(d, strconv.Itoa(i), i))
	}
	synctest.Wait()
	for i := range n {
		p.raise(strconv.Itoa(i), "e", i)
		synctest.Wait()
	}
	for i, run := range runs {
		p.ends(run, i)
	}
	for i := range n {
		run := p.start(d, "t"+strconv.Itoa(i), i)
		p.must(p.e.Terminate(p.ctx, run.ID(), ""))
	}
	p.stop()
}

// TestShape does the work of one shape, for the test that counts what it took.
func TestShape(t *testing.T) {
	name, size := os.Getenv("GROWTH_SHAPE"), os.Getenv("GROWTH_SIZE")
	if name == "" {
		t.Skip("TestNothingGrowsWithWhatHasBeen runs it")
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { shapes[name](t, n) })
}
