package sqlite_test

import (
	"slices"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

func TestStartPolicies(t *testing.T) {
	t.Parallel()
	type outcome int
	const (
		existing outcome = iota
		created
		refused
	)
	const open = lambdabiz.StatusStarted
	for _, test := range []struct {
		policy lambdabiz.StartPolicy
		before lambdabiz.Status
		want   outcome
	}{
		{lambdabiz.UseExisting, open, existing},
		{lambdabiz.UseExisting, lambdabiz.StatusFailed, existing},
		{lambdabiz.RejectExisting, open, refused},
		{lambdabiz.RejectExisting, lambdabiz.StatusSucceeded, refused},
		{lambdabiz.RejectOpen, open, refused},
		{lambdabiz.RejectOpen, lambdabiz.StatusSucceeded, created},
		{lambdabiz.RestartEnded, open, existing},
		{lambdabiz.RestartEnded, lambdabiz.StatusSucceeded, created},
		{lambdabiz.RestartFailed, open, existing},
		{lambdabiz.RestartFailed, lambdabiz.StatusSucceeded, existing},
		{lambdabiz.RestartFailed, lambdabiz.StatusFailed, created},
		{lambdabiz.RestartFailed, lambdabiz.StatusTerminated, created},
	} {
		b := setup(t)
		first := b.start("one").Run
		if test.before != open {
			b.commit(&lambdabiz.Commit{Run: &first, Close: &lambdabiz.Close{Status: test.before}})
		}
		start := lambdabiz.RunStart{ID: "one", RunID: "again", Name: "Order", Claim: true, Policy: test.policy}
		v := b.commit(&lambdabiz.Commit{Worker: b.worker, Starts: []lambdabiz.RunStart{start}}).Starts[0]
		got := existing
		switch {
		case v.Err != nil:
			wantErr(t, v.Err, lambdabiz.ErrExists)
			got = refused
		case v.Created:
			got = created
		}
		if got != test.want {
			t.Errorf("policy %d on %v: %+v", test.policy, test.before, v)
		}
		if (v.Run.Fence != 0) != v.Created || !v.Created && v.Info.Status != test.before {
			t.Errorf("policy %d on %v: %+v", test.policy, test.before, v)
		}
		if b.load("one").RunID != v.Run.RunID {
			t.Errorf("policy %d on %v: the latest run is %s", test.policy, test.before, b.load("one").RunID)
		}
		start.RunID, start.Policy = first.RunID, lambdabiz.RejectExisting
		if v.Created {
			start.RunID = "again"
		}
		if twice := b.startAs(start); twice.Created || twice.Run.RunID != start.RunID {
			t.Errorf("the same start twice: %+v", twice)
		}
	}
}

func TestStartOfAnotherDefinition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start("one")
	v := b.commit(&lambdabiz.Commit{Starts: []lambdabiz.RunStart{{ID: "one", RunID: "x", Name: "Invoice"}}})
	wantErr(t, v.Starts[0].Err, lambdabiz.ErrExists)
}

// Kept events and a claim go through the general way, and arrive with the start.
func TestEventBeforeStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := b.now.Add(time.Hour)
	wantErr(t, b.raise(lambdabiz.Raise{ID: "one", Name: "A", Until: b.now}), lambdabiz.ErrNotFound)
	for _, r := range []lambdabiz.Raise{
		{ID: "one", Name: "A", Key: "1", Until: until}, {ID: "one", Name: "A", Key: "1", Until: until},
		{ID: "one", Name: "B", Until: until}, {ID: "other", Name: "C", Until: until},
		{ID: "one", Name: "late", Until: b.now.Add(time.Minute)},
	} {
		if err := b.raise(r); err != nil {
			t.Fatal(err)
		}
	}
	b.now = b.now.Add(2 * time.Minute)
	v := b.start("one")
	if names := namesOf(v.Messages); !slices.Equal(names, []string{"A", "B"}) {
		t.Fatalf("kept events: %v", names)
	}
	if err := b.raise(lambdabiz.Raise{ID: "one", Name: "A", Key: "1"}); err != nil {
		t.Fatal(err)
	}
	if got := b.load("one"); len(got.Messages) != 2 {
		t.Errorf("messages %+v", got.Messages)
	}
}

func namesOf(messages []lambdabiz.Message) []string {
	var names []string
	for _, m := range messages {
		names = append(names, m.Name)
	}
	return names
}

