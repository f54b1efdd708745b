package backendtest

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// commit invents a batch: mostly one commit under a ticket, sometimes several of different runs.
func (s *script) commit() action {
	var a commitAction
	alone := !s.draw.one(4, "several")
	parts := 1
	if !alone {
		parts = 2 + s.draw(2, "parts")
	}
	used := map[string]bool{}
	for range parts {
		i := s.ticket()
		switch {
		case i >= 0 && !used[s.side.tickets[i].ref.RunID]:
			used[s.side.tickets[i].ref.RunID] = true
			a.parts = append(a.parts, s.held(i, alone))
		case s.draw.one(2, "start"):
			a.parts = append(a.parts, s.outside(s.startCommit(false)))
		default:
			a.parts = append(a.parts, s.outside(lambdabiz.Commit{At: s.now, Raises: []lambdabiz.Raise{s.raise(false)}}))
		}
	}
	return a
}

// ticket chooses a claim, mostly one that still holds; -1 if there is none.
func (s *script) ticket() int {
	if len(s.side.tickets) == 0 {
		return -1
	}
	var live []int
	for i, t := range s.side.tickets {
		if r := s.model.find(t.ref.ID, t.ref.RunID); r != nil && r.open() && r.held && r.fence == t.ref.Fence {
			live = append(live, i)
		}
	}
	switch {
	case len(live) == 0 && s.draw.one(2, "no ticket"):
		return -1
	case len(live) == 0, s.draw.one(6, "any ticket"):
		return s.draw(len(s.side.tickets), "ticket")
	}
	return live[s.draw(len(live), "live ticket")]
}

// held is a commit under a ticket.
func (s *script) held(i int, alone bool) part {
	t := s.side.tickets[i]
	p := part{ticket: i, slot: -1, commit: lambdabiz.Commit{At: s.now}}
	c := &p.commit
	for n := range t.known {
		if s.draw.one(2, "consume") {
			p.consume = append(p.consume, n)
		}
	}
	if s.draw.one(3, "unseen") {
		p.unseen = s.draw(3, "messages unseen")
	}
	for range s.draw(3, "operations") {
		c.Operations = append(c.Operations, s.operation())
	}
	if s.draw.one(4, "progress") {
		c.Progress = text(s.fresh("progress"))
	}
	c.Started = s.draw.one(2, "started")
	c.Conditional = s.draw.one(2, "conditional")
	s.ending(&p, t)
	s.messages(&p, t, alone)
	return p
}

func (s *script) operation() lambdabiz.Operation {
	o := operation(int64(1 + s.draw(6, "number")))
	o.Kind = lambdabiz.KindTask
	o.Input, o.Result = text(s.fresh("in")), text(s.fresh("out"))
	if s.draw.one(3, "begun only") {
		o.Status, o.EndedAt, o.DueAt, o.Result = lambdabiz.StatusStarted, time.Time{}, s.now.Add(time.Second), nil
	}
	switch s.draw(6, "stop") {
	case 0:
		o.AfterStop = true
	case 1:
		o.LastBeforeStop = true
	}
	return o
}

// ending chooses what the commit does with the claim. A release has always seen everything, or the
// run would be due for messages that came before it: that is left open. ContinueAsNew too, and it
// consumes what belongs to the old run's operations.
func (s *script) ending(p *part, t *ticket) {
	c := &p.commit
	later := func(what string) time.Time {
		if s.draw.one(3, "no "+what) {
			return time.Time{}
		}
		return s.now.Add(time.Duration(s.draw(10, what)) * time.Second)
	}
	switch s.draw(8, "ending") {
	case 0, 1:
		c.Release, c.Conditional = &lambdabiz.Release{WakeAt: later("wake")}, true
	case 2:
		version := []string{"v1", "v2"}[s.draw(2, "version")]
		c.Release, c.Conditional = &lambdabiz.Release{
			WakeAt: later("retry"), Blocked: blocked(version), Version: version,
		}, true
	case 3, 4:
		c.Close = s.outcome()
	case 5:
		r := s.model.find(t.ref.ID, t.ref.RunID)
		if r == nil || r.Paused { // whether a pause moves to the next run is left open
			c.Close = s.outcome()
			break
		}
		next := lambdabiz.RunStart{
			ID: t.ref.ID, RunID: s.fresh(t.ref.ID + "#"), Name: s.nameOf(t.ref.ID), Mode: r.Mode, Input: text(s.fresh("in")),
		}
		c.Close, c.Conditional = s.outcome(), true
		c.Close.Next = &next
		p.all = true
	default:
		c.Fetch = s.draw.one(2, "fetch")
		c.Again = s.draw.one(2, "again")
		c.WakeAt = later("wake")
	}
}

func (s *script) outcome() *lambdabiz.Close {
	switch s.draw(3, "outcome") {
	case 0:
		return &lambdabiz.Close{Status: lambdabiz.StatusFailed, Error: &lambdabiz.Failure{Message: "broken"}}
	case 1:
		return &lambdabiz.Close{Status: lambdabiz.StatusCancelled, Orphans: []string{"o"}}
	default:
		return &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: text(s.fresh("result"))}
	}
}

// messages adds what goes to other runs: a raise, a child, a control, each for an operation of this
// commit. A run that ends raises nothing in itself, and a run that continues controls nobody, for a
// child's end could come with the commit: both are left open.
func (s *script) messages(p *part, t *ticket, alone bool) {
	c := &p.commit
	ends := c.Close != nil && c.Close.Next == nil
	if s.draw.one(3, "raises") {
		e := s.raise(alone)
		if e.ID != t.ref.ID || !ends && e.RunID == "" {
			e.Operation = 11
			o := operation(e.Operation)
			o.Kind = lambdabiz.KindRaise
			c.Operations, c.Raises = append(c.Operations, o), []lambdabiz.Raise{e}
		}
	}
	if s.draw.one(3, "starts") {
		start := s.startCommit(false).Starts[0]
		if start.ID != t.ref.ID && start.ID != s.hand() {
			start.Operation = int64(12 + s.draw(2, "child"))
			start.Parent = &lambdabiz.Parent{
				ID: t.ref.ID, RunID: t.ref.RunID, Operation: start.Operation, Detached: s.draw.one(4, "detached"),
			}
			c.Operations = append(c.Operations, pending(start.Operation, lambdabiz.KindChild))
			c.Starts = []lambdabiz.RunStart{start}
		}
	}
	continues := c.Close != nil && c.Close.Next != nil
	if alone && !continues && s.draw.one(8, "controls") {
		c.Controls = s.control(t.ref.ID)
	}
}
