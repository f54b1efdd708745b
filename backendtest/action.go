package backendtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// action is something to do on every side; the text is the side's answer.
type action interface {
	do(s *side) string
	String() string
}

// part is one commit of a batch. A ticket of -1 is a commit from outside.
type part struct {
	ticket  int
	slot    int // the worker that a start is claimed for; -1 for none
	unseen  int // how many of the known messages the holder has not looked at yet
	consume []int
	all     bool // consume what is known and must not move to a next run
	commit  lambdabiz.Commit
}

type commitAction struct{ parts []part }

func (a commitAction) do(s *side) string {
	batch := make([]*lambdabiz.Commit, len(a.parts))
	for i, p := range a.parts {
		batch[i] = p.build(s)
	}
	verdicts, err := s.b.Commit(background, batch)
	if err != nil || len(verdicts) != len(batch) {
		return fmt.Sprintf("commit: %d verdicts, %s", len(verdicts), errorName(err))
	}
	out := []string{}
	for i, p := range a.parts {
		out = append(out, p.answer(s, batch[i], verdicts[i]))
	}
	return strings.Join(out, "\n  ")
}

// build fills in the side's own numbers.
func (p part) build(s *side) *lambdabiz.Commit {
	c := p.commit
	c.Operations = slices.Clone(c.Operations)
	if p.slot >= 0 {
		c.Worker = s.numbers[p.slot]
	}
	if p.ticket < 0 {
		return &c
	}
	t := s.tickets[p.ticket]
	ref := t.ref
	c.Run, c.Worker = &ref, t.number
	place := 0 // pauses are not counted: a side may have withdrawn them
	for _, m := range t.looked(p.unseen) {
		c.Seen = m.Number
		chosen := slices.Contains(p.consume, place) || p.all && m.Kind == lambdabiz.MessageChild
		switch {
		case m.Kind == lambdabiz.MessagePause:
			if p.all {
				c.Consumed = append(c.Consumed, m.Number)
			}
			continue
		case m.Kind != lambdabiz.MessageCancel && chosen:
			c.Consumed = append(c.Consumed, m.Number)
		}
		place++
	}
	return &c
}

// looked returns what the holder has looked at: all but the last few messages that are no pauses.
func (t *ticket) looked(unseen int) []lambdabiz.Message {
	end := len(t.known)
	for i := len(t.known) - 1; i >= 0 && unseen > 0; i-- {
		if t.known[i].Kind != lambdabiz.MessagePause {
			end = i
			unseen--
		}
	}
	return t.known[:end]
}

func (p part) answer(s *side, c *lambdabiz.Commit, v lambdabiz.Verdict) string {
	s.cover("commit " + errorName(v.Err))
	out := fmt.Sprintf("%s %s", errorName(v.Err), messagesText(v.Messages))
	if p.ticket >= 0 {
		s.tickets[p.ticket].learn(v.Messages)
	}
	if v.Err != nil {
		return out
	}
	p.count(s, c, v)
	for i, sv := range v.Starts {
		claimed := sv.Created && sv.Run.Fence != 0
		out += fmt.Sprintf("\n  start %s created=%v claimed=%v %s/%s %s", errorName(sv.Err), sv.Created, claimed,
			sv.Run.ID, sv.Run.RunID, messagesText(sv.Messages))
		if !sv.Created {
			out += fmt.Sprintf(" existing %s %v ended=%v", sv.Info.Name, sv.Info.Mode, sv.Info.Status.Ended())
			// A start come twice may get its fence again, in case its worker did not hear of it.
			if sv.Run.Fence != 0 && !s.took(sv.Run, c.Worker) {
				out += " A FENCE THAT ITS WORKER DID NOT GET"
			}
		}
		s.cover(fmt.Sprintf("start %s created=%v", errorName(sv.Err), sv.Created))
		if claimed {
			s.startedOpen[c.Starts[i].RunID] = true
			out += s.take(sv.Run, c.Worker, sv.Messages)
			s.cover("start claimed")
			if len(sv.Messages) > 0 {
				s.cover("start claimed with kept events")
			}
		}
	}
	for _, rv := range v.Raises {
		s.cover("raise " + raiseText(rv))
	}
	return out + "\n  raises " + raiseList(v.Raises) + " controls " + errorList(v.Controls)
}

// count says what an applied commit did.
func (p part) count(s *side, c *lambdabiz.Commit, v lambdabiz.Verdict) {
	for i, k := range c.Controls {
		s.cover(fmt.Sprintf("control %d %s", k.Kind, errorName(v.Controls[i])))
	}
	switch {
	case c.Close != nil && c.Close.Next != nil:
		s.cover("continued")
	case c.Close != nil:
		s.cover("closed")
	case c.Release != nil && c.Release.Blocked != nil:
		s.cover("blocked")
	case c.Release != nil:
		s.cover("released")
	}
	if len(c.Consumed) > 0 {
		s.cover("consumed")
	}
	if len(v.Messages) > 0 {
		s.cover("fetched")
	}
}

type claimAction struct {
	slot  int
	names []string
	limit int
	now   time.Time
}