func TestContinueAsNew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	parent := b.start("parent").Run
	b.commit(&lambdabiz.Commit{Run: &parent, Starts: []lambdabiz.RunStart{{
		ID: "one", RunID: "1", Name: "Order", Parent: &lambdabiz.Parent{ID: "parent", RunID: parent.RunID, Operation: 3},
	}}})
	first := b.claim(1, 0).Runs[0].Ref
	for _, r := range []lambdabiz.Raise{{ID: "one", Name: "A", Key: "k"}, {ID: "one", Name: "B"}} {
		if err := b.raise(r); err != nil {
			t.Fatal(err)
		}
	}
	messages := b.load("one").Messages
	v := b.commit(&lambdabiz.Commit{
		Run: &first, Worker: b.worker, Consumed: []int64{messages[0].Number}, Seen: messages[1].Number, Conditional: true,
		Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &lambdabiz.RunStart{
			ID: "one", RunID: "2", Name: "Order", Claim: true,
		}},
	})
	if len(v.Starts) != 0 {
		t.Fatalf("the next run was started and claimed: %+v", v.Starts)
	}
	next := b.load("one")
	if next.RunID != "2" || next.Previous != "1" || !slices.Equal(namesOf(next.Messages), []string{"B"}) {
		t.Fatalf("next %+v", next)
	}
	previous, err := b.Load(t.Context(), "one", "1")
	if err != nil || previous.ContinuedAs != "2" || len(previous.Messages) != 0 {
		t.Fatalf("previous %+v, %v", previous, err)
	}
	// The key belongs to the chain, and nobody has told the parent yet.
	if err := b.raise(lambdabiz.Raise{ID: "one", Name: "A", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if got := len(b.load("one").Messages); got != 1 {
		t.Errorf("%d messages: the key was forgotten", got)
	}
	if got := b.load("parent").Messages; len(got) != 0 {
		t.Errorf("the parent was told too early: %+v", got)
	}
	b.commit(&lambdabiz.Commit{Run: &b.claim(1, 0).Runs[0].Ref, Close: &lambdabiz.Close{
		Status: lambdabiz.StatusSucceeded, Result: lambdabiz.Payload("7"),
	}})
	got := b.load("parent").Messages
	if len(got) != 1 || got[0].Kind != lambdabiz.MessageChild || got[0].Operation != 3 || string(got[0].Payload) != "7" {
		t.Errorf("the parent got %+v", got)
	}
	if err := b.raise(lambdabiz.Raise{ID: "one", Name: "A", Key: "k"}); err != nil {
		t.Errorf("a known key after the end: %v", err)
	}
	wantErr(t, b.raise(lambdabiz.Raise{ID: "one", Name: "A", Key: "new"}), lambdabiz.ErrClosed)
}

func TestNumbersAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.start("one").Run
	b.commit(&lambdabiz.Commit{Run: &first, Close: &lambdabiz.Close{Status: lambdabiz.StatusFailed}})
	for range 2 {
		if n, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{ID: "one"}); err != nil || n > 1 {
			t.Fatalf("purged %d, %v", n, err)
		}
		again := b.start("one").Run
		if again.Handle == first.Handle {
			t.Fatalf("run number %v was used again", again.Handle)
		}
		v := b.try(&lambdabiz.Commit{Run: &first, Operations: []lambdabiz.Operation{b.operation(1)}})
		wantErr(t, v.Err, lambdabiz.ErrFenced)
		first = again
		b.commit(&lambdabiz.Commit{Run: &first, Close: &lambdabiz.Close{Status: lambdabiz.StatusFailed}})
	}
}

// A run that continues is cancelled and paused as the one before was. The outcome of a child of the
// run before is not its own: an operation with the same number may be another one.
func TestContinuedRunInherits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	child := b.startAs(lambdabiz.RunStart{
		ID: "child", RunID: "c", Name: "Order", Claim: true,
		Parent: &lambdabiz.Parent{ID: "one", RunID: ref.RunID, Operation: 1},
	}).Run
	b.commit(&lambdabiz.Commit{Run: &child, Close: &lambdabiz.Close{Status: lambdabiz.StatusFailed}})
	for _, kind := range []lambdabiz.ControlKind{lambdabiz.ControlCancel, lambdabiz.ControlPause} {
		if err := b.control(kind, "one"); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(b.load("one").Messages); got != 3 {
		t.Fatalf("%d messages, want the child's, the cancellation and the pause", got)
	}
	b.commit(&lambdabiz.Commit{Run: &ref, Close: &lambdabiz.Close{
		Status: lambdabiz.StatusSucceeded, Next: &lambdabiz.RunStart{ID: "one", RunID: "next", Name: "Order"},
	}})
	next := b.load("one")
	if !next.CancelRequested || !next.Paused || len(b.claim(1, 0).Runs) != 0 {
		t.Errorf("next: %+v", next)
	}
	for _, m := range next.Messages {
		if m.Kind == lambdabiz.MessageChild {
			t.Errorf("the next run got its predecessor's child: %+v", m)
		}
	}
	if err := b.control(lambdabiz.ControlResume, "one"); err != nil {
		t.Fatal(err)
	}
	if got := b.claim(1, 0).Runs; len(got) != 1 || len(got[0].Messages) != 1 {
		t.Errorf("after the resume: %+v", got)
	}
}

// A claimed start that comes again, because nobody knew what became of it, gets its fence again.
func TestClaimedStartTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, again := b.start("one"), b.start("one")
	if again.Created || again.Run != first.Run {
		t.Fatalf("first %+v, again %+v", first, again)
	}
	b.commit(&lambdabiz.Commit{Run: &first.Run, Release: &lambdabiz.Release{WakeAt: b.now}})
	b.claim(1, 0)
	if again = b.start("one"); again.Run.Fence != 0 {
		t.Errorf("a run that was claimed since: %+v", again)
	}
}
