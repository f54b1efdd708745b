package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
)

// The kinds of problems that diagnose finds.
const (
	problemBlocked    = "blocked"     // a mistake keeps it from going on
	problemLostWorker = "lost worker" // held by a worker that is gone or was never registered
	problemUnserved   = "unserved"    // due, and no live worker has its definition
	problemOverdue    = "overdue"     // due for long, though a live worker has its definition
	problemAsleep     = "asleep"      // nothing will ever wake it
	problemLate       = "late"        // it will wake later than what it waits for
	problemUnreadable = "unreadable"  // the store has something of it that cannot be read
	problemSilent     = "silent"      // a worker that has not shown life for its lease
	problemLocked     = "locked"      // a process keeps all others from writing: it concerns all orchestrations
)

// problem is an open orchestration that will not go on by itself, or not in time.
type problem struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	RunID  string    `json:"runId"`
	Kind   string    `json:"kind"`
	Since  time.Time `json:"since"`
	Detail string    `json:"detail"`
	Hint   string    `json:"hint"`
	Worker int64     `json:"worker,omitempty"`
}

// diagnosis is what the doctor has to say.
type diagnosis struct {
	Open     int                      `json:"open"` // orchestrations that were looked at
	Paused   int                      `json:"paused"`
	Workers  []lambdabiz.WorkerRecord `json:"workers"`
	Problems []problem                `json:"problems"`
	Unserved []unserved               `json:"unserved,omitempty"` // no problems before they are due
	Untried  []untried                `json:"untried,omitempty"`  // no problems: the registered code is new to them
	Orphaned []orphaned               `json:"orphaned,omitempty"` // no problems either: their code has left something out
	Checks   []check                  `json:"checks,omitempty"`   // of what the backend needs

	hidden bool // the home does not tell who works
}

// check is one thing that a backend needs.
type check struct {
	Name    string `json:"name"`
	Detail  string `json:"detail"`
	Warning string `json:"warning,omitempty"` // less than what is promised, or a problem to come: not one yet
	Problem string `json:"problem,omitempty"`
}

// unfit reports whether a check has failed.
func (d *diagnosis) unfit() bool {
	return slices.ContainsFunc(d.Checks, func(c check) bool { return c.Problem != "" })
}

// reader is what a diagnosis asks of an engine.
type reader interface {
	List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error)
	StateOf(ctx context.Context, id, runID string) (*lambdabiz.State, error)
	Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error)
}

