package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// Claim takes runs that are due. When nothing is, it locks nothing.
func (b *Backend) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if err := b.prepare(ctx); err != nil {
		return lambdabiz.Claims{}, err
	}
	ctx, cancel := b.limit(ctx)
	defer cancel()
	c, err := take(ctx, b, b.claiming)
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	defer func() { b.claiming <- c }()
	if r.Hand != "" {
		b.deliverMail(ctx, time.Now())
		claims, err := b.claimByHand(ctx, r.Hand)
		return claims, faultOf(ctx, "claim "+r.Hand, err)
	}
	r.Now = stamp(r.Now)
	var s *search
	var claims lambdabiz.Claims
	err = b.read(ctx, func(t *tx) (err error) {
		s, err = t.search(ctx, r)
		if err == nil {
			claims, err = t.look(ctx, s, c)
		}
		return err
	})
	if err == nil && s.mail {
		b.deliverMail(ctx, r.Now) // what comes of it is in the next answer
	}
	if err == nil && !claims.NextWake.IsZero() && !claims.NextWake.After(r.Now) {
		if r.Limit > 0 {
			err = b.claim(ctx, s, c, &claims)
		} else {
			claims.More = true
		}
	}
	if err != nil {
		return lambdabiz.Claims{}, faultOf(ctx, "claim", err)
	}
	claims.Quiet = b.bell.quietFor()
	return claims, nil
}

// search is what a claim looks for.
type search struct {
	r       lambdabiz.ClaimRequest
	names   []string
	beside  []bool // by name: another version serves it, too
	version any    // the worker's own
	mail    bool   // there is some
}

// search finds what others serve. A run that the worker's version has blocked is theirs.
func (t *tx) search(ctx context.Context, r lambdabiz.ClaimRequest) (*search, error) {
	s := &search{r: r}
	for _, n := range slices.Compact(slices.Sorted(slices.Values(r.Names))) {
		s.names = append(s.names, text(n))
	}
	s.beside = make([]bool, len(s.names))
	workers := map[int64]lambdabiz.WorkerInfo{}
	p := t.pipe()
	p.settle()
	p.add(qOtherWorkers, nil, func(rows pgx.Rows) error {
		var no int64
		var encoded string
		if err := rows.Scan(&no, &encoded); err != nil {
			return err
		}
		var info lambdabiz.WorkerInfo
		if json.Unmarshal([]byte(encoded), &info) == nil { // one bad row must not keep all from working
			workers[no] = info
		}
		return nil
	})
	if err := p.run(ctx); err != nil || len(workers) == 0 {
		return s, err
	}
	own := workers[r.Worker].Version
	s.version = text(own)
	for _, w := range workers {
		if w.Version == own {
			continue
		}
		for _, n := range w.Names {
			if i, found := slices.BinarySearch(s.names, text(n)); found {
				s.beside[i] = true
			}
		}
	}
	return s, nil
}

// nextWake finds when a run is due next; zero for never.
func (p *pipe) nextWake(s *search, at *time.Time) {
	p.add(qNextWake, nil, func(rows pgx.Rows) error {
		var due *int64
		if err := rows.Scan(&due); err != nil || due == nil {
			return err
		}
		if *at = time.UnixMicro(*due).UTC(); at.Before(s.r.Now) {
			*at = s.r.Now
		}
		return nil
	}, s.names, s.beside, s.version)
}

// claim takes what is due, the longest due first.
func (b *Backend) claim(ctx context.Context, s *search, c *claimer, claims *lambdabiz.Claims) error {
	var taken []*stored
	err := b.inClaimLane(ctx, []int64{s.r.Worker}, func(t *tx) error {
		taken = nil
		claims.Runs, claims.More, claims.NextWake = nil, false, time.Time{}
		if !t.has(s.r.Worker) {
			return lambdabiz.ErrFenced
		}
		numbers, more, err := t.due(ctx, s)
		if err != nil {
			return err
		}
		claims.More = more
		if len(numbers) > 0 && s.version != nil {
			// A worker that has joined since has made due what this one's version has blocked: it is that one's.
			now, err := t.search(ctx, s.r)
			if err != nil {
				return err
			}
			if !slices.Equal(now.beside, s.beside) {
				*s = *now
				return errAgain
			}
		}
		if len(numbers) > 0 {
			if taken, err = t.take(ctx, numbers, s.r); err != nil {
				return err
			}
		}
		p := t.pipe()
		p.nextWake(s, &claims.NextWake)
		return p.run(ctx)
	})
	if err != nil {
		return err
	}
	for _, run := range taken {
		claims.Runs = append(claims.Runs, run.claimed())
		c.claimed(s.r.Worker, run)
	}
	return nil
}

