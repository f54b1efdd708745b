package main

import (
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lambdabiz/lambdabiz/cmd/internal/demo"
)

func TestDemoRunsBothOrchestrations(t *testing.T) {
	t.Parallel()
	c := setup(t)
	text := c.start("demo", "--timer", "100ms").ends(exitOK)
	for _, op := range demo.Operations {
		if n := countLines(text, op, "ran now"); n != 1 {
			t.Errorf("%d lines say that %s ran now, want 1:\n%s", n, op, text)
		}
	}
	s := c.show("Sequence3")
	if s.ID != "Sequence3" || s.Name != "Sequence3" || s.Status != "SUCCEEDED" || s.Error != nil {
		t.Errorf("Sequence3 is %+v", s)
	}
	if s.Input["Number1"] != 15.0 || s.Result["Result"] != 3.0 || len(s.WaitingFor) != 0 {
		t.Errorf("input %v, result %v, waits for %v", s.Input, s.Result, s.WaitingFor)
	}
	checkOperations(t, &s, demo.Operations[:7])
	rest := c.show("RESTSequence1")
	if rest.Status != "SUCCEEDED" {
		t.Errorf("RESTSequence1 is %s", rest.Status)
	}
	checkOperations(t, &rest, demo.Operations[7:])
}

func TestShowPrintsEveryField(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("demo", "--timer", "0")
	text := c.must("show", "Sequence3", "-o", "json")
	s := decode[map[string]any](t, text)
	hasKeys(t, s, "id", "name", "status", "input", "result", "error", "operations", "waitingFor")
	for _, o := range s["operations"].([]any) {
		hasKeys(t, o.(map[string]any), "id", "kind", "name", "status", "attempts", "input", "result",
			"error", "scheduledAt", "startedAt", "endedAt")
	}
}

func hasKeys(t *testing.T, object map[string]any, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, ok := object[key]; !ok {
			t.Errorf("%s is missing in %v", key, object)
		}
	}
}

// checkOperations wants these operations, each succeeded at the first attempt with all its times.
func checkOperations(t *testing.T, s *shown, want []string) {
	t.Helper()
	var ids []string
	for _, o := range s.Operations {
		ids = append(ids, o.ID)
		if o.Status != "SUCCEEDED" || o.Attempts != 1 {
			t.Errorf("%s is %s after %d attempts", o.ID, o.Status, o.Attempts)
		}
		if o.ScheduledAt == nil || o.StartedAt == nil || o.EndedAt == nil ||
			o.StartedAt.Before(*o.ScheduledAt) || o.EndedAt.Before(*o.StartedAt) {
			t.Errorf("%s: scheduled %v, started %v, ended %v", o.ID, o.ScheduledAt, o.StartedAt, o.EndedAt)
		}
	}
	if !slices.Equal(ids, want) {
		t.Errorf("operations %v, want %v", ids, want)
	}
}

func countLines(text string, words ...string) int {
	n := 0
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == words[0] && containsAll(line, words[1:]) {
			n++
		}
	}
	return n
}

// After a kill behind any operation, what was recorded keeps its times and does not run again.
func TestDemoSurvivesKillAfterEachOperation(t *testing.T) {
	t.Parallel()
	chosen := demo.Operations
	if withRace { // processes are slow then: one operation of each kind
		chosen = []string{"Operation3", demo.TimerID, demo.ApproveEvent, "ServiceOperation2", demo.RaiseID}
	}
	for _, op := range chosen {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			c := setup(t)
			text := c.start("demo", "--timer", "100ms", "--kill-after", op).ends(-int(syscall.SIGKILL))
			if countLines(text, op, "ran now") != 1 {
				t.Errorf("the kill came before the line of %s:\n%s", op, text)
			}
			before := map[string]shown{"Sequence3": c.show("Sequence3"), "RESTSequence1": c.show("RESTSequence1")}
			text = c.start("demo", "--timer", "100ms").ends(exitOK)
			if countLines(text, op, "recorded before") != 1 || countLines(text, op) != 1 {
				t.Errorf("%s is not said to be recorded:\n%s", op, text)
			}
			for id, old := range before {
				s := c.show(id)
				if s.Status != "SUCCEEDED" {
					t.Errorf("%s is %s", id, s.Status)
				}
				sameAsBefore(t, &old, &s)
			}
		})
	}
}

// sameAsBefore wants every operation that had ended to be as it was, and one attempt of each.
func sameAsBefore(t *testing.T, old, s *shown) {
	t.Helper()
	for _, o := range old.Operations {
		if o.EndedAt == nil {
			continue
		}
		now := s.operation(t, o.ID)
		if !now.ScheduledAt.Equal(*o.ScheduledAt) || !now.StartedAt.Equal(*o.StartedAt) || !now.EndedAt.Equal(*o.EndedAt) {
			t.Errorf("%s was %+v and is %+v", o.ID, o, now)
		}
	}
	for _, o := range s.Operations {
		if o.Attempts != 1 {
			t.Errorf("%s has %d attempts", o.ID, o.Attempts)
		}
	}
}

