package lambdabiz

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Race waits for the first of several branches to end, and returns its index; read that future then. Where
// a branch ends with an event or a timer, it counts when the event arrived and when the timer was due, not
// when this process learned of it: an event that was raised in time wins, after a restart too.
// The commit that records the winner also cancels all other branches: their waits are withdrawn, their
// timers dropped, their children asked to cancel, their contexts ended, and late results dropped. A
// resumed run does not enter a losing branch. It returns ErrCancelled when the orchestration was
// cancelled before, or when all branches have lost an earlier race. A branch that was waited for before cannot
// race: the code has its value already, and would not get it again if it lost.
func Race(o Context, id string, branches ...Awaitable) (int, error) {
	return race(o, id, nil, branches)
}

func race(o Context, id string, was *former, branches []Awaitable) (int, error) {
	var result raceResult
	c := &call{o: o, id: id, kind: KindRace, renaming: renaming{former: was},
		to: plainJSON{&result}}
	if len(branches) == 0 {
		return -1, c.fault(errors.New("a race needs at least one branch"))
	}
	futures := make([]*future, len(branches))
	for i, b := range branches {
		futures[i] = b.branch()
		if futures[i].s == nil && !futures[i].lost {
			return -1, futures[i].err // it could not begin
		}
	}
	op, err := c.begin()
	if err != nil {
		return -1, err
	}
	if !op.Status.Ended() {
		if err := c.runRace(op, futures); err != nil {
			return -1, err
		}
	}
	if err := c.give(op); err != nil {
		return -1, err
	}
	return winnerOf(c, op, futures, result)
}

// runRace waits for the first branch and records it. An error means that mu is given up.
func (c *call) runRace(o *op, futures []*future) error {
	r := c.run()
	if i := slices.IndexFunc(futures, func(f *future) bool { return f.read }); i >= 0 {
		return c.refuseLocked(o, fmt.Errorf("branch %q was waited for before the race", futures[i].path))
	}
	running := slices.DeleteFunc(slices.Clone(futures), func(f *future) bool { return f.lost })
	if len(running) == 0 {
		return c.refuseLocked(o, fmt.Errorf("%w: all its branches have lost an earlier race", ErrCancelled))
	}
	c.scope().racing = running
	if left, err := r.waitAnyLocked(c.o, running); left {
		return err
	}
	first := r.firstLocked(running)
	if r.phase == phaseLive && !r.commitEndsClaim() && slices.ContainsFunc(running, (*future).waitsForEvent) {
		// An event that another process has raised in time may not be here yet.
		r.fetch = true
		r.note()
		r.flushLocked(r.changed)
		first = r.firstLocked(running)
	}
	if !r.isLive(c.scope()) {
		return r.leaveLocked(c.scope())
	}
	result := raceResult{Winner: first.path}
	for _, f := range running {
		if f == first {
			continue
		}
		result.Losers = append(result.Losers, f.path)
		r.record.lose(f.s.place)
		f.lost = true
		r.cancelBranch(f.s.place, &branchEndedError{"lost race " + o.ID + " to " + first.path})
		r.endBranch(f, ErrCancelled)
		f.err = ErrCancelled
	}
	p, err := json.Marshal(result)
	if err != nil {
		r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: "its winner cannot be recorded: " + err.Error()})
		return r.leaveLocked(c.scope())
	}
	r.cancel.heedAll()
	c.scope().racing = nil
	o.Attempts, o.StartedAt = 1, o.ScheduledAt
	r.end(o, StatusSucceeded, p, nil)
	return nil
}

// firstLocked is the branch that ended first, by when its end came about: when the event arrived, when
// the timer was due. It waits for branches that know of such an earlier end, but have not come to their own.
func (r *run) firstLocked(running []*future) *future {
	patient := true
	grace := time.AfterFunc(raceGrace, func() {
		r.mu.Lock()
		defer r.unlock()
		patient = false
		r.stirred.Broadcast()
	})
	defer grace.Stop()
	// A branch that it waits for may wait for a commit, and where commits end claims, that waits for all others.
	r.flushers++
	defer func() { r.flushers-- }()
	if r.commitEndsClaim() {
		r.moved.Broadcast() // now they may commit
	}
	for {
		if r.claimed && !r.committing {
			r.fire(now())
		}
		var first *future
		for _, f := range running {
			if f.ended && (first == nil || f.beats(first)) {
				first = f
			}
		}
		late := func(f *future) bool { return r.onItsWay(f, first.at, patient) }
		if r.phase != phaseLive || first.read || !slices.ContainsFunc(running, late) {
			return first
		}
		r.await(&r.stirred)
	}
}

// beats reports whether a branch that has ended wins over another one. One whose value another branch has got
// while the race went on wins over all: a resumed run would not give it that value again.
func (f *future) beats(g *future) bool {
	if f.read != g.read {
		return f.read
	}
	return f.at.Before(g.at) || f.at.Equal(g.at) && f.order < g.order
}

// onItsWay reports whether a branch is about to end with something that came about before t: its
// operation has ended, its code has not come again to what is recorded, or, if patient, its code has it.
func (r *run) onItsWay(f *future, t time.Time, patient bool) bool {
	if f.ended || f.s == nil || f.s.isClosed() {
		return false
	}
	return f.s.place.anyScope(func(s *scope) bool {
		if s.closed || s.branch.ended || !s.branch.begun {
			return false
		}
		if o := s.current; o != nil {
			return o.Status.Ended() && o.cameAbout().Before(t) || o.choosing() && o.wait.mail.ArrivedAt.Before(t)
		}
		if s.busy != nil && !s.asking {
			return false // it waits for a branch of its own
		}
		return patient && !s.last.IsZero() && s.last.Before(t) || s.place.unvisited > 0
	})
}

// waitsForEvent reports whether the branch is blocked in an event wait.
func (f *future) waitsForEvent() bool {
	return f.s.place.anyOpen(func(o *op) bool {
		return o.Kind == KindEvent && !o.Status.Ended() && o.waiter != nil && !o.waiter.woken
	})
}

// winnerOf finds the recorded winner among the branches of the code.
func winnerOf(c *call, o *op, futures []*future, result raceResult) (int, error) {
	r := c.run()
	r.mu.Lock()
	winner := r.record.nowAt(result.Winner)
	for i, f := range futures {
		if f.path == winner || f.path == result.Winner {
			r.unlock()
			return i, nil
		}
	}
	r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: fmt.Sprintf(
		"branch %q won this race, but the code has no such branch in it now", result.Winner)})
	return -1, r.leaveLocked(c.scope())
}
