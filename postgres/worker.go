package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

// Join registers a worker, and makes due what it can serve and another version has blocked.
func (b *Backend) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	info, err := json.Marshal(w)
	if err == nil {
		err = b.prepare(ctx)
	}
	if err != nil {
		return 0, err
	}
	var number int64
	err = b.transact(ctx, func(t *tx) error {
		number = b.numbers.next()
		if _, err := t.exec(ctx, qJoin, number, time.Now().UnixMicro(), string(info)); err != nil {
			return numberTaken(err)
		}
		if _, err := t.exec(ctx, qJoinLanes, number, claimLane); err != nil {
			return err
		}
		var runs []int64
		if err := t.query(ctx, qLockBlocked, into(&runs), w.Names, text(w.Version)); err != nil || len(runs) == 0 {
			return err
		}
		_, err := t.exec(ctx, qUnblock, runs)
		return err
	})
	if err != nil {
		return 0, faultOf(ctx, "join", err)
	}
	b.bell.joined(number)
	b.bell.ring()
	return number, nil
}

// into collects the only column of a query.
func into[T any](values *[]T) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var v T
		err := rows.Scan(&v)
		*values = append(*values, v)
		return err
	}
}

// Renew moves the worker's heartbeat; ErrFenced if the worker has been removed.
func (b *Backend) Renew(ctx context.Context, worker int64) error {
	err := b.prepare(ctx)
	if err == nil {
		err = b.read(ctx, func(t *tx) error {
			n, err := t.exec(ctx, qRenew, worker)
			if err == nil && n == 0 {
				err = fmt.Errorf("worker %d was removed: %w", worker, lambdabiz.ErrFenced)
			}
			return err
		})
	}
	return faultOf(ctx, "renew", err)
}

// Leave removes a worker and frees its runs, in one transaction. It removes the worker's lanes first: it waits for what the
// worker is writing, and then the worker can write nothing more.
func (b *Backend) Leave(ctx context.Context, worker int64, beat int64) error {
	err := b.prepare(ctx)
	if err == nil {
		err = b.transact(ctx, func(t *tx) error { return t.leave(ctx, worker, beat) })
	}
	if err != nil {
		return faultOf(ctx, "leave", err)
	}
	b.bell.ring()
	return nil
}

func (t *tx) leave(ctx context.Context, worker, beat int64) error {
	var beats []int64
	if err := t.query(ctx, qLockWorker, into(&beats), worker); err != nil || len(beats) == 0 {
		return err
	}
	if beat >= 0 && beats[0] != beat {
		return fmt.Errorf("worker %d is alive: %w", worker, lambdabiz.ErrStale)
	}
	if _, err := t.exec(ctx, qDeleteLanes, worker); err != nil {
		return err
	}
	if _, err := t.exec(ctx, qDeleteWorker, worker); err != nil {
		return err
	}
	var runs []int64
	if err := t.query(ctx, qLockHeld, into(&runs), worker); err != nil || len(runs) == 0 {
		return err
	}
	crashes := 1
	if beat < 0 {
		crashes = 0 // it lives, and leaves by itself
	}
	_, err := t.exec(ctx, qFree, runs, worker, crashes)
	return err
}

// Workers returns the registered workers.
func (b *Backend) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	var all []lambdabiz.WorkerRecord
	err := b.read(ctx, func(t *tx) error {
		return t.query(ctx, qWorkers, func(rows pgx.Rows) error {
			var r lambdabiz.WorkerRecord
			var joined int64
			var info string
			if err := rows.Scan(&r.Number, &r.Beat, &joined, &info); err != nil {
				return err
			}
			r.JoinedAt = time.UnixMicro(joined).UTC()
			if err := json.Unmarshal([]byte(info), &r.WorkerInfo); err != nil {
				return fmt.Errorf("read worker %d: %w", r.Number, err)
			}
			all = append(all, r)
			return nil
		})
	})
	if err != nil {
		return nil, faultOf(ctx, "list workers", err)
	}
	return all, nil
}
