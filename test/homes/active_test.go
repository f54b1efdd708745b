package homes_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// hands are workers' hands: how many orchestrations each is at, and what each has done.
type hands struct {
	mu              sync.Mutex
	now, peak, done map[string]int
}

func newHands() *hands {
	return &hands{now: map[string]int{}, peak: map[string]int{}, done: map[string]int{}}
}

// work is a body of a second on a machine.
func (h *hands) work(machine string) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Work", func(o lambdabiz.Context, n int) (int, error) {
		return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
			h.mu.Lock()
			h.now[machine]++
			h.done[machine]++
			h.peak[machine] = max(h.peak[machine], h.now[machine])
			h.mu.Unlock()
			time.Sleep(time.Second)
			h.mu.Lock()
			h.now[machine]--
			h.mu.Unlock()
			return n, nil
		})
	})
}

// The first worker took up to 10,000 orchestrations, however many others were there to do them.
func TestAWorkerTakesNoMoreThanMaxActive(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		const most, all = 3, 30
		h := newHands()
		config := lambdabiz.Config{MaxActive: most, PollInterval: time.Hour}
		work := lambdabiz.Define("Work", func(lambdabiz.Context, int) (int, error) { return 0, nil }) // not registered
		client := b.engine(lambdabiz.Config{})
		var runs []*lambdabiz.Run[int]
		for i := range all {
			runs = append(runs, start(b, client, work, fmt.Sprint("r", i), i))
		}
		began := time.Now()
		b.workerWith(config, h.work("one"))
		b.workerWith(config, h.work("two"))
		for i, run := range runs {
			if got := result(b, run); got != i {
				t.Errorf("r%d ended with %d", i, got)
			}
		}
		if took := time.Since(began); took > all/(2*most)*time.Second+500*time.Millisecond {
			t.Errorf("it took %v: the next ones begin when there is room", took)
		}
		for _, machine := range []string{"one", "two"} {
			if h.peak[machine] != most || h.done[machine] != all/2 {
				t.Errorf("%s had %d at a time, and did %d", machine, h.peak[machine], h.done[machine])
			}
		}
	}, "memory", "sqlite", "postgres")
}

// What a worker starts itself, and the children of what it runs, it leaves to others, too, when it has no room.
func TestStartsTakeNoMoreThanMaxActive(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		const most, all = 3, 12
		h := newHands()
		child := h.work("one")
		parent := lambdabiz.Define("Parent", func(o lambdabiz.Context, n int) (int, error) {
			items := make([]int, n)
			for i := range items {
				items[i] = i
			}
			done, err := lambdabiz.Map(o, "all", items, func(i int) string { return fmt.Sprint(i) },
				func(o lambdabiz.Context, i int) (int, error) { return lambdabiz.CallChild(o, "c", child, i) })
			return len(done), err
		})
		e, _ := b.workerWith(lambdabiz.Config{MaxActive: most, PollInterval: time.Hour}, parent, child)
		began := time.Now()
		family := start(b, e, parent, "family", all)
		var runs []*lambdabiz.Run[int]
		for i := range all {
			runs = append(runs, start(b, e, child, fmt.Sprint("r", i), i))
		}
		if got := result(b, family); got != all {
			t.Errorf("%d children are done", got)
		}
		for i, run := range runs {
			if got := result(b, run); got != i {
				t.Errorf("r%d ended with %d", i, got)
			}
		}
		if h.peak["one"] != most {
			t.Errorf("%d were active at a time", h.peak["one"])
		}
		if took := time.Since(began); took > 2*all/most*time.Second+2*time.Second {
			t.Errorf("it took %v", took)
		}
	}, "memory", "sqlite", "postgres")
}

// Orchestrations that only wait are no load: others are claimed beside them, and they go on when they wake.
func TestWhoOnlyWaitsIsNotActive(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		parent := lambdabiz.Define("Parent", func(o lambdabiz.Context, n int) (int, error) {
			if _, err := lambdabiz.WaitForEvent[int](o, "go"); err != nil {
				return 0, err
			}
			if err := lambdabiz.Sleep(o, "nap", time.Hour); err != nil {
				return 0, err
			}
			return lambdabiz.CallChildByName[int](o, "c", "Child", n)
		})
		child := lambdabiz.Define("Child", func(_ lambdabiz.Context, n int) (int, error) { return n, nil })
		client := b.engine(lambdabiz.Config{}, parent, child)
		var runs []*lambdabiz.Run[int]
		for i := range 20 {
			runs = append(runs, start(b, client, parent, fmt.Sprint("p", i), i))
		}
		b.workerWith(lambdabiz.Config{MaxActive: 1, PollInterval: 50 * time.Hour, ParkAfter: 50 * time.Hour}, parent, child)
		synctest.Wait()
		for i := range runs { // all are in memory, and wake together
			if s := b.state(client, fmt.Sprint("p", i)); s.Worker == 0 {
				t.Errorf("p%d was not claimed beside those that wait", i)
			}
			raise(b, client, fmt.Sprint("p", i), "go", 1)
		}
		for i, run := range runs {
			ctx, cancel := within(b, 2*time.Hour)
			if got, err := run.Result(ctx); got != i || err != nil {
				t.Errorf("p%d ended with %d, %v", i, got, err)
			}
			cancel()
		}
	}, "memory", "sqlite")
}

// Where those that only wait fill the memory, they are parked as soon as one that is active has ended, not before.
func TestAFullEngineThatIsBusyMakesRoomWhenItCanWork(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		h := newHands()
		wait := lambdabiz.Define("Wait", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.WaitForEvent[int](o, "go")
		})
		work := h.work("one")
		client := b.engine(lambdabiz.Config{}, wait, work)
		e, _ := b.workerWith(lambdabiz.Config{
			MaxResident: 3, MaxActive: 1, PollInterval: time.Hour, ParkAfter: 10 * time.Hour,
		}, wait, work)
		for i := range 2 {
			start(b, e, wait, fmt.Sprint("w", i), 0)
			synctest.Wait()
		}
		var runs []*lambdabiz.Run[int]
		for i := range 4 {
			runs = append(runs, start(b, client, work, fmt.Sprint("r", i), i))
		}
		began := time.Now()
		for _, run := range runs {
			result(b, run)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	}, "memory", "sqlite")
}

func TestMaxActiveIsNotNegative(t *testing.T) {
	t.Parallel()
	_, err := lambdabiz.New(memory.New(), lambdabiz.Config{MaxActive: -1, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Errorf("it is taken: %v", err)
	}
}
