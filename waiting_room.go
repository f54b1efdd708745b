package lambdabiz

import (
	"context"
	"sync"
	"time"
)

// waitingRoom is where clients wait for the ends of runs that are not in this process, on a home that tells of many at once
// which have ended. One goroutine asks for all of them; it lives as long as somebody waits.
type waitingRoom struct {
	ender Ender
	most  func() time.Duration // the longest time between two questions

	mu     sync.Mutex
	guests map[*watcher]RunRef
	asks   bool          // the goroutine runs
	fresh  chan struct{} // full when somebody has come
}

// endedPiece is how many runs are asked for at once.
const endedPiece = 1000

func newWaitingRoom(b Ender, most func() time.Duration) *waitingRoom {
	return &waitingRoom{ender: b, most: most, guests: map[*watcher]RunRef{}, fresh: make(chan struct{}, 1)}
}

// enter lets a client wait until it leaves: it is told when the run is open no more, or when nobody could be asked. One that has
// looked for itself and goes on waiting for the same run does not make others ask sooner.
func (r *waitingRoom) enter(w *watcher, ref RunRef) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.guests[w].RunID == ref.RunID {
		return
	}
	r.guests[w] = ref
	if !r.asks {
		r.asks = true
		go r.ask()
	}
	select {
	case r.fresh <- struct{}{}:
	default:
	}
}

func (r *waitingRoom) leave(w *watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if delete(r.guests, w); len(r.guests) == 0 {
		select {
		case r.fresh <- struct{}{}: // who asks may go home
		default:
		}
	}
}

// ask asks again and again: soon after somebody has come, more and more seldom after that.
func (r *waitingRoom) ask() {
	pause := leastPause
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for next := time.Now().Add(pause); ; {
		select {
		case <-timer.C:
			guests, refs := r.all()
			for at := 0; at < len(guests); at += endedPiece {
				end := min(at+endedPiece, len(guests))
				r.askFor(guests[at:end], refs[at:end])
			}
			pause = min(2*pause, max(r.most(), leastPause))
			next = time.Now().Add(pause)
		case <-r.fresh:
			if r.isEmpty() {
				return
			}
			if pause = leastPause; time.Until(next) > pause {
				next = time.Now().Add(pause)
			}
		}
		timer.Reset(time.Until(next))
	}
}

const leastPause = 20 * time.Millisecond

// isEmpty reports whether nobody waits any more. Then the goroutine ends.
func (r *waitingRoom) isEmpty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asks = len(r.guests) > 0
	return !r.asks
}

// all is who waits, and for what.
func (r *waitingRoom) all() (guests []*watcher, refs []RunRef) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w, ref := range r.guests {
		guests, refs = append(guests, w), append(refs, ref)
	}
	return guests, refs
}

// askFor tells those whose run is open no more, and all of them when the home does not answer: they find out why.
func (r *waitingRoom) askFor(guests []*watcher, refs []RunRef) {
	ctx, cancel := context.WithTimeout(context.Background(), endedPatience)
	defer cancel()
	ended, err := patiently(ctx, func() ([]bool, error) { return r.ender.Ended(ctx, refs) })
	for i, w := range guests {
		if err != nil || i >= len(ended) || ended[i] {
			w.tell()
		}
	}
}

// endedPatience is how long an answer may take.
const endedPatience = 30 * time.Second
