package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

const (
	// mailPiece is how many events of others' transactions one transaction delivers.
	mailPiece = 256
	// mailPause is how long those for an orchestration wait whose row somebody holds.
	mailPause = time.Second
	// mailRest is how long those wait that cannot be delivered: a row may be repaired, or a process come that is newer.
	mailRest = 5 * time.Minute
)

// letter is an event that was raised in a transaction of the application's.
type letter struct {
	no    int64
	chain int64 // of the run that it was raised in; 0 if it was for a start to come
	at    time.Time
	raise lambdabiz.Raise
}

// deliverMail delivers events that were raised in transactions of others, in their order. Faults need no answer: what is left
// is tried again. The caller has the place of who claims.
func (b *Backend) deliverMail(ctx context.Context, now time.Time) {
	for more := true; more && ctx.Err() == nil; {
		var all []letter
		err := b.inClaimLane(ctx, nil, func(t *tx) (err error) {
			if all, err = t.mail(ctx, now, 0); err != nil || len(all) == 0 {
				return err
			}
			return t.deliver(ctx, all)
		})
		if more = err == nil && len(all) == mailPiece; len(all) == 0 {
			return // or somebody else is at it
		}
		if err != nil {
			b.deliverSingly(ctx, now, all)
		}
		b.bell.ring()
	}
}

// deliverSingly delivers what cannot be delivered together. One that cannot be delivered at all keeps back only those behind it
// that go to the same orchestration.
func (b *Backend) deliverSingly(ctx context.Context, now time.Time, all []letter) {
	stuck := map[string]bool{}
	for _, l := range all {
		if stuck[l.raise.ID] || ctx.Err() != nil {
			continue
		}
		err := b.inClaimLane(ctx, nil, func(t *tx) error {
			one, err := t.mail(ctx, now, l.no)
			if err != nil || len(one) == 0 {
				return err
			}
			return t.deliver(ctx, one)
		})
		if err == nil {
			continue
		}
		stuck[l.raise.ID] = true
		pause := mailRest
		if isTemporary(err) || errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
			pause = mailPause
		}
		_ = b.transact(ctx, func(t *tx) error { return t.putOff(ctx, l.no, now.Add(pause)) }) // else it is tried at once
	}
}

// mail locks events that are to be delivered, with a number that one.
func (t *tx) mail(ctx context.Context, now time.Time, no int64) ([]letter, error) {
	var all []letter
	err := t.query(ctx, qLockMail, func(rows pgx.Rows) error {
		var l letter
		var at int64
		var until *int64
		var id string
		var event, key *string
		var payload []byte
		if err := rows.Scan(&l.no, &at, &until, &l.raise.AfterEnd, &l.chain, &id, &event, &key, &payload); err != nil {
			return err
		}
		var d decoder
		l.at, l.raise.Until = time.UnixMicro(at).UTC(), d.time(until, time.Time{})
		l.raise.ID, l.raise.Name, l.raise.Key = d.text("id", &id), d.text("event", event), d.text("key", key)
		l.raise.Payload = payload
		all = append(all, l)
		return d.err
	}, now.UnixMicro(), mailPiece, no)
	return all, err
}

// isOutdated reports whether the latest run of the id is of a later start than the one that the event was raised in.
func (l *letter) isOutdated(latest *run) bool {
	return l.chain != 0 && !l.raise.AfterEnd && latest != nil && latest.chain != l.chain
}

// deliver delivers events as commits from outside do, and removes them. One whose orchestration is not there, or has ended, is
// dropped, for its sender has gone.
func (t *tx) deliver(ctx context.Context, all []letter) error {
	commits := make([]*lambdabiz.Commit, len(all))
	for i, l := range all {
		commits[i] = &lambdabiz.Commit{At: l.at, Raises: []lambdabiz.Raise{l.raise}}
	}
	b := newBatch(t, commits)
	if err := b.gather(ctx); err != nil {
		return err
	}
	stuck := map[string]bool{}
	var gone []int64
	for i, c := range commits {
		id := all[i].raise.ID
		if stuck[id] {
			continue
		}
		if l := &all[i]; l.isOutdated(b.find(id, "")) {
			gone = append(gone, l.no)
			continue
		}
		if v := b.apply(c); v.Err != nil {
			stuck[id] = true // its row cannot be read
			if err := t.putOff(ctx, all[i].no, time.Now().Add(mailRest)); err != nil {
				return err
			}
			continue
		}
		gone = append(gone, all[i].no)
	}
	if err := b.flush(ctx); err != nil {
		return err
	}
	_, err := t.exec(ctx, qForgetMail, gone)
	return err
}

func (t *tx) putOff(ctx context.Context, no int64, until time.Time) error {
	_, err := t.exec(ctx, qPutOffMail, no, until.UnixMicro())
	return err
}

// deliverByHand is for orchestrations that are driven by hand: no worker may live, and their callers ask for messages with
// commits.
func (b *Backend) deliverByHand(ctx context.Context, commits []*lambdabiz.Commit) {
	if !slices.ContainsFunc(commits, func(c *lambdabiz.Commit) bool { return c.Run != nil && c.Worker == 0 && c.Fetch }) {
		return
	}
	waits, now := false, time.Now()
	err := b.read(ctx, func(t *tx) error {
		return t.query(ctx, qHasMail, func(pgx.Rows) error { waits = true; return nil }, now.UnixMicro())
	})
	if err != nil || !waits {
		return
	}
	if c, err := take(ctx, b, b.claiming); err == nil {
		b.deliverMail(ctx, now)
		b.claiming <- c
	}
}
