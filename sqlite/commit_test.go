package sqlite_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

func TestRecordSurvivesTheRoundTrip(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := b.now
	failure := &lambdabiz.Failure{Message: "no", Type: "x", Causes: []*lambdabiz.Failure{{Message: "why"}}}
	b.startAs(lambdabiz.RunStart{ID: "parent", RunID: "parent-1", Name: "Order"})
	ref := b.startAs(lambdabiz.RunStart{
		ID: "one", RunID: "one-1", Name: "Order", Claim: true, Input: lambdabiz.Payload{},
		Deadline: at.Add(time.Hour), Tags: map[string]string{`a"<b`: "1&'", "c": ""},
		Parent: &lambdabiz.Parent{ID: "parent", RunID: "parent-1", Operation: 7, Detached: true},
	}).Run
	operations := []lambdabiz.Operation{
		{
			Number: 1, ID: "a/b~1c", Kind: lambdabiz.KindService, Name: "GET", Status: lambdabiz.StatusScheduled,
			Attempts: 2, Input: lambdabiz.Payload{0, 1, 0xff}, Error: failure,
			ScheduledAt: at, StartedAt: at.Add(-time.Microsecond), DueAt: at.Add(24 * time.Hour),
			ExpiresAt: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
			Target:    "other", Details: lambdabiz.Payload("50%"),
		},
		{Number: 2, ID: "t", Kind: lambdabiz.KindTimer, Status: lambdabiz.StatusStarted, Result: lambdabiz.Payload{}},
	}
	b.commit(&lambdabiz.Commit{Run: &ref, Operations: operations, Progress: lambdabiz.Payload(`"half"`)})
	operations[1].Status, operations[1].EndedAt = lambdabiz.StatusSucceeded, at
	b.commit(&lambdabiz.Commit{Run: &ref, Operations: operations[1:]})
	b.commit(&lambdabiz.Commit{Run: &ref, Close: &lambdabiz.Close{
		Status: lambdabiz.StatusFailed, Error: failure, Orphans: []string{"x", "y"},
	}, At: at.Add(time.Second)})
	want := &lambdabiz.Record{
		RunInfo: lambdabiz.RunInfo{
			ID: "one", RunID: "one-1", Name: "Order", Status: lambdabiz.StatusFailed,
			Tags:   map[string]string{`a"<b`: "1&'", "c": ""},
			Parent: &lambdabiz.Parent{ID: "parent", RunID: "parent-1", Operation: 7, Detached: true},
			Input:  lambdabiz.Payload{}, Error: failure, Progress: lambdabiz.Payload(`"half"`),
			ScheduledAt: at, StartedAt: at, EndedAt: at.Add(time.Second), Deadline: at.Add(time.Hour),
			Orphans: []string{"x", "y"},
		},
		Operations: operations,
	}
	if got := b.load("one"); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestFences(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.start("one").Run
	b.commit(&lambdabiz.Commit{Run: &first, Release: &lambdabiz.Release{WakeAt: b.now}})
	second := b.claim(1, 0).Runs[0].Ref
	if second.Fence <= first.Fence {
		t.Fatalf("fence %d after %d", second.Fence, first.Fence)
	}
	writes := map[string]func(ref lambdabiz.RunRef) *lambdabiz.Commit{
		"one operation": func(ref lambdabiz.RunRef) *lambdabiz.Commit {
			return &lambdabiz.Commit{Run: &ref, Operations: []lambdabiz.Operation{b.operation(1)}}
		},
		"two operations": func(ref lambdabiz.RunRef) *lambdabiz.Commit {
			return &lambdabiz.Commit{Run: &ref, Operations: []lambdabiz.Operation{b.operation(1), b.operation(2)}}
		},
		"release": func(ref lambdabiz.RunRef) *lambdabiz.Commit {
			return &lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{}}
		},
		"end": func(ref lambdabiz.RunRef) *lambdabiz.Commit {
			return &lambdabiz.Commit{Run: &ref, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}}
		},
		"start": func(ref lambdabiz.RunRef) *lambdabiz.Commit {
			return &lambdabiz.Commit{Run: &ref, Starts: []lambdabiz.RunStart{{ID: "child", RunID: "c", Name: "Order"}}}
		},
	}
	zero, ended := second, b.start("ended").Run
	zero.Fence = 0
	b.commit(writes["end"](ended))
	for name, write := range writes {
		for who, ref := range map[string]lambdabiz.RunRef{"earlier holder": first, "nobody": zero, "ended run": ended} {
			if v := b.try(write(ref)); v.Err == nil {
				t.Errorf("%s by %s was applied", name, who)
			} else {
				wantErr(t, v.Err, lambdabiz.ErrFenced)
			}
		}
	}
	if got := b.load("one"); len(got.Operations) != 0 {
		t.Errorf("recorded %+v", got.Operations)
	}
	if _, err := b.Load(t.Context(), "child", ""); err == nil {
		t.Error("a fenced commit started a child")
	}
}

