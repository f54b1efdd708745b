package invariant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// The rules, by the numbers of the package comment.
const (
	StartOnce    = "I1"
	Durable      = "I2"
	OneOutcome   = "I3"
	Conservation = "I4"
	Timers       = "I5"
	NoOrphan     = "I6"
	Fence        = "I7"
	Resume       = "I8"
	Liveness     = "I9"
)

// Violation is one thing that must never be.
type Violation struct {
	Rule      string // a number, "I3"
	ID        string // of the orchestration
	RunID     string
	Operation string // the path; empty when the run itself is meant
	Problem   string
}

// String returns the violation in one line.
func (v Violation) String() string {
	where := v.ID
	if v.RunID != "" {
		where += " (run " + v.RunID + ")"
	}
	if v.Operation != "" {
		where += ", operation " + v.Operation
	}
	return v.Rule + ": " + where + ": " + v.Problem
}

// Text returns the violations, a line each; empty if there are none.
func Text(violations []Violation) string {
	lines := make([]string, 0, len(violations))
	for _, v := range violations {
		lines = append(lines, v.String())
	}
	return strings.Join(lines, "\n")
}

// Options says under which circumstances a store is looked at. The zero value is a store that was written under
// one clock, with nothing purged.
type Options struct {
	Now time.Time // zero for the clock's

	// Skew is how far the clocks apart may be of those who wrote. It matters to the order of times and to
	// time-outs of waits, and never to timers.
	Skew time.Duration

	// Late is how late a timer and a time-out may be recorded; 0 for any time.
	Late time.Duration

	// Overdue is for how long a run may be due that nobody takes; 0 for any time.
	Overdue time.Duration

	Purged bool // ended runs may have been removed
	Ended  bool // every run must have ended (I9)
}

func (o Options) now() time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// report collects violations of one run.
type report struct {
	options    Options
	run        *lambdabiz.Record
	violations []Violation
}

func (p *report) addf(rule, operation, format string, a ...any) {
	p.violations = append(p.violations, Violation{
		Rule: rule, ID: p.run.ID, RunID: p.run.RunID, Operation: operation, Problem: fmt.Sprintf(format, a...),
	})
}

// runs is a store as it was read: the runs of every id, the oldest first.
type runs struct {
	byID    map[string][]*lambdabiz.Record
	workers []lambdabiz.WorkerRecord
	home    lambdabiz.Description
	whole   bool // earlier runs of an id are among them
}

// read loads every run of a backend.
func read(ctx context.Context, b lambdabiz.Backend) (*runs, error) {
	all := &runs{byID: map[string][]*lambdabiz.Record{}, home: b.Describe()}
	_, latestOnly := all.home.Refuses[lambdabiz.FeatureEarlierRuns]
	all.whole = !latestOnly
	f := lambdabiz.Filter{AllRuns: all.whole, Limit: 1000}
	for more := true; more; more = f.Cursor != "" {
		page, err := b.List(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		f.Cursor = page.Next
		for i := range page.Runs {
			rec, err := b.Load(ctx, page.Runs[i].ID, page.Runs[i].RunID)
			if errors.Is(err, lambdabiz.ErrNotFound) {
				continue // purged meanwhile
			}
			if err != nil {
				return nil, fmt.Errorf("load run %s of %s: %w", page.Runs[i].RunID, page.Runs[i].ID, err)
			}
			all.byID[rec.ID] = append(all.byID[rec.ID], rec)
		}
	}
	for id, list := range all.byID {
		slices.Reverse(list) // lists begin with the newest
		all.byID[id] = inChains(list)
	}
	workers, err := b.Workers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	all.workers = workers
	return all, nil
}

// inChains puts the runs of a chain in their order: clocks may say another one.
func inChains(list []*lambdabiz.Record) []*lambdabiz.Record {
	next := map[string]*lambdabiz.Record{} // by the run before
	known := map[string]bool{}
	for _, r := range list {
		known[r.RunID] = true
	}
	ordered := make([]*lambdabiz.Record, 0, len(list))
	for _, r := range list {
		if r.Previous != "" && known[r.Previous] && next[r.Previous] == nil && r.Previous != r.RunID {
			next[r.Previous] = r
		} else {
			ordered = append(ordered, r)
		}
	}
	for i := 0; i < len(ordered); i++ {
		if r := next[ordered[i].RunID]; r != nil {
			delete(next, ordered[i].RunID)
			ordered = slices.Insert(ordered, i+1, r)
		}
	}
	return ordered
}

// find returns a run, nil if it is not there.
func (a *runs) find(id, runID string) *lambdabiz.Record {
	for _, r := range a.byID[id] {
		if r.RunID == runID {
			return r
		}
	}
	return nil
}

// each calls f for every run, in the order of the ids.
func (a *runs) each(f func(r *lambdabiz.Record)) {
	ids := make([]string, 0, len(a.byID))
	for id := range a.byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		for _, r := range a.byID[id] {
			f(r)
		}
	}
}

// All looks at every run of a backend, and at what they say of each other. Runs are read one after another, so
// that one may change meanwhile: only what a second look confirms is returned.
func All(ctx context.Context, b lambdabiz.Backend, o Options) ([]Violation, error) {
	first, err := look(ctx, b, o)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	second, err := look(ctx, b, o)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(second, func(v Violation) bool { return !slices.Contains(first, v) }), nil
}

func look(ctx context.Context, b lambdabiz.Backend, o Options) ([]Violation, error) {
	all, err := read(ctx, b)
	if err != nil {
		return nil, err
	}
	return all.check(o), nil
}

func (a *runs) check(o Options) []Violation {
	o.Now = o.now()
	if len(a.home.Performs) > 0 {
		o.Skew = max(o.Skew, time.Second) // the home has a clock of its own, and it may have whole milliseconds
	}
	var found []Violation
	a.each(func(r *lambdabiz.Record) {
		p := &report{options: o, run: r}
		p.checkRun()
		p.checkOperations()
		p.checkMessages()
		p.checkWaking(a.home.Performs)
		a.checkHolder(p)
		a.checkChain(p)
		a.checkChildren(p)
		found = append(found, p.violations...)
	})
	for id, list := range a.byID {
		found = append(found, oneOpen(id, list)...)
	}
	slices.SortStableFunc(found, func(x, y Violation) int { return cmp.Compare(x.ID, y.ID) })
	return found
}

// Record looks at one run by itself: I3, I5, I6 and I8. It takes for granted that the home performs no operations.
func Record(r *lambdabiz.Record, o Options) []Violation {
	o.Now = o.now()
	p := &report{options: o, run: r}
	p.checkRun()
	p.checkOperations()
	p.checkMessages()
	p.checkWaking(nil)
	return p.violations
}
