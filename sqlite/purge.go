package sqlite

import (
	"context"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
	"github.com/lambdabiz/lambdabiz/internal/row"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

const (
	// purgeRows is how many rows one transaction removes: everybody else who writes waits for it. A run goes
	// whole, however many it has.
	purgeRows = 1000

	// keptGrace is how long an event that was kept for a start stays after its time, unless that start comes or
	// the id gets another event: who removes it may have a clock that is ahead.
	keptGrace = 30 * 24 * time.Hour
)

type purged struct {
	no, chain int64
	id        string
	rows      int64
}

// purgeable is what a purge may remove.
type purgeable struct {
	runs    []purged
	expired bool // kept events whose time and grace are over
}

// Purge removes ended runs, a few in one transaction, each of them whole. The keys of a chain go with its last
// run. It looks for them without keeping others from writing, and takes no lock when there is nothing to remove.
func (b *Backend) Purge(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	found, err := b.purgeable(ctx, p)
	if err != nil {
		return 0, err
	}
	count := 0
	for rest := found.runs; len(rest) > 0 || found.expired; found.expired = false {
		n, rows := 0, int64(0)
		for n < len(rest) && (n == 0 || rows+rest[n].rows <= purgeRows) {
			rows += rest[n].rows
			n++
		}
		piece := rest[:n]
		rest = rest[n:]
		removed := 0
		err := b.write(ctx, "purge", func(t *tx) (err error) {
			removed, err = t.purgePiece(p, piece)
			return err
		})
		if err != nil {
			return count, err
		}
		count += removed
	}
	return count, nil
}

// purgeable looks for what may be removed.
func (b *Backend) purgeable(ctx context.Context, p lambdabiz.PurgeRequest) (purgeable, error) {
	var found purgeable
	err := b.read(ctx, func(c *conn) (err error) {
		found = purgeable{}
		if err := c.refuseOpen(p); err != nil {
			return err
		}
		q := qPurgeable
		if p.ID != "" {
			q = qPurgeableID
		}
		s := c.prepare(q).time(p.EndedBefore).int(rules.PurgeLimit(&p))
		if p.ID != "" {
			s.text(p.ID)
		}
		for s.next() {
			found.runs = append(found.runs, purged{no: s.getInt(), id: s.getText(), chain: s.getInt(), rows: s.getInt()})
		}
		if err := s.done(); err != nil {
			return err
		}
		found.expired, err = c.prepare(qFindExpired).int(expiry()).found()
		return err
	})
	return found, err
}

// expiry is until when a kept event must have been wanted to be removed now, whoever it is for.
func expiry() int64 { return row.Micros(time.Now().Add(-keptGrace)) }

// refuseOpen returns ErrOpen for an id that has an open run.
func (c *conn) refuseOpen(p lambdabiz.PurgeRequest) error {
	if p.ID == "" {
		return nil
	}
	open, err := c.prepare(qOpenOfID).text(p.ID).found()
	if err == nil && open {
		err = lambdabiz.ErrOpen
	}
	return err
}

// purgePiece removes those of some runs that are still there.
func (t *tx) purgePiece(p lambdabiz.PurgeRequest, runs []purged) (count int, err error) {
	if err := t.refuseOpen(p); err != nil {
		return 0, err
	}
	last, err := t.prepare(qLastRun).one()
	if err != nil {
		return 0, err
	}
	for _, r := range runs {
		there, err := t.prepare(qStillEnded).int(r.no).text(r.id).found()
		if err != nil {
			return 0, err
		}
		if !there {
			continue // somebody else has purged it
		}
		if err := t.purge(r, r.no == last); err != nil {
			return 0, err
		}
		count++
	}
	if err := t.prepare(qExpireKept).int(expiry()).exec(); err != nil {
		return 0, err
	}
	fault.Point("purge.end")
	return count, t.prepare(qDropTombstones).int(last).exec()
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
