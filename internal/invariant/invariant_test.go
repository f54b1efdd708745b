package invariant_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

var failure = &lambdabiz.Failure{Message: "boom"}

// sound is an open run that waits for an event and for a timer, with everything recorded that may be.
func sound() *lambdabiz.Record {
	return &lambdabiz.Record{
		RunInfo: lambdabiz.RunInfo{
			ID: "a", RunID: "r", Name: "N", Status: lambdabiz.StatusStarted,
			ScheduledAt: at(0), StartedAt: at(1), WakeAt: at(60), CancelRequested: true,
		},
		Operations: []lambdabiz.Operation{
			{Number: 1, ID: "job", Kind: lambdabiz.KindTask, Name: "T", Status: lambdabiz.StatusSucceeded, Attempts: 1,
				Result: lambdabiz.Payload("1"), ScheduledAt: at(1), StartedAt: at(1), EndedAt: at(2)},
			{Number: 2, ID: "nap", Kind: lambdabiz.KindTimer, Status: lambdabiz.StatusSucceeded, Attempts: 1,
				ScheduledAt: at(2), StartedAt: at(2), DueAt: at(5), EndedAt: at(5)},
			{Number: 3, ID: "go", Kind: lambdabiz.KindEvent, Name: "go", Status: lambdabiz.StatusStarted, Attempts: 1,
				ScheduledAt: at(5), StartedAt: at(5)},
			{Number: 4, ID: "long", Kind: lambdabiz.KindTimer, Status: lambdabiz.StatusStarted, Attempts: 1,
				ScheduledAt: at(5), StartedAt: at(5), DueAt: at(60)},
			{Number: 5, ID: "late", Kind: lambdabiz.KindEvent, Name: "late", Status: lambdabiz.StatusTimeout, Attempts: 1,
				ScheduledAt: at(5), StartedAt: at(5), DueAt: at(6), EndedAt: at(6), Error: failure},
			{Number: 6, ID: "part", Kind: lambdabiz.KindChild, Name: "C", Status: lambdabiz.StatusFailed, Attempts: 1,
				Target: "a.part", ScheduledAt: at(5), StartedAt: at(5), EndedAt: at(7), Error: failure},
			{Number: 7, ID: "race", Kind: lambdabiz.KindRace, Status: lambdabiz.StatusSucceeded,
				Result: lambdabiz.Payload("{}"), ScheduledAt: at(5), EndedAt: at(7)},
		},
		Messages: []lambdabiz.Message{
			{Number: 3, Kind: lambdabiz.MessageEvent, Name: "other", Key: "k", ArrivedAt: at(3)},
			{Number: 4, Kind: lambdabiz.MessageEvent, Name: "other", ArrivedAt: at(3)},
			{Number: 6, Kind: lambdabiz.MessageEvent, Name: "other", ArrivedAt: at(3)},
			{Number: 7, Kind: lambdabiz.MessageCancel, ArrivedAt: at(3)},
			{Number: 8, Kind: lambdabiz.MessageChild, Operation: 6, ArrivedAt: at(3)},
			{Number: 9, Kind: lambdabiz.MessagePause, ArrivedAt: at(3)},
		},
	}
}

// over is a run that has ended.
func over() *lambdabiz.Record {
	r := sound()
	r.Operations = slices.Delete(r.Operations, 2, 4)
	for i := range r.Operations {
		r.Operations[i].Number = int64(i + 1)
	}
	r.Messages = r.Messages[:3]
	r.Status, r.WakeAt, r.EndedAt, r.Result = lambdabiz.StatusSucceeded, time.Time{}, at(9), lambdabiz.Payload("3")
	return r
}

func options() invariant.Options { return invariant.Options{Now: at(30)} }

