package lambdabiz

import (
	"context"
	"encoding/json"
	"time"
)

func newRun(ctx context.Context, e *env, c *Claimed) *run {
	r := &run{
		env: e, info: c.RunInfo,
		done: make(chan struct{}), abandoned: make(chan struct{}),
	}
	r.hand, r.active = c.Mode == ModeHand, 1
	r.takeClaim(c)
	r.barrier.begun.L = &r.mu
	r.info.Deadline = deadlineHere(&c.RunInfo)
	r.moved.L, r.stirred.L = &r.mu, &r.mu
	r.record.reset(len(c.Operations))
	r.base, r.endBase = context.WithCancelCause(ctx)
	r.root = newScope(r.base, nil, "", false)
	r.root.place = &r.record.root
	for i := range c.Operations {
		r.load(c.Operations[i])
	}
	if r.record.anyLost {
		r.inbox.leaveLost()
	}
	return r
}

// deadlineHere is a run's deadline by the clock of those who work on it. It was counted by the clock of who started the
// run; a run that began before it was scheduled tells that this clock is ahead, and by how much at least.
func deadlineHere(info *RunInfo) time.Time {
	if info.Deadline.IsZero() {
		return info.Deadline
	}
	begun := info.StartedAt
	if begun.IsZero() {
		begun = now()
	}
	return info.Deadline.Add(-max(0, info.ScheduledAt.Sub(begun)))
}

// load takes a recorded operation in. Operations come in the order of their numbers.
func (r *run) load(rec Operation) {
	o := &op{Operation: rec, loaded: true}
	o.takeTried()
	r.record.load(o)
	if o.Tried != nil && !o.tried { // final, and not in the record yet
		o.Tried = nil
		r.touchLocked(o)
	}
	switch {
	case rec.Kind == KindEvent && !rec.Status.Ended():
		r.inbox.expect(o, false)
	case rec.Kind == KindRace && rec.Status == StatusSucceeded:
		var race raceResult
		if json.Unmarshal(rec.Result, &race) == nil {
			for _, path := range race.Losers {
				r.record.lose(r.record.placeAt(path))
			}
		}
	}
}
