package orders_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
)

// records loads all runs of the store.
func (s *stage) records() []*lambdabiz.Record {
	var list []*lambdabiz.Record
	f := lambdabiz.Filter{AllRuns: true, Limit: 1000}
	for {
		page, err := s.store.List(s.ctx, f)
		if !s.must(err, "list") {
			return list
		}
		for i := range page.Runs {
			rec, err := s.store.Load(s.ctx, page.Runs[i].ID, page.Runs[i].RunID)
			if s.must(err, "load "+page.Runs[i].ID) {
				list = append(list, rec)
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return list
		}
	}
}

// audit checks every record of the store, when no worker runs.
func (s *stage) audit() {
	violations, err := invariant.All(s.ctx, s.store, invariant.Options{Purged: true})
	if s.must(err, "look for violations") && len(violations) > 0 {
		s.complainf("%s", invariant.Text(violations))
	}
	latest := map[string]bool{}
	for _, rec := range s.records() {
		s.auditRun(rec)
		if !rec.Status.Ended() {
			if latest[rec.ID] {
				s.complainf("%s has two open runs", rec.ID)
			}
			latest[rec.ID] = true
		}
	}
}

func (s *stage) auditRun(rec *lambdabiz.Record) {
	what := fmt.Sprintf("%s, run %s", rec.ID, rec.RunID)
	if rec.Status.Ended() == rec.EndedAt.IsZero() {
		s.complainf("%s is %v, and ended at %v", what, rec.Status, rec.EndedAt)
	}
	if rec.Worker != 0 {
		s.complainf("%s is held by worker %d, which is gone", what, rec.Worker)
	}
	if rec.Blocked != nil {
		s.complainf("%s is blocked: %s", what, rec.Blocked.Reason)
	}
	ids := map[string]bool{}
	for i := range rec.Operations {
		o := &rec.Operations[i]
		if ids[o.ID] {
			s.complainf("%s has two operations %q", what, o.ID)
		}
		ids[o.ID] = true
		if o.Status.Ended() == o.EndedAt.IsZero() {
			s.complainf("%s: operation %q is %v, and ended at %v", what, o.ID, o.Status, o.EndedAt)
		}
		if rec.Status.Ended() && rec.Status != lambdabiz.StatusTerminated && !o.Status.Ended() &&
			o.Kind != lambdabiz.KindChild && !slices.Contains(rec.Orphans, o.ID) {
			s.complainf("%s has ended, its operation %q has not", what, o.ID)
		}
		if o.Kind == lambdabiz.KindTimer {
			s.auditTimer(what, o)
		}
	}
	s.auditWait(rec, what)
}

// auditTimer checks that a timer did not fire early. Its id may say how long it was to be: "...@30ms".
func (s *stage) auditTimer(what string, o *lambdabiz.Operation) {
	if o.Status == lambdabiz.StatusSucceeded && o.EndedAt.Before(o.DueAt) {
		s.complainf("%s: timer %q fired at %v, %v early", what, o.ID, o.EndedAt, o.DueAt.Sub(o.EndedAt))
	}
	_, long, named := strings.Cut(o.ID, "@")
	if !named {
		return
	}
	d, err := time.ParseDuration(long)
	if err == nil && o.DueAt.Sub(o.ScheduledAt) < d {
		s.complainf("%s: timer %q was recorded at %v and is due at %v", what, o.ID, o.ScheduledAt, o.DueAt)
	}
}

// auditWait checks that an open run has something that will wake it.
func (s *stage) auditWait(rec *lambdabiz.Record, what string) {
	if rec.Status.Ended() || rec.Paused {
		return
	}
	waits := !rec.WakeAt.IsZero() || len(rec.Operations) == 0
	for i := range rec.Operations {
		o := &rec.Operations[i]
		switch {
		case o.Status.Ended():
		case o.Kind == lambdabiz.KindEvent || o.Kind == lambdabiz.KindChild:
			waits = true
		case !o.DueAt.IsZero() && !rec.WakeAt.IsZero() && rec.WakeAt.After(o.DueAt):
			s.complainf("%s wakes at %v, operation %q is due at %v", what, rec.WakeAt, o.ID, o.DueAt)
		}
	}
	if !waits {
		s.complainf("%s is open, and nothing will wake it", what)
	}
}
