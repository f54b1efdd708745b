package main

import (
	"os"
	"strings"
	"testing"
)

func TestStart(t *testing.T) {
	t.Parallel()
	c := setup(t)
	r := c.call("start", "Nobody", "n-1", `{"a": 1}`, "--tag", "k=v", "--deadline", "1h")
	if r.code != exitOK || !strings.Contains(r.errs, "no live worker serves Nobody") {
		t.Errorf("exit code %d, standard error %s", r.code, r.errs)
	}
	s := c.show("n-1")
	if s.Status != "SCHEDULED" || s.Input["a"] != 1.0 {
		t.Errorf("n-1 is %+v", s)
	}
	first := decode[started](t, c.must("start", "Nobody", "n-1", "7", "-o", "json"))
	if first.Created || *first.Served || first.Name != "Nobody" {
		t.Errorf("the second start printed %+v", first)
	}
	c.fails(exitConflict, "already used", "start", "Nobody", "n-1", "--on-used-id", "reject-existing")
	c.fails(exitConflict, "already used", "start", "Nobody", "n-1", "--on-used-id", "reject-open")
	c.fails(exitConflict, "already used", "start", "Somebody", "n-1")
	c.must("terminate", "n-1")
	next := decode[started](t, c.must("start", "Nobody", "n-1", "7", "--on-used-id", "restart-failed", "-o", "json"))
	if !next.Created || next.RunID == first.RunID {
		t.Errorf("the restart printed %+v", next)
	}
}

func TestStartReadsStandardInput(t *testing.T) {
	t.Parallel()
	c := setup(t)
	if r := c.callWith(" {\"a\": [1,\n2]}\n", "start", "Nobody", "n-1", "-"); r.code != exitOK {
		t.Fatalf("exit code %d, standard error %s", r.code, r.errs)
	}
	if s := c.show("n-1"); len(s.Input["a"].([]any)) != 2 {
		t.Errorf("the input is %v", s.Input)
	}
	if r := c.callWith("not json", "start", "Nobody", "n-2", "-"); r.code != exitUsage {
		t.Errorf("exit code %d for an input that is no JSON", r.code)
	}
}

// overLimit is a payload that is larger than the engine takes.
var overLimit = `"` + strings.Repeat("x", 1<<20) + `"`

func TestStartBadInput(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.fails(exitUsage, "the argument NAME is missing", "start")
	c.fails(exitUsage, "the argument ID is missing", "start", "Nobody")
	c.fails(exitUsage, "INPUT is \"{\", it must be JSON", "start", "Nobody", "n-1", "{")
	c.fails(exitUsage, `'"yes"'`, "start", "Nobody", "n-1", "yes")
	c.fails(exitUsage, "--tag is \"x\", it must be key=value", "start", "Nobody", "n-1", "--tag", "x")
	c.fails(exitUsage, "given twice", "start", "Nobody", "n-1", "--tag", "x=1", "--tag", "x=2")
	c.fails(exitUsage, "--deadline is -1s", "start", "Nobody", "n-1", "--deadline", "-1s")
	c.fails(exitUsage, "--on-used-id is \"x\"", "start", "Nobody", "n-1", "--on-used-id", "x")
	path := strings.TrimPrefix(c.backend, "sqlite:")
	if _, err := os.Stat(path); err == nil {
		t.Error("wrong usage has created the file")
	}
	c.fails(exitUsage, "it is empty", "start", "", "n-1")
	c.fails(exitUsage, "it is empty", "start", "Nobody", "")
	c.fails(exitUsage, "control character", "start", "Nobody", "n\n1")
	c.fails(exitUsage, "the limit is 256", "start", "Nobody", strings.Repeat("x", 257))
	if r := c.callWith(overLimit, "start", "Nobody", "n-1", "-"); r.code != exitUsage || !strings.Contains(r.errs, "too large") {
		t.Errorf("exit code %d, standard error %s", r.code, r.errs)
	}
	if r := decode[page](t, c.must("list", "-o", "json")); len(r.Runs) != 0 {
		t.Errorf("bad input has started %v", r.Runs)
	}
}

func TestRaiseBadInput(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	c.fails(exitUsage, "the argument EVENT is missing", "raise", "n-1")
	c.fails(exitUsage, "PAYLOAD is \"{\"", "raise", "n-1", "go", "{")
	c.fails(exitUsage, "--key is empty", "raise", "n-1", "go", "--key", "")
	c.fails(exitUsage, "--before-start is -1s", "raise", "n-1", "go", "--before-start", "-1s")
	c.fails(exitUsage, "event name", "raise", "n-1", "")
	if r := c.callWith(overLimit, "raise", "n-1", "go", "-"); r.code != exitUsage || !strings.Contains(r.errs, "too large") {
		t.Errorf("exit code %d, standard error %s", r.code, r.errs)
	}
	if r := c.callWith("{\"paid\":true}", "raise", "n-1", "go", "-"); r.code != exitOK {
		t.Errorf("exit code %d, standard error %s", r.code, r.errs)
	}
	c.must("raise", "n-2", "go", "--before-start", "1h")
	c.must("start", "Nobody", "n-2")
	for _, id := range []string{"n-1", "n-2"} {
		s := decode[struct{ Events []struct{ Name string } }](t, c.must("show", id, "-o", "json"))
		if len(s.Events) != 1 || s.Events[0].Name != "go" {
			t.Errorf("the events of %s are %v", id, s.Events)
		}
	}
}