// due locks runs that are due and picks as many as there is room for. Nobody else gets the others until the transaction ends,
// which is soon.
func (t *tx) due(ctx context.Context, s *search) (picked []int64, more bool, err error) {
	type candidate struct{ no, due int64 }
	var byTime, atOnce []candidate
	err = t.query(ctx, qDue, func(rows pgx.Rows) error {
		var c candidate
		err := rows.Scan(&c.no, &c.due)
		if c.due == 0 {
			atOnce = append(atOnce, c)
		} else {
			byTime = append(byTime, c)
		}
		return err
	}, s.names, s.beside, s.version, s.r.Now.UnixMicro(), s.r.Limit+1)
	for _, list := range [][]candidate{byTime, atOnce} {
		slices.SortFunc(list, func(x, y candidate) int { return cmp.Or(cmp.Compare(x.due, y.due), cmp.Compare(x.no, y.no)) })
	}
	all, more := rules.Fair(byTime, atOnce, s.r.Limit)
	for _, c := range all {
		picked = append(picked, c.no)
	}
	return picked, more, err
}

// take gives runs to a worker, which the transaction has locked. It reads them by statements that begin after that: one that
// began before may not see what was written until then. A run that cannot be read is set aside: the others go on.
func (t *tx) take(ctx context.Context, numbers []int64, r lambdabiz.ClaimRequest) ([]*stored, error) {
	all, err := t.records(ctx, numbers)
	if err != nil {
		return nil, err
	}
	var taken []*stored
	for _, run := range all {
		if run.broken != nil {
			if err := t.setAside(ctx, run, r.Now); err != nil {
				return nil, err
			}
			continue
		}
		run.head = rules.Judge(rules.Claim(run.head, r.Worker), rules.Recorded(run.record.Operations))
		run.reflect()
		taken = append(taken, run)
	}
	return taken, t.setClaimed(ctx, taken)
}

// setAside blocks a run that cannot be read. It is tried again later, for the row may be repaired, or a worker come that is
// newer.
func (t *tx) setAside(ctx context.Context, run *stored, at time.Time) error {
	why := rules.Unreadable(run.broken, at)
	blocked, err := asJSON(why, false)
	if err == nil {
		_, err = t.exec(ctx, qSetAside, run.no, micros(why.RetryAt), blocked)
	}
	return err
}

// claimByHand takes one run for its caller. One that is over, or paused, comes without a fence: it can be read only.
func (b *Backend) claimByHand(ctx context.Context, id string) (lambdabiz.Claims, error) {
	var taken *stored
	err := b.inClaimLane(ctx, nil, func(t *tx) error {
		var numbers []int64
		if err := t.query(ctx, qLatestNumber, into(&numbers), text(id)); err != nil {
			return err
		}
		if len(numbers) == 0 {
			return lambdabiz.ErrNotFound
		}
		locked := newBatch(t, nil)
		if err := locked.lock(ctx, numbers); err != nil {
			return err
		}
		switch r := locked.runs[numbers[0]]; {
		case r == nil || !r.latest:
			return errAgain
		case r.broken != nil:
			return r.broken
		case r.head.Mode != lambdabiz.ModeHand:
			return lambdabiz.ErrMode
		}
		all, err := t.records(ctx, numbers)
		if err != nil {
			return err
		}
		if taken = all[0]; taken.broken != nil {
			return taken.broken
		}
		if !taken.head.Open() || taken.head.Paused {
			return nil
		}
		taken.head = rules.Claim(taken.head, 0)
		taken.reflect()
		return t.setClaimed(ctx, all)
	})
	if err != nil {
		return lambdabiz.Claims{}, err
	}
	claimed := taken.claimed()
	if !taken.head.Open() || taken.head.Paused {
		claimed.Ref.Fence = 0
	}
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{claimed}}, nil
}
