package sqlite_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

func TestClaimTakesWhatIsDue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 5 {
		b.startAs(lambdabiz.RunStart{ID: fmt.Sprintf("r%d", i), RunID: fmt.Sprint(i), Name: "Order"})
	}
	b.startAs(lambdabiz.RunStart{ID: "foreign", RunID: "f", Name: "Invoice"})
	b.startAs(lambdabiz.RunStart{ID: "hand", RunID: "h", Name: "Order", Mode: lambdabiz.ModeHand})
	if got := b.claim(0, 0); len(got.Runs) != 0 || !got.NextWake.Equal(b.now) {
		t.Fatalf("without a limit: %+v", got)
	}
	got := b.claim(3, 0)
	if len(got.Runs) != 3 || !got.More || got.Runs[0].Status != lambdabiz.StatusScheduled || got.Runs[0].Ref.Fence != 1 {
		t.Fatalf("three of five: %+v", got)
	}
	if got = b.claim(3, 0); len(got.Runs) != 2 || got.More || !got.NextWake.IsZero() {
		t.Fatalf("the last two: %+v", got)
	}
	ref := got.Runs[0].Ref
	b.commit(&lambdabiz.Commit{Run: &ref, Started: true, Release: &lambdabiz.Release{WakeAt: b.now.Add(time.Minute)}})
	if got = b.claim(3, 0); len(got.Runs) != 0 || !got.NextWake.Equal(b.now.Add(time.Minute)) {
		t.Fatalf("before its time: %+v", got)
	}
	b.now = b.now.Add(time.Minute)
	if got = b.claim(3, 0); len(got.Runs) != 1 || got.Runs[0].Ref.Fence != ref.Fence+2 || got.Runs[0].Status != lambdabiz.StatusStarted {
		t.Fatalf("at its time: %+v", got)
	}
}

func TestClaimHandsOutMessages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := setupAt(t, b.path)
	b.start("mine")
	other.start("theirs")
	for _, id := range []string{"mine", "theirs", "mine"} {
		if err := other.raise(lambdabiz.Raise{ID: id, Name: id}); err != nil {
			t.Fatal(err)
		}
	}
	got := b.claim(1, 0)
	if len(got.Arrived) != 1 || got.Arrived[0].Ref.ID != "mine" || len(got.Arrived[0].Messages) != 2 || got.Through != 3 {
		t.Fatalf("arrived: %+v", got)
	}
	if again := b.claim(1, got.Through); len(again.Arrived) != 0 || again.Through != got.Through {
		t.Fatalf("twice: %+v", again)
	}
	if err := b.raise(lambdabiz.Raise{ID: "mine", Name: "again"}); err != nil {
		t.Fatal(err)
	}
	if got = b.claim(1, got.Through); len(got.Arrived) != 1 || got.Through != 4 {
		t.Fatalf("the next: %+v", got)
	}
}

func TestClaimByHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	claim := func(id string) (lambdabiz.Claims, error) {
		return b.Claim(t.Context(), lambdabiz.ClaimRequest{Hand: id})
	}
	_, err := claim("one")
	wantErr(t, err, lambdabiz.ErrNotFound)
	b.start("worker's")
	_, err = claim("worker's")
	wantErr(t, err, lambdabiz.ErrMode)
	first := b.startAs(lambdabiz.RunStart{ID: "one", RunID: "1", Mode: lambdabiz.ModeHand, Claim: true}).Run
	claims, err := claim("one")
	if err != nil || len(claims.Runs) != 1 || claims.Runs[0].Ref.Fence != first.Fence+1 || claims.Runs[0].Worker != 0 {
		t.Fatalf("claimed %+v, %v", claims, err)
	}
	v := b.try(&lambdabiz.Commit{Run: &first, Operations: []lambdabiz.Operation{b.operation(1)}})
	wantErr(t, v.Err, lambdabiz.ErrFenced)
	ref := claims.Runs[0].Ref
	b.commit(&lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{WakeAt: b.now}})
	if got := b.claim(1, 0); len(got.Runs) != 0 {
		t.Fatalf("a worker claimed %+v", got.Runs)
	}
	claims, err = claim("one")
	if err != nil || len(claims.Runs) != 1 {
		t.Fatalf("claimed %+v, %v", claims, err)
	}
	ref = claims.Runs[0].Ref
	b.commit(&lambdabiz.Commit{Run: &ref, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
	claims, err = claim("one")
	if err != nil || claims.Runs[0].Ref.Fence != 0 || claims.Runs[0].Status != lambdabiz.StatusSucceeded {
		t.Fatalf("ended: %+v, %v", claims, err)
	}
}

func TestBlockedRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	block := func(ref lambdabiz.RunRef) {
		b.commit(&lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{
			WakeAt:  b.now.Add(time.Hour),
			Blocked: &lambdabiz.Blocked{Reason: "panic", Version: "v1", Times: 1, Since: b.now},
		}})
	}
	claimed := func(why string, want int) []lambdabiz.Claimed {
		t.Helper()
		runs := b.claim(1, 0).Runs
		if len(runs) != want {
			t.Fatalf("%s: claimed %d, want %d", why, len(runs), want)
		}
		return runs
	}
	block(b.start("one").Run)
	if err := b.raise(lambdabiz.Raise{ID: "one", Name: "A"}); err != nil {
		t.Fatal(err)
	}
	claimed("a message does not unblock", 0)
	b.join("v1", "Order")
	b.join("v2", "Invoice")
	claimed("neither does the same version, nor another definition", 0)
	b.worker = b.join("v2", "Order")
	if b.now.Before(time.Now()) {
		b.now = time.Now().Add(time.Minute)
	}
	runs := claimed("another version does", 1)
	if runs[0].Blocked == nil || runs[0].Blocked.Reason != "panic" {
		t.Errorf("blocked: %+v", runs[0].Blocked)
	}
	block(runs[0].Ref)
	if err := b.control(lambdabiz.ControlResume, "one"); err != nil {
		t.Fatal(err)
	}
	if runs = claimed("a resume does", 1); runs[0].Blocked != nil {
		t.Errorf("still blocked: %+v", runs[0].Blocked)
	}
	block(runs[0].Ref)
	b.now = b.now.Add(time.Hour)
	claimed("its time does", 1)
}

func TestPausedRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	for range 2 {
		if err := b.control(lambdabiz.ControlPause, "one"); err != nil {
			t.Fatal(err)
		}
	}
	messages := b.load("one").Messages
	if len(messages) != 1 || messages[0].Kind != lambdabiz.MessagePause {
		t.Fatalf("the holder got %+v", messages)
	}
	b.commit(&lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{WakeAt: b.now}})
	if err := b.raise(lambdabiz.Raise{ID: "one", Name: "A"}); err != nil {
		t.Fatal(err)
	}
	if got := b.claim(1, 0).Runs; len(got) != 0 {
		t.Fatalf("claimed while paused: %+v", got)
	}
	if err := b.control(lambdabiz.ControlResume, "one"); err != nil {
		t.Fatal(err)
	}
	got := b.claim(1, 0).Runs
	if len(got) != 1 || got[0].Paused || len(got[0].Messages) != 1 {
		t.Fatalf("after the resume: %+v", got)
	}
	// Resumed before its holder had let it go: it must not sleep then.
	for _, kind := range []lambdabiz.ControlKind{lambdabiz.ControlPause, lambdabiz.ControlResume} {
		if err := b.control(kind, "one"); err != nil {
			t.Fatal(err)
		}
	}
	b.commit(&lambdabiz.Commit{Run: &got[0].Ref, Seen: 1 << 40, Release: &lambdabiz.Release{}})
	if got := b.claim(1, 0).Runs; len(got) != 1 {
		t.Fatal("a run that was resumed too early sleeps")
	}
}

func TestCancelAndTerminate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("one").Run
	b.commit(&lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{}})
	for range 2 {
		if err := b.control(lambdabiz.ControlCancel, "one"); err != nil {
			t.Fatal(err)
		}
	}
	got := b.claim(1, 0).Runs
	if len(got) != 1 || !got[0].CancelRequested || len(got[0].Messages) != 1 ||
		!strings.HasSuffix(got[0].Messages[0].Error.Message, ": test") {
		t.Fatalf("cancelled: %+v", got)
	}
	number := got[0].Messages[0].Number
	b.commit(&lambdabiz.Commit{Run: &got[0].Ref, Consumed: []int64{number}})
	if len(b.load("one").Messages) != 1 {
		t.Error("a cancellation was consumed")
	}
	if err := b.control(lambdabiz.ControlTerminate, "one"); err != nil {
		t.Fatal(err)
	}
	record := b.load("one")
	if record.Status != lambdabiz.StatusTerminated || !strings.HasSuffix(record.Error.Message, ": test") || record.EndedAt.IsZero() {
		t.Errorf("terminated: %+v", record)
	}
	v := b.try(&lambdabiz.Commit{Run: &got[0].Ref, Operations: []lambdabiz.Operation{b.operation(1)}})
	wantErr(t, v.Err, lambdabiz.ErrFenced)
	for _, kind := range []lambdabiz.ControlKind{
		lambdabiz.ControlCancel, lambdabiz.ControlTerminate, lambdabiz.ControlPause, lambdabiz.ControlResume,
	} {
		wantErr(t, b.control(kind, "one"), lambdabiz.ErrClosed)
	}
}

func TestWake(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, two := b.Wake(), b.Wake()
	b.startAs(lambdabiz.RunStart{ID: "one", RunID: "1", Name: "Order"})
	<-one
	<-two
	if err := b.raise(lambdabiz.Raise{ID: "one", Name: "A"}); err != nil {
		t.Fatal(err)
	}
	<-one
	select {
	case <-one:
		t.Error("a signal without a change")
	default:
	}
}

// A claim takes no more than it can read in a moment, for its caller waits, and all who write wait for a part of it.
func TestAClaimTakesNoMoreThanItReadsInAMoment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		operations int
		payload    int
	}{"many operations": {1000, 0}, "large payloads": {2, 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			const runs = 12
			for i := range runs {
				ref := b.start(fmt.Sprint(i)).Run
				c := &lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{WakeAt: b.now}}
				for n := range test.operations {
					op := b.operation(int64(n + 1))
					if test.payload > 0 {
						op.Result = make([]byte, test.payload)
					}
					c.Operations = append(c.Operations, op)
				}
				b.commit(c)
			}
			claimed := map[string]bool{}
			for claims := 0; len(claimed) < runs; claims++ {
				got := b.claim(256, 0)
				if n := len(got.Runs); n == 0 || n > 4 {
					t.Fatalf("claim %d took %d runs", claims, n)
				}
				for _, r := range got.Runs {
					if claimed[r.ID] || len(r.Operations) != test.operations {
						t.Errorf("%s: claimed before: %t, with %d operations", r.ID, claimed[r.ID], len(r.Operations))
					}
					claimed[r.ID] = true
				}
				if want := len(claimed) < runs; got.More != want {
					t.Errorf("after %d runs it says that there are more: %t", len(claimed), got.More)
				}
			}
		})
	}
}
