package batch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// thing is an item of a test.
type thing struct {
	name  string
	bytes int
	parts int
	key   string
	alone bool
}

func (t thing) Bytes() int  { return t.bytes }
func (t thing) Parts() int  { return t.parts }
func (t thing) Key() string { return t.key }
func (t thing) Alone() bool { return t.alone }

// performer takes its time, and remembers its batches.
type performer struct {
	takes func() time.Duration
	then  func(names []string) // after a batch

	mu            sync.Mutex
	batches       [][]string
	running, peak int
}

func (p *performer) perform(_ context.Context, batch []*Item[thing]) {
	names := make([]string, len(batch))
	for i, item := range batch {
		names[i] = item.Member.name
	}
	p.mu.Lock()
	p.running++
	p.peak = max(p.peak, p.running)
	p.batches = append(p.batches, names)
	p.mu.Unlock()
	time.Sleep(p.takes())
	p.mu.Lock()
	p.running--
	p.mu.Unlock()
	if p.then != nil {
		p.then(names)
	}
}

// done is the batches so far.
func (p *performer) done() [][]string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.batches)
}

// atRest is how many lanes are free, and how many items wait.
func (l *Lanes[M]) atRest() (free, queued int) {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits.Lanes - len(l.sizes), len(l.queue)
}

func spawn(f func()) { go f() }

func slow() time.Duration { return time.Millisecond }

// Whatever comes is performed once, by as many lanes as there are, and all of them are free in the end.
func TestEachItemIsPerformedOnce(t *testing.T) {
	t.Parallel()
	for _, lanes := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			p := &performer{takes: func() time.Duration { return time.Duration(rand.IntN(3)) * time.Millisecond }}
			l := New(Limits{Lanes: lanes, Items: 4, Bytes: 1 << 20}, p.perform, spawn)
			var all sync.WaitGroup
			for i := range 500 {
				all.Go(func() {
					time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
					item := &Item[thing]{Member: thing{name: fmt.Sprint(i), key: fmt.Sprint(i % 20)}}
					for range 2 { // an item may be used again
						l.Add(t.Context(), item)
						<-item.Done()
					}
				})
			}
			all.Wait()
			times := map[string]int{}
			for _, batch := range p.done() {
				keys := map[int]bool{}
				for _, name := range batch {
					times[name]++
					var n int
					_, _ = fmt.Sscan(name, &n)
					if keys[n%20] {
						t.Errorf("one key twice in %q", batch)
					}
					keys[n%20] = true
				}
				if len(batch) > 4 {
					t.Errorf("%d items in a batch", len(batch))
				}
			}
			for name, n := range times {
				if n != 2 {
					t.Errorf("%s was performed %d times", name, n)
				}
			}
			free, queued := l.atRest()
			if len(times) != 500 || p.peak != lanes || free != lanes || queued > 0 {
				t.Errorf("%d were performed, %d at once; %d lanes are free, %d items queued", len(times), p.peak, free, queued)
			}
		})
	}
}

// A batch ends before it is large; what is alone, and what is large itself, has one of its own.
func TestBatchesAreCutByBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &performer{takes: slow}
		l := New(Limits{Lanes: 1, Items: 100, Bytes: 10}, p.perform, spawn)
		for _, m := range []thing{
			{name: "first", bytes: 1},
			{name: "half-0", bytes: 5},
			{name: "half-1", bytes: 5},
			{name: "half-2", bytes: 5},
			{name: "half-3", bytes: 5},
			{name: "alone", bytes: 1, alone: true},
			{name: "small", bytes: 1},
			{name: "large", bytes: 30},
			{name: "last", bytes: 1},
		} {
			l.Add(t.Context(), &Item[thing]{Member: m})
			synctest.Wait()
		}
		time.Sleep(time.Second)
		want := "[[first] [half-0 half-1] [half-2 half-3] [alone] [small] [large] [last]]"
		if got := fmt.Sprint(p.done()); got != want {
			t.Errorf("batches %s, want %s", got, want)
		}
	})
}

