package invariant_test

import (
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/memory"
)

// check calls Check, which must find the one thing that says tells of, or nothing if it is empty.
func check(t *testing.T, l *invariant.Ledger, b lambdabiz.Backend, rule, says string) {
	t.Helper()
	found, err := l.Check(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case says == "" && len(found) > 0:
		t.Errorf("found %s", invariant.Text(found))
	case says != "" && (len(found) != 1 || found[0].Rule != rule || !strings.Contains(found[0].Problem, says)):
		t.Errorf("want %s %q, found %q", rule, says, invariant.Text(found))
	}
}

func TestLedgerSeesStarts(t *testing.T) {
	t.Parallel()
	s := relatives()
	l := &invariant.Ledger{}
	l.Started("a", "q")
	l.Started("a", "r") // of the same chain
	l.Started("a.part", "c")
	check(t, l, s, "", "")
	l.Started("b", "x")
	check(t, l, s, invariant.Durable, "it is not there")

	l = &invariant.Ledger{}
	s.records[0].ContinuedAs = ""
	l.Started("a", "q")
	l.Started("a", "r")
	check(t, l, s, invariant.StartOnce, "acknowledged, and that of run")
}

func TestLedgerSeesOutcomes(t *testing.T) {
	t.Parallel()
	s := &shelf{records: []*lambdabiz.Record{over()}}
	l := &invariant.Ledger{}
	l.Ended("a", "r", lambdabiz.StatusSucceeded, lambdabiz.Payload("3"))
	check(t, l, s, "", "")
	l.Ended("a", "r", lambdabiz.StatusSucceeded, lambdabiz.Payload("3"))
	check(t, l, s, "", "")

	s.records[0].EndedAt = at(10)
	check(t, l, s, invariant.OneOutcome, "it had ended as SUCCEEDED 3 at")

	l = &invariant.Ledger{}
	l.Ended("a", "r", lambdabiz.StatusSucceeded, lambdabiz.Payload("4"))
	check(t, l, s, invariant.OneOutcome, "a client was given SUCCEEDED 4, the record is SUCCEEDED 3")

	l = &invariant.Ledger{}
	check(t, l, s, "", "")
	open := sound()
	open.Operations[1].EndedAt = s.records[0].Operations[1].EndedAt
	s.records[0] = open
	check(t, l, s, invariant.Durable, "it had ended, and has not any more")

	l = &invariant.Ledger{}
	check(t, l, s, "", "")
	open.Operations[0].Result = lambdabiz.Payload("2")
	check(t, l, s, invariant.OneOutcome, "its record was SUCCEEDED 1")

	l = &invariant.Ledger{}
	check(t, l, s, "", "")
	open.Operations = open.Operations[1:]
	check(t, l, s, invariant.Durable, "its result was recorded, and is not any more")

	l = &invariant.Ledger{}
	l.Recorded("a", "r", "nap", lambdabiz.StatusSucceeded, nil)
	check(t, l, s, "", "")
	s.records = nil
	found, err := l.Check(t.Context(), s)
	if err != nil || len(found) == 0 || found[0].Rule != invariant.Durable {
		t.Errorf("the run is gone: error %v, found %q", err, invariant.Text(found))
	}
}

func TestLedgerSeesTimersMove(t *testing.T) {
	t.Parallel()
	s := &shelf{records: []*lambdabiz.Record{sound()}}
	l := &invariant.Ledger{}
	check(t, l, s, "", "")
	s.records[0].Operations[3].DueAt = at(59)
	check(t, l, s, invariant.Timers, "it was due at 2026-01-02T12:01:00.000000, and is at 2026-01-02T12:00:59")
}

func TestLedgerSeesBodies(t *testing.T) {
	t.Parallel()
	s := &shelf{records: []*lambdabiz.Record{sound()}}
	info := lambdabiz.TaskInfo{OrchestrationID: "a", RunID: "r", OperationID: "next", Attempt: 1, IdempotencyKey: "k"}
	l := &invariant.Ledger{}
	l.Began(info)
	l.Began(info) // after a crash
	info.Attempt = 2
	l.Began(info)
	check(t, l, s, "", "")
	if l.Repeats() != 1 || l.Bodies() != 1 {
		t.Errorf("%d repeats of %d bodies, want 1 of 1", l.Repeats(), l.Bodies())
	}
	info.Attempt = 1
	l.Began(info)
	check(t, l, s, invariant.Resume, "as attempt 1, before as attempt 2")
	info.Attempt, info.IdempotencyKey = 2, "other"
	l.Began(info)
	check(t, l, s, invariant.Resume, `with the key "other"`)

	info = lambdabiz.TaskInfo{OrchestrationID: "a", RunID: "r", OperationID: "job", Attempt: 1, IdempotencyKey: "k"}
	l.Began(info)
	check(t, l, s, invariant.Resume, "its body began again after its result was recorded")
	l.Overlaps = true
	l.Began(info)
	check(t, l, s, "", "")
}

