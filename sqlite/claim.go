package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// watch is a connection that reads for Claim. It stays the same one, because SQLite tells each
// connection whether others have changed the file since it looked last.
type watch struct {
	conn *conn
	seen map[int64]*sighting // by worker
}

// sighting is what a worker's last look found, good until the file changes.
type sighting struct {
	version  int64
	names    []string
	nextWake time.Time
	through  int64
}

func (w *watch) close() error {
	if w.conn == nil {
		return nil
	}
	return w.conn.close()
}

// Claim takes runs that are due. When nothing is, it takes no lock, and when nobody has changed the
// file since the last look, it reads no table.
func (b *Backend) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if r.Hand != "" {
		return b.claimHand(ctx, r.Hand)
	}
	found, err := b.look(ctx, r)
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	if found.NextWake.IsZero() || found.NextWake.After(r.Now) {
		return found, nil
	}
	if r.Limit <= 0 {
		found.More = true
		return found, nil
	}
	fault.Point("claim.begin")
	err = b.write(ctx, "claim", func(t *tx) error {
		found = lambdabiz.Claims{}
		return t.claim(b, r, &found)
	})
	if errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
		b.addDoubts(r.Worker, found.Runs)
	}
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	return found, nil
}

// look finds messages for held runs, and when a run is due next.
func (b *Backend) look(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	var w *watch
	select {
	case <-b.closed:
		return lambdabiz.Claims{}, errClosed
	case <-ctx.Done():
		return lambdabiz.Claims{}, ctx.Err()
	case w = <-b.watches:
	}
	defer func() {
		if w.conn != nil && !w.conn.isIdle() { // it has not returned
			w.conn.discard()
			w.conn = nil
		}
		b.watches <- w
	}()
	if w.conn == nil {
		c, err := b.connect(ctx, true)
		if err != nil {
			return lambdabiz.Claims{}, faultOf(ctx, "claim", err)
		}
		w.conn, w.seen = c, map[int64]*sighting{}
	}
	var found lambdabiz.Claims
	err := w.conn.snapshot(ctx, b.config.BusyTimeout, func(c *conn) error {
		found = lambdabiz.Claims{}
		return w.look(c, r, &found)
	})
	if !w.conn.isWhole(err) {
		w.conn.discard()
		w.conn = nil
	}
	if isFault(err) {
		return lambdabiz.Claims{}, faultOf(ctx, "claim", err)
	}
	return found, err
}

func (w *watch) look(c *conn, r lambdabiz.ClaimRequest, found *lambdabiz.Claims) error {
	version, err := c.prepare(qDataVersion).one()
	if err != nil {
		return err
	}
	if s := w.seen[r.Worker]; s != nil && s.version == version && r.After >= s.through &&
		slices.Equal(s.names, r.Names) {
		found.Through, found.NextWake = r.After, s.nextWake
		return nil
	}
	delete(w.seen, r.Worker)
	if err := c.news(r, found); err != nil {
		return err
	}
	others, err := c.rivals(r.Worker)
	if err != nil {
		return err
	}
	if found.NextWake, err = c.nextWake(r, &others); err != nil {
		return err
	}
	if err := c.inPlace(); err != nil { // only where there is something new: else Renew looks
		return err
	}
	w.seen[r.Worker] = &sighting{version, slices.Clone(r.Names), found.NextWake, found.Through}
	return nil
}

// one returns the only number of the only row, 0 if there is none.
func (s *stmt) one() (int64, error) {
	var n int64
	if s.next() {
		n = s.getInt()
	}
	return n, s.done()
}