// A batch ends before it is of too many parts; what is of too many by itself has one of its own.
func TestBatchesAreCutByParts(t *testing.T) {
	t.Parallel()
	for parts, want := range map[int]string{
		10: "[[first] [half-0 half-1] [half-2] [many] [last]]",
		0:  "[[first] [half-0 half-1 half-2 many last]]", // no limit
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &performer{takes: slow}
			l := New(Limits{Lanes: 1, Items: 100, Bytes: 10, Parts: parts}, p.perform, spawn)
			for _, m := range []thing{
				{name: "first", parts: 1},
				{name: "half-0", parts: 5},
				{name: "half-1", parts: 5},
				{name: "half-2", parts: 1},
				{name: "many", parts: 30},
				{name: "last", parts: 1},
			} {
				l.Add(t.Context(), &Item[thing]{Member: m})
				synctest.Wait()
			}
			time.Sleep(time.Second)
			if got := fmt.Sprint(p.done()); got != want {
				t.Errorf("with %d parts the batches are %s, want %s", parts, got, want)
			}
		})
	}
}

// One that ends its goroutine is over, and the lane goes on.
func TestAnEndedGoroutineKeepsNoLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &performer{takes: slow, then: func(names []string) {
			if slices.Contains(names, "ends") {
				runtime.Goexit()
			}
		}}
		l := New(Limits{Lanes: 1, Items: 1, Bytes: 1}, p.perform, spawn)
		var all sync.WaitGroup
		for _, name := range []string{"a", "ends", "b", "ends", "c"} {
			item := &Item[thing]{Member: thing{name: name}}
			l.Add(t.Context(), item)
			all.Go(func() { <-item.Done() })
		}
		all.Wait()
		if free, _ := l.atRest(); free != 1 || len(p.done()) != 5 {
			t.Errorf("%d lanes are free after %q", free, p.done())
		}
	})
}

func TestOnlyWhatIsQueuedIsWithdrawn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &performer{takes: slow}
		l := New(Limits{Lanes: 1, Items: 1, Bytes: 1}, p.perform, spawn)
		first, second := &Item[thing]{Member: thing{name: "first"}}, &Item[thing]{Member: thing{name: "second"}}
		l.Add(t.Context(), first)
		l.Add(t.Context(), second)
		if l.Withdraw(first) || !l.Withdraw(second) || l.Withdraw(second) {
			t.Error("what is on its way can be withdrawn, or what is queued cannot")
		}
		<-first.Done()
		time.Sleep(time.Second)
		if got := fmt.Sprint(p.done()); got != "[[first]]" {
			t.Errorf("batches %s", got)
		}
	})
}

// While a batch is performed, what comes is gathered: a second lane begins when that is as much as the first one has, and there
// is never a third. With one commit after the other from each of many, the batches become about equal.
func TestASecondLaneGathers(t *testing.T) {
	t.Parallel()
	for _, many := range []int{1, 2, 3, 64, 256} {
		synctest.Test(t, func(t *testing.T) {
			p := &performer{takes: slow}
			l := New(Limits{Lanes: 2, Items: 256, Bytes: 1 << 20}, p.perform, spawn)
			var all sync.WaitGroup
			for range many {
				all.Go(func() {
					item := &Item[thing]{}
					for range 100 {
						time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
						l.Add(t.Context(), item)
						<-item.Done()
					}
				})
			}
			all.Wait()
			batches := p.done()
			if most := 100 * many / max(1, many/5); many > 3 && len(batches) > most {
				t.Errorf("%d items at a time: %d batches, %d at most", many, len(batches), most)
			}
			if p.peak > 2 || many > 1 && p.peak < 2 {
				t.Errorf("%d items at a time: %d lanes at once", many, p.peak)
			}
			if free, queued := l.atRest(); free != 2 || queued > 0 {
				t.Errorf("%d lanes are free, %d items queued", free, queued)
			}
			t.Logf("%d items at a time: %.0f in a batch", many, float64(100*many)/float64(len(batches)))
		})
	}
}

// A lane that is given back while others are busy leaves nothing behind, also when something is withdrawn.
func TestNothingIsLeftInTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &performer{takes: func() time.Duration { return time.Duration(1+rand.IntN(10)) * time.Millisecond }}
		l := New(Limits{Lanes: 3, Items: 8, Bytes: 1 << 20}, p.perform, spawn)
		var all sync.WaitGroup
		for range 2000 {
			all.Go(func() {
				time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
				item := &Item[thing]{Member: thing{alone: rand.IntN(10) == 0}}
				l.Add(t.Context(), item)
				time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
				if rand.IntN(4) > 0 || !l.Withdraw(item) {
					<-item.Done()
				}
			})
		}
		all.Wait()
		if free, queued := l.atRest(); free != 3 || queued > 0 {
			t.Errorf("%d lanes are free, %d items queued", free, queued)
		}
	})
}