// Nothing of Sequence3 happens between the durable end of the chosen operation and the kill.
func TestDemoKillComesBeforeTheNextOperation(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.start("demo", "--timer", "0", "--kill-after", "Operation3").ends(-int(syscall.SIGKILL))
	s := c.show("Sequence3")
	for i, id := range []string{"Operation1", "Operation2", "Operation3"} {
		if o := s.Operations[i]; o.ID != id || o.Status != "SUCCEEDED" {
			t.Errorf("operation %d is %s, %s", i, o.ID, o.Status)
		}
	}
	for _, o := range s.Operations[3:] {
		if o.ID != "Operation4" || o.EndedAt != nil {
			t.Errorf("%s is %s after the kill", o.ID, o.Status)
		}
	}
}

func TestDemoAfterTheEndRunsNothing(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("demo", "--timer", "0")
	before := c.must("show", "Sequence3", "-o", "json") + c.must("show", "RESTSequence1", "-o", "json")
	text := c.must("demo", "--timer", "0")
	for _, op := range demo.Operations {
		if countLines(text, op, "recorded before") != 1 {
			t.Errorf("no line says that %s was recorded before:\n%s", op, text)
		}
	}
	if !strings.Contains(text, "everything was recorded before: nothing ran") || strings.Contains(text, "ran now") {
		t.Errorf("the second run does not say that nothing ran:\n%s", text)
	}
	if after := c.must("show", "Sequence3", "-o", "json") + c.must("show", "RESTSequence1", "-o", "json"); after != before {
		t.Errorf("the second run has changed the record from\n%s\nto\n%s", before, after)
	}
}

func TestDemoSaysWhichFlagsComeTooLate(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("demo", "--timer", "0")
	r := c.call("demo", "--timer", "0", "--number1", "16", "--number2", "5", "--kill-after", "Operation1")
	if r.code != exitOK || !strings.Contains(r.errs, "--number1 has no effect") ||
		strings.Contains(r.errs, "--number2") || strings.Contains(r.errs, "--timer has") ||
		!strings.Contains(r.errs, "Operation1 was recorded before: there is nothing to kill after") {
		t.Errorf("exit code %d, standard error:\n%s", r.code, r.errs)
	}
}

func TestDemoDivisionByZeroFails(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for _, what := range []string{"ran now, FAILED", "recorded before, FAILED"} {
		r := c.call("demo", "--number2", "0", "--timer", "0")
		if r.code != exitError || !strings.Contains(r.errs, "Sequence3 FAILED: Operation5 (Quotient)") {
			t.Errorf("exit code %d, standard error %s", r.code, r.errs)
		}
		if countLines(r.out, "Operation5", what, "it is 0") != 1 {
			t.Errorf("no line with %q:\n%s", what, r.out)
		}
	}
	s := c.show("Sequence3")
	if s.Status != "FAILED" || s.Error == nil || !strings.Contains(s.Error.Message, "divide 15 by Number2") {
		t.Errorf("Sequence3 is %+v", s)
	}
}

func TestDemoWithPrefixesSharesAFile(t *testing.T) {
	t.Parallel()
	c := setup(t)
	first, second := c.start("demo", "--id", "a-", "--timer", "50ms"), c.start("demo", "--id", "b-", "--timer", "50ms")
	first.ends(exitOK)
	second.ends(exitOK)
	for _, id := range []string{"a-Sequence3", "a-RESTSequence1", "b-Sequence3", "b-RESTSequence1"} {
		if s := c.show(id); s.Status != "SUCCEEDED" {
			t.Errorf("%s is %s", id, s.Status)
		}
	}
}

func TestDemoPrintsOneObject(t *testing.T) {
	t.Parallel()
	c := setup(t)
	v := decode[struct {
		Orchestrations []struct {
			ID                     string
			RanNow, RecordedBefore []string
			State                  shown
		}
	}](t, c.must("demo", "--timer", "0", "-o", "json"))
	if len(v.Orchestrations) != 2 || len(v.Orchestrations[0].RanNow) != 7 || v.Orchestrations[0].State.Status != "SUCCEEDED" {
		t.Errorf("demo printed %+v", v)
	}
}

// The URL of a started orchestration is recorded: without its port the demo cannot go on.
func TestDemoNamesTheTakenPort(t *testing.T) {
	t.Parallel()
	c := setup(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	c.must("start", "RESTSequence1", "RESTSequence1", `{"URL":"http://`+listener.Addr().String()+`/","Approve":"Sequence3"}`)
	r := c.call("demo", "--timer", "0")
	if r.code != exitError || !strings.Contains(r.errs, listener.Addr().String()) || !strings.Contains(r.errs, "--id") {
		t.Errorf("exit code %d, standard error %s", r.code, r.errs)
	}
}

func TestDemoBadInput(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.fails(exitUsage, "--timer is -1s", "demo", "--timer", "-1s")
	c.fails(exitUsage, "--kill-after is \"Operation9\"", "demo", "--kill-after", "Operation9")
	c.fails(exitUsage, "number1", "demo", "--number1", "many")
	c.fails(exitUsage, "takes no arguments", "demo", "Sequence3")
}

func TestDemoBadPrefix(t *testing.T) {
	t.Parallel()
	for name, prefix := range map[string]string{"control character": "a\tb", "too long": strings.Repeat("x", 300)} {
		if r := setup(t).call("demo", "--id", prefix); r.code != exitUsage {
			t.Errorf("%s: exit code %d, standard error %s", name, r.code, r.errs)
		}
	}
}
