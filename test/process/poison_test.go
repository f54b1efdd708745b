package process_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// poison is a task that ends its process.
var poison = move{ID: "boom", Kind: "task", Mode: "exit", Text: "2"}

// dieOfPoison starts a run that ends its process, beside others, and lets five workers die of it.
func dieOfPoison(b *bench, poison move, sabotage string) {
	b.t.Helper()
	b.start("waiting", move{ID: "Approve", Kind: "event"}, move{ID: "after", Kind: "task", Text: "3"})
	for i := range 5 {
		p := b.spawn(args{Name: fmt.Sprintf("victim %d", i+1), Lease: endless, Sabotage: sabotage})
		if i == 0 {
			// Its wait is recorded, so that what it does while its workers die is to wait.
			p.await("recorded waiting Approve STARTED")
			b.start("poison", move{ID: "before", Kind: "task", Text: "1"}, poison)
			b.start("short", move{ID: "only", Kind: "task", Text: "4"})
		}
		if poison.Kind == "task" {
			p.await("body poison boom")
		}
		if code := p.awaitExit(); code != 3 {
			b.t.Fatalf("victim %d ended with exit code %d, want the poison's 3", i+1, code)
		}
	}
}

// resume lets a blocked run go on, unless its backoff was over first, and it has gone on to its end.
func (b *bench) resume(id string) {
	b.t.Helper()
	if err := b.client.Resume(b.t.Context(), id); err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
		b.t.Fatal(err)
	}
}

func TestTaskThatEndsItsProcessBlocksItsRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dieOfPoison(b, poison, "")
	b.wantBegun("poison", "before", 1)
	b.wantBegun("poison", "boom", 5)

	p := b.worker(args{Name: "survivor", Lease: endless, Let: []string{"fixed"}})
	if reason := p.await("blocked poison"); !strings.Contains(reason, "5 workers in a row died") {
		t.Fatalf("it was blocked because of %q", reason)
	}
	if s := b.state("poison"); s.Blocked != nil &&
		(s.Status != lambdabiz.StatusStarted || !strings.Contains(s.Blocked.Reason, "5 workers in a row died")) {
		t.Fatalf("status %v, blocked %+v", s.Status, s.Blocked)
	}
	b.resume("poison")
	if got := b.result("poison"); got != "1,2" {
		t.Errorf("after Resume it ended with %q", got)
	}
	b.wantBegun("poison", "before", 1)
	b.wantBegun("poison", "boom", 6)
	b.raise("waiting", "Approve", "yes")
	if got := b.result("waiting"); got != "yes,3" {
		t.Errorf("the waiting one ended with %q", got)
	}
	if got := b.result("short"); got != "4" {
		t.Errorf("the short one ended with %q", got)
	}
}

// TestPoisonLeavesOthersAlone: a run that only waited beside the poison has nothing to do with the
// deaths, and is not blocked for them.
func TestPoisonLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dieOfPoison(b, poison, "")
	p := b.worker(args{Name: "survivor", Lease: endless, Let: []string{"fixed"}})
	p.await("blocked poison")
	p.start("marker", move{ID: "only", Kind: "task", Text: "5"})
	b.result("marker")
	if p.said("blocked waiting") > 0 {
		t.Error("a run that waited for an event was blocked because of another one")
	}
	b.raise("waiting", "Approve", "yes")
	if got := b.result("waiting"); got != "yes,3" {
		t.Errorf("the waiting one ended with %q", got)
	}
}

// TestPoisonThatIsTriedAgainCostsOneWorker: after the backoff the next death is one more in the same row.
func TestPoisonThatIsTriedAgainCostsOneWorker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dieOfPoison(b, poison, "")
	p := b.worker(args{Name: "sixth", Lease: endless})
	p.await("blocked poison")
	p.await("body poison boom") // by itself, after the backoff
	if code := p.awaitExit(); code != 3 {
		t.Fatalf("the sixth ended with exit code %d, want the poison's 3", code)
	}
	p = b.worker(args{Name: "seventh", Lease: endless})
	b.awaitAny("claimed poison", p)
	p.start("marker", move{ID: "only", Kind: "task", Text: "5"})
	p.await("blocked poison")
	b.wantBegun("poison", "boom", 6)
}

func TestPanicsStayInTheirRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.worker(args{Name: "worker", Lease: endless})
	p.start("panics", move{ID: "first", Kind: "task", Text: "1"}, move{Kind: "panic"})
	p.launch("task-panics", move{ID: "work", Kind: "task", Mode: "panic"})
	p.await("blocked panics")
	s := b.state("panics")
	if s.Status != lambdabiz.StatusStarted || s.Blocked == nil || !strings.Contains(s.Blocked.Reason, "the script says so") ||
		!strings.Contains(s.Blocked.Source, "script_test.go:") {
		t.Errorf("status %v, blocked %+v", s.Status, s.Blocked)
	}
	if len(s.Operations) != 1 {
		t.Errorf("recorded is %+v", s.Operations)
	}
	if failed := p.await("failed task-panics"); !strings.Contains(failed, "the move says so") {
		t.Errorf("the task's panic became %q", failed)
	}
	p.start("fine", move{ID: "only", Kind: "task", Text: "1"})
	if got := b.result("fine"); got != "1" {
		t.Errorf("the one beside them ended with %q", got)
	}
}

// TestOrchestrationCodeThatEndsItsProcessBlocksItsRun: the code between operations does it, before it has recorded
// that it has begun anything more.
func TestOrchestrationCodeThatEndsItsProcessBlocksItsRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dieOfPoison(b, move{ID: "exit", Kind: "exit"}, "")
	p := b.worker(args{Name: "survivor", Lease: endless, Let: []string{"fixed"}})
	p.await("blocked poison")
	p.start("marker", move{ID: "only", Kind: "task", Text: "5"})
	if got := b.result("marker"); got != "5" {
		t.Errorf("the one beside it ended with %q", got)
	}
	b.resume("poison")
	if got := b.result("poison"); got != "1,exit" {
		t.Errorf("after Resume it ended with %q", got)
	}
	if n := len(b.begun("poison", "before")); n > 6 { // each process ended before the result was on disk
		t.Errorf("the body before it began %d times", n)
	}
	campaign.Report(t, "F32", []campaign.Count{{What: "workers dead of orchestration code", N: 5}, {What: "blocked", N: 1}})
}

// TestTaskThatSpinsHoldsUpNobodyElse: a body that never looks at its context burns a core. Its attempt ends in
// time, the others go on, and its process can be stopped.
func TestTaskThatSpinsHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.worker(args{Name: "worker", Lease: endless, Drain: 100 * time.Millisecond})
	p.start("spins", move{ID: "work", Kind: "limited", Millis: 100, Mode: "spin"})
	p.await("body spins work")
	const others = 20
	for n := range others {
		p.launch(fmt.Sprintf("other-%d", n), move{ID: "first", Kind: "task", Text: "1"}, move{ID: "last", Kind: "step", Text: "2"})
	}
	for n := range others {
		p.await(fmt.Sprintf("started other-%d", n))
		if got := b.result(fmt.Sprintf("other-%d", n)); got != "1,2" {
			t.Errorf("one beside it ended with %q", got)
		}
	}
	if failed := p.await("failed spins"); !strings.Contains(failed, "deadline exceeded") {
		t.Errorf("it failed with %q", failed)
	}
	p.stop()
	if code := p.awaitExit(); code != 0 {
		t.Errorf("the process ended with exit code %d", code)
	}
	campaign.Report(t, "F32", []campaign.Count{{What: "bodies that spin", N: 1}, {What: "others ended", N: others}})
}

// TestSabotagePoisonWithoutCount: where nobody counts the dead, one worker after the other dies.
func TestSabotagePoisonWithoutCount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dieOfPoison(b, poison, "careless")
	p := b.spawn(args{Name: "sixth", Lease: endless, Sabotage: "careless"})
	said := ""
	if code := p.awaitExit(); code == 3 && b.state("poison").Blocked == nil {
		said = "the sixth worker has died too, and the run is not blocked"
	}
	campaign.Red(t, "F32", "the count of crashes", said)
}
