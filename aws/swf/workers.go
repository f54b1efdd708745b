package swf

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// workers are those of this process: SWF does not know others.
type workers struct {
	life *lifetime
	last atomic.Int64 // number

	mu       sync.Mutex
	byNumber map[int64]*lambdabiz.WorkerRecord
}

func newWorkers(life *lifetime) *workers {
	w := &workers{life: life, byNumber: map[int64]*lambdabiz.WorkerRecord{}}
	w.last.Store(time.Now().UnixMicro())
	return w
}

// join gives a worker a number.
func (w *workers) join(info lambdabiz.WorkerInfo) (int64, error) {
	if w.life.isClosed() {
		return 0, errClosed
	}
	info.Names = slices.Clone(info.Names)
	n := w.last.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byNumber[n] = &lambdabiz.WorkerRecord{WorkerInfo: info, Number: n, JoinedAt: now()}
	return n, nil
}

// renew does nothing but count: SWF sees by its time-outs when a worker has died.
func (w *workers) renew(number int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.byNumber[number]
	if r == nil {
		return lambdabiz.ErrFenced
	}
	r.Beat++
	return nil
}

func (w *workers) leave(number, beat int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.byNumber[number]; r != nil && beat >= 0 && r.Beat != beat {
		return lambdabiz.ErrStale
	}
	delete(w.byNumber, number)
	return nil
}

// version is the version of a worker's code; false for a worker that has left.
func (w *workers) version(number int64) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.byNumber[number]
	if r == nil {
		return "", false
	}
	return r.Version, true
}

func (w *workers) all() []lambdabiz.WorkerRecord {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []lambdabiz.WorkerRecord
	for _, r := range w.byNumber {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(x, y lambdabiz.WorkerRecord) int { return int(x.Number - y.Number) })
	return all
}
