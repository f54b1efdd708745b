package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

const (
	// purgePiece is how many runs one transaction removes.
	purgePiece = 250
	// keptGrace is how long an event that was kept for a start stays after its time, unless that start comes or the id gets
	// another event: who removes it may have a clock that is ahead.
	keptGrace = 30 * 24 * time.Hour
	// leftGrace is how long what a process has left is kept. It makes its lanes again if it still is there.
	leftGrace = 7 * 24 * time.Hour
)

// Purge removes ended runs, a few in one transaction, each of them whole. The keys of a chain go with its last run.
func (b *Backend) Purge(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	if err := b.prepare(ctx); err != nil {
		return 0, err
	}
	count := 0
	after := int64(0)
	for limit := rules.PurgeLimit(&p); limit > 0; {
		var found []int64
		removed := 0
		err := b.transact(ctx, func(t *tx) (err error) {
			found, removed, err = t.purge(ctx, p, after, min(limit, purgePiece))
			return err
		})
		if err != nil {
			return count, faultOf(ctx, "purge", err)
		}
		count += removed
		limit -= int64(removed)
		if len(found) == 0 {
			break
		}
		after = found[len(found)-1]
	}
	err := b.transact(ctx, func(t *tx) error { return t.forget(ctx) })
	return count, faultOf(ctx, "purge", err)
}

// purge removes some of the runs above a number.
func (t *tx) purge(ctx context.Context, r lambdabiz.PurgeRequest, after, limit int64) (found []int64, removed int, err error) {
	q, args := qPurgeable, []any{micros(r.EndedBefore), after, limit}
	if r.ID != "" {
		q, args = qPurgeableID, append(args, text(r.ID))
		open := false
		err := t.query(ctx, qHasOpen, func(pgx.Rows) error { open = true; return nil }, text(r.ID))
		if err == nil && open {
			err = lambdabiz.ErrOpen
		}
		if err != nil {
			return nil, 0, err
		}
	}
	if err := t.query(ctx, q, into(&found), args...); err != nil || len(found) == 0 {
		return nil, 0, err
	}
	var numbers, chains, places []int64
	var ids, latest []string
	err = t.query(ctx, qLockEnded, func(rows pgx.Rows) error {
		var no, chain int64
		var id string
		var last bool
		err := rows.Scan(&no, &chain, &id, &last)
		numbers, chains, ids = append(numbers, no), append(chains, chain), append(ids, id)
		if last {
			latest, places = append(latest, id), append(places, t.b.numbers.next())
		}
		return err
	}, found)
	if err != nil || len(numbers) == 0 {
		return found, 0, err
	}
	p := t.pipe()
	p.add(qPurgeOperations, nil, nil, numbers)
	p.add(qPurgeMessages, nil, nil, numbers)
	p.add(qPurgeTags, nil, nil, numbers)
	p.add(qPurgeRuns, nil, nil, numbers)
	p.add(qPurgeKeys, nil, nil, chains, ids)
	if len(latest) > 0 {
		p.add(qPromote, nil, nil, latest)
		p.add(qKeepPlaces, nil, nil, places, latest)
	}
	return found, len(numbers), p.run(ctx)
}

// forget removes what nobody will ask for.
func (t *tx) forget(ctx context.Context) error {
	left := numberAt(time.Now().Add(-leftGrace))
	if _, err := t.exec(ctx, qExpireAllKept, time.Now().Add(-keptGrace).UnixMicro()); err != nil {
		return err
	}
	var places []int64
	if err := t.query(ctx, qLockPlaces, into(&places)); err != nil {
		return err
	}
	p := t.pipe()
	if len(places) > 0 {
		p.add(qForgetPlaces, nil, nil, places)
	}
	p.add(qForgetWitnesses, nil, nil, left)
	p.add(qForgetLanes, nil, nil, left)
	return p.run(ctx)
}
