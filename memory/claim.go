package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// Claim takes runs that are due and hands out messages for held ones; see [lambdabiz.Backend]. It
// never waits.
func (b *Backend) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if err := b.enter(ctx); err != nil {
		return lambdabiz.Claims{}, err
	}
	defer b.mu.Unlock()
	if r.Hand != "" {
		return b.claimByHand(r)
	}
	w := b.workers[r.Worker]
	if w == nil {
		return lambdabiz.Claims{}, lambdabiz.ErrFenced
	}
	// Arrivals first: what comes with a claim is in its Record.
	claims := lambdabiz.Claims{Arrived: arrivals(w, r.After), Through: b.lastMsg}
	now := stamp(r.Now)
	taken, more := b.take(now, max(r.Limit, 0), func(x *run) bool {
		return slices.Contains(r.Names, x.info.Name) && !b.leaves(w, x)
	})
	for _, x := range taken {
		b.set(x, rules.Judge(rules.Claim(x.head, r.Worker), rules.Recorded(x.operations)))
		b.perform(x, now)
		claims.Runs = append(claims.Runs, x.claimed())
	}
	claims.More = more
	claims.NextWake = b.nextWake()
	return claims, nil
}

// leaves reports whether the worker leaves a run to others: its version has blocked it, and a worker of another
// version serves the definition.
func (b *Backend) leaves(w *worker, r *run) bool {
	return r.head.Blocked && rules.Leaves(&r.head, r.info.Blocked.Version, w.record.Version, func(name string) bool {
		for _, other := range b.workers {
			if other.record.Version != w.record.Version && slices.Contains(other.record.Names, name) {
				return true
			}
		}
		return false
	})
}

func (b *Backend) claimByHand(r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	x := b.latest(r.Hand)
	switch {
	case x == nil:
		return lambdabiz.Claims{}, lambdabiz.ErrNotFound
	case x.info.Mode != lambdabiz.ModeHand:
		return lambdabiz.Claims{}, lambdabiz.ErrMode
	}
	if r.Follows != nil {
		switch {
		case !x.head.Open() || x.head.Held || x.info.RunID != r.Follows.RunID || x.follows != r.Follows.Fence:
			return lambdabiz.Claims{}, lambdabiz.ErrFenced
		case x.head.Paused:
			return lambdabiz.Claims{Runs: []lambdabiz.Claimed{x.unclaimed()}}, nil
		case !x.head.IsDue(stamp(r.Now)):
			return lambdabiz.Claims{NextWake: x.head.Due}, nil
		}
	}
	if !x.head.Open() || x.head.Paused {
		return lambdabiz.Claims{Runs: []lambdabiz.Claimed{x.unclaimed()}}, nil
	}
	b.set(x, rules.Claim(x.head, 0))
	b.perform(x, stamp(r.Now))
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{x.claimed()}}, nil
}

func (r *run) claimed() lambdabiz.Claimed {
	return lambdabiz.Claimed{Record: r.record(), Ref: r.ref(), Crashes: int(r.head.Crashes), Follows: r.follows}
}

// unclaimed is the run for one who may only read it.
func (r *run) unclaimed() lambdabiz.Claimed {
	c := r.claimed()
	c.Ref.Fence = 0
	return c
}

// arrivals returns the messages with a number above after for the runs that the worker holds.
func arrivals(w *worker, after int64) []lambdabiz.Arrival {
	var arrived []lambdabiz.Arrival
	if after < w.after { // it asks again
		maps.Copy(w.news, w.held)
	}
	w.after = after
	for r := range w.news {
		if !w.held[r] || r.messages.last() <= after {
			delete(w.news, r)
			continue
		}
		if messages := r.newer(after); len(messages) > 0 {
			arrived = append(arrived, lambdabiz.Arrival{Ref: r.ref(), Messages: messages})
		}
	}
	slices.SortFunc(arrived, func(x, y lambdabiz.Arrival) int {
		return cmp.Compare(x.Messages[0].Number, y.Messages[0].Number)
	})
	return arrived
}

// perform ends the timers that are due, if the backend does timers itself.
func (b *Backend) perform(r *run, now time.Time) {
	if !b.performs(lambdabiz.KindTimer) {
		return
	}
	for i := range r.operations {
		op := &r.operations[i]
		if isRunningTimer(op) && !op.DueAt.After(now) {
			op.Status, op.EndedAt = lambdabiz.StatusSucceeded, now
		}
	}
}

// wakeAt returns when a run is due whose claim a commit has ended: at the time that the commit named,
// or earlier when a timer that the backend performs ends before.
func (b *Backend) wakeAt(r *run, named time.Time) time.Time {
	if !b.performs(lambdabiz.KindTimer) {
		return named
	}
	for i := range r.operations {
		op := &r.operations[i]
		if isRunningTimer(op) && (named.IsZero() || op.DueAt.Before(named)) {
			named = op.DueAt
		}
	}
	return named
}

func isRunningTimer(op *lambdabiz.Operation) bool {
	return op.Kind == lambdabiz.KindTimer && !op.Status.Ended() && !op.DueAt.IsZero()
}
