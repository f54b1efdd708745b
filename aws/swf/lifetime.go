package swf

import (
	"context"
	"errors"
	"sync"
)

// lifetime is how long a backend lives, and what it has on its way, which its end waits for.
type lifetime struct {
	ctx   context.Context //nolint:containedctx // the backend's own lifetime
	stop  context.CancelFunc
	polls sync.WaitGroup // in flight
	calls sync.WaitGroup // commits and copies on their way

	mu     sync.Mutex
	closed bool
}

var errClosed = errors.New("swf: the backend is closed")

func newLifetime() *lifetime {
	l := &lifetime{}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// beginPoll counts a poll, unless the backend is closed.
func (l *lifetime) beginPoll() bool { return l.begin(&l.polls) }

// beginCall counts a commit, unless the backend is closed.
func (l *lifetime) beginCall() bool { return l.begin(&l.calls) }

func (l *lifetime) begin(g *sync.WaitGroup) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	g.Add(1)
	return true
}

// close ends the beginning of anything new.
func (l *lifetime) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

func (l *lifetime) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// quiesce waits until the polls in flight have ended, or ctx has.
func (l *lifetime) quiesce(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		l.polls.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// end stops what is on its way, and waits for it.
func (l *lifetime) end() {
	l.stop()
	l.polls.Wait()
	l.calls.Wait()
}
