package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/probe"
)

// playback is a home with one recorded run: it hands it out once, stores nothing, and notes what the code does.
type playback struct {
	codec  lambdabiz.Codec
	stubs  map[string]any
	rested chan struct{} // receives when the code waits, or is over

	mu       sync.Mutex
	rec      *lambdabiz.Record
	recorded map[string]*lambdabiz.Operation
	lost     []string // branches that have lost a recorded race: code does not enter them again
	names    []string // the definitions that the worker knows
	given    bool
	over     bool // what comes now is the worker's end
	report   *Report

	visited map[string]bool    // recorded operations
	reached map[string]int64   // by scope: the highest number of those
	held    map[string]*held   // new operations that the code has come to, by path
	repeats map[string]*repeat // those that look like recorded ones, by path
	passed  int
}

// held is a new operation.
type held struct {
	asked   probe.Operation
	order   int   // in which the code came to it
	reached int64 // what its scope had reached then
	decided bool  // it is not held any more
	pass    bool  // the code goes past it
}

// repeat is a new operation that looks like a recorded one.
type repeat struct {
	asked    probe.Operation
	order    int // in which the code came to it
	recorded string
	reason   string // why it blocks; "" if it does not
}

var (
	_ probe.Interceptor = (*playback)(nil)
	_ lambdabiz.Backend = (*playback)(nil)
)

// mostPassed is how many new operations code goes past at most: over stubs it may loop for ever.
const mostPassed = 1000

func newPlayback(rec *lambdabiz.Record, codec lambdabiz.Codec, stubs map[string]any) *playback {
	p := &playback{
		codec: codec, stubs: stubs, rested: make(chan struct{}, 1), rec: rec,
		recorded: map[string]*lambdabiz.Operation{}, report: newReport(rec),
		visited: map[string]bool{}, reached: map[string]int64{}, held: map[string]*held{}, repeats: map[string]*repeat{},
	}
	for i := range rec.Operations {
		o := &rec.Operations[i]
		p.recorded[o.ID] = o
		var race struct {
			Losers []string `json:"losers"`
		}
		if o.Kind == lambdabiz.KindRace && json.Unmarshal(o.Result, &race) == nil {
			p.lost = append(p.lost, race.Losers...)
		}
	}
	return p
}

// rest says that nothing more will happen.
func (p *playback) rest() {
	select {
	case p.rested <- struct{}{}:
	default:
	}
}

// scopeOf is the path of the scope that a path lies in.
func scopeOf(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }

// Intercept notes what the code comes to, and holds what would be performed.
func (p *playback) Intercept(o probe.Operation) probe.Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !o.Recorded {
		return p.isNew(o)
	}
	known := p.recorded[o.RecordedPath]
	p.visited[known.ID] = true
	for _, scope := range []string{scopeOf(o.Path), scopeOf(known.ID)} {
		p.reached[scope] = max(p.reached[scope], known.Number)
	}
	item := Item{Operation: o.Path, Kind: known.Kind, Name: known.Name}
	switch {
	case o.Cancelled: // its end comes with the next commit
		return probe.Answer{}
	case known.Kind.String() != o.Kind || known.Name != o.Name: // the engine blocks the run, and the report says so
		return probe.Answer{}
	}
	if o.Changed {
		item.Detail = fmt.Sprintf("input %s, recorded %s", o.Input, o.RecordedInput)
		p.report.Changed = append(p.report.Changed, item)
	}
	if o.Ended {
		item.Detail = known.Status.String()
		if o.Path != known.ID {
			item.Detail += ", recorded as " + known.ID
		}
		p.report.Kept = append(p.report.Kept, item)
		return probe.Answer{}
	}
	switch o.Kind {
	case "TASK", "STEP", "SERVICE":
		p.report.Next = append(p.report.Next, againOf(known))
		return probe.Answer{Hold: true}
	}
	p.report.Waits = append(p.report.Waits, waitOf(known))
	return probe.Answer{}
}

// isNew decides about an operation that is not recorded.
func (p *playback) isNew(o probe.Operation) probe.Answer {
	h := p.held[o.Path]
	switch {
	case o.Kind == "EVENT" || o.Kind == "RACE": // they do nothing, and end by what the record has
		return probe.Answer{}
	case h == nil:
		p.held[o.Path] = &held{asked: o, order: len(p.held), reached: p.reached[scopeOf(o.Path)]}
		return probe.Answer{Hold: true}
	case h.pass:
		return probe.Answer{Pass: true, Result: p.result(o)}
	default:
		return probe.Answer{Hold: !h.decided}
	}
}