func TestSoundRecordsAreSound(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*lambdabiz.Record{
		"open": sound(), "over": over(),
		"held":    changed(sound(), func(r *lambdabiz.Record) { r.Worker, r.WakeAt = 4, time.Time{} }),
		"new":     {RunInfo: lambdabiz.RunInfo{ID: "a", RunID: "r", Status: lambdabiz.StatusScheduled, ScheduledAt: at(0)}},
		"by hand": changed(sound(), func(r *lambdabiz.Record) { r.Mode, r.WakeAt = lambdabiz.ModeHand, time.Time{} }),
		"paused":  changed(sound(), func(r *lambdabiz.Record) { r.Paused, r.WakeAt = true, time.Time{} }),
		"blocked": changed(sound(), func(r *lambdabiz.Record) {
			r.Blocked, r.WakeAt = &lambdabiz.Blocked{Reason: "panic", Times: 1}, at(600)
		}),
		"waits for an event only": changed(sound(), func(r *lambdabiz.Record) {
			r.Operations, r.WakeAt = r.Operations[:3], time.Time{}
			r.Messages = r.Messages[:3]
		}),
		"continued": changed(over(), func(r *lambdabiz.Record) { r.ContinuedAs, r.Result = "s", nil }),
		"an attempt that is to be judged": changed(sound(), func(r *lambdabiz.Record) {
			o := &r.Operations[0]
			o.Status, o.Result, o.Tried = lambdabiz.StatusFailed, nil, &lambdabiz.Tried{}
		}),
	} {
		if found := invariant.Record(r, options()); len(found) > 0 {
			t.Errorf("%s: %s", name, invariant.Text(found))
		}
	}
}

func changed(r *lambdabiz.Record, change func(r *lambdabiz.Record)) *lambdabiz.Record {
	change(r)
	return r
}