func (a claimAction) do(s *side) string {
	number := s.numbers[a.slot]
	claims, err := s.b.Claim(background, lambdabiz.ClaimRequest{
		Worker: number, Names: a.names, Limit: a.limit, Now: a.now, After: s.through[a.slot],
	})
	if err != nil {
		s.cover("claim " + errorName(err))
		return errorName(err)
	}
	s.through[a.slot] = claims.Through
	var out strings.Builder
	out.WriteString("claimed")
	slices.SortFunc(claims.Runs, func(x, y lambdabiz.Claimed) int { return strings.Compare(x.RunID, y.RunID) })
	for _, r := range claims.Runs {
		out.WriteString(s.claimText(r, number))
	}
	slices.SortFunc(claims.Arrived, func(x, y lambdabiz.Arrival) int { return strings.Compare(x.Ref.RunID, y.Ref.RunID) })
	for _, arrival := range claims.Arrived {
		if slices.ContainsFunc(claims.Runs, func(r lambdabiz.Claimed) bool { return r.RunID == arrival.Ref.RunID }) {
			continue // a run claimed just now has them in its record
		}
		out.WriteString("\n  arrived for " + arrival.Ref.RunID + " " + messagesText(arrival.Messages))
		s.cover("arrived")
		for _, t := range s.tickets {
			if t.ref.RunID == arrival.Ref.RunID && t.ref.Fence == arrival.Ref.Fence {
				t.learn(arrival.Messages)
			}
		}
	}
	return out.String()
}

func (s *side) claimText(r lambdabiz.Claimed, number int64) string {
	out := "\n  " + s.recordText(r.Record)
	if s.b.Describe().CommitEndsClaim {
		out += " follows " + s.follows(r.Ref, r.Follows)
	}
	s.cover("claimed")
	if r.Blocked != nil {
		s.cover("claimed while blocked")
	}
	if len(r.Messages) > 0 {
		s.cover("claimed with messages")
	}
	return out + s.take(r.Ref, number, r.Messages)
}

type handAction struct{ id string }

func (a handAction) do(s *side) string {
	claims, err := s.b.Claim(background, lambdabiz.ClaimRequest{Hand: a.id})
	s.cover("hand " + errorName(err))
	if err != nil || len(claims.Runs) != 1 {
		return fmt.Sprintf("by hand: %d runs, %s", len(claims.Runs), errorName(err))
	}
	r := claims.Runs[0]
	if r.Status.Ended() {
		return "by hand: " + s.recordText(r.Record)
	}
	return "by hand: " + s.claimText(r, 0)
}

// workerAction lets the worker of a slot renew, leave, or leave if an old beat still holds; one that
// leaves is replaced by another version.
type workerAction struct {
	slot    int
	what    string
	names   []string
	version string
}

func (a workerAction) do(s *side) string {
	number := s.numbers[a.slot]
	s.cover("worker " + a.what)
	switch a.what {
	case "renew":
		return errorName(s.b.Renew(background, number))
	case "stale":
		workers, err := s.b.Workers(background)
		if err != nil {
			return errorName(err)
		}
		for _, w := range workers {
			if w.Number == number {
				renewed := s.b.Renew(background, number)
				return errorName(renewed) + " " + errorName(s.b.Leave(background, number, w.Beat))
			}
		}
		return "the worker is not listed"
	case "leave":
		left := errorName(s.b.Leave(background, number, -1))
		again := errorName(s.b.Leave(background, number, -1))
		return left + " " + again + " " + errorName(s.b.Renew(background, number))
	default:
		joined, err := s.b.Join(background, lambdabiz.WorkerInfo{Names: a.names, Version: a.version})
		grown := true
		for _, n := range s.numbers {
			grown = grown && joined > n
		}
		s.numbers[a.slot] = joined
		return fmt.Sprintf("joined %s, the number has grown: %v", errorName(err), grown)
	}
}

type loadAction struct{ id, runID string }

func (a loadAction) do(s *side) string {
	r, err := s.b.Load(background, a.id, a.runID)
	s.cover("load " + errorName(err))
	if err != nil {
		return errorName(err)
	}
	return s.recordText(*r)
}

type listAction struct{ filter lambdabiz.Filter }

func (a listAction) do(s *side) string {
	f := a.filter
	out := []string{}
	for range 100 {
		page, err := s.b.List(background, f)
		if err != nil {
			return errorName(err)
		}
		for _, i := range page.Runs {
			out = append(out, s.infoText(i))
		}
		f.Cursor = page.Next
		if f.Cursor == "" {
			break
		}
	}
	if len(out) > 0 {
		s.cover("listed")
	}
	slices.Sort(out) // runs of one time are in any order
	return strings.Join(out, "\n  ")
}

type purgeAction struct{ id string }

func (a purgeAction) do(s *side) string {
	n, err := s.b.Purge(background, lambdabiz.PurgeRequest{ID: a.id})
	if err != nil || n > 0 {
		s.cover("purge " + errorName(err))
	}
	return fmt.Sprintf("purged %d %s", n, errorName(err))
}
