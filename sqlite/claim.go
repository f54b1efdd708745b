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
	"github.com/lambdabiz/lambdabiz/internal/rules"
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
	found, seen, err := b.look(ctx, r)
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
		return t.claim(b, r, seen, &found)
	})
	if errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
		b.addDoubts(r.Worker, found.Runs)
	}
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	return found, nil
}

// look finds messages for held runs, when a run is due next, and if that is now, what is due.
func (b *Backend) look(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, prospects, error) {
	var w *watch
	select {
	case <-b.closed:
		return lambdabiz.Claims{}, prospects{}, errClosed
	case <-ctx.Done():
		return lambdabiz.Claims{}, prospects{}, ctx.Err()
	case w = <-b.watches:
	}
	defer func() {
		if w.conn != nil && (w.conn.large || !w.conn.isIdle()) { // the latter has not returned
			w.conn.discard()
			w.conn = nil
		}
		b.watches <- w
	}()
	if w.conn == nil {
		c, err := b.connect(ctx, true)
		if err != nil {
			return lambdabiz.Claims{}, prospects{}, faultOf(ctx, "claim", err)
		}
		w.conn, w.seen = c, map[int64]*sighting{}
	}
	var found lambdabiz.Claims
	var due prospects
	err := w.conn.snapshot(ctx, b.config.BusyTimeout, func(c *conn) (err error) {
		found = lambdabiz.Claims{}
		if err = w.look(c, r, &found); err == nil && r.Limit > 0 && !found.NextWake.IsZero() && !found.NextWake.After(r.Now) {
			due, err = c.survey(r, b.inside)
		}
		return err
	})
	if !w.conn.isWhole(err) {
		w.conn.discard()
		w.conn = nil
	}
	if isFault(err) {
		return lambdabiz.Claims{}, prospects{}, faultOf(ctx, "claim", err)
	}
	return found, due, err
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
	if err := c.mustKnow(r.Worker); err != nil {
		return err
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

// mustKnow returns ErrFenced for a worker that has been removed.
func (c *conn) mustKnow(worker int64) error {
	known, err := c.prepare(qFindWorker).int(worker).found()
	if err == nil && !known {
		err = fmt.Errorf("worker %d was removed: %w", worker, lambdabiz.ErrFenced)
	}
	return err
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

// due finds the runs that are due, and whether there are more than the limit.
func (c *conn) due(r lambdabiz.ClaimRequest, others *rivals) (picked []candidate, more bool, err error) {
	var byTime, now []candidate
	for _, name := range r.Names {
		var looks [2]*stmt
		if limit := int64(r.Limit) + 1; others.serve(name) {
			looks[0] = c.prepare(qDueBeside).text(name).micros(r.Now).int(limit).text(others.version)
			looks[1] = c.prepare(qDueAtOnceBeside).text(name).int(limit).text(others.version)
		} else {
			looks[0] = c.prepare(qDue).text(name).micros(r.Now).int(limit)
			looks[1] = c.prepare(qDueAtOnce).text(name).int(limit)
		}
		for _, s := range looks {
			for s.next() {
				if found := (candidate{s.getInt(), s.getInt()}); found.wakeAt == atOnce {
					now = append(now, found)
				} else {
					byTime = append(byTime, found)
				}
			}
			if err := s.done(); err != nil {
				return nil, false, err
			}
		}
	}
	for _, list := range [][]candidate{byTime, now} {
		slices.SortFunc(list, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(a.wakeAt, b.wakeAt), cmp.Compare(a.no, b.no))
		})
	}
	byTime, now = slices.Compact(byTime), slices.Compact(now) // a name may be given twice
	picked, more = rules.Fair(byTime, now, r.Limit)
	return picked, more, nil
}

// atOnce is rules.AtOnce as it is stored.
const atOnce = 0

type candidate struct{ no, wakeAt int64 }

// claim takes what is due, the longest due first. It leaves what is large, unless that was read ahead.
func (t *tx) claim(b *Backend, r lambdabiz.ClaimRequest, seen prospects, found *lambdabiz.Claims) error {
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
	due, more, err := t.due(r, &others)
	if err != nil {
		return err
	}
	found.More = more
	var read cost
	for _, d := range due {
		if read >= claimCost {
			found.More = true
			break
		}
		p := seen.byNumber[d.no]
		if p == nil && seen.cut {
			found.More = true
			continue
		}
		if p == nil { // it is due since then
			if p, err = t.prospect(d.no, b.inside); err != nil {
				return err
			}
		}
		taken, err := t.take(r.Worker, p, b.inside)
		if err != nil {
			return err
		}
		if !taken {
			found.More = true
			continue
		}
		fault.Point("claim.read")
		if err := t.add(p, r.Now, found); err != nil {
			return err
		}
		read += p.insideCost()
	}
	fault.Point("claim.taken")
	found.NextWake, err = t.nextWake(r, &others)
	return err
}

// take takes a run, if what was found out of it is still so.
func (t *tx) take(worker int64, p *prospect, inside cost) (bool, error) {
	if p.ahead == nil && p.size.total() > inside {
		return false, nil
	}
	if p.ahead != nil {
		if whole, err := t.hasAll(p.ahead); err != nil || !whole {
			return false, err
		}
	}
	fault.Point("claim.take")
	err := t.prepare(qClaim).int(worker).int(p.no).int(p.fence).exec()
	return err == nil && t.db.Changes() > 0, err
}

// add adds a run that was taken to what is found. One that cannot be read is set aside: the others go on.
func (t *tx) add(p *prospect, at time.Time, found *lambdabiz.Claims) error {
	var run *stored
	var err error
	if p.ahead != nil {
		run, err = t.catchUp(p.ahead)
	} else {
		run, err = t.whole(p.no)
	}
	if isUnreadable(err) {
		return t.setAside(p.no, err, at)
	}
	if err == nil {
		err = t.judge(run)
	}
	if err == nil {
		found.Runs = append(found.Runs, run.claimed())
	}
	return err
}

// judge looks whether a run got further since it crashed before. Leave only counts: nobody has written the run's operations
// since.
func (t *tx) judge(run *stored) error {
	now := rules.Judge(run.head, rules.Recorded(run.record.Operations))
	if now == run.head {
		return nil
	}
	run.head = now
	return t.prepare(qSetCrashes).int(run.no).int(now.Crashes).int(now.Mark).exec()
}

// setAside blocks a run that was claimed and cannot be read. It is tried again later, for the file may be fixed, or a
// worker come that is newer.
func (t *tx) setAside(no int64, why error, at time.Time) error {
	b := rules.Unreadable(why, at)
	return t.writeRelease(no, b.RetryAt, &lambdabiz.Release{Blocked: b})
}

// whole reads a run with all that belongs to it.
func (c *conn) whole(no int64) (*stored, error) {
	run, err := c.prepare(qRun).int(no).stored()
	if err == nil && run == nil { // purged, if nobody holds the lock
		err = lambdabiz.ErrNotFound
	}
	if err == nil {
		err = c.fill(run)
	}
	return run, err
}

// claimHand takes one run for its caller. One that is over, or paused, comes without a fence: it can be read only. A
// large one is read when it is taken, and not before: until then its former holder may write.
func (b *Backend) claimHand(ctx context.Context, id string) (lambdabiz.Claims, error) {
	var p *prospect
	err := b.read(ctx, func(c *conn) error {
		h, err := c.findByHand(id)
		if err == nil {
			p, err = c.prospect(h.no, b.inside)
		}
		return err
	})
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	var run *stored
	var h *head
	var taken, later bool
	err = b.write(ctx, "claim", func(t *tx) (err error) {
		if h, err = t.findByHand(id); err != nil {
			return err
		}
		if taken = h.Open() && !h.Paused; taken {
			fault.Point("hand.take")
			if err := t.prepare(qClaim).int(handOwner).int(h.no).int(h.Fence).exec(); err != nil {
				return err
			}
			h.Head = rules.Claim(h.Head, 0)
		}
		fault.Point("hand.read")
		if later = h.no != p.no || p.size.total() > b.inside; !later {
			run, err = t.whole(h.no)
		}
		return err
	})
	if err == nil && later {
		if b.handClaimed != nil {
			b.handClaimed()
		}
		err = b.read(ctx, func(c *conn) (err error) {
			run, err = c.whole(h.no)
			return err
		})
	}
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	claimed := run.claimed()
	switch over := run.record.Status.Ended() || run.record.Paused; {
	case over:
		claimed.Ref.Fence = 0
	case !taken: // it was paused, and was resumed since: the fence that was seen may be another caller's
		return b.claimHand(ctx, id)
	default:
		claimed.Ref.Fence = h.Fence // if it is another caller's by now, that shows with the first commit
	}
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{claimed}}, nil
}

// findByHand finds the latest run of an id that is driven by hand.
func (c *conn) findByHand(id string) (*head, error) {
	h, err := c.findHead(id, "")
	switch {
	case err != nil:
		return nil, err
	case h == nil:
		return nil, lambdabiz.ErrNotFound
	case h.Mode != lambdabiz.ModeHand:
		return nil, fmt.Errorf("claim %s: workers drive it: %w", id, lambdabiz.ErrMode)
	}
	return h, nil
}
