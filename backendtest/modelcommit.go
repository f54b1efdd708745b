package backendtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func (m *model) Commit(_ context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	var verdicts []lambdabiz.Verdict
	for _, c := range batch {
		own := *c
		own.Operations = slices.Clone(c.Operations)
		verdicts = append(verdicts, m.commit(&own))
	}
	return verdicts, nil
}

func (m *model) commit(c *lambdabiz.Commit) lambdabiz.Verdict {
	var r *modelRun
	if c.Run != nil {
		r = m.find(c.Run.ID, c.Run.RunID)
		if r == nil || !r.open() || !r.held || r.fence != c.Run.Fence {
			return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}
		}
		if newer := r.newer(c.Seen); c.Conditional && len(newer) > 0 {
			return lambdabiz.Verdict{Err: lambdabiz.ErrStale, Messages: newer}
		}
	}
	var v lambdabiz.Verdict
	for _, s := range c.Starts {
		sv := m.start(c, s)
		v.Starts = append(v.Starts, sv)
		if sv.Err != nil {
			c.Refuse(s.Operation, sv.Err)
		}
	}
	for _, e := range c.Raises {
		rv := m.raise(e, c.At)
		v.Raises = append(v.Raises, rv)
		if rv.Err != nil {
			c.Refuse(e.Operation, rv.Err)
		}
	}
	for _, k := range c.Controls {
		err := m.control(k, c.At)
		v.Controls = append(v.Controls, err)
		if err != nil {
			c.Refuse(k.Operation, err)
		}
	}
	if r != nil {
		m.write(r, c)
		if c.Fetch {
			v.Messages = r.newer(c.Seen)
		}
	}
	return v
}

// write applies what a commit does to its own run.
func (m *model) write(r *modelRun, c *lambdabiz.Commit) {
	for _, op := range c.Operations {
		r.operations = slices.DeleteFunc(r.operations, func(o lambdabiz.Operation) bool { return o.Number == op.Number })
		r.operations = append(r.operations, op)
	}
	slices.SortFunc(r.operations, func(x, y lambdabiz.Operation) int { return cmp.Compare(x.Number, y.Number) })
	for i := range r.log {
		if slices.Contains(c.Consumed, r.log[i].Number) {
			r.log[i].consumed = true
		}
	}
	if c.Progress != nil {
		r.Progress = c.Progress
	}
	if c.Started && r.StartedAt.IsZero() {
		r.StartedAt, r.Status = c.At, lambdabiz.StatusStarted
	}
	r.follows = c.Run.Fence
	switch {
	case c.Close != nil:
		r.Result, r.Orphans = c.Close.Result, c.Close.Orphans
		if c.Close.Next != nil {
			m.proceed(r, *c.Close.Next, c.At)
		}
		m.end(r, c.At, c.Close.Status, c.Close.Error)
	case c.Release != nil:
		r.Blocked, r.WakeAt, r.seen = c.Release.Blocked, c.Release.WakeAt, c.Seen
		r.Version = cmp.Or(c.Release.Version, r.Version)
		r.letGo()
	case m.endsClaim:
		r.Blocked, r.WakeAt, r.seen = nil, c.WakeAt, c.Seen
		r.wanted = r.wanted || c.Again
		r.letGo()
	}
}

// proceed begins the run that continues r: it has r's log, and so its messages and keys.
func (m *model) proceed(r *modelRun, s lambdabiz.RunStart, at time.Time) {
	next := m.create(s, at)
	next.ID, next.Parent, next.Previous = r.ID, r.Parent, r.RunID
	next.CancelRequested = r.CancelRequested
	next.log = slices.Clone(r.log)
	r.ContinuedAs = s.RunID
}

func (m *model) end(r *modelRun, at time.Time, status lambdabiz.Status, failure *lambdabiz.Failure) {
	r.letGo()
	r.Status, r.EndedAt, r.Error = status, at, failure
	if r.Parent == nil || r.Parent.Detached || r.ContinuedAs != "" {
		return
	}
	if p := m.find(r.Parent.ID, r.Parent.RunID); p != nil && p.open() {
		m.deliver(p, lambdabiz.Message{
			Kind: lambdabiz.MessageChild, Payload: r.Result, ArrivedAt: at,
			Operation: r.Parent.Operation, Status: status, Error: failure,
		})
	}
}

func (m *model) create(s lambdabiz.RunStart, at time.Time) *modelRun {
	r := &modelRun{wanted: true}
	r.ID, r.RunID, r.Name, r.Mode, r.Input = s.ID, s.RunID, s.Name, s.Mode, s.Input
	r.Status, r.Deadline, r.Tags, r.Parent = lambdabiz.StatusScheduled, s.Deadline, s.Tags, s.Parent
	r.ScheduledAt = at
	m.runs = append(m.runs, r)
	return r
}