// news finds the messages for runs that the worker holds.
func (c *conn) news(r lambdabiz.ClaimRequest, found *lambdabiz.Claims) error {
	known, err := c.prepare(qFindWorker).int(r.Worker).found()
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("worker %d was removed: %w", r.Worker, lambdabiz.ErrFenced)
	}
	last, err := c.prepare(qLastMessage).one()
	if err != nil {
		return err
	}
	found.Through = max(r.After, last)
	if last <= r.After {
		return nil
	}
	place := map[int64]int{}
	var rotten []int64 // runs
	s := c.prepare(qArrivals).int(r.After).int(r.Worker)
	for s.next() {
		no, fence := s.getInt(), s.getInt()
		id, runID := s.getText(), s.getText()
		i, known := place[no]
		if !known {
			i = len(found.Arrived)
			place[no] = i
			ref := lambdabiz.RunRef{ID: id, RunID: runID, Fence: fence, Handle: no}
			found.Arrived = append(found.Arrived, lambdabiz.Arrival{Ref: ref})
		}
		m := s.message()
		if s.takeRotten() != nil {
			rotten = append(rotten, no) // its own commits and reads say why
			continue
		}
		found.Arrived[i].Messages = append(found.Arrived[i].Messages, m)
	}
	found.Arrived = slices.DeleteFunc(found.Arrived, func(a lambdabiz.Arrival) bool {
		no, _ := a.Ref.Handle.(int64)
		return slices.Contains(rotten, no)
	})
	return s.done()
}

// rivals is what workers of other versions serve. A run that the worker's version has blocked is theirs.
type rivals struct {
	version string // the worker's own
	names   []string
}

func (r *rivals) serve(name string) bool { return slices.Contains(r.names, name) }

func (c *conn) rivals(worker int64) (rivals, error) {
	var found rivals
	s := c.prepare(qRivals).int(worker)
	for s.next() {
		found.names, found.version = append(found.names, s.getText()), s.getText()
	}
	return found, s.done()
}

func (c *conn) nextWake(r lambdabiz.ClaimRequest, others *rivals) (time.Time, error) {
	var next time.Time
	for _, name := range r.Names {
		var s *stmt
		if others.serve(name) {
			s = c.prepare(qNextWakeBeside).text(name).text(others.version)
		} else {
			s = c.prepare(qNextWake).text(name)
		}
		if s.next() {
			if at := s.getTime(); !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
		if err := s.done(); err != nil {
			return next, err
		}
	}
	if !next.IsZero() && next.Before(r.Now) {
		next = r.Now
	}
	return next, nil
}

// due finds the runs that are due, one more than the limit if there are as many. At least half of the places
// are for those that are due by time, or a stream of new runs and messages would keep them waiting.
func (t *tx) due(r lambdabiz.ClaimRequest, others *rivals) ([]candidate, error) {
	var byTime, now []candidate
	for _, name := range r.Names {
		var looks [2]*stmt
		if limit := int64(r.Limit) + 1; others.serve(name) {
			looks[0] = t.prepare(qDueBeside).text(name).int(micros(r.Now)).int(limit).text(others.version)
			looks[1] = t.prepare(qDueAtOnceBeside).text(name).int(limit).text(others.version)
		} else {
			looks[0] = t.prepare(qDue).text(name).int(micros(r.Now)).int(limit)
			looks[1] = t.prepare(qDueAtOnce).text(name).int(limit)
		}
		for _, s := range looks {
			for s.next() {
				if c := (candidate{s.getInt(), s.getInt()}); c.wakeAt == atOnce {
					now = append(now, c)
				} else {
					byTime = append(byTime, c)
				}
			}
			if err := s.done(); err != nil {
				return nil, err
			}
		}
	}
	for _, list := range [][]candidate{byTime, now} {
		slices.SortFunc(list, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(a.wakeAt, b.wakeAt), cmp.Compare(a.no, b.no))
		})
	}
	byTime, now = slices.Compact(byTime), slices.Compact(now) // a name may be given twice
	first := min(len(byTime), max((r.Limit+1)/2, r.Limit-len(now)))
	return slices.Concat(byTime[:first], now, byTime[first:]), nil
}

// atOnce is the wake_at of a run that is due whatever the claimer's clock says: the one who made it due
// may have a clock that is ahead.
const atOnce = 0

type candidate struct{ no, wakeAt int64 }

