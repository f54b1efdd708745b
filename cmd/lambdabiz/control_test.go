package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// waiting starts the demo and returns when Sequence3 waits for its approval.
func (c *cli) waiting() *process {
	c.t.Helper()
	c.holdApproval()
	p := c.start("demo", "--timer", "0")
	p.waitFor("Sequence3: waits for event Approve")
	return p
}

func TestAnotherProcessApproves(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	if s := c.show("Sequence3"); s.Status != "STARTED" || len(s.WaitingFor) != 1 || s.WaitingFor[0].Kind != "EVENT" {
		t.Errorf("Sequence3 is %+v", s)
	}
	if out := c.must("raise", "Sequence3", "Aprove", "true"); !strings.Contains(out, "waits for Approve") {
		t.Errorf("raise of a misspelt event prints %s", out)
	}
	if v := decode[raised](t, c.must("raise", "Sequence3", "Aprove", "true", "-o", "json")); !slices.Equal(v.Waits, []string{"Approve"}) {
		t.Errorf("raise of a misspelt event prints %+v", v)
	}
	if out := c.must("raise", "Sequence3", "Approve", "true", "--key", "k1"); strings.Contains(out, "waits for") {
		t.Errorf("raise prints %s", out)
	}
	c.must("raise", "Sequence3", "Approve", "true", "--key", "k1")
	p.waitFor("Sequence3", "Approve", "ran now", "true")
	c.must("resume", "RESTSequence1")
	p.ends(exitOK)
	if s := c.show("Sequence3"); s.Status != "SUCCEEDED" {
		t.Errorf("Sequence3 is %s", s.Status)
	}
}

func TestAnotherProcessCancels(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	v := decode[controlled](t, c.must("cancel", "Sequence3", "--reason", "a test", "-o", "json"))
	if v.ID != "Sequence3" || v.Action != "cancel" {
		t.Errorf("cancel printed %+v", v)
	}
	c.must("resume", "RESTSequence1")
	if text := p.ends(exitError); !strings.Contains(text, "Sequence3 CANCELLED") {
		t.Errorf("the demo does not say that it was cancelled:\n%s", text)
	}
	if s := c.show("Sequence3"); s.Status != "CANCELLED" {
		t.Errorf("Sequence3 is %s", s.Status)
	}
}

func TestAnotherProcessTerminates(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	v := decode[controlled](t, c.must("terminate", "Sequence3", "-o", "json"))
	if v.Status.String() != "TERMINATED" {
		t.Errorf("terminate printed %+v", v)
	}
	c.must("resume", "RESTSequence1")
	p.ends(exitError)
	if s := c.show("Sequence3"); s.Status != "TERMINATED" {
		t.Errorf("Sequence3 is %s", s.Status)
	}
}

func TestAnotherProcessPausesAndResumes(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	c.must("pause", "Sequence3")
	p.waitFor("Sequence3: is paused")
	c.must("raise", "Sequence3", "Approve", "true")
	if s := c.show("Sequence3"); !s.Paused || s.Status != "STARTED" {
		t.Errorf("Sequence3 is %+v", s)
	}
	if out := c.must("list", "--paused"); !strings.Contains(out, "Sequence3") {
		t.Errorf("list --paused prints %s", out)
	}
	c.must("resume", "Sequence3")
	c.must("resume", "RESTSequence1")
	p.ends(exitOK)
}

// An event that the code cannot read blocks it, until somebody drops the event.
func TestAnotherProcessDropsAnEvent(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	c.must("raise", "Sequence3", "Approve", `"perhaps"`)
	p.waitFor("Sequence3", "is blocked", "cannot be read")
	c.must("raise", "Sequence3", "Approve", "true")
	s := c.show("Sequence3")
	if s.Blocked == nil || len(s.Events) != 2 {
		t.Fatalf("Sequence3 is %+v", s)
	}
	number := fmt.Sprint(s.Events[0].Number)
	if out := c.must("show", "Sequence3"); !strings.Contains(out, "\n"+number+" ") || countLines(out, "Approve", `"perhaps"`) != 1 {
		t.Errorf("show prints no number:\n%s", out)
	}
	if out := c.call("doctor").out; !strings.Contains(out, "lambdabiz drop Sequence3 "+number) {
		t.Errorf("doctor does not say how to drop it:\n%s", out)
	}
	c.fails(exitUsage, `NUMBER is "x"`, "drop", "Sequence3", "x")
	c.fails(exitUsage, "argument NUMBER is missing", "drop", "Sequence3")
	c.fails(exitNotFound, "no event with this number", "drop", "Sequence3", "99999999")
	v := decode[dropped](t, c.must("drop", "Sequence3", number, "-o", "json"))
	if v.ID != "Sequence3" || v.Action != "drop" || fmt.Sprint(v.Event) != number {
		t.Errorf("drop printed %+v", v)
	}
	p.waitFor("Sequence3", "Approve", "ran now", "true")
	c.must("resume", "RESTSequence1")
	p.ends(exitOK)
	c.fails(exitConflict, "has ended", "drop", "Sequence3", number)
}

