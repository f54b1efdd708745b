package process_test

import (
	"testing"
	"time"
)

// block leaves a run behind that the code of version 1 cannot run, after so many tries: the next one is only due 1 s
// after the first, 2 s after the second, 4 s after the third. It returns that time.
func block(b *bench, tries int) (retry time.Time) {
	b.t.Helper()
	p := b.worker(args{Name: "first", Lease: endless, Version: "1"})
	p.start("behind", move{ID: "first", Kind: "task", Text: "1"}, move{ID: "then", Kind: "late", Text: "2"})
	p.awaitNth("blocked behind", tries)
	p.kill()
	s := b.state("behind")
	if s.Blocked == nil || s.Blocked.Operation != "then" || s.Blocked.Version != "1" {
		b.t.Fatalf("blocked is %+v", s.Blocked)
	}
	return s.Blocked.RetryAt
}

// wantThen waits for the outcome, and returns when the body began that version 1 does not know.
func wantThen(b *bench) time.Time {
	b.t.Helper()
	if got := b.result("behind"); got != "1,2" {
		b.t.Errorf("it ended with %q", got)
	}
	b.wantBegun("behind", "first", 1)
	b.wantBegun("behind", "then", 1)
	return time.UnixMicro(b.begun("behind", "then")[0].at)
}

// TestBlockedRunGoesOnAtOnceWithAnotherVersion gives the next worker more and more time to begin before the run is due
// anyway, until it does: what goes on only then never does.
func TestBlockedRunGoesOnAtOnceWithAnotherVersion(t *testing.T) {
	t.Parallel()
	for tries := 2; ; tries++ {
		b := setup(t)
		retry := block(b, tries)
		b.worker(args{Name: "second", Lease: endless, Version: "2", Late: true})
		late := wantThen(b).Sub(retry)
		if late < 0 || t.Failed() {
			return
		}
		if tries == 5 {
			t.Fatalf("it went on %v after the next try by time", late)
		}
		t.Logf("after %d tries the next worker, or the machine, was too slow by %v", tries, late)
	}
}

func TestBlockedRunWaitsForBackoffWithSameVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	retry := block(b, 2)
	b.worker(args{Name: "second", Lease: endless, Version: "1", Late: true})
	if began := wantThen(b); began.Before(retry) {
		t.Errorf("it went on %v before its time", retry.Sub(began))
	}
}