// diagnose looks at every open orchestration. A run and its worker cannot be read in one snapshot, so
// that a run may have changed hands between two looks: only what a second look confirms is reported.
func diagnose(ctx context.Context, r reader, now time.Time, grace time.Duration) (*diagnosis, error) {
	workers, err := r.Workers(ctx)
	if err != nil {
		return nil, err
	}
	if workers == nil {
		workers = []lambdabiz.WorkerRecord{} // a list in JSON
	}
	d := &diagnosis{Workers: workers, Problems: []problem{}}
	f := lambdabiz.Filter{
		Status:  []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted},
		AllRuns: true, Limit: 1000,
	}
	var suspects []problem
	for more := true; more; more = f.Cursor != "" {
		page, err := r.List(ctx, f)
		if err != nil {
			return nil, err
		}
		f.Cursor = page.Next
		for i := range page.Runs {
			run := &page.Runs[i]
			d.Open++
			if run.Paused {
				d.Paused++
			}
			d.Unserved = countUnserved(d.Unserved, workers, run)
			d.Untried = untriedIn(d.Untried, workers, run, now)
			e := &examination{reader: r, workers: workers, now: now, grace: grace}
			p, err := e.look(ctx, run.ID, run.RunID)
			if err != nil && ctx.Err() == nil { // the list could be read
				p, err = unreadableProblem(run, err), nil
			}
			if err != nil {
				return nil, err
			}
			if p != nil {
				suspects = append(suspects, *p)
			}
		}
	}
	if d.Untried, err = confirmUntried(ctx, r, d.Untried); err != nil {
		return nil, err
	}
	if d.Orphaned, err = findOrphaned(ctx, r); err != nil {
		return nil, err
	}
	if len(suspects) > 0 {
		if d.Problems, err = confirm(ctx, r, suspects, now, grace); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// lockPatience is how long a write may keep all others waiting.
const lockPatience = time.Second

// lockedProblem says who keeps everybody from writing, nil if nobody does. Under load a write may come to nothing for
// a moment: a process that says since when it has been writing is a problem only when that is long ago.
func lockedProblem(ctx context.Context, b lambdabiz.Backend) (*problem, error) {
	locked, ok := b.(lambdabiz.Locked)
	if !ok {
		return nil, nil //nolint:nilnil // there is no lock
	}
	h, err := locked.LockedBy(ctx, lockPatience)
	if err != nil || h == nil || !h.Since.IsZero() && time.Since(h.Since) < lockPatience {
		return nil, err
	}
	hint := "find the program that has the file open, and let it go on or end it"
	if h.PID != 0 {
		hint = fmt.Sprintf("on %s let process %d go on (kill -CONT %d), or end it: nothing that was acknowledged is lost",
			h.Host, h.PID, h.PID)
	}
	p := &problem{Since: h.Since}
	return p.is(problemLocked, h.String(), hint), nil
}

// confirm looks a second time. A worker's number never comes back: what the first look missed among
// the workers and the second look still finds holding a run has really lost it.
func confirm(
	ctx context.Context, r reader, suspects []problem, now time.Time, grace time.Duration,
) ([]problem, error) {
	workers, err := r.Workers(ctx)
	if err != nil {
		return nil, err
	}
	confirmed := []problem{}
	e := &examination{reader: r, workers: workers, now: now, grace: grace}
	for _, s := range suspects {
		p, err := e.look(ctx, s.ID, s.RunID)
		if err != nil && ctx.Err() == nil && s.Kind == problemUnreadable {
			confirmed = append(confirmed, s)
			continue
		}
		if err != nil {
			return nil, err
		}
		if p != nil && p.Kind == s.Kind && p.Worker == s.Worker {
			confirmed = append(confirmed, *p)
		}
	}
	return confirmed, nil
}

// examination is the circumstances in which runs are looked at.
type examination struct {
	reader
	workers []lambdabiz.WorkerRecord
	now     time.Time
	grace   time.Duration
}

// look returns what is wrong with a run, nil if nothing is.
func (e *examination) look(ctx context.Context, id, runID string) (*problem, error) {
	s, err := e.StateOf(ctx, id, runID)
	switch {
	case errors.Is(err, lambdabiz.ErrNotFound):
		return nil, nil //nolint:nilnil // it was purged meanwhile: there is nothing wrong with it
	case err != nil:
		return nil, err
	case s.Status.Ended() || s.Mode == lambdabiz.ModeHand:
		return nil, nil //nolint:nilnil // nobody needs to wake it
	}
	p := &problem{ID: s.ID, Name: s.Name, RunID: s.RunID, Since: s.ScheduledAt, Worker: s.Worker}
	switch {
	case s.Worker != 0:
		return e.held(p), nil
	case s.Blocked != nil && s.Blocked.Times > 0: // without a count it is not recorded, see waking
		return blockedProblem(s), nil
	case s.Paused:
		return nil, nil //nolint:nilnil // a person wants it so
	case !s.WakeAt.IsZero():
		return e.waking(p, s), nil
	default:
		return e.sleeping(ctx, p, s)
	}
}

// unreadableProblem is of a run that the store lists and cannot show.
func unreadableProblem(run *lambdabiz.RunInfo, err error) *problem {
	p := &problem{ID: run.ID, Name: run.Name, RunID: run.RunID, Since: run.ScheduledAt, Worker: run.Worker}
	return p.is(problemUnreadable, err.Error(), "start a worker of the newest version, or repair the file, then: lambdabiz resume "+run.ID)
}

func blockedProblem(s *lambdabiz.State) *problem {
	p := &problem{ID: s.ID, Name: s.Name, RunID: s.RunID, Since: s.Blocked.Since, Worker: s.Worker}
	hint := "fix the code and start its worker again, or: lambdabiz resume " + s.ID
	if number := unreadable(s); number != 0 {
		hint = fmt.Sprintf("start a worker whose code can read the event, or: lambdabiz drop %s %d", s.ID, number)
	}
	return p.is(problemBlocked, blockedText(s.Blocked), hint)
}

// unreadable is the number of the event that blocks a run, 0 for none: its wait would have taken it else.
func unreadable(s *lambdabiz.State) int64 {
	for _, w := range s.WaitingFor {
		if w.Kind != lambdabiz.KindEvent || w.Operation != s.Blocked.Operation {
			continue
		}
		for _, e := range s.Events {
			if e.Name == w.Name {
				return e.Number
			}
		}
	}
	return 0
}

func (p *problem) is(kind, detail, hint string) *problem {
	p.Kind, p.Detail, p.Hint = kind, detail, hint
	return p
}

// held looks at who holds a run.
func (e *examination) held(p *problem) *problem {
	hint := "start a worker that serves " + p.Name + ": it takes over"
	switch w := invariant.Holder(e.workers, p.Worker); {
	case w == nil:
		return p.is(problemLostWorker, fmt.Sprintf("held by worker %d, which is not registered", p.Worker),
			"this is a fault of the store, please report it")
	case w.Gone:
		return p.is(problemLostWorker, fmt.Sprintf("held by worker %d (process %d on %s), which is gone",
			w.Number, w.PID, w.Host), hint)
	}
	return nil
}

// waking looks at a run that has a time to wake.
func (e *examination) waking(p *problem, s *lambdabiz.State) *problem {
	if late := e.now.Sub(s.WakeAt); late >= e.grace && late >= 0 {
		p.Since = s.WakeAt
		if served(e.workers, s.Name) {
			return p.is(problemOverdue, fmt.Sprintf("due for %s, and no worker takes it", short(late)),
				"look at the logs of the workers that serve "+s.Name)
		}
		return p.is(problemUnserved, fmt.Sprintf("due for %s, and no live worker serves %s", short(late), s.Name),
			"start a worker that serves "+s.Name)
	}
	if first := invariant.FirstDue(s); !first.IsZero() && s.WakeAt.Sub(first) > max(e.grace, time.Second) {
		return p.is(problemLate, fmt.Sprintf("wakes at %s, but is due at %s", timeCell(s.WakeAt), timeCell(first)),
			"raise any event in it: that wakes it")
	}
	return nil
}

// sleeping looks for the one thing that may wake a run without a time: a message that is still to come.
func (e *examination) sleeping(ctx context.Context, p *problem, s *lambdabiz.State) (*problem, error) {
	why, err := invariant.Asleep(s, func(path string) (string, error) {
		return invariant.ChildOver(ctx, s, path, e.StateOf)
	})
	if err != nil || why == "" {
		return nil, err
	}
	return p.is(problemAsleep, why, "raise any event in it: that wakes it; and please report it"), nil
}
