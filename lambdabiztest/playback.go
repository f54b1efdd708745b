package lambdabiztest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/seam"
)

// playback is a home with one recorded run: it hands it out once, stores nothing, and notes what the code does.
type playback struct {
	lambdabiz.Backend // of no run; for what a worker needs besides

	rec   *lambdabiz.Record
	names []string

	mu      sync.Mutex
	given   bool
	over    bool // what comes now is the worker's end
	visited map[string]bool
	report  *Report
}

var _ seam.Interceptor = (*playback)(nil)

// Join notes what the worker knows.
func (p *playback) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	p.names = w.Names
	return p.Backend.Join(ctx, w)
}

// Claim hands the run out, once.
func (p *playback) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given || !slices.Contains(r.Names, p.rec.Name) {
		return p.Backend.Claim(ctx, r)
	}
	p.given = true
	rec := *p.rec
	rec.Operations = slices.Clone(p.rec.Operations)
	rec.Paused, rec.Blocked, rec.Worker = false, nil, r.Worker
	if rec.Status.Ended() {
		rec.Status, rec.Result, rec.Error, rec.EndedAt, rec.Orphans = lambdabiz.StatusStarted, nil, nil, time.Time{}, nil
	}
	return lambdabiz.Claims{Runs: []lambdabiz.Claimed{{
		Record: rec, Ref: lambdabiz.RunRef{ID: rec.ID, RunID: rec.RunID, Fence: 1},
	}}}, nil
}

// Commit takes everything and keeps nothing but what the report says.
func (p *playback) Commit(_ context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	verdicts := make([]lambdabiz.Verdict, len(batch))
	for i, c := range batch {
		verdicts[i].Raises = make([]error, len(c.Raises))
		verdicts[i].Controls = make([]error, len(c.Controls))
		if p.over {
			continue
		}
		for j := range c.Operations {
			p.noteOperation(&c.Operations[j])
		}
		switch {
		case c.Close != nil:
			p.report.Ends = endOf(c.Close)
		case c.Release != nil && c.Release.Blocked != nil:
			p.report.Blocked = c.Release.Blocked
		}
	}
	return verdicts, nil
}

// noteOperation notes what has become of an operation without a body: a timer, a wait, a race.
func (p *playback) noteOperation(o *lambdabiz.Operation) {
	item := Item{Operation: o.ID, Kind: o.Kind, Name: o.Name, Detail: o.Status.String()}
	at := slices.IndexFunc(p.report.Goes, func(i Item) bool { return i.Operation == o.ID })
	if at >= 0 {
		p.report.Goes = slices.Delete(p.report.Goes, at, at+1)
	}
	waits := slices.IndexFunc(p.report.Waits, func(i Item) bool { return i.Operation == o.ID })
	if waits >= 0 {
		p.report.Waits = slices.Delete(p.report.Waits, waits, waits+1)
	}
	if o.Status.Ended() {
		p.report.Goes = append(p.report.Goes, item)
	} else {
		p.report.Waits = append(p.report.Waits, waitOf(o))
	}
}

func waitOf(o *lambdabiz.Operation) Item {
	detail := ""
	if !o.DueAt.IsZero() {
		detail = "until " + o.DueAt.UTC().Format(time.RFC3339)
	}
	return Item{Operation: o.ID, Kind: o.Kind, Name: o.Name, Detail: detail}
}

// endOf is an outcome in words.
func endOf(c *lambdabiz.Close) string {
	switch {
	case c.Next != nil:
		return "continues as new with input " + string(c.Next.Input)
	case c.Error != nil:
		return c.Status.String() + ": " + c.Error.Message
	default:
		return c.Status.String() + " with " + string(c.Result)
	}
}

// RunID makes run ids that are the same at every run of the test.
func (*playback) RunID(orchestration string, from ...string) string {
	return runID(orchestration, from)
}

// Alive is always true: no process of a playback dies.
func (*playback) Alive() bool { return true }

