package backendtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
)

// side is one backend of a comparison. The same actions are done on every side, and each side
// translates between what the actions name (worker slots, tickets) and its own numbers, so that the
// answers can be compared as text.
type side struct {
	name    string
	b       lambdabiz.Backend
	numbers map[int]int64 // of the worker in each slot
	through map[int]int64 // ClaimRequest.After of the worker in each slot
	tickets []*ticket     // every claim there has been; old ones must be fenced

	startedOpen map[string]bool // runs claimed at their start: their StartedAt is open
	covered     map[string]int  // what has happened, on the side that counts
}

// ticket is a claim with the messages that its holder knows.
type ticket struct {
	ref    lambdabiz.RunRef
	number int64 // the worker's
	known  []lambdabiz.Message
}

func newSide(name string, b lambdabiz.Backend, covered map[string]int) *side {
	return &side{
		name: name, b: b, covered: covered,
		numbers: map[int]int64{}, through: map[int]int64{}, startedOpen: map[string]bool{},
	}
}

func (s *side) cover(what string) { s.covered[what]++ }

// learn adds messages that the ticket's holder does not know yet.
func (t *ticket) learn(messages []lambdabiz.Message) {
	for _, m := range messages {
		if !slices.ContainsFunc(t.known, func(k lambdabiz.Message) bool { return k.Number == m.Number }) {
			t.known = append(t.known, m)
		}
	}
}

// take enters a new claim, and says so if the fence has not grown.
func (s *side) take(ref lambdabiz.RunRef, number int64, messages []lambdabiz.Message) string {
	for _, t := range s.tickets {
		if t.ref.RunID == ref.RunID && t.ref.Fence >= ref.Fence && ref.Fence != 0 {
			s.tickets = append(s.tickets, &ticket{ref: ref, number: number})
			return " THE FENCE HAS NOT GROWN"
		}
	}
	t := &ticket{ref: ref, number: number}
	t.learn(messages)
	s.tickets = append(s.tickets, t)
	return ""
}

// took reports whether the worker has had this very claim.
func (s *side) took(ref lambdabiz.RunRef, number int64) bool {
	return slices.ContainsFunc(s.tickets, func(t *ticket) bool {
		return t.number == number && t.ref.RunID == ref.RunID && t.ref.Fence == ref.Fence
	})
}

// follows names the claim that a Claimed.Follows speaks of.
func (s *side) follows(ref lambdabiz.RunRef, fence int64) string {
	if fence == 0 {
		return "none"
	}
	for i, t := range s.tickets {
		if t.ref.RunID == ref.RunID && t.ref.Fence == fence {
			return fmt.Sprintf("ticket %d", i)
		}
	}
	return "an unknown fence"
}

func (s *side) slotOf(number int64) int {
	for slot, n := range s.numbers {
		if n == number {
			return slot
		}
	}
	return -1
}

var errorNames = []struct {
	err  error
	name string
}{
	{lambdabiz.ErrNotFound, "ErrNotFound"}, {lambdabiz.ErrExists, "ErrExists"}, {lambdabiz.ErrClosed, "ErrClosed"},
	{lambdabiz.ErrOpen, "ErrOpen"}, {lambdabiz.ErrMode, "ErrMode"}, {lambdabiz.ErrFenced, "ErrFenced"},
	{lambdabiz.ErrStale, "ErrStale"},
}

func errorName(err error) string {
	if err == nil {
		return "ok"
	}
	for _, e := range errorNames {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	return "error: " + err.Error()
}

// raiseText is an error, or a receipt.
func raiseText(v lambdabiz.RaiseVerdict) string {
	if v.Err != nil && v.Receipt == lambdabiz.ReceiptUnknown {
		return errorName(v.Err)
	}
	return errorName(v.Err) + " " + v.Receipt.String()
}

func raiseList(verdicts []lambdabiz.RaiseVerdict) string {
	out := []string{}
	for _, v := range verdicts {
		out = append(out, raiseText(v))
	}
	return strings.Join(out, ",")
}

func errorList(errs []error) string {
	out := []string{}
	for _, err := range errs {
		out = append(out, errorName(err))
	}
	return strings.Join(out, ",")
}

// The texts leave out what the rules leave open: the words of a reason, whether an open run that
// nobody has begun is SCHEDULED or STARTED, and the flags and messages of an ended run.

func failureText(f *lambdabiz.Failure) string {
	if f == nil {
		return ""
	}
	return " with an error"
}

func messagesText(messages []lambdabiz.Message) string {
	out := []string{}
	for _, m := range messages {
		if m.Kind == lambdabiz.MessagePause {
			continue // a resume may withdraw it
		}
		if m.Kind != lambdabiz.MessageEvent {
			m.Name = "" // an event's name: a backend may put the child's id there
		}
		out = append(out, fmt.Sprintf("%d %s key=%s %q at %d op=%d %v%s", m.Kind, m.Name, m.Key, m.Payload,
			m.ArrivedAt.Unix(), m.Operation, m.Status, failureText(m.Error)))
	}
	return "[" + strings.Join(out, "; ") + "]"
}

func (s *side) infoText(i lambdabiz.RunInfo) string {
	status := i.Status.String()
	flags := ""
	if !i.Status.Ended() {
		status = "OPEN"
		flags = fmt.Sprintf(" paused=%v blocked=%+v", i.Paused, normalInfo(i).Blocked)
		if i.Blocked != nil {
			flags = fmt.Sprintf(" paused=%v blocked=%+v", i.Paused, *normalInfo(i).Blocked)
		}
		if i.Mode == lambdabiz.ModeWorker {
			flags += fmt.Sprintf(" worker=%d", s.slotOf(i.Worker))
		}
	}
	started := fmt.Sprint(i.StartedAt.Unix())
	if s.startedOpen[i.RunID] {
		started = "open"
	}
	parent := ""
	if i.Parent != nil {
		parent = fmt.Sprintf("%+v", *i.Parent)
	}
	return fmt.Sprintf("%s %s %s %v %s%s tags=%v parent=%s previous=%s next=%s", i.ID, i.RunID, i.Name, i.Mode,
		status, flags, i.Tags, parent, i.Previous, i.ContinuedAs) +
		fmt.Sprintf(" in=%q out=%q%s progress=%q cancel=%v orphans=%v", i.Input, i.Result, failureText(i.Error),
			i.Progress, i.CancelRequested, i.Orphans) +
		fmt.Sprintf(" at %d,%s,%d,%d", i.ScheduledAt.UnixMicro(), started, i.EndedAt.Unix(), i.Deadline.Unix())
}

func (s *side) recordText(r lambdabiz.Record) string {
	var out strings.Builder
	out.WriteString(s.infoText(r.RunInfo))
	for _, o := range r.Operations {
		fmt.Fprintf(&out, "\n    %d %s %v %v in=%q out=%q ended %d due %d%s stop %v %v", o.Number, o.ID, o.Kind, o.Status,
			o.Input, o.Result, o.EndedAt.UnixMicro(), o.DueAt.UnixMicro(), failureText(o.Error), o.AfterStop, o.LastBeforeStop)
	}
	if !r.Status.Ended() {
		out.WriteString("\n    inbox " + messagesText(r.Messages))
	}
	return out.String()
}
