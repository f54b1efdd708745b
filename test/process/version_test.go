package process_test

import (
	"testing"
	"time"
)

// blockTwice leaves a run behind that the code of version 1 cannot run, and that is to be tried again
// only in two seconds. It returns that time.
func blockTwice(b *bench) (retry time.Time) {
	b.t.Helper()
	p := b.worker(args{Name: "first", Lease: endless, Version: "1"})
	p.start("behind", move{ID: "first", Kind: "task", Text: "1"}, move{ID: "then", Kind: "late", Text: "2"})
	p.awaitNth("blocked behind", 2)
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

func TestBlockedRunGoesOnAtOnceWithAnotherVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	retry := blockTwice(b)
	b.worker(args{Name: "second", Lease: endless, Version: "2", Late: true})
	if began := wantThen(b); !began.Before(retry) {
		t.Errorf("it went on %v after the next try by time", began.Sub(retry))
	}
}

func TestBlockedRunWaitsForBackoffWithSameVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	retry := blockTwice(b)
	b.worker(args{Name: "second", Lease: endless, Version: "1", Late: true})
	if began := wantThen(b); began.Before(retry) {
		t.Errorf("it went on %v before its time", retry.Sub(began))
	}
}
