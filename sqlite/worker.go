package sqlite

import (
	"context"
	"fmt"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// Join registers a worker. It holds a lock file for the worker, until Leave, Close or the end of the
// process: by that other processes see at once that a worker is gone.
func (b *Backend) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	var number int64
	err := b.write(ctx, "join", func(t *tx) error {
		fault.Point("join.insert")
		if err := t.prepare(qInsertWorker).micros(t.at).json(w, false).exec(); err != nil {
			return err
		}
		fault.Point("join.inserted")
		number = t.db.LastInsertRowID()
		// The lock is taken before anybody can see the row, or it would look like a dead worker's.
		l, err := b.hold(number)
		if err != nil {
			return err
		}
		t.undo = append(t.undo, func() { b.letGo(number) })
		fault.Point("join.held")
		if err := t.tellLock(b, number, l); err != nil {
			return err
		}
		err = t.prepare(qUnblock).json(w.Names, false).text(w.Version).int(atOnce).exec()
		fault.Point("join.unblocked")
		t.wake = err == nil && t.db.Changes() > 0
		return err
	})
	if err != nil {
		return 0, err
	}
	fault.Point("join.end")
	return number, nil
}

// Renew moves the worker's heartbeat, and makes its lock file again if somebody has removed it; ErrFenced if the
// worker has been removed.
func (b *Backend) Renew(ctx context.Context, worker int64) error {
	return b.write(ctx, "renew", func(t *tx) error {
		if err := t.inPlace(); err != nil {
			return err
		}
		fault.Point("renew.write")
		if err := t.prepare(qBeat).int(worker).exec(); err != nil {
			return err
		}
		fault.Point("renew.written")
		if t.db.Changes() == 0 {
			return fmt.Errorf("worker %d was removed: %w", worker, lambdabiz.ErrFenced)
		}
		return t.holdStill(b, worker)
	})
}

// Leave removes a worker and frees its runs, in one transaction. Their fences move, so that the worker
// can write nothing more, even before somebody else claims them.
func (b *Backend) Leave(ctx context.Context, worker int64, beat int64) error {
	err := b.write(ctx, "leave", func(t *tx) error {
		s := t.prepare(qFindWorker).int(worker)
		known := s.next()
		var current int64
		if known {
			current = s.getInt()
		}
		if err := s.done(); err != nil || !known {
			return err
		}
		if beat >= 0 && current != beat {
			return fmt.Errorf("worker %d is alive: %w", worker, lambdabiz.ErrStale)
		}
		fault.Point("leave.free")
		crashes := int64(1)
		if beat < 0 {
			crashes = 0 // it lives, and leaves by itself
		}
		if err := t.prepare(qFree).int(worker).int(atOnce).int(crashes).exec(); err != nil {
			return err
		}
		t.wake = true
		fault.Point("leave.delete")
		return t.prepare(qDeleteWorker).int(worker).exec()
	})
	if err == nil {
		fault.Point("leave.unlock")
		b.letGo(worker)
	}
	return err
}

// Workers returns the registered workers. A worker whose lock file is there, and is held by nobody, is gone; of one
// whose file is missing, or is another one, nobody knows.
func (b *Backend) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	var all []lambdabiz.WorkerRecord
	var locks []lockRow
	err := b.read(ctx, func(c *conn) error {
		all, locks = nil, nil
		s := c.prepare(qWorkers)
		for s.next() {
			r := lambdabiz.WorkerRecord{Number: s.getInt(), Beat: s.getInt(), JoinedAt: s.getTime()}
			s.getJSON(&r.WorkerInfo)
			s.column--
			var lock lockRow
			s.getJSON(&lock)
			all, locks = append(all, r), append(locks, lock)
		}
		return s.done()
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Gone, err = b.isGone(all[i].Number, locks[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// doubt is a claim of which nobody knows whether it was made: its worker would hold a run without
// knowing it. The worker's next claim gives it back.
type doubt struct{ no, fence int64 }

func (b *Backend) addDoubts(worker int64, runs []lambdabiz.Claimed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range runs {
		no := r.Ref.Handle.(int64) //nolint:forcetypeassert // a claim of this backend has it
		b.doubts[worker] = append(b.doubts[worker], doubt{no, r.Ref.Fence})
	}
}

func (t *tx) settle(b *Backend, worker int64, _ time.Time) error {
	b.mu.Lock()
	doubts := b.doubts[worker]
	delete(b.doubts, worker)
	b.mu.Unlock()
	if len(doubts) == 0 {
		return nil
	}
	t.undo = append(t.undo, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.doubts[worker] = append(b.doubts[worker], doubts...)
	})
	for _, d := range doubts {
		err := t.prepare(qFreeDoubtful).int(d.no).int(worker).int(d.fence).int(atOnce).exec()
		if err != nil {
			return err
		}
	}
	return nil
}
