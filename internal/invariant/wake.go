package invariant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// FirstDue is the earliest time that an open run waits for: its deadline, the end of a timer, a time-out, the
// next attempt. Zero if it waits for no time.
func FirstDue(s *lambdabiz.State) time.Time {
	var first time.Time
	if !s.CancelRequested {
		first = s.Deadline
	}
	for _, w := range s.WaitingFor {
		if !w.Until.IsZero() && (first.IsZero() || w.Until.Before(first)) {
			first = w.Until
		}
	}
	return first
}

// Asleep says why nothing will ever wake an open run that nobody holds and that has no time to wake; empty if
// something will: an event that has not arrived, or a child that has not ended. childOver says what is wrong
// with the child of an operation, and may be nil.
func Asleep(s *lambdabiz.State, childOver func(path string) (string, error)) (string, error) {
	if first := FirstDue(s); !first.IsZero() {
		return fmt.Sprintf("due at %s, but it has no time to wake", first.Local().Format(time.DateTime)), nil
	}
	hopeful := false
	for _, w := range s.WaitingFor {
		switch w.Kind {
		case lambdabiz.KindEvent:
			if slices.ContainsFunc(s.Events, func(b lambdabiz.Buffered) bool { return b.Name == w.Name }) {
				return fmt.Sprintf("event %s has arrived and did not wake it", w.Name), nil
			}
			hopeful = true
		case lambdabiz.KindChild:
			if childOver != nil {
				if over, err := childOver(w.Operation); over != "" || err != nil {
					return over, err
				}
			}
			hopeful = true
		default:
		}
	}
	if hopeful {
		return "", nil
	}
	return "it waits for no event and no child, and has no time to wake", nil
}

// ChildOver says so when the child that an operation waits for has ended, or does not exist, and did not wake
// its parent.
func ChildOver(
	ctx context.Context, s *lambdabiz.State, path string,
	load func(ctx context.Context, id, runID string) (*lambdabiz.State, error),
) (string, error) {
	for i := range s.Operations {
		o := &s.Operations[i]
		if o.ID != path || o.Target == "" {
			continue
		}
		child, err := load(ctx, o.Target, "")
		switch {
		case errors.Is(err, lambdabiz.ErrNotFound):
			return "child " + o.Target + " does not exist and did not wake it", nil
		case err != nil:
			return "", err
		case child.Status.Ended():
			return "child " + o.Target + " has ended and did not wake it", nil
		}
	}
	return "", nil
}

// Holder finds the worker that holds a run; nil if it is not registered.
func Holder(workers []lambdabiz.WorkerRecord, number int64) *lambdabiz.WorkerRecord {
	for i := range workers {
		if workers[i].Number == number {
			return &workers[i]
		}
	}
	return nil
}

// checkWaking: an open run has a reason to wake. performs are the kinds of operations that the home performs:
// their end wakes a run. A new run is due at once.
func (p *report) checkWaking(performs []lambdabiz.Kind) {
	r := p.run
	if r.Status.Ended() || r.Mode == lambdabiz.ModeHand || r.Worker != 0 || r.Paused {
		return
	}
	if r.Blocked != nil && r.Blocked.Times > 0 {
		if r.WakeAt.IsZero() {
			p.addf(NoOrphan, "", "blocked for ever: %s", r.Blocked.Reason)
		}
		return
	}
	s := stateOf(r, performs)
	if !r.WakeAt.IsZero() {
		if late := p.options.Now.Sub(r.WakeAt); p.options.Overdue > 0 && late > p.options.Overdue {
			p.addf(NoOrphan, "", "due at %s, and nobody has taken it for %v", stamp(r.WakeAt), late)
		}
		first := FirstDue(s)
		// What is due already is taken at once, whichever of its times says so.
		if r.WakeAt.After(p.options.Now) && !first.IsZero() && r.WakeAt.Sub(first) > p.options.Skew {
			p.addf(NoOrphan, "", "wakes at %s, but is due at %s", stamp(r.WakeAt), stamp(first))
		}
		return
	}
	if r.Status == lambdabiz.StatusScheduled || performed(r, performs) {
		return
	}
	if why, _ := Asleep(s, nil); why != "" { // without an error: no child is asked
		p.addf(NoOrphan, "", "%s", why)
	}
}

// performed reports whether the home is at work for the run.
func performed(r *lambdabiz.Record, performs []lambdabiz.Kind) bool {
	return slices.ContainsFunc(r.Operations, func(o lambdabiz.Operation) bool {
		return slices.Contains(performs, o.Kind) && (!o.Status.Ended() || o.Tried != nil)
	})
}

// stateOf is the part of a state that waking depends on. What the home performs wakes the run by itself.
func stateOf(r *lambdabiz.Record, performs []lambdabiz.Kind) *lambdabiz.State {
	s := &lambdabiz.State{RunInfo: r.RunInfo, Operations: r.Operations}
	for i := range r.Operations {
		o := &r.Operations[i]
		if !o.Status.Ended() && !slices.Contains(performs, o.Kind) {
			s.WaitingFor = append(s.WaitingFor, lambdabiz.Waiting{Operation: o.ID, Kind: o.Kind, Name: o.Name, Until: o.DueAt})
		}
	}
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Kind == lambdabiz.MessageEvent {
			s.Events = append(s.Events, lambdabiz.Buffered{Name: m.Name, Key: m.Key, ArrivedAt: m.ArrivedAt})
		}
	}
	return s
}
