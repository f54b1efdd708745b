package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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
	ctx, cancel := b.limit(ctx)
	defer cancel()
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
	if err == nil {
		err = b.freeOrphans(ctx)
	}
	if err != nil {
		return 0, faultOf(ctx, "join", err)
	}
	b.bell.joined(number, w.Names)
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

// unpinged is the key of a context for what comes again soon if its connection is found to be broken.
type unpinged struct{}

// shouldPing is whether a connection that was idle is tried before it is used: for heartbeats that would be as much again.
func shouldPing(ctx context.Context, p pgxpool.ShouldPingParams) bool {
	return p.IdleDuration > time.Second && ctx.Value(unpinged{}) == nil
}

// Watch is Renew, and returns the workers that come next, in one round trip.
func (b *Backend) Watch(ctx context.Context, worker int64, next int) (lambdabiz.Watched, error) {
	if err := b.prepare(ctx); err != nil {
		return lambdabiz.Watched{}, err
	}
	names := []string{}
	for _, n := range b.bell.names(worker) {
		names = append(names, text(n))
	}
	ctx = context.WithValue(ctx, unpinged{}, true)
	var seen lambdabiz.Watched
	err := b.read(ctx, func(t *tx) error {
		seen = lambdabiz.Watched{}
		var renewed int64
		p := t.pipe()
		p.settle()
		p.add(qRenew, &renewed, nil, worker)
		p.add(qNextWorkers, nil, intoWorkers(&seen.Next), worker, next)
		p.add(qWork, nil, func(rows pgx.Rows) error { return rows.Scan(&seen.Work) }, worker, names, time.Now().UnixMicro())
		if err := p.run(ctx); err != nil {
			return err
		}
		if renewed == 0 {
			return fmt.Errorf("worker %d was removed: %w", worker, lambdabiz.ErrFenced)
		}
		return nil
	})
	if err != nil {
		return lambdabiz.Watched{}, faultOf(ctx, "watch", err)
	}
	slices.SortFunc(seen.Next, func(x, y lambdabiz.WorkerRecord) int {
		if (x.Number > worker) != (y.Number > worker) {
			return cmp.Compare(y.Number, x.Number)
		}
		return cmp.Compare(x.Number, y.Number)
	})
	seen.Next = seen.Next[:min(next, len(seen.Next))]
	return seen, nil
}

// Leave removes a worker and frees its runs. It removes the worker and its lanes first: it waits for what the worker is
// writing, and then the worker can write nothing more. The runs follow in pieces, each a transaction. Whoever dies in between
// has left runs of a worker that is not there: the next one who joins or leaves frees them.
func (b *Backend) Leave(ctx context.Context, worker int64, beat int64) error {
	err := b.prepare(ctx)
	if err == nil {
		err = b.transact(ctx, func(t *tx) error { return t.unregister(ctx, worker, beat) })
	}
	if err == nil {
		crashes := 1
		if beat < 0 {
			crashes = 0 // it lives, and leaves by itself
		}
		err = b.free(ctx, worker, crashes, true)
	}
	if err == nil {
		err = b.freeOrphans(ctx)
	}
	return faultOf(ctx, "leave", err)
}

// unregister removes a worker and its lanes. For one that is gone it does nothing.
func (t *tx) unregister(ctx context.Context, worker, beat int64) error {
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
	_, err := t.exec(ctx, qDeleteWorker, worker)
	return err
}

// leavePiece is how many runs are freed at a time: others may have them at once, and wait for no lock for long.
const leavePiece = 5000

// free frees the runs of a worker that is not registered. Those whose rows somebody holds it leaves until the others are free,
// and then waits for them, if it shall.
func (b *Backend) free(ctx context.Context, worker int64, crashes int, waits bool) error {
	for q, more := qLockFree, true; more; {
		err := b.transact(ctx, func(t *tx) error {
			var runs []int64
			err := t.query(ctx, q, into(&runs), worker, b.leavePiece)
			if err == nil && len(runs) > 0 {
				_, err = t.exec(ctx, qFree, runs, worker, crashes)
				return err
			}
			more = false // unless somebody holds some, or was about to free those
			if err != nil || !waits {
				return err
			}
			q = qLockHeld
			return t.query(ctx, qOwns, func(pgx.Rows) error { more = true; return nil }, worker)
		})
		if err != nil {
			return err
		}
		b.bell.ring()
	}
	return nil
}

// freeOrphans frees what workers own that are not registered: somebody has removed them, and not come to all of their runs. It
// waits for no row: a user's transaction must not keep workers from beginning.
func (b *Backend) freeOrphans(ctx context.Context) error {
	var owners []int64
	if err := b.transact(ctx, func(t *tx) error {
		owners = nil
		return t.query(ctx, qOrphans, into(&owners))
	}); err != nil {
		return err
	}
	for _, worker := range owners {
		if err := b.free(ctx, worker, 0, false); err != nil {
			return err
		}
	}
	return nil
}

// Workers returns the registered workers.
func (b *Backend) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	var all []lambdabiz.WorkerRecord
	err := b.read(ctx, func(t *tx) error {
		all = nil
		return t.query(ctx, qWorkers, intoWorkers(&all))
	})
	if err != nil {
		return nil, faultOf(ctx, "list workers", err)
	}
	return all, nil
}

func intoWorkers(all *[]lambdabiz.WorkerRecord) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
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
		*all = append(*all, r)
		return nil
	}
}