// claim takes what is due, the longest due first.
func (t *tx) claim(b *Backend, r lambdabiz.ClaimRequest, found *lambdabiz.Claims) error {
	if err := t.settle(b, r.Worker, r.Now); err != nil {
		return err
	}
	if err := t.news(r, found); err != nil {
		return err
	}
	fault.Point("claim.find")
	others, err := t.rivals(r.Worker)
	if err != nil {
		return err
	}
	due, err := t.due(r, &others)
	if err != nil {
		return err
	}
	found.More = len(due) > r.Limit
	read := 0
	for _, d := range due[:min(len(due), r.Limit)] {
		if read >= claimCost {
			found.More = true
			break
		}
		fault.Point("claim.take")
		if err := t.prepare(qClaim).int(r.Worker).int(d.no).exec(); err != nil {
			return err
		}
		fault.Point("claim.read")
		run, err := t.claimed(d.no)
		if isUnreadable(err) { // the others go on
			if err := t.setAside(d.no, err, r.Now); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		found.Runs = append(found.Runs, run)
		read += costOf(&run.Record)
	}
	fault.Point("claim.taken")
	found.NextWake, err = t.nextWake(r, &others)
	return err
}

const (
	// claimCost is how much one claim reads, in bytes, before it leaves the rest to the next one: everybody else who
	// writes waits for it meanwhile. One run it takes whatever its size.
	claimCost = 4 << 20
	// rowCost is what reading a row costs beside its payloads.
	rowCost = 2 << 10
)

// costOf estimates what it has cost to read a run.
func costOf(r *lambdabiz.Record) int {
	cost := rowCost*(1+len(r.Operations)+len(r.Messages)) + len(r.Input) + len(r.Progress)
	for i := range r.Operations {
		o := &r.Operations[i]
		cost += len(o.Input) + len(o.Result) + len(o.Details)
	}
	for i := range r.Messages {
		cost += len(r.Messages[i].Payload)
	}
	return cost
}

// setAside blocks a run that cannot be read. It is tried again later, for the file may be mended, or a worker come
// that is newer.
func (t *tx) setAside(no int64, why error, at time.Time) error {
	b := asideBecause(why, at)
	return t.prepare(qRelease).int(no).time(b.RetryAt).json(b, false).null().exec()
}

const asideRetry = 5 * time.Minute

func asideBecause(why error, at time.Time) *lambdabiz.Blocked {
	b := &lambdabiz.Blocked{Reason: "its record cannot be read: " + why.Error(), Times: 1, Since: at}
	if !at.IsZero() {
		b.RetryAt = at.Add(asideRetry)
	}
	return b
}

// claimed reads a run with all that belongs to it.
func (t *tx) claimed(no int64) (lambdabiz.Claimed, error) {
	run, err := t.prepare(qRun).int(no).stored()
	if err != nil {
		return lambdabiz.Claimed{}, err
	}
	if err := t.fill(run); err != nil {
		return lambdabiz.Claimed{}, err
	}
	return lambdabiz.Claimed{Record: run.record, Ref: run.ref(), Crashes: run.crashes}, nil
}

// claimHand takes one run for its caller. One that is over, or paused, comes without a fence: it can be read only.
func (b *Backend) claimHand(ctx context.Context, id string) (lambdabiz.Claims, error) {
	var run lambdabiz.Claimed
	err := b.write(ctx, "claim", func(t *tx) error {
		h, err := t.findHead(id, "")
		switch {
		case err != nil:
			return err
		case h == nil:
			return lambdabiz.ErrNotFound
		case h.mode != lambdabiz.ModeHand:
			return fmt.Errorf("claim %s: workers drive it: %w", id, lambdabiz.ErrMode)
		}
		taken := !h.status.Ended() && !h.paused
		if taken {
			fault.Point("hand.take")
			if err := t.prepare(qClaimHand).int(h.no).exec(); err != nil {
				return err
			}
		}
		fault.Point("hand.read")
		run, err = t.claimed(h.no)
		if !taken {
			run.Ref.Fence = 0
		}
		return err
	})
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{run}}, nil
}
