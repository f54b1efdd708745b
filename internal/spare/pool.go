package spare

import (
	"slices"
	"sync"
	"time"
)

// Unused is how long a goroutine is kept without use at least. It ends before twice that is over.
const Unused = time.Second

// Most is how many goroutines a pool keeps: what a burst needs beyond them begins afresh.
const Most = 256

// Pool runs functions. The zero Pool runs each on a goroutine that ends with it; between Keep and Drop it keeps
// goroutines. It must not be copied.
type Pool struct {
	mu    sync.Mutex
	idle  []*goroutine // the last one is used next, so that what is too many ends
	keeps bool         // else idle is empty
}

// goroutine is one that is kept.
type goroutine struct {
	next chan func() // closed by Drop
	used bool        // since its timer was set; under the pool's lock
}

// Go calls f at once on a goroutine that nothing else uses meanwhile, as a go statement does: it may block, it may end
// the goroutine, and a panic in it ends the program. If it locks its thread it must unlock it.
func (p *Pool) Go(f func()) {
	p.mu.Lock()
	last := len(p.idle) - 1
	if last < 0 {
		p.mu.Unlock()
		go p.serve(f)
		return
	}
	g := p.idle[last]
	p.idle[last], p.idle = nil, p.idle[:last]
	g.used = true
	p.mu.Unlock()
	g.next <- f // there is room
}

// Keep makes the pool keep goroutines from now on.
func (p *Pool) Keep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keeps = true
}

// Drop ends the goroutines that are kept, and keeps none from now on. Those in use end when they are done.
func (p *Pool) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.idle {
		close(g.next)
	}
	p.idle, p.keeps = nil, false
}

func (p *Pool) serve(f func()) {
	f()
	g := &goroutine{next: make(chan func(), 1)}
	timer := time.NewTimer(Unused)
	defer timer.Stop()
	for p.park(g) {
		f, more := p.await(g, timer)
		if !more {
			return
		}
		f()
	}
}

// park reports whether the goroutine is idle now, and no more its own.
func (p *Pool) park(g *goroutine) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.keeps || len(p.idle) == Most {
		return false
	}
	p.idle = append(p.idle, g)
	return true
}

// await returns what the goroutine shall call next; false if nobody needs it.
func (p *Pool) await(g *goroutine, timer *time.Timer) (f func(), more bool) {
	for {
		select {
		case f, more = <-g.next:
			return f, more
		case <-timer.C:
			if p.retire(g) {
				return nil, false
			}
			timer.Reset(Unused)
		}
	}
}

// retire takes a goroutine out that was not used since its timer was set. False means that it was, or that something
// is on its way to it.
func (p *Pool) retire(g *goroutine) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.used {
		g.used = false
		return false
	}
	i := slices.Index(p.idle, g)
	if i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
	return i >= 0
}