// result is what the code gets of a new operation that it goes past.
func (p *playback) result(o probe.Operation) []byte {
	v, stub := p.stubs[o.Path]
	switch {
	case stub:
	case o.Result != nil:
		v = reflect.Zero(reflect.TypeOf(o.Result).Elem()).Interface()
	case o.Kind == "CHILD": // one that nobody waits for: its result is the id, in JSON whatever the codec
		return []byte(`""`)
	default:
		return nil
	}
	result, err := p.codec.Encode(v)
	if err != nil {
		return nil // the report says that it cannot be read
	}
	return result
}

// Repeats notes what a new operation looks like. The code goes on, to see what else there is.
func (p *playback) Repeats(o probe.Operation, recorded, reason string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.repeats[o.Path] = &repeat{o, len(p.repeats), recorded, reason}
	return true
}

// Rest lets the code go past a new operation while something recorded is still to come, and new timers run else.
func (p *playback) Rest(string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var paths, timers []string
	for path, h := range p.held {
		if !h.decided {
			paths = append(paths, path)
			if h.asked.Kind == "TIMER" {
				timers = append(timers, path)
			}
		}
	}
	slices.Sort(paths)
	if len(paths) > 0 && p.passed < mostPassed && p.hasAhead() {
		h := p.held[paths[0]]
		h.decided, h.pass = true, true
		p.passed++
		return paths[:1]
	}
	for _, path := range timers {
		p.held[path].decided = true
	}
	if len(timers) == 0 {
		p.rest()
	}
	return timers
}

// hasAhead reports whether the code may still come to something recorded: what its scope has not gone past, and for sure
// is not repeated.
func (p *playback) hasAhead() bool {
	return slices.ContainsFunc(p.rec.Operations, func(o lambdabiz.Operation) bool {
		return p.misses(&o) && o.Number > p.reached[scopeOf(o.ID)] && !p.isRepeated(o.ID, true)
	})
}

// misses reports whether the code has not come to a recorded operation that it should come to.
func (p *playback) misses(o *lambdabiz.Operation) bool {
	return !p.visited[o.ID] && !slices.ContainsFunc(p.lost, func(branch string) bool {
		return strings.HasPrefix(o.ID, branch+"/")
	})
}

// isRepeated reports whether a new operation would repeat a recorded one, or only may.
func (p *playback) isRepeated(recorded string, sure bool) bool {
	for _, r := range p.repeats {
		if r.recorded == recorded && (r.reason != "" || !sure) {
			return true
		}
	}
	return false
}

// RunID makes run ids that are the same at every run.
func (*playback) RunID(orchestration string, from ...string) string {
	return strings.Join(append([]string{orchestration}, from...), " ")
}

// Alive is always true: no process of a playback dies.
func (*playback) Alive() bool { return true }

// note notes what a commit would store.
func (p *playback) note(c *lambdabiz.Commit) {
	for i := range c.Operations {
		p.noteOperation(&c.Operations[i])
	}
	switch {
	case c.Close != nil:
		p.report.Ends = endOf(c.Close)
		p.rest()
	case c.Release != nil && c.Release.Blocked != nil:
		b := c.Release.Blocked
		if p.passed > 0 && strings.HasPrefix(b.Reason, "panic") {
			p.report.Unplayed = fmt.Sprintf("beyond new operations, whose results are stubs, its code panics at %s: %s", b.Source, b.Reason)
		} else {
			p.report.Blocked = b
		}
		p.rest()
	}
}

// noteOperation notes what has become of an operation without a body: a timer, a wait, a race.
func (p *playback) noteOperation(o *lambdabiz.Operation) {
	item := Item{Operation: o.ID, Kind: o.Kind, Name: o.Name, Detail: o.Status.String()}
	same := func(i Item) bool { return i.Operation == o.ID }
	p.report.Goes = slices.DeleteFunc(p.report.Goes, same)
	p.report.Waits = slices.DeleteFunc(p.report.Waits, same)
	if o.Status.Ended() {
		p.report.Goes = append(p.report.Goes, item)
	} else {
		p.report.Waits = append(p.report.Waits, waitOf(o))
	}
}

