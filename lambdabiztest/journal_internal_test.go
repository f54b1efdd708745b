package lambdabiztest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/probe"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// An engine that performs again what is recorded is none that there is: the journal is told of one.
func TestSabotageBodiesAfterTheirRecord(t *testing.T) {
	env := &Env{children: map[string]stubbedChild{}}
	env.journal.operations = map[operationKey]*called{}
	env.journal.met(&probe.Operation{Orchestration: "order-7", RunID: "r", Path: "charge", Kind: "TASK", Name: "Charge"})
	body := func() {
		env.begun(&process{}, lambdabiz.TaskInfo{OrchestrationID: "order-7", RunID: "r", OperationID: "charge", Attempt: 1})
	}
	body()
	if faults, _ := env.journal.repeats(); len(faults) > 0 {
		t.Errorf("one body is no fault: %q", faults)
	}
	env.journal.died()
	body()
	if faults, n := env.journal.repeats(); len(faults) > 0 || n != 1 {
		t.Errorf("a second body after a death is no fault: %q, %d repeats", faults, n)
	}
	env.journal.recorded(&lambdabiz.Commit{
		Run: &lambdabiz.RunRef{ID: "order-7", RunID: "r"}, At: time.Now(),
		Operations: []lambdabiz.Operation{{ID: "charge", Status: lambdabiz.StatusSucceeded, Attempts: 1}},
	})
	body()
	faults, _ := env.journal.repeats()
	campaign.Red(t, "KIT", "the record that keeps a body from running", strings.Join(faults, "; "))
	for _, want := range []string{
		`operation "charge" of orchestration order-7 ran again after its result was recorded`,
		`attempt 1 of operation "charge" of orchestration order-7 ran 3 times, 2 at most were right`,
	} {
		if !slices.Contains(faults, want) {
			t.Errorf("no fault %q in %q", want, faults)
		}
	}
}

// Attempts are kept apart: a death in the second one gives no right to repeat the first.
func TestAnAttemptWhoseFailureIsRecordedIsNotRepeated(t *testing.T) {
	t.Parallel()
	env := &Env{children: map[string]stubbedChild{}}
	env.journal.operations = map[operationKey]*called{}
	env.journal.met(&probe.Operation{Orchestration: "order-7", RunID: "r", Path: "charge", Kind: "TASK", Name: "Charge"})
	record := func(status lambdabiz.Status, attempts int) {
		env.journal.recorded(&lambdabiz.Commit{
			Run:        &lambdabiz.RunRef{ID: "order-7", RunID: "r"},
			Operations: []lambdabiz.Operation{{ID: "charge", Status: status, Attempts: attempts}},
		})
	}
	worker := &process{}
	body := func(attempt int) bool {
		return env.begun(worker, lambdabiz.TaskInfo{OrchestrationID: "order-7", RunID: "r", OperationID: "charge", Attempt: attempt})
	}
	body(1)
	record(lambdabiz.StatusScheduled, 1)
	body(2)
	env.journal.died()
	body(2)
	if faults, n := env.journal.repeats(); len(faults) > 0 || n != 1 {
		t.Errorf("the second attempt may run again: %q, %d repeats", faults, n)
	}
	body(1)
	faults, _ := env.journal.repeats()
	for _, want := range []string{
		`attempt 1 of operation "charge" of orchestration order-7 ran again after its failure was recorded`,
		`attempt 1 of operation "charge" of orchestration order-7 ran 2 times, 1 at most were right`,
	} {
		if !slices.Contains(faults, want) {
			t.Errorf("no fault %q in %q", want, faults)
		}
	}
	worker.dead = true
	if body(3) || len(env.journal.list[0].bodies) != 2 {
		t.Error("a dead process begins a body")
	}
}

func TestSabotageResultWithoutABody(t *testing.T) {
	t.Parallel()
	j := journal{operations: map[operationKey]*called{}}
	j.met(&probe.Operation{Orchestration: "order-7", RunID: "r", Path: "charge", Kind: "TASK"})
	j.recorded(&lambdabiz.Commit{
		Run:        &lambdabiz.RunRef{ID: "order-7", RunID: "r"},
		Operations: []lambdabiz.Operation{{ID: "charge", Status: lambdabiz.StatusSucceeded}},
	})
	faults, _ := j.repeats()
	campaign.Red(t, "KIT", "the body", strings.Join(faults, "; "))
}

func TestLongDifferencesAreCutToWhatDiffers(t *testing.T) {
	same := strings.Repeat("x", 1000)
	a, b := around(same+"1"+same, same+"2"+same)
	if a == b || len(a) > 300 || !strings.Contains(a, "x1x") || !strings.Contains(b, "x2x") {
		t.Errorf("it shows\n%s\nand\n%s", a, b)
	}
	if a, b := around("short", "shorter"); a != "short" || b != "shorter" {
		t.Errorf("short texts are cut to %q and %q", a, b)
	}
}

func TestStarsStandForTextWithinAnId(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"*", "a", true}, {"*", "a/b", false}, {"a/*/b", "a/x/b", true}, {"a/*/b", "a/x/y/b", false}, {"a/*/b", "a/b", false},
		{"remind-*", "remind-2", true}, {"remind-*", "remind-", true}, {"remind-*", "remin", false}, {"*-2", "remind-2", true},
		{"r*m*2", "remind-2", true}, {"r*m*3", "remind-2", false}, {"r*2*d", "remind-2", false}, {"aa*aa", "aaa", false},
		{"2*", "x2", false}, {"charge", "charge", true}, {"charge", "charges", false},
	} {
		call := &Call{path: c.pattern}
		if got := call.matches("o", c.path, "TASK"); got != c.want {
			t.Errorf("%q matches %q: %t, want %t", c.pattern, c.path, got, c.want)
		}
	}
}