// A rejection ends Sequence3 as FAILED; the demo says so.
func TestAnotherProcessRejects(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	c.must("raise", "Sequence3", "Approve", "false")
	c.must("resume", "RESTSequence1")
	if text := p.ends(exitError); !strings.Contains(text, "Sequence3 FAILED: not approved") {
		t.Errorf("the demo does not say why it failed:\n%s", text)
	}
}

func TestWatchEndsWithTheOrchestration(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	w := c.start("watch", "Sequence3", "--interval", "20ms")
	w.waitFor("Approve", "STARTED")
	c.must("resume", "RESTSequence1")
	p.ends(exitOK)
	text := w.ends(exitOK)
	if countLines(text, "Operation5", "SUCCEEDED") != 1 || !strings.Contains(text, `Sequence3 SUCCEEDED  {"Number1":15`) {
		t.Errorf("watch printed\n%s", text)
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("watch steers a terminal that is none: %q", text)
	}
}

func TestControlsOnWhatTheyCannotChange(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("demo", "--timer", "0")
	for _, verb := range []string{"cancel", "terminate", "pause", "resume"} {
		c.fails(exitConflict, "has ended", verb, "Sequence3")
		c.fails(exitNotFound, "not found", verb, "Sequence4")
		c.fails(exitUsage, "argument ID is missing", verb)
		c.fails(exitUsage, "empty", verb, "")
	}
	c.fails(exitUsage, "too many arguments", "cancel", "Sequence3", "now")
	c.fails(exitUsage, "control character", "pause", "a\x01b")
	c.fails(exitUsage, "the limit is 256", "resume", strings.Repeat("x", 257))
	c.fails(exitConflict, "has ended", "raise", "Sequence3", "Approve")
	c.fails(exitNotFound, "not found", "raise", "Sequence4", "Approve")
	c.fails(exitNotFound, "not found", "show", "Sequence4")
	c.fails(exitNotFound, "not found", "watch", "Sequence4")
	c.fails(exitNotFound, "not found", "purge", "Sequence4")
}

func TestPurge(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	c.fails(exitConflict, "not ended", "purge", "n-1")
	c.must("terminate", "n-1")
	c.must("purge", "n-1")
	c.fails(exitNotFound, "not found", "show", "n-1")
}

// The reasons are for those who look at an orchestration later: show, list and the JSON have them.
func TestReasonsCanBeRead(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	c.must("pause", "n-1", "--reason", "stock is counted")
	for _, args := range [][]string{{"show", "n-1"}, {"list"}, {"show", "n-1", "-o", "json"}, {"list", "-o", "json"}} {
		if out := c.must(args...); !strings.Contains(out, "stock is counted") {
			t.Errorf("%v does not say why:\n%s", args, out)
		}
	}
	c.must("resume", "n-1")
	if out := c.must("show", "n-1", "-o", "json"); strings.Contains(out, "stock is counted") {
		t.Errorf("a pause that is over has its reason still:\n%s", out)
	}
	if out := c.must("cancel", "n-1", "--reason", "nobody wants it", "-o", "json"); !strings.Contains(out, `"nobody wants it"`) {
		t.Errorf("cancel prints %s", out)
	}
	for _, args := range [][]string{{"show", "n-1"}, {"list"}, {"show", "n-1", "-o", "json"}} {
		if out := c.must(args...); !strings.Contains(out, "nobody wants it") {
			t.Errorf("%v does not say why:\n%s", args, out)
		}
	}
	c.must("terminate", "n-1", "--reason", "and for good")
	if out := c.must("show", "n-1"); !strings.Contains(out, "nobody wants it") || !strings.Contains(out, "and for good") {
		t.Errorf("after its end nobody knows why:\n%s", out)
	}
}
