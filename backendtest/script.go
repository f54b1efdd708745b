package backendtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// draws makes the choices of a script: a number from 0 to n-1.
type draws func(n int, what string) int

func (d draws) one(n int, what string) bool { return d(n, what) == 0 }

// script invents actions that make sense for the state that the model is in. It stays away from what
// the rules leave open, and each such place says so.
type script struct {
	draw   draws
	model  *model
	side   *side // the model's
	prefix string
	now    time.Time
	count  int // makes run ids and payloads unique
}

const scriptSlots = 3

func (s *script) fresh(what string) string {
	s.count++
	return fmt.Sprintf("%s%d", what, s.count)
}

func (s *script) ids() []string {
	return []string{s.prefix + "a", s.prefix + "b", s.prefix + "c", s.hand()}
}

func (s *script) hand() string { return s.prefix + "h" }

func (s *script) names() []string { return []string{s.prefix + "first", s.prefix + "second"} }

func (s *script) nameOf(id string) string {
	if id == s.ids()[2] {
		return s.names()[1]
	}
	return s.names()[0]
}

func (s *script) anyID() string { return s.ids()[s.draw(4, "id")] }

// anyIDWhere prefers the ids that have something, so that rare answers are not too rare.
func (s *script) anyIDWhere(has func(id string) bool) string {
	if s.draw.one(3, "any id") {
		return s.anyID()
	}
	found := slices.DeleteFunc(s.ids(), func(id string) bool { return !has(id) })
	if len(found) == 0 {
		return s.anyID()
	}
	return found[s.draw(len(found), "id")]
}

func (s *script) ended(id string) bool {
	r := s.model.find(id, "")
	return r != nil && !r.open()
}

func (s *script) hasKept(id string) bool {
	return slices.ContainsFunc(s.model.kept, func(k modelKept) bool { return k.ID == id })
}

// someNames is one definition or both.
func (s *script) someNames() []string {
	if s.draw.one(4, "one name only") {
		return s.names()[:1]
	}
	return s.names()
}

// next invents the next action.
func (s *script) next() action {
	s.now = s.now.Add(time.Second)
	switch s.draw(16, "action") {
	case 0:
		return commitAction{[]part{s.outside(s.startCommit(true))}}
	case 1, 2:
		return commitAction{[]part{s.outside(lambdabiz.Commit{At: s.now, Raises: []lambdabiz.Raise{s.raise(true)}})}}
	case 3, 4:
		return commitAction{[]part{s.outside(lambdabiz.Commit{At: s.now, Controls: s.control("")})}}
	case 5, 6:
		return claimAction{s.draw(scriptSlots, "slot"), s.someNames(), 100, s.now}
	case 7:
		return claimAction{slot: s.draw(scriptSlots, "slot"), now: s.now}
	case 8:
		return s.workerAction()
	case 9:
		return s.read()
	default:
		return s.commit()
	}
}

func (s *script) outside(c lambdabiz.Commit) part {
	slot := -1
	if len(c.Starts) > 0 && c.Starts[0].Claim {
		slot = s.draw(scriptSlots, "slot")
	}
	return part{ticket: -1, slot: slot, commit: c}
}

func (s *script) workerAction() action {
	slot := s.draw(scriptSlots, "slot")
	if s.model.worker(s.side.numbers[slot]) == nil {
		version := []string{"v1", "v2"}[s.draw(2, "version")]
		return workerAction{slot, "join", s.someNames(), version}
	}
	what := []string{"renew", "stale", "leave"}[s.draw(3, "what")]
	return workerAction{slot: slot, what: what}
}

func (s *script) read() action {
	id := s.anyID()
	switch s.draw(8, "read") {
	case 0:
		return loadAction{id, ""}
	case 1:
		return loadAction{id, s.anyRun(id)}
	case 2, 3:
		return handAction{s.hand()}
	case 4:
		return handAction{id}
	case 5, 6:
		return purgeAction{s.anyIDWhere(s.ended)}
	default:
		return listAction{s.filter()}
	}
}

// filter keeps to the script's own runs. SCHEDULED and STARTED are asked for together, flags for open
// runs only.
func (s *script) filter() lambdabiz.Filter {
	open := []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted}
	f := lambdabiz.Filter{IDPrefix: s.prefix, AllRuns: s.draw.one(2, "all runs"), Limit: s.draw(3, "limit")}
	switch s.draw(7, "filter") {
	case 0:
		f.Status = open
	case 1:
		f.Status = []lambdabiz.Status{lambdabiz.StatusSucceeded, lambdabiz.StatusTerminated}
	case 2:
		f.Status, f.Blocked = open, true
	case 3:
		f.Status, f.Paused = open, true
	case 4:
		f.Name = s.names()[0]
	case 5:
		f.Tags = map[string]string{"t": "1"}
	default:
		f.ScheduledAfter = s.now.Add(-20 * time.Second)
		f.ScheduledBefore = s.now.Add(-5 * time.Second)
	}
	return f
}