// breaks are records that must never be, each with the rule and a word of what is said of it.
var breaks = []struct {
	name, rule, says string
	of               func() *lambdabiz.Record
	change           func(r *lambdabiz.Record)
}{
	{"no start", invariant.Resume, "without an id", sound, func(r *lambdabiz.Record) { r.ScheduledAt = time.Time{} }},
	{"no status", invariant.Resume, "its status is NONE", sound, func(r *lambdabiz.Record) { r.Status = lambdabiz.StatusNone }},
	{"ended without an end", invariant.OneOutcome, "has no end", over, func(r *lambdabiz.Record) { r.EndedAt = time.Time{} }},
	{"success with an error", invariant.OneOutcome, "with an error", over, func(r *lambdabiz.Record) { r.Error = failure }},
	{"failure without an error", invariant.OneOutcome, "has no error", over, func(r *lambdabiz.Record) {
		r.Status, r.Result = lambdabiz.StatusFailed, nil
	}},
	{"failure with a result", invariant.OneOutcome, "has the result", over, func(r *lambdabiz.Record) {
		r.Status, r.Error = lambdabiz.StatusFailed, failure
	}},
	{"continued with a result", invariant.OneOutcome, "it continued", over, func(r *lambdabiz.Record) { r.ContinuedAs = "s" }},
	{"ended and held", invariant.Resume, "it has ended, with", over, func(r *lambdabiz.Record) { r.Worker = 1 }},
	{"ended and due", invariant.Resume, "it has ended, with", over, func(r *lambdabiz.Record) { r.WakeAt = at(9) }},
	{"open with an end", invariant.OneOutcome, "has an outcome", sound, func(r *lambdabiz.Record) { r.EndedAt = at(9) }},
	{"open with a result", invariant.OneOutcome, "has an outcome", sound, func(r *lambdabiz.Record) { r.Result = lambdabiz.Payload("1") }},
	{"open and continued", invariant.OneOutcome, "has an outcome", sound, func(r *lambdabiz.Record) { r.ContinuedAs = "s" }},
	{"started, nobody knows when", invariant.Resume, "was started at never", sound, func(r *lambdabiz.Record) {
		r.StartedAt = time.Time{}
	}},
	{"never started, with operations", invariant.Resume, "was never started", sound, func(r *lambdabiz.Record) {
		r.Status, r.StartedAt = lambdabiz.StatusScheduled, time.Time{}
	}},
	{"started before its start", invariant.Resume, "before it was scheduled", sound, func(r *lambdabiz.Record) { r.StartedAt = at(-1) }},

	{"a number twice", invariant.OneOutcome, "its number is 1", sound, func(r *lambdabiz.Record) { r.Operations[1].Number = 1 }},
	{"a number is missing", invariant.Durable, "and 1 is not there", sound, func(r *lambdabiz.Record) { r.Operations = r.Operations[1:] }},
	{"an operation that is open in a run that has ended", invariant.OneOutcome, "its run has ended", over, func(r *lambdabiz.Record) {
		r.Operations = append(r.Operations, sound().Operations[2])
		r.Operations[5].Number = 6
	}},
	{"a path twice", invariant.OneOutcome, "two records", sound, func(r *lambdabiz.Record) { r.Operations[1].ID = "job" }},
	{"an operation without a kind", invariant.Resume, "a kind", sound, func(r *lambdabiz.Record) {
		r.Operations[0].Kind = lambdabiz.KindNone
	}},
	{"an operation without a status", invariant.Resume, "its status is", sound, func(r *lambdabiz.Record) {
		r.Operations[2].Status = lambdabiz.StatusNone
	}},
	{"an operation that ended at no time", invariant.OneOutcome, "has no end", sound, func(r *lambdabiz.Record) {
		r.Operations[0].EndedAt = time.Time{}
	}},
	{"an open operation with an end", invariant.OneOutcome, "has an outcome", sound, func(r *lambdabiz.Record) {
		r.Operations[2].EndedAt = at(9)
	}},
	{"an open operation with a result", invariant.OneOutcome, "has an outcome", sound, func(r *lambdabiz.Record) {
		r.Operations[2].Result = lambdabiz.Payload("1")
	}},
	{"an operation that succeeded with an error", invariant.OneOutcome, "with an error", sound, func(r *lambdabiz.Record) {
		r.Operations[0].Error = failure
	}},
	{"an operation that failed without one", invariant.OneOutcome, "has no error", sound, func(r *lambdabiz.Record) {
		r.Operations[5].Error = nil
	}},
	{"an operation that failed with a result", invariant.OneOutcome, "has the result", sound, func(r *lambdabiz.Record) {
		r.Operations[5].Result = lambdabiz.Payload("1")
	}},
	{"an operation that started at no time", invariant.Resume, "nobody knows when", sound, func(r *lambdabiz.Record) {
		r.Operations[2].StartedAt = time.Time{}
	}},
	{"an operation that ended before it started", invariant.Resume, "before it was started", sound, func(r *lambdabiz.Record) {
		r.Operations[0].StartedAt = at(3)
	}},
	{"a task that succeeded without an attempt", invariant.Resume, "no attempt", sound, func(r *lambdabiz.Record) {
		r.Operations[0].Attempts = 0
	}},
	{"a race without a winner", invariant.Resume, "without a winner", sound, func(r *lambdabiz.Record) { r.Operations[6].Result = nil }},
	{"a wait without a name", invariant.Resume, "without a name", sound, func(r *lambdabiz.Record) { r.Operations[2].Name = "" }},

	{"a timer that fired early", invariant.Timers, "early", sound, func(r *lambdabiz.Record) {
		r.Operations[1].EndedAt = at(5).Add(-time.Microsecond)
	}},
	{"a timer that fired late", invariant.Timers, "late", sound, func(r *lambdabiz.Record) { r.Operations[1].EndedAt = at(8) }},
	{"a timer that is never due", invariant.Timers, "never due", sound, func(r *lambdabiz.Record) { r.Operations[1].DueAt = time.Time{} }},
	{"a wait that timed out early", invariant.Timers, "early", sound, func(r *lambdabiz.Record) { r.Operations[4].DueAt = at(7) }},
	{"a wait that timed out without a time", invariant.Timers, "no time-out", sound, func(r *lambdabiz.Record) {
		r.Operations[4].DueAt = time.Time{}
	}},

	{"no time to wake", invariant.NoOrphan, "no time to wake", sound, func(r *lambdabiz.Record) { r.WakeAt = time.Time{} }},
	{"wakes too late", invariant.NoOrphan, "but is due", sound, func(r *lambdabiz.Record) { r.WakeAt = at(61) }},
	{"nobody takes it", invariant.NoOrphan, "nobody has taken it", sound, func(r *lambdabiz.Record) { r.WakeAt = at(10) }},
	{"blocked for ever", invariant.NoOrphan, "blocked for ever", sound, func(r *lambdabiz.Record) {
		r.Blocked, r.WakeAt = &lambdabiz.Blocked{Reason: "panic", Times: 1}, time.Time{}
	}},
	{"waits for nothing", invariant.NoOrphan, "no event and no child", sound, func(r *lambdabiz.Record) {
		r.Operations, r.WakeAt = r.Operations[:2], time.Time{}
		r.Messages = nil
	}},
	{"its event has arrived", invariant.NoOrphan, "did not wake it", sound, func(r *lambdabiz.Record) {
		r.Operations, r.WakeAt = r.Operations[:3], time.Time{}
		r.Messages = []lambdabiz.Message{{Number: 1, Kind: lambdabiz.MessageEvent, Name: "go"}}
	}},

	{"messages out of order", invariant.Conservation, "comes after", sound, func(r *lambdabiz.Record) { r.Messages[0].Number = 5 }},
	{"a key twice", invariant.Conservation, "two events with the key", sound, func(r *lambdabiz.Record) { r.Messages[1].Key = "k" }},
	{"an event without a name", invariant.Conservation, "without a name", sound, func(r *lambdabiz.Record) { r.Messages[1].Name = "" }},
	{"a stranger's child", invariant.Conservation, "which is no child", sound, func(r *lambdabiz.Record) { r.Messages[4].Operation = 1 }},
	{"a cancellation that nobody asked for", invariant.Conservation, "not asked for", sound, func(r *lambdabiz.Record) {
		r.CancelRequested = false
	}},
	{"a message of no kind", invariant.Resume, "of no kind", sound, func(r *lambdabiz.Record) { r.Messages[0].Kind = 0 }},
	{"still open", invariant.Liveness, "all had to end", sound, func(*lambdabiz.Record) {}},
}

