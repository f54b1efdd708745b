package sqlite

import (
	"context"
	"fmt"
	"math"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
)

const defaultPurge = 1000

type purged struct {
	no, chain int64
	id        string
}

// Purge removes ended runs in one transaction. The keys of a chain go with its last run.
func (b *Backend) Purge(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	limit := int64(p.Limit)
	switch {
	case p.ID != "":
		limit = math.MaxInt64
	case limit <= 0:
		limit = defaultPurge
	}
	count := 0
	err := b.write(ctx, "purge", func(t *tx) error {
		if p.ID != "" {
			if open, err := t.prepare(qOpenOfID).text(p.ID).found(); err != nil || open {
				if open {
					err = fmt.Errorf("purge %s: %w", p.ID, lambdabiz.ErrOpen)
				}
				return err
			}
		}
		runs, err := t.purgeable(p, limit)
		if err != nil || len(runs) == 0 {
			return err
		}
		last, err := t.prepare(qLastRun).one()
		if err != nil {
			return err
		}
		for _, r := range runs {
			if err := t.purge(r, r.no == last); err != nil {
				return err
			}
		}
		count = len(runs)
		if err := t.prepare(qExpireKept).int(micros(t.at)).exec(); err != nil {
			return err
		}
		fault.Point("purge.end")
		return t.prepare(qDropTombstones).int(last).exec()
	})
	if err != nil {
		return 0, err
	}
	return count, nil
}

func (t *tx) purgeable(p lambdabiz.PurgeRequest, limit int64) ([]purged, error) {
	q := qPurgeable
	if p.ID != "" {
		q = qPurgeableID
	}
	s := t.prepare(q).time(p.EndedBefore).int(limit)
	if p.ID != "" {
		s.text(p.ID)
	}
	var runs []purged
	for s.next() {
		runs = append(runs, purged{no: s.getInt(), id: s.getText(), chain: s.getInt()})
	}
	return runs, s.done()
}

// purge removes a run. SQLite would give the number of the last row to the next run, and references
// to the old one would fit it: a row without an id keeps the number.
func (t *tx) purge(r purged, last bool) error {
	for _, q := range []query{qPurgeOperations, qPurgeMessages, qPurgeRun} {
		fault.Point("purge.delete")
		if err := t.prepare(q).int(r.no).exec(); err != nil {
			return err
		}
	}
	fault.Point("purge.keys")
	if err := t.prepare(qPurgeKeys).int(r.chain).text(r.id).exec(); err != nil {
		return err
	}
	if !last {
		return nil
	}
	return t.prepare(qTombstone).int(r.no).exec()
}
