package swf

import (
	"context"
	"slices"
	"sync"
	"time"
)

// polls is a task list that this process asks for decision tasks, or for activities. A poll is never cancelled, for
// its task may go to the dead connection: when its asker has gone, what it brings waits for the next one.
type polls[T any] struct {
	life *lifetime
	most int                                   // polls at the same time
	ask  func(ctx context.Context) (*T, error) // asks SWF once; nil when it had nothing
	gone func(t *T) bool                       // reports that SWF has a task again that nobody took; nil for never
	idle func(l *polls[T])                     // hears of the end of a poll; nil for nobody

	users int // guarded by decisionLists.mu

	mu      sync.Mutex
	polling int
	ready   []*T               // brought by polls whose askers had gone, or put back
	later   map[*T]*time.Timer // put back, and not to be tried again yet
	askers  []chan<- polled[T] // in the order in which they came; each gets one answer
}

// polled is what a poll has brought.
type polled[T any] struct {
	task *T
	err  error
}

// next returns a task, or nil when SWF had none within its long poll. After the end of ctx no poll begins.
func (l *polls[T]) next(ctx context.Context) (*T, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	answer := make(chan polled[T], 1)
	l.mu.Lock()
	if l.gone != nil {
		l.ready = slices.DeleteFunc(l.ready, l.gone)
	}
	if len(l.ready) > 0 {
		t := l.ready[0]
		l.ready = l.ready[1:]
		l.mu.Unlock()
		return t, nil
	}
	l.askers = append(l.askers, answer)
	for l.polling < l.most && l.life.beginPoll() {
		l.polling++
		go l.poll()
	}
	stuck := l.polling == 0
	if stuck {
		l.askers = nil
	}
	l.mu.Unlock()
	if stuck {
		return nil, errClosed
	}
	select {
	case end := <-answer:
		return end.task, end.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.askers = slices.DeleteFunc(l.askers, func(a chan<- polled[T]) bool { return a == answer })
	select {
	case end := <-answer:
		if end.task != nil {
			l.giveLocked(end)
		}
	default:
	}
	return nil, context.Cause(ctx)
}

// giveLocked hands what a poll has brought to the asker that waits longest, or keeps a task for the next one.
func (l *polls[T]) giveLocked(end polled[T]) {
	switch {
	case len(l.askers) > 0:
		a := l.askers[0]
		l.askers = l.askers[1:]
		a <- end
	case end.task != nil:
		l.ready = append(l.ready, end.task)
	}
}

// poll asks once, and gives what it gets to the asker that waits longest.
func (l *polls[T]) poll() {
	defer l.life.polls.Done()
	t, err := l.ask(l.life.ctx)
	if l.idle != nil {
		defer l.idle(l)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.polling--
	l.giveLocked(polled[T]{t, err})
	if l.polling == 0 { // nobody would answer the others
		for _, a := range l.askers {
			a <- polled[T]{}
		}
		l.askers = nil
	}
}

// putBack gives a task back that could not be dealt with, for another try after a while.
func (l *polls[T]) putBack(t *T, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait <= 0 {
		l.giveLocked(polled[T]{task: t})
		return
	}
	if l.later == nil {
		l.later = map[*T]*time.Timer{}
	}
	l.later[t] = time.AfterFunc(wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, waits := l.later[t]; waits {
			delete(l.later, t)
			l.giveLocked(polled[T]{task: t})
		}
	})
}

// takeReady takes what polls have brought and nobody has asked for, and what was put back.
func (l *polls[T]) takeReady() []*T {
	l.mu.Lock()
	defer l.mu.Unlock()
	ready := l.ready
	l.ready = nil
	for t, timer := range l.later {
		timer.Stop()
		ready = append(ready, t)
	}
	clear(l.later)
	return ready
}