func TestEveryRuleOfARecordIsSeenBroken(t *testing.T) {
	t.Parallel()
	for _, tc := range breaks {
		o := options()
		o.Late, o.Overdue, o.Ended = 2*time.Second, 10*time.Second, tc.rule == invariant.Liveness
		r := tc.of()
		tc.change(r)
		found := invariant.Record(r, o)
		seen := false
		for _, v := range found {
			seen = seen || v.Rule == tc.rule && strings.Contains(v.Problem, tc.says) && v.ID == "a" && v.RunID == "r"
		}
		if !seen {
			t.Errorf("%s: want %s %q, found %q", tc.name, tc.rule, tc.says, invariant.Text(found))
		}
	}
}

func TestSkewOfClocks(t *testing.T) {
	t.Parallel()
	r := sound()
	r.Operations[0].StartedAt = at(3) // it ended at 2
	r.Operations[4].EndedAt = at(5)   // it was due at 6
	o := options()
	if found := invariant.Record(r, o); len(found) != 2 {
		t.Errorf("with one clock: want two violations, found %q", invariant.Text(found))
	}
	o.Skew = time.Second
	if found := invariant.Record(r, o); len(found) != 0 {
		t.Errorf("with clocks a second apart: %s", invariant.Text(found))
	}
	r.Operations[1].EndedAt = at(4) // a timer is never early
	if found := invariant.Record(r, o); len(found) != 1 || found[0].Rule != invariant.Timers {
		t.Errorf("an early timer: found %q", invariant.Text(found))
	}
}

// A worker that stops lets a run go for the time at which it heard so, and a timer may have been due just before.
func TestARunThatIsDueAlreadyIsNotTooLate(t *testing.T) {
	t.Parallel()
	r := sound()
	r.Operations[3].DueAt, r.WakeAt = at(10), at(11)
	if found := invariant.Record(r, options()); len(found) != 0 {
		t.Errorf("due since 10, to wake since 11, it is 30: %s", invariant.Text(found))
	}
	r.WakeAt = at(31)
	if found := invariant.Record(r, options()); len(found) != 1 || found[0].Rule != invariant.NoOrphan {
		t.Errorf("due since 10, to wake at 31, it is 30: found %q", invariant.Text(found))
	}
}

func TestViolationSaysWhere(t *testing.T) {
	t.Parallel()
	v := invariant.Violation{Rule: "I3", ID: "a", RunID: "r", Operation: "b/job", Problem: "two records"}
	if got, want := v.String(), "I3: a (run r), operation b/job: two records"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	if got, want := invariant.Text([]invariant.Violation{v, {Rule: "I1", ID: "a", Problem: "gone"}}),
		"I3: a (run r), operation b/job: two records\nI1: a: gone"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
