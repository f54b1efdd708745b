package invariant_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
)

// shelf is a backend of which a test decides everything.
type shelf struct {
	lambdabiz.Backend // of the methods that are not called

	home    lambdabiz.Description
	records []*lambdabiz.Record // the oldest first
	workers []lambdabiz.WorkerRecord
	looks   int
	second  func() // called before the second look

	verdicts []lambdabiz.Verdict
	claims   lambdabiz.Claims
}

func (s *shelf) Describe() lambdabiz.Description { return s.home }

func (s *shelf) List(_ context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	if f.Cursor == "" {
		if s.looks++; s.looks == 2 && s.second != nil {
			s.second()
		}
	}
	var p lambdabiz.Page
	for _, r := range slices.Backward(s.records) {
		p.Runs = append(p.Runs, r.RunInfo)
	}
	if n := len(p.Runs); f.Cursor == "" && n > 1 {
		p.Runs, p.Next = p.Runs[:n/2], "rest"
	} else if n > 1 {
		p.Runs = p.Runs[n/2:]
	}
	return p, nil
}

func (s *shelf) Load(_ context.Context, id, runID string) (*lambdabiz.Record, error) {
	for _, r := range s.records {
		if r.ID == id && r.RunID == runID {
			return r, nil
		}
	}
	return nil, lambdabiz.ErrNotFound
}

func (s *shelf) Workers(context.Context) ([]lambdabiz.WorkerRecord, error) { return s.workers, nil }

func (s *shelf) Claim(context.Context, lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	return s.claims, nil
}

func (s *shelf) Commit(context.Context, []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	return s.verdicts, nil
}

// family is a parent that continued and waits for a child now, and the child.
func family() (s *shelf, first, parent, child *lambdabiz.Record) {
	first = changed(over(), func(r *lambdabiz.Record) { r.RunID, r.ContinuedAs, r.Result = "q", "r", nil })
	first.Operations, first.Messages = first.Operations[:1], nil
	parent = changed(sound(), func(r *lambdabiz.Record) {
		r.Previous, r.WakeAt, r.Messages = "q", time.Time{}, nil
		r.Operations = []lambdabiz.Operation{{
			Number: 1, ID: "part", Kind: lambdabiz.KindChild, Name: "C", Status: lambdabiz.StatusStarted, Attempts: 1,
			Target: "a.part", ScheduledAt: at(5), StartedAt: at(5),
		}}
	})
	child = changed(sound(), func(r *lambdabiz.Record) {
		r.ID, r.RunID, r.Name, r.Worker, r.WakeAt = "a.part", "c", "C", 1, time.Time{}
		r.Operations, r.Messages = r.Operations[:1], nil
		r.Parent = &lambdabiz.Parent{ID: "a", RunID: "r", Operation: 1}
	})
	return &shelf{records: []*lambdabiz.Record{first, parent, child}, workers: []lambdabiz.WorkerRecord{{Number: 1}}}, first, parent, child
}

// relatives is the shelf of a family.
func relatives() *shelf {
	s, first, parent, child := family()
	s.records = []*lambdabiz.Record{first, parent, child}
	return s
}

func end(r *lambdabiz.Record) {
	r.Status, r.Worker, r.WakeAt, r.EndedAt, r.Result = lambdabiz.StatusSucceeded, 0, time.Time{}, at(9), lambdabiz.Payload("7")
}

func endPart(parent *lambdabiz.Record, status lambdabiz.Status, result string) {
	o := &parent.Operations[0]
	o.Status, o.EndedAt = status, at(9)
	if status == lambdabiz.StatusSucceeded {
		o.Result = lambdabiz.Payload(result)
	} else {
		o.Error = failure
	}
	parent.WakeAt = at(60)
}

