package spare

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// idleIn is how many goroutines the pool keeps.
func idleIn(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

func TestOneGoroutineServesCallsThatFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		p.Keep()
		defer p.Drop()
		calls := 0
		for range 100 {
			p.Go(func() { calls++ })
			synctest.Wait()
		}
		if calls != 100 || idleIn(&p) != 1 {
			t.Errorf("%d calls were made, %d goroutines are kept: want 100 by 1", calls, idleIn(&p))
		}
	})
}

func TestACallThatBlocksHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		p.Keep()
		defer p.Drop()
		held := make(chan struct{})
		p.Go(func() {}) // one is kept
		synctest.Wait()
		p.Go(func() { <-held })
		called := false
		p.Go(func() { called = true })
		synctest.Wait()
		if !called {
			t.Error("the call behind one that blocks was not made")
		}
		close(held)
		synctest.Wait()
		if n := idleIn(&p); n != 2 {
			t.Errorf("%d goroutines are kept, want 2", n)
		}
	})
}

func TestACallMayEndItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		p.Keep()
		defer p.Drop()
		for range 3 {
			p.Go(runtime.Goexit)
			synctest.Wait()
		}
		called := false
		p.Go(func() { called = true })
		synctest.Wait()
		if !called || idleIn(&p) != 1 {
			t.Errorf("called: %v, kept: %d", called, idleIn(&p))
		}
	})
}

func TestGoroutinesEndWithoutUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		p.Keep()
		defer p.Drop()
		var all sync.WaitGroup
		all.Add(10)
		for range 10 {
			p.Go(func() { all.Done(); all.Wait() })
		}
		synctest.Wait()
		if n := idleIn(&p); n != 10 {
			t.Fatalf("%d goroutines are kept, want 10", n)
		}
		for range 8 { // one is in use all the time
			time.Sleep(Unused / 2)
			p.Go(func() {})
			synctest.Wait()
		}
		if n := idleIn(&p); n != 1 {
			t.Errorf("%d goroutines are kept beside the one that is used, want 0", n-1)
		}
	})
}

func TestABurstIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		p.Keep()
		defer p.Drop()
		held := make(chan struct{})
		for range 2 * Most {
			p.Go(func() { <-held })
		}
		close(held)
		synctest.Wait()
		if n := idleIn(&p); n != Most {
			t.Errorf("%d goroutines are kept, want %d", n, Most)
		}
	})
}

// A bubble ends only when its goroutines have.
func TestNothingIsKeptAfterDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		p.Keep()
		held := make(chan struct{})
		p.Go(func() { <-held })
		p.Go(func() {})
		synctest.Wait()
		p.Drop()
		close(held)
		called := false
		p.Go(func() { called = true })
		synctest.Wait()
		if !called || idleIn(&p) != 0 {
			t.Errorf("after the drop: called: %v, kept: %d, want none", called, idleIn(&p))
		}
	})
}

func TestManyCallsAtOnce(*testing.T) {
	var p Pool
	p.Keep()
	defer p.Drop()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				done := make(chan struct{})
				p.Go(func() { close(done) })
				<-done
			}
		})
	}
	all.Wait()
}

func BenchmarkGo(b *testing.B) {
	deep := func() { use(40) }
	var p Pool
	p.Keep()
	defer p.Drop()
	for name, begin := range map[string]func(func()){
		"kept":  p.Go,
		"fresh": func(f func()) { go f() },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			done := make(chan struct{})
			f := func() { deep(); done <- struct{}{} }
			for b.Loop() {
				begin(f)
				<-done
			}
		})
	}
}

// use needs some 12 KiB of stack at 40.
//
//go:noinline
func use(n int) byte {
	var room [256]byte
	if n > 0 {
		room[n] = use(n - 1)
	}
	return room[n/2] + room[n]
}