func TestConditionalCommit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	if err := b.raise(lambdabiz.Raise{ID: "one", Name: "Approve", Payload: lambdabiz.Payload("true")}); err != nil {
		t.Fatal(err)
	}
	park := &lambdabiz.Commit{
		Run: &ref, Conditional: true, Release: &lambdabiz.Release{}, Operations: []lambdabiz.Operation{b.operation(1)},
	}
	v := b.try(park)
	wantErr(t, v.Err, lambdabiz.ErrStale)
	if len(v.Messages) != 1 || v.Messages[0].Name != "Approve" || string(v.Messages[0].Payload) != "true" {
		t.Fatalf("messages %+v", v.Messages)
	}
	if got := b.load("one"); len(got.Operations) != 0 || got.Worker != b.worker {
		t.Fatalf("a stale commit was applied: %+v", got)
	}
	park.Seen, park.Consumed = v.Messages[0].Number, []int64{v.Messages[0].Number}
	b.commit(park)
	if got := b.load("one"); len(got.Operations) != 1 || len(got.Messages) != 0 || got.Worker != 0 {
		t.Fatalf("parked: %+v", got)
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	if err := b.raise(lambdabiz.Raise{ID: "one", Name: "A"}); err != nil {
		t.Fatal(err)
	}
	for _, operations := range [][]lambdabiz.Operation{{b.operation(1)}, {b.operation(1), b.operation(2)}} {
		v := b.commit(&lambdabiz.Commit{Run: &ref, Fetch: true, Operations: operations})
		if len(v.Messages) != 1 {
			t.Errorf("%d operations: messages %+v", len(operations), v.Messages)
		}
	}
}

// A release that has not seen a message must not wait for the next one.
func TestReleaseWakesForUnseenMessages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	if err := b.raise(lambdabiz.Raise{ID: "one", Name: "A"}); err != nil {
		t.Fatal(err)
	}
	b.commit(&lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{WakeAt: b.now.Add(time.Hour)}})
	runs := b.claim(1, 0).Runs
	if len(runs) != 1 {
		t.Fatal("the run sleeps over a message")
	}
	// A run's message to itself, in the commit that parks it, wakes it too.
	v := b.commit(&lambdabiz.Commit{
		Run: &runs[0].Ref, Seen: runs[0].Messages[0].Number, Conditional: true, Release: &lambdabiz.Release{},
		Raises: []lambdabiz.Raise{{ID: "one", Name: "B"}},
	})
	if v.Raises[0].Err != nil || len(b.claim(1, 0).Runs) != 1 {
		t.Fatal("the run sleeps over its own message")
	}
}

func TestRefusedChangesMarkTheirOperation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	b.start("taken")
	operations := []lambdabiz.Operation{b.operation(1), b.operation(2), b.operation(3)}
	v := b.commit(&lambdabiz.Commit{
		Run: &ref, Operations: operations,
		Starts: []lambdabiz.RunStart{{
			ID: "taken", RunID: "other", Name: "Order", Policy: lambdabiz.RejectExisting, Operation: 1,
		}},
		Raises:   []lambdabiz.Raise{{ID: "nobody", Name: "A", Operation: 2}, {ID: "taken", Name: "A"}},
		Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlCancel, ID: "nobody", Operation: 3}},
	})
	wantErr(t, v.Starts[0].Err, lambdabiz.ErrExists)
	wantErr(t, v.Raises[0].Err, lambdabiz.ErrNotFound)
	wantErr(t, v.Controls[0], lambdabiz.ErrNotFound)
	if v.Raises[1].Err != nil {
		t.Errorf("raise: %v", v.Raises[1].Err)
	}
	for _, op := range b.load("one").Operations {
		if op.Status != lambdabiz.StatusFailed || op.Error == nil || op.Result != nil {
			t.Errorf("operation %d: %+v", op.Number, op)
		}
	}
}

// Every batch gives the same verdicts and the same rows as its commits one by one.
func TestBatchEqualsOneByOne(t *testing.T) {
	t.Parallel()
	apply := func(t *testing.T, together bool) ([]lambdabiz.Verdict, []*lambdabiz.Record) {
		b := setup(t)
		refs := make([]lambdabiz.RunRef, 100)
		for i := range refs {
			refs[i] = b.start(fmt.Sprintf("r%d", i)).Run
		}
		var batch []*lambdabiz.Commit
		for i := range refs {
			c := &lambdabiz.Commit{Run: &refs[i], At: b.now}
			for n := range int64(i % 7) {
				c.Operations = append(c.Operations, b.operation(n+1))
			}
			switch i % 9 {
			case 1:
				c.Close = &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}
			case 2:
				c.Release = &lambdabiz.Release{WakeAt: b.now.Add(time.Hour)}
			case 3:
				c.Raises = []lambdabiz.Raise{{ID: "new", Name: "A", Key: "k", Payload: lambdabiz.Payload("1")}, {ID: "r1", Name: "A"}}
			case 4:
				c.Run.Fence--
			case 5:
				c.Conditional = true
			case 6:
				c.Starts = []lambdabiz.RunStart{{ID: "new", RunID: fmt.Sprint(i), Name: "Order"}}
			case 7:
				c.Controls = []lambdabiz.Control{{Kind: lambdabiz.ControlTerminate, ID: fmt.Sprintf("r%d", i+1)}}
			}
			batch = append(batch, c)
		}
		var verdicts []lambdabiz.Verdict
		if together {
			var err error
			if verdicts, err = b.Commit(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		} else {
			for _, c := range batch {
				verdicts = append(verdicts, b.try(c))
			}
		}
		var records []*lambdabiz.Record
		for i := range refs {
			records = append(records, b.load(fmt.Sprintf("r%d", i)))
		}
		return verdicts, append(records, b.load("new"))
	}
	verdicts, records := apply(t, true)
	wantVerdicts, wantRecords := apply(t, false)
	for i := range verdicts {
		if fmt.Sprint(verdicts[i]) != fmt.Sprint(wantVerdicts[i]) {
			t.Errorf("verdict %d: %+v, one by one %+v", i, verdicts[i], wantVerdicts[i])
		}
	}
	for i := range records {
		if !reflect.DeepEqual(records[i], wantRecords[i]) {
			t.Errorf("%s:\n%+v\none by one\n%+v", records[i].ID, records[i], wantRecords[i])
		}
	}
}
