package lambdabiz

import (
	"encoding/json"
	"time"
)

// open makes the book of a run with what is recorded of it.
func (b *book) open(e *env, c *Claimed) {
	b.env, b.info = e, c.RunInfo
	b.info.Deadline = deadlineHere(&c.RunInfo)
	b.active = 1
	if c.Mode == ModeHand {
		b.mode = driveByHand
	}
	b.record.reset(len(c.Operations))
	b.cancel = cancellation{record: &b.record, changes: &b.changes, life: &b.life, driver: &b.driver}
	b.held = heldOps{record: &b.record, waiters: &b.waiters, cancel: &b.cancel}
	for i := range c.Operations {
		b.load(c.Operations[i])
	}
	if b.record.anyLost {
		b.inbox.leaveLost()
	}
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
func (b *book) load(rec Operation) {
	o := &op{Operation: rec, loaded: true}
	o.takeTried()
	b.record.load(o)
	if o.Tried != nil && !o.tried { // final, and not in the record yet
		o.Tried = nil
		b.touch(o)
	}
	switch {
	case rec.Kind == KindEvent && !rec.Status.Ended():
		b.inbox.expect(o, false)
	case rec.Kind == KindRace && rec.Status == StatusSucceeded:
		var race raceResult
		if json.Unmarshal(rec.Result, &race) == nil {
			for _, path := range race.Losers {
				b.record.lose(b.record.placeAt(path))
			}
		}
	}
}
