package batch

import (
	"context"
	"runtime"
	"slices"
	"sync"
)

// Limits bound what is performed together.
type Limits struct {
	Lanes int // batches at the same time
	Items int // items of a batch
	Bytes int // the bytes at which a batch ends, but for its first item
	Parts int // the parts at which it ends, but for its first item; 0 for no limit
}

// holds reports whether so much fits in a batch.
func (l *Limits) holds(bytes, parts int) bool {
	return bytes <= l.Bytes && (l.Parts == 0 || parts <= l.Parts)
}

// Member is what an item says of itself when a batch is made.
type Member interface {
	// Bytes is how large it is.
	Bytes() int
	// Parts is of how many parts it is.
	Parts() int
	// Key names what no two items of a batch may have in common; "" for nothing.
	Key() string
	// Alone reports whether it shares no batch with others.
	Alone() bool
}

// Lanes perform items in batches. While nothing is performed, an item is taken at once. What comes meanwhile is gathered in
// the queue. Another lane takes that when it is as much as the largest batch that is performed, so that batches become
// about equal, and not many small ones: those cost as much each as large ones. Else a lane takes it that has come to its end.
type Lanes[M Member] struct {
	limits  Limits
	perform func(ctx context.Context, batch []*Item[M])
	spawn   func(f func())

	mu    sync.Mutex
	sizes []int      // of the batches that are performed, one for each lane that is busy
	queue []*Item[M] // empty while no lane is busy; less than the largest of them while a lane is free
}

// Item is something to be performed. It may be used again once it is done: with the same context.
type Item[M Member] struct {
	Member M

	done  chan struct{} // receives once when it was performed
	own   [1]*Item[M]   // the batch that it is when a lane is free
	begin func()        // performs that batch, and then what has come meanwhile
}

// Done receives once for each time that the item was performed.
func (i *Item[M]) Done() <-chan struct{} { return i.done }

// New makes lanes. They call perform without a lock, on goroutines that spawn begins as a go statement does: it may end
// its goroutine, and then what was to be done with the batch is done. What it leaves in the items is what their owners
// find.
func New[M Member](limits Limits, perform func(ctx context.Context, batch []*Item[M]), spawn func(f func())) *Lanes[M] {
	return &Lanes[M]{limits: limits, perform: perform, spawn: spawn}
}

// Add gives an item to a lane, or puts it into the queue.
func (l *Lanes[M]) Add(ctx context.Context, i *Item[M]) {
	if i.done == nil {
		i.done = make(chan struct{}, 1)
		i.own[0] = i
		i.begin = func() { l.drain(ctx, i.own[:]) }
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sizes) == 0 {
		l.sizes = append(l.sizes, 1)
		l.spawn(i.begin)
		return
	}
	l.queue = append(l.queue, i)
	if len(l.sizes) < l.limits.Lanes && l.isEnough() {
		next := l.nextLocked()
		l.spawn(func() { l.drain(ctx, next) })
	}
}

// isEnough reports whether the queue has as much as the largest batch that is performed.
func (l *Lanes[M]) isEnough() bool {
	return len(l.queue) >= min(slices.Max(l.sizes), l.limits.Items)
}

// Withdraw takes an item out of the queue, and reports false if it is on its way.
func (l *Lanes[M]) Withdraw(i *Item[M]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.queue, i)
	if at < 0 {
		return false
	}
	l.queue = slices.Delete(l.queue, at, at+1)
	return true
}

// letOthersGo is called before perform waits for a disk. Goroutines that are ready stand in the queue of this one's
// processor, which keeps them for up to ten milliseconds then, if all other processors are busy.
func letOthersGo() { runtime.Gosched() }

// drain performs batch after batch, and gives the lane back when there is not enough for another one.
func (l *Lanes[M]) drain(ctx context.Context, batch []*Item[M]) {
	defer func() {
		if batch != nil { // perform has ended the goroutine
			size := len(batch)
			tell(batch)
			if next := l.next(size); next != nil {
				go l.drain(ctx, next)
			}
		}
	}()
	letOthersGo()
	for batch != nil {
		l.perform(ctx, batch)
		size := len(batch)
		tell(batch)
		batch = l.next(size)
	}
}

// tell lets those go on whose items were performed. They may use them, and so the batch, again.
func tell[M Member](batch []*Item[M]) {
	for _, i := range batch {
		i.done <- struct{}{} // there is room
	}
}

// next takes the next batch for a lane that has performed one of the size; nil if there is none, or if others are busy and
// more is to be gathered: then the lane is given back. What those add at once who were told before comes into the batch.
func (l *Lanes[M]) next(size int) []*Item[M] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 {
		l.mu.Unlock()
		letOthersGo()
		l.mu.Lock()
	}
	at := slices.Index(l.sizes, size)
	l.sizes = slices.Delete(l.sizes, at, at+1)
	if len(l.queue) == 0 || len(l.sizes) > 0 && !l.isEnough() {
		return nil
	}
	return l.nextLocked()
}

// nextLocked takes a batch from the queue, which is not empty, for a lane that is busy from now on.
func (l *Lanes[M]) nextLocked() []*Item[M] {
	next := l.cutLocked()
	l.sizes = append(l.sizes, len(next))
	return next
}

// cutLocked takes a batch out of the queue.
func (l *Lanes[M]) cutLocked() []*Item[M] {
	if l.queue[0].Member.Alone() {
		next := l.queue[:1:1]
		l.queue = l.queue[1:]
		return next
	}
	var rest []*Item[M]
	n := min(l.limits.Items, len(l.queue))
	next := make([]*Item[M], 0, n)
	keys := make(map[string]struct{}, n)
	bytes, parts := 0, 0
	for at, i := range l.queue {
		size, count := i.Member.Bytes(), i.Member.Parts()
		if len(next) == l.limits.Items || len(next) > 0 && !l.limits.holds(bytes+size, parts+count) {
			rest = append(rest, l.queue[at:]...)
			break
		}
		if i.Member.Alone() {
			rest = append(rest, i)
			continue
		}
		if key := i.Member.Key(); key != "" {
			if _, twice := keys[key]; twice {
				rest = append(rest, i)
				continue
			}
			keys[key] = struct{}{}
		}
		bytes, parts = bytes+size, parts+count
		next = append(next, i)
	}
	l.queue = rest
	return next
}