func (m *model) start(c *lambdabiz.Commit, s lambdabiz.RunStart) lambdabiz.StartVerdict {
	if r := m.find(s.ID, ""); r != nil {
		v := lambdabiz.StartVerdict{Info: r.RunInfo, Run: lambdabiz.RunRef{ID: r.ID, RunID: r.RunID}}
		repetition := r.RunID == s.RunID
		failed := !r.open() && r.Status != lambdabiz.StatusSucceeded
		replace := s.Policy == lambdabiz.RejectOpen && !r.open() ||
			s.Policy == lambdabiz.RestartEnded && !r.open() || s.Policy == lambdabiz.RestartFailed && failed
		refuse := s.Policy == lambdabiz.RejectExisting || s.Policy == lambdabiz.RejectOpen && r.open()
		switch {
		case repetition:
			return v
		case refuse:
			v.Err = lambdabiz.ErrExists
			return v
		case !replace:
			return v
		}
	}
	r := m.create(s, c.At)
	for _, k := range m.kept {
		if k.ID == s.ID && k.Until.After(c.At) {
			m.deliver(r, event(k.Raise, k.at))
		}
	}
	m.kept = slices.DeleteFunc(m.kept, func(k modelKept) bool { return k.ID == s.ID })
	v := lambdabiz.StartVerdict{Created: true, Info: r.RunInfo, Run: lambdabiz.RunRef{ID: r.ID, RunID: r.RunID}}
	if s.Claim && !m.endsClaim {
		v.Run, v.Messages = r.claim(c.Worker).Ref, r.newer(0)
	}
	return v
}

func event(e lambdabiz.Raise, at time.Time) lambdabiz.Message {
	return lambdabiz.Message{
		Kind: lambdabiz.MessageEvent, Name: e.Name, Key: e.Key, Payload: e.Payload, ArrivedAt: at,
	}
}

func (m *model) raise(e lambdabiz.Raise, at time.Time) lambdabiz.RaiseVerdict {
	added, repeated := lambdabiz.RaiseVerdict{Receipt: lambdabiz.ReceiptAdded}, lambdabiz.RaiseVerdict{Receipt: lambdabiz.ReceiptRepeated}
	r := m.find(e.ID, e.RunID)
	switch {
	case r != nil && r.knows(e.Key):
		return repeated
	case r != nil && r.open():
		m.deliver(r, event(e, at))
		return added
	case e.Until.After(at) && (r == nil || e.AfterEnd):
		known := slices.ContainsFunc(m.kept, func(k modelKept) bool {
			return k.ID == e.ID && k.Key == e.Key && e.Key != "" && k.Until.After(at)
		})
		if known {
			return repeated
		}
		m.kept = append(m.kept, modelKept{e, at})
		return added
	case r == nil:
		return lambdabiz.RaiseVerdict{Err: lambdabiz.ErrNotFound}
	default:
		return lambdabiz.RaiseVerdict{Err: lambdabiz.ErrClosed}
	}
}

func (m *model) control(c lambdabiz.Control, at time.Time) error {
	r := m.find(c.ID, c.RunID)
	if r == nil || c.Parent != nil && (r.Parent == nil || *r.Parent != *c.Parent) {
		return lambdabiz.ErrNotFound
	}
	if !r.open() {
		return lambdabiz.ErrClosed
	}
	reason := &lambdabiz.Failure{Message: c.Reason}
	switch c.Kind {
	case lambdabiz.ControlCancel:
		if !r.CancelRequested {
			r.CancelRequested, r.CancelReason = true, c.Reason
			m.deliver(r, lambdabiz.Message{Kind: lambdabiz.MessageCancel, ArrivedAt: at, Error: reason})
		}
	case lambdabiz.ControlTerminate:
		r.fence++
		m.end(r, at, lambdabiz.StatusTerminated, reason)
	case lambdabiz.ControlPause:
		if !r.Paused && r.held {
			m.deliver(r, lambdabiz.Message{Kind: lambdabiz.MessagePause, ArrivedAt: at})
		}
		if !r.Paused {
			r.Paused, r.PauseReason = true, c.Reason
		}
	case lambdabiz.ControlResume:
		r.Paused, r.PauseReason, r.Blocked, r.wanted = false, "", nil, true
	case lambdabiz.ControlDrop:
		r.Blocked = nil
		m.deliver(r, lambdabiz.Message{Kind: lambdabiz.MessageDrop, ArrivedAt: at, Operation: c.Number})
	}
	return nil
}