// finish completes the report, and returns the definitions that the worker knows.
func (p *playback) finish() (*Report, []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	r := p.report
	var fresh []*held
	for path, h := range p.held {
		if again := p.repeats[path]; again == nil || !p.repeatsFor(again) {
			fresh = append(fresh, h)
		}
	}
	slices.SortFunc(fresh, func(a, b *held) int { return cmp.Compare(a.order, b.order) })
	for _, h := range fresh {
		p.finishNew(h)
	}
	sure := false // the engine would have blocked it there, before anything else that blocks it
	for _, again := range slices.SortedFunc(maps.Values(p.repeats), func(a, b *repeat) int { return cmp.Compare(a.order, b.order) }) {
		p.finishRepeat(again)
		if again.reason != "" && !sure {
			r.Blocked, r.Unplayed, sure = &lambdabiz.Blocked{
				Reason: again.reason, Operation: again.asked.Path, Source: again.asked.Source,
			}, "", true
		}
	}
	for i := range p.rec.Operations {
		o := &p.rec.Operations[i]
		item := Item{Operation: o.ID, Kind: o.Kind, Name: o.Name, Detail: o.Status.String()}
		switch {
		case !p.misses(o):
		case r.Ends != "", o.Number < p.reached[scopeOf(o.ID)], p.isRepeated(o.ID, false):
			r.Orphaned = append(r.Orphaned, item)
		default:
			r.Unreached = append(r.Unreached, item)
		}
	}
	r.sort()
	return r, p.names
}

// repeatsFor reports whether an operation that looks like a recorded one is taken for it: for sure, or because the code
// has not come to that.
func (p *playback) repeatsFor(again *repeat) bool {
	return again.reason != "" || p.misses(p.recorded[again.recorded])
}

// isLeft reports whether the code has gone on without a recorded operation to something recorded later, in its scope
// or in one around it.
func (p *playback) isLeft(o *lambdabiz.Operation) bool {
	if !p.misses(o) {
		return false
	}
	for scope := scopeOf(o.ID); o.Number >= p.reached[scope]; scope = scopeOf(scope) {
		if scope == "" {
			return false
		}
	}
	return true
}

// finishNew reports an operation that looks like no recorded one that the code leaves out. The engine cannot know at
// that place what the code leaves out: here it is known.
func (p *playback) finishNew(h *held) {
	path, item := h.asked.Path, itemOf(h.asked)
	again := p.repeats[path]
	if o := p.leftFor(h); o != nil && (h.pass || !h.decided) {
		p.repeats[path] = &repeat{h.asked, len(p.repeats), o.ID, ""}
		return
	}
	if again != nil {
		beside := item
		beside.Detail = fmt.Sprintf("at the place of %s, %s", again.recorded, p.recorded[again.recorded].Status)
		p.report.Beside = append(p.report.Beside, beside)
		delete(p.repeats, path)
	}
	switch {
	case h.pass:
		p.report.New = append(p.report.New, item)
	case !h.decided:
		p.report.Next = append(p.report.Next, item)
	}
}

// leftFor is what the code has left out, and a new operation of the same kind and name may have taken the place of: it
// was recorded later than all that the new one's scope had come to. nil if there is none that no other one has.
func (p *playback) leftFor(h *held) *lambdabiz.Operation {
	if h.asked.NotRenamed {
		return nil
	}
	for i := range p.rec.Operations {
		o := &p.rec.Operations[i]
		if o.Kind.String() == h.asked.Kind && o.Name == h.asked.Name && o.Number > h.reached && affects(o) &&
			p.isLeft(o) && !p.isRepeated(o.ID, false) {
			return o
		}
	}
	return nil
}

// affects reports whether something was done for the operation that may be done twice.
func affects(o *lambdabiz.Operation) bool {
	return (o.Kind == lambdabiz.KindStep || hasInput(o.Kind)) && (!o.Status.Ended() || o.Attempts > 0)
}

// finishRepeat reports an operation that is taken for a recorded one.
func (p *playback) finishRepeat(again *repeat) {
	recorded := p.recorded[again.recorded]
	item := itemOf(again.asked)
	item.Detail = fmt.Sprintf("as %s, %s", recorded.ID, recorded.Status)
	p.report.Repeated = append(p.report.Repeated, item)
}

// itemOf is a new operation.
func itemOf(o probe.Operation) Item {
	var kind lambdabiz.Kind
	if err := kind.UnmarshalText([]byte(o.Kind)); err != nil {
		kind = lambdabiz.KindNone // the report shows it
	}
	item := Item{Operation: o.Path, Kind: kind, Name: o.Name}
	if len(o.Input) > 0 {
		item.Detail = "input " + string(o.Input)
	}
	return item
}

// againOf is a recorded operation that is not over.
func againOf(o *lambdabiz.Operation) Item {
	item := Item{Operation: o.ID, Kind: o.Kind, Name: o.Name}
	if len(o.Input) > 0 {
		item.Detail = "input " + string(o.Input)
	}
	how := fmt.Sprintf(", again: attempt %d was begun", o.Attempts)
	if o.Status == lambdabiz.StatusScheduled && !o.DueAt.IsZero() {
		how = fmt.Sprintf(", attempt %d at %s", o.Attempts+1, o.DueAt.UTC().Format(time.RFC3339))
	}
	item.Detail = strings.TrimPrefix(item.Detail+how, ", ")
	return item
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