func TestLedgerSeesEvents(t *testing.T) {
	t.Parallel()
	wait := func(number int64, path, payload string) lambdabiz.Operation {
		return lambdabiz.Operation{
			Number: number, ID: path, Kind: lambdabiz.KindEvent, Name: "go", Status: lambdabiz.StatusSucceeded, Attempts: 1,
			Result: lambdabiz.Payload(payload), ScheduledAt: at(1), StartedAt: at(1), EndedAt: at(2),
		}
	}
	fresh := func() (*invariant.Ledger, *lambdabiz.Record) {
		l := &invariant.Ledger{}
		for _, payload := range []string{"1", "2", "3"} {
			l.Raising("a", "go", "key of "+payload, lambdabiz.Payload(payload))()
		}
		l.Raising("a", "go", "key of 1", lambdabiz.Payload("1")) // again, and never acknowledged
		r := sound()
		r.Operations = []lambdabiz.Operation{wait(1, "x", "1"), wait(2, "y", "2")}
		r.Messages = []lambdabiz.Message{{Number: 3, Kind: lambdabiz.MessageEvent, Name: "go", Payload: lambdabiz.Payload("3")}}
		return l, r
	}
	l, r := fresh()
	check(t, l, &shelf{records: []*lambdabiz.Record{r}}, "", "")

	r.Messages = nil
	check(t, l, &shelf{records: []*lambdabiz.Record{r}}, invariant.Conservation, "event go 3 was acknowledged 1 times, and 0 are")

	l, r = fresh()
	r.Operations = append(r.Operations, wait(3, "z", "3"))
	check(t, l, &shelf{records: []*lambdabiz.Record{r}}, invariant.Conservation, "event go 3 was raised 1 times, and 2 are")

	l, r = fresh()
	r.Operations = []lambdabiz.Operation{wait(1, "x", "2"), wait(2, "y", "1")}
	check(t, l, &shelf{records: []*lambdabiz.Record{r}}, invariant.Conservation, "event go: 2 comes before 1")

	l, r = fresh()
	l.Raising("a", "go", "", lambdabiz.Payload("4")) // nobody knows
	check(t, l, &shelf{records: []*lambdabiz.Record{r}}, "", "")
	r.Messages = append(r.Messages, lambdabiz.Message{Number: 4, Kind: lambdabiz.MessageEvent, Name: "go", Payload: lambdabiz.Payload("4")})
	check(t, l, &shelf{records: []*lambdabiz.Record{r}}, "", "")
}

// The clock of who began the next run was slow: the list has it before the first one.
func TestLedgerFollowsChains(t *testing.T) {
	t.Parallel()
	s, first, second, _ := family()
	wait := lambdabiz.Operation{
		Number: 1, ID: "x", Kind: lambdabiz.KindEvent, Name: "go", Status: lambdabiz.StatusSucceeded, Attempts: 1,
		ScheduledAt: at(1), StartedAt: at(1), EndedAt: at(2),
	}
	l := &invariant.Ledger{}
	for i, r := range []*lambdabiz.Record{first, second} {
		wait.Result = lambdabiz.Payload([]string{"1", "2"}[i])
		r.Operations = []lambdabiz.Operation{wait}
		l.Raising("a", "go", "", wait.Result)()
	}
	s.records = []*lambdabiz.Record{second, first}
	check(t, l, s, "", "")
}

// A commit under fence 1 that began after fence 2 had been given out must not be applied.
func TestLedgerSeesOldFences(t *testing.T) {
	t.Parallel()
	ref := func(fence int64) lambdabiz.RunRef { return lambdabiz.RunRef{ID: "a", RunID: "r", Fence: fence} }
	s := &shelf{records: []*lambdabiz.Record{sound()}, verdicts: []lambdabiz.Verdict{{}}}
	s.verdicts[0].Starts = []lambdabiz.StartVerdict{{Created: true, Run: ref(1)}}
	l := &invariant.Ledger{}
	b := l.Watch(s)
	commit := func(c *lambdabiz.Commit) {
		t.Helper()
		if _, err := b.Commit(t.Context(), []*lambdabiz.Commit{c}); err != nil {
			t.Fatal(err)
		}
	}
	one := ref(1)
	commit(&lambdabiz.Commit{})
	s.verdicts = []lambdabiz.Verdict{{}}
	commit(&lambdabiz.Commit{Run: &one})
	check(t, l, s, "", "")
	s.claims.Runs = []lambdabiz.Claimed{{Ref: ref(2)}}
	if _, err := b.Claim(t.Context(), lambdabiz.ClaimRequest{}); err != nil {
		t.Fatal(err)
	}
	s.verdicts[0].Err = lambdabiz.ErrFenced
	commit(&lambdabiz.Commit{Run: &one})
	check(t, l, s, "", "")
	s.verdicts[0].Err = nil
	commit(&lambdabiz.Commit{Run: &one})
	check(t, l, s, invariant.Fence, "a commit under fence 1 was applied after fence 2 was given out")
}

func TestWatchKeepsTheAbilitiesOfABackend(t *testing.T) {
	t.Parallel()
	m := memory.New()
	var plain lambdabiz.Backend = &shelf{}
	for _, b := range []lambdabiz.Backend{m, plain} {
		w := (&invariant.Ledger{}).Watch(b)
		_, had := b.(lambdabiz.Waker)
		_, has := w.(lambdabiz.Waker)
		if had != has {
			t.Errorf("%T: Waker %t, watched %t", b, had, has)
		}
		_, had = b.(lambdabiz.Queue)
		if _, has = w.(lambdabiz.Queue); had != has {
			t.Errorf("%T: Queue %t, watched %t", b, had, has)
		}
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