func TestAllComparesRuns(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change     func(s *shelf, first, parent, child *lambdabiz.Record)
		rule, says string // empty if nothing is wrong
		purged     bool
	}{
		"sound": {change: func(*shelf, *lambdabiz.Record, *lambdabiz.Record, *lambdabiz.Record) {}},
		"two open runs": {
			change: func(_ *shelf, first, _, _ *lambdabiz.Record) { *first = *sound() },
			rule:   invariant.StartOnce, says: "it is open, and so is",
		},
		"a run id twice": {
			change: func(s *shelf, _, _, _ *lambdabiz.Record) { s.records = append(s.records[:1], s.records...) },
			rule:   invariant.StartOnce, says: "two runs have this run id",
		},
		"a chain ends in nothing": {
			change: func(_ *shelf, first, _, _ *lambdabiz.Record) { first.ContinuedAs = "z" },
			rule:   invariant.Durable, says: "not there",
		},
		"a chain that was purged": {
			change: func(_ *shelf, first, _, _ *lambdabiz.Record) { first.ContinuedAs = "z" }, purged: true,
		},
		"the next run knows nothing of it": {
			change: func(_ *shelf, _, parent, _ *lambdabiz.Record) { parent.Previous = "" },
			rule:   invariant.Durable, says: "comes after",
		},
		"the child is not there": {
			change: func(s *shelf, _, _, _ *lambdabiz.Record) { s.records = s.records[:2] },
			rule:   invariant.Durable, says: "is not there",
		},
		"the child is another's": {
			change: func(_ *shelf, _, _, child *lambdabiz.Record) { child.Parent.RunID = "q" },
			rule:   invariant.Durable, says: "is not there",
		},
		"the child has ended, and nobody says so": {
			change: func(_ *shelf, _, _, child *lambdabiz.Record) { end(child) },
			rule:   invariant.Conservation, says: "no message says so",
		},
		"the child has ended, and a message says so": {
			change: func(_ *shelf, _, parent, child *lambdabiz.Record) {
				end(child)
				parent.Messages, parent.WakeAt = []lambdabiz.Message{{Number: 1, Kind: lambdabiz.MessageChild, Operation: 1}}, at(9)
			},
		},
		"the child's outcome is recorded": {
			change: func(_ *shelf, _, parent, child *lambdabiz.Record) {
				end(child)
				endPart(parent, lambdabiz.StatusSucceeded, "7")
			},
		},
		"another outcome is recorded": {
			change: func(_ *shelf, _, parent, child *lambdabiz.Record) {
				end(child)
				endPart(parent, lambdabiz.StatusFailed, "")
			}, rule: invariant.OneOutcome, says: "its child",
		},
		"another result is recorded": {
			change: func(_ *shelf, _, parent, child *lambdabiz.Record) {
				end(child)
				endPart(parent, lambdabiz.StatusSucceeded, "8")
			}, rule: invariant.OneOutcome, says: "that of child",
		},
		"the child's outcome is recorded, and it goes on": {
			change: func(_ *shelf, _, parent, _ *lambdabiz.Record) { endPart(parent, lambdabiz.StatusSucceeded, "7") },
			rule:   invariant.OneOutcome, says: "is STARTED",
		},
		"a wait that was cancelled knows nothing": {
			change: func(_ *shelf, _, parent, _ *lambdabiz.Record) { endPart(parent, lambdabiz.StatusCancelled, "") },
		},
		"a start that was refused": {
			change: func(s *shelf, _, parent, _ *lambdabiz.Record) {
				s.records = s.records[:2]
				endPart(parent, lambdabiz.StatusFailed, "")
			},
		},
		"held by a stranger": {
			change: func(s *shelf, _, _, _ *lambdabiz.Record) { s.workers = nil }, rule: invariant.NoOrphan, says: "not registered",
		},
	} {
		s, first, parent, child := family()
		tc.change(s, first, parent, child)
		found, err := invariant.All(t.Context(), s, invariant.Options{Now: at(30), Purged: tc.purged})
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case tc.rule == "" && len(found) > 0:
			t.Errorf("%s: %s", name, invariant.Text(found))
		case tc.rule != "" && !slices.ContainsFunc(found, func(v invariant.Violation) bool {
			return v.Rule == tc.rule && strings.Contains(v.Problem, tc.says)
		}):
			t.Errorf("%s: want %s %q, found %q", name, tc.rule, tc.says, invariant.Text(found))
		}
	}
}

// A run and its worker are not read in one moment.
func TestAllReportsOnlyWhatASecondLookConfirms(t *testing.T) {
	t.Parallel()
	s := relatives()
	s.workers = nil
	s.second = func() { s.workers = []lambdabiz.WorkerRecord{{Number: 1}} }
	found, err := invariant.All(t.Context(), s, invariant.Options{Now: at(30)})
	if err != nil || len(found) > 0 || s.looks != 2 {
		t.Errorf("error %v, after %d looks found %q", err, s.looks, invariant.Text(found))
	}
}

// What the home performs wakes a run by itself.
func TestAHomeThatPerformsWakesItsRuns(t *testing.T) {
	t.Parallel()
	r := sound()
	r.WakeAt = time.Time{}
	s := &shelf{records: []*lambdabiz.Record{r}}
	if found, err := invariant.All(t.Context(), s, options()); err != nil || len(found) != 1 {
		t.Errorf("a home that performs nothing: error %v, found %q", err, invariant.Text(found))
	}
	s.home.Performs = []lambdabiz.Kind{lambdabiz.KindTimer}
	if found, err := invariant.All(t.Context(), s, options()); err != nil || len(found) != 0 {
		t.Errorf("a home that performs timers: error %v, found %q", err, invariant.Text(found))
	}
}
