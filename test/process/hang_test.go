package process_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func TestHangingTaskIsEndedByItsTimeout(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.worker(args{Name: "worker", Lease: endless})
	p.start("hangs", move{ID: "work", Kind: "limited", Millis: 100, Hold: "never", Deaf: true})
	if failed := p.await("failed hangs"); !strings.Contains(failed, "deadline exceeded") {
		t.Errorf("it failed with %q", failed)
	}
	if o := b.operation("hangs", "work"); o.Status != lambdabiz.StatusTimeout || o.Attempts != 1 {
		t.Errorf("the operation is %v after %d attempts", o.Status, o.Attempts)
	}
	b.wantBegun("hangs", "work", 1)
}

// TestHangingStepIsLeftBehindAtShutdown: a body that does not even hear that its context has ended keeps
// its process for the drain timeout and the grace, not longer, and runs again elsewhere.
func TestHangingStepIsLeftBehindAtShutdown(t *testing.T) {
	t.Parallel()
	const drain = 200 * time.Millisecond
	b := setup(t)
	p := b.worker(args{Name: "worker", Lease: endless, Drain: drain})
	p.start("hangs", move{ID: "first", Kind: "task", Text: "1"},
		move{ID: "work", Kind: "step", Text: "2", Hold: "work", Deaf: true})
	p.await("recorded hangs work STARTED")
	began := time.Now()
	p.stop()
	if code := p.awaitExit(); code != 0 || p.await("stopped") != "<nil>" {
		t.Errorf("the process ended with exit code %d", code)
	}
	if took := time.Since(began); took < drain {
		t.Errorf("the body had %v to end, less than the drain timeout", took)
	}
	if s := b.state("hangs"); s.Status != lambdabiz.StatusStarted || s.Worker != 0 || s.Blocked != nil {
		t.Errorf("it was left behind as %s", b.dump("hangs"))
	}
	b.worker(args{Name: "next", Lease: endless, Let: []string{"work"}})
	if got := b.result("hangs"); got != "1,2" {
		t.Errorf("it ended with %q", got)
	}
	b.wantBegun("hangs", "first", 1)
	b.wantBegun("hangs", "work", 2)
	if o := b.operation("hangs", "work"); o.Attempts != 1 {
		t.Errorf("it was charged %d attempts", o.Attempts)
	}
}