// Intercept notes what the code comes to, and holds what would be performed.
func (p *playback) Intercept(o seam.Operation) seam.Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.visited == nil {
		p.visited = map[string]bool{}
	}
	p.visited[o.Path] = true
	if o.Cancelled {
		return seam.Answer{} // its end comes with the next commit
	}
	known := p.recorded(o.Path)
	if known != nil && (known.Kind.String() != o.Kind || known.Name != o.Name) {
		return seam.Answer{} // the engine blocks the run, and the report says so
	}
	if known != nil && len(o.Input) > 0 && !bytes.Equal(o.Input, o.RecordedInput) {
		p.report.Changed = append(p.report.Changed, Item{
			Operation: o.Path, Kind: known.Kind, Name: o.Name,
			Detail: fmt.Sprintf("input %s, recorded %s", o.Input, o.RecordedInput),
		})
	}
	if o.Ended {
		p.report.Kept = append(p.report.Kept, Item{
			Operation: o.Path, Kind: known.Kind, Name: o.Name, Detail: known.Status.String(),
		})
		return seam.Answer{}
	}
	switch o.Kind {
	case "TASK", "STEP", "SERVICE":
		p.next(&o, known)
		return seam.Answer{Hold: true}
	case "CHILD", "RAISE":
		if known == nil {
			p.next(&o, nil)
			return seam.Answer{Hold: true}
		}
	}
	if known != nil {
		p.report.Waits = append(p.report.Waits, waitOf(known))
	}
	return seam.Answer{}
}

// next notes an operation that would be performed.
func (p *playback) next(o *seam.Operation, known *lambdabiz.Operation) {
	var kind lambdabiz.Kind
	if err := kind.UnmarshalText([]byte(o.Kind)); err != nil {
		kind = lambdabiz.KindNone // the report shows it
	}
	item := Item{Operation: o.Path, Kind: kind, Name: o.Name}
	input := o.Input
	if known != nil {
		input = o.RecordedInput
	}
	if len(input) > 0 {
		item.Detail = "input " + string(input)
	}
	if known != nil {
		item.Detail = strings.TrimPrefix(item.Detail+fmt.Sprintf(", again: attempt %d was begun", known.Attempts), ", ")
		if known.Status == lambdabiz.StatusScheduled && !known.DueAt.IsZero() {
			item.Detail = strings.TrimPrefix(fmt.Sprintf("input %s, attempt %d at %s", input, known.Attempts+1,
				known.DueAt.UTC().Format(time.RFC3339)), ", ")
		}
	}
	p.report.Next = append(p.report.Next, item)
}

func (p *playback) recorded(path string) *lambdabiz.Operation {
	for i := range p.rec.Operations {
		if p.rec.Operations[i].ID == path {
			return &p.rec.Operations[i]
		}
	}
	return nil
}

// finish says which recorded operations the code has not come to, before the worker ends.
func (p *playback) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	lost := p.lost()
	for i := range p.rec.Operations {
		o := &p.rec.Operations[i]
		switch {
		case p.visited[o.ID], slices.ContainsFunc(lost, func(branch string) bool { return strings.HasPrefix(o.ID, branch+"/") }):
		case p.report.Ends != "":
			p.report.Orphaned = append(p.report.Orphaned, Item{Operation: o.ID, Kind: o.Kind, Name: o.Name, Detail: o.Status.String()})
		default:
			p.report.Unreached = append(p.report.Unreached, Item{Operation: o.ID, Kind: o.Kind, Name: o.Name, Detail: o.Status.String()})
		}
	}
	p.report.sort()
}

// lost are the branches that have lost a recorded race: code does not enter them again.
func (p *playback) lost() []string {
	var lost []string
	for i := range p.rec.Operations {
		var race struct {
			Losers []string `json:"losers"`
		}
		if o := &p.rec.Operations[i]; o.Kind == lambdabiz.KindRace && json.Unmarshal(o.Result, &race) == nil {
			lost = append(lost, race.Losers...)
		}
	}
	return lost
}
