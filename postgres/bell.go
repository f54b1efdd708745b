package postgres

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// ringEvery is how long notices are gathered: NOTIFY takes a lock of the whole server when it commits.
	ringEvery = 10 * time.Millisecond
	// listenEvery is how often a connection is tried that nothing comes from, for it may be half open.
	listenEvery  = 30 * time.Second
	listenPause  = time.Second
	notifyWithin = 5 * time.Second
	quietPause   = time.Minute
)

// bell tells who asks for work that there may be some. It is a hint: who does not hear it asks all the same, later.
type bell struct {
	b      *Backend
	life   context.Context //nolint:containedctx // of the listener and of notices
	end    context.CancelFunc
	rings  chan struct{}
	every  time.Duration // listenEvery, another one in tests; and so the next one
	within time.Duration
	ending sync.WaitGroup

	mu      sync.Mutex
	wakes   []chan struct{}
	workers []int64            // that have joined here
	served  map[int64][]string // the definitions of those
	listens bool
	hears   bool // the connection stands
	stopped bool // nothing begins any more
}

func newBell(b *Backend) *bell {
	l := &bell{b: b, rings: make(chan struct{}, 1), served: map[int64][]string{}, every: listenEvery, within: notifyWithin}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

func (l *bell) wake() <-chan struct{} {
	c := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakes = append(l.wakes, c)
	// With one connection in all, there is none for listening.
	if !l.listens && !l.stopped && l.b.pool.Config().MaxConns > 1 {
		l.listens = true
		l.ending.Go(l.listen)
	}
	return c
}

func (l *bell) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.end()
	l.ending.Wait()
}

// ring tells this process at once and the others soon.
func (l *bell) ring() {
	l.tell()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || !l.b.way.notifies() {
		return
	}
	select {
	case l.rings <- struct{}{}:
		l.ending.Go(l.notify)
	default: // somebody is about to
	}
}

// tell tells this process.
func (l *bell) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.wakes {
		select {
		case c <- struct{}{}:
		default: // a signal is waiting already
		}
	}
}

func (l *bell) joined(worker int64, names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.workers = append(l.workers, worker)
	l.served[worker] = names
}

// names are the definitions that a worker of this process serves.
func (l *bell) names(worker int64) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.served[worker]
}

// quietFor is how long a worker need not ask that is not told: long, while notices of others are heard. One may be lost all the
// same. Heartbeats look for work, too.
func (l *bell) quietFor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hears {
		return quietPause
	}
	return 0
}

// setHears notes whether notices are heard, and lets all ask: what has come before was not heard, or they have to ask more often
// from now on.
func (l *bell) setHears(hears bool) {
	l.mu.Lock()
	l.hears = hears
	l.mu.Unlock()
	l.tell()
}

func (l *bell) allJoined() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]int64{}, l.workers...)
}

// notify tells the other processes, if workers of theirs are registered, in a transaction of its own.
func (l *bell) notify() {
	select {
	case <-time.After(ringEvery):
	case <-l.life.Done():
	}
	<-l.rings // what changes from now on needs another notice
	own := l.allJoined()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.life), notifyWithin)
	defer cancel()
	c, err := l.b.pool.Acquire(ctx)
	if err != nil {
		return // they ask later
	}
	defer c.Release()
	_, _ = (&tx{b: l.b, conn: c.Conn()}).exec(ctx, qNotify, l.channel(), "", own)
}

func (l *bell) channel() string { return "lambdabiz." + strings.Trim(l.b.schema, `"`) }

// listen hears the notices of other processes until the backend is closed, if it can.
func (l *bell) listen() {
	select {
	case <-l.b.prepared:
	case <-l.life.Done():
		return
	}
	if !l.b.way.listens() {
		return
	}
	for l.life.Err() == nil {
		l.hear()
		select {
		case <-l.life.Done():
		case <-time.After(listenPause):
		}
	}
}

// hear listens on a connection of its own until that breaks. What has come while there was none is asked for.
func (l *bell) hear() {
	conn, err := l.b.connect(l.life)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(context.WithoutCancel(l.life)) }()
	if _, err := conn.Exec(l.life, "LISTEN "+pgx.Identifier{l.channel()}.Sanitize()); err != nil {
		return
	}
	l.setHears(true)
	defer l.setHears(false)
	for {
		waiting, cancel := context.WithTimeout(l.life, l.every)
		_, err := conn.WaitForNotification(waiting)
		quiet := waiting.Err() != nil
		cancel()
		switch {
		case l.life.Err() != nil:
			return
		case err == nil:
			l.tell()
		case l.b.lineage.isOutdated(conn.PgConn()):
			return // nobody writes there any more
		case quiet:
			trying, cancel := context.WithTimeout(l.life, l.within)
			_, err = conn.Exec(trying, "SELECT 1")
			cancel()
			if err != nil {
				return
			}
		default:
			return
		}
	}
}