// anyRun is the run id of a run of the id, or one that does not exist.
func (s *script) anyRun(id string) string {
	runs := []string{"nobody"}
	for _, r := range s.model.runs {
		if r.ID == id {
			runs = append(runs, r.RunID)
		}
	}
	slices.Reverse(runs)
	return runs[s.draw(len(runs), "run")]
}

// startCommit starts a run from outside. A known run id is the latest one's: what an earlier one does
// is left open. Only a worker that is registered claims, and only where a start can claim.
func (s *script) startCommit(alone bool) lambdabiz.Commit {
	id := s.anyIDWhere(s.hasKept)
	start := lambdabiz.RunStart{
		ID: id, RunID: s.fresh(id + "#"), Name: s.nameOf(id), Input: text(s.fresh("in")),
		Policy: lambdabiz.StartPolicy(s.draw(5, "policy")),
		Tags:   map[string]string{"t": fmt.Sprint(s.draw(2, "tag"))},
	}
	if s.draw.one(3, "deadline") {
		start.Deadline = s.now.Add(time.Hour)
	}
	if id == s.hand() {
		start.Mode = lambdabiz.ModeHand
	}
	if r := s.model.find(id, ""); alone && r != nil && s.draw.one(4, "repeated") {
		start.RunID = r.RunID
	}
	workers, _ := s.model.Workers(background)
	if alone && id != s.hand() && !s.model.endsClaim && len(workers) == scriptSlots {
		start.Claim = s.draw.one(2, "claim")
	}
	return lambdabiz.Commit{At: s.now, Starts: []lambdabiz.RunStart{start}}
}

// raise is an event to any id. With the run id of a run that is not the latest it has no key, and with
// a run id it is not kept: both are left open.
func (s *script) raise(alone bool) lambdabiz.Raise {
	e := lambdabiz.Raise{ID: s.anyID(), Name: []string{"e", "f"}[s.draw(2, "event")], Payload: text(s.fresh("p"))}
	if s.draw.one(2, "with a key") {
		e.Key = []string{"k", "l", "m"}[s.draw(3, "key")]
	}
	switch {
	case alone && s.draw.one(4, "to a run"):
		e.RunID = s.anyRun(e.ID)
		if r := s.model.find(e.ID, ""); r == nil || r.RunID != e.RunID {
			e.Key = ""
		}
	case s.draw.one(3, "kept"):
		e.Until = s.now.Add(time.Duration(1+s.draw(20, "until")) * time.Second)
		e.AfterEnd = s.draw.one(2, "after the end")
	}
	return e
}

// control is of another run than own. A run driven by hand is not paused, and a held run is not
// resumed: whether its holder still hears of the pause is left open.
func (s *script) control(own string) []lambdabiz.Control {
	id := s.anyID()
	if s.draw.one(3, "of an ended run") {
		id = s.anyIDWhere(s.ended)
	}
	if id == own {
		return nil
	}
	kinds := []lambdabiz.ControlKind{
		lambdabiz.ControlCancel, lambdabiz.ControlPause, lambdabiz.ControlResume, lambdabiz.ControlResume,
		lambdabiz.ControlTerminate, lambdabiz.ControlDrop,
	}
	c := lambdabiz.Control{Kind: kinds[s.draw(len(kinds), "control")], ID: id, Reason: "r", Number: 7}
	r := s.model.find(id, "")
	if (c.Kind == lambdabiz.ControlPause || c.Kind == lambdabiz.ControlResume) && id == s.hand() {
		c.Kind = lambdabiz.ControlCancel
	}
	if c.Kind == lambdabiz.ControlResume && r != nil && r.held {
		c.Kind = lambdabiz.ControlPause
	}
	if c.Kind < lambdabiz.ControlPause && s.draw.one(3, "of a run") {
		c.RunID = s.anyRun(id)
	}
	if c.RunID == "" && s.draw.one(3, "of a child") {
		c.Parent = s.anyParent()
	}
	return []lambdabiz.Control{c}
}

// anyParent is that of some child, or one that nobody has.
func (s *script) anyParent() *lambdabiz.Parent {
	parents := []*lambdabiz.Parent{{ID: s.ids()[0], RunID: "nobody", Operation: 1}}
	for _, r := range s.model.runs {
		if r.Parent != nil {
			parents = append(parents, r.Parent)
		}
	}
	slices.Reverse(parents)
	p := *parents[s.draw(len(parents), "parent")]
	return &p
}
