package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	codecheck "github.com/lambdabiz/lambdabiz/check"
	"github.com/lambdabiz/lambdabiz/cmd/internal/demo"
)

// older runs older code of the demo's Sequence3, whose first operation has an id of its own, until it waits.
func (c *cli) older(first string) {
	c.t.Helper()
	at := make(chan bool, 1)
	old := lambdabiz.Define("Sequence3", func(o lambdabiz.Context, in demo.SequenceInput) (demo.OperationResult, error) {
		if _, err := lambdabiz.CallTask[demo.Numbers](o, first, "Number", in.Numbers); err != nil {
			return demo.OperationResult{}, err
		}
		at <- true
		_, err := lambdabiz.WaitForEvent[bool](o, "Go")
		return demo.OperationResult{}, err
	})
	c.must("start", "Sequence3", "s-1", `{"Number1":15,"Number2":5}`)
	stop := c.work(slog.DiscardHandler, old, lambdabiz.NewTask("Number",
		func(_ context.Context, n demo.Numbers) (demo.Numbers, error) { return n, nil }))
	<-at
	stop()
}

func TestCheckFindsWhatTheCodeWouldRepeat(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.older("First")
	c.must("start", "Nobody", "n-1")
	r := c.call("check")
	for _, part := range []string{`"Operation1" would repeat "First"`, "2 orchestrations, 1 not checked, 1 do not fit", "sequence.go:"} {
		if r.code != exitProblems || !strings.Contains(r.out, part) {
			t.Fatalf("exit code %d, it does not say %q:\n%s%s", r.code, part, r.out, r.errs)
		}
	}
	file := filepath.Join(t.TempDir(), "open.jsonl")
	if e := c.call("export", "-o", file); e.code != exitOK || !strings.Contains(e.errs, "2 open orchestrations are in") || e.out != "" {
		t.Fatalf("export: %+v", e)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out := c.must("export"); out != string(text) || strings.Count(out, "\n") != 2 {
		t.Errorf("to standard output it exports\n%s\nto the file\n%s", out, text)
	}
	if again := c.call("check", file); again.out != r.out || again.code != r.code {
		t.Errorf("from the file it says\n%s", again.out)
	}
	if piped := c.callWith(string(text), "check", "-"); piped.out != r.out {
		t.Errorf("from standard input it says\n%s", piped.out)
	}
	table := decode[codecheck.Table](t, c.call("check", file, "-o", "json").out)
	if len(table) != 2 || table.Fits() || len(table[0].Repeated)+len(table[1].Repeated) != 1 {
		t.Errorf("in JSON it says %+v", table)
	}
	if s := c.show("s-1"); len(s.Operations) != 2 {
		t.Errorf("it has performed something: %+v", s.Operations)
	}
	c.fails(exitError, "no such file", "check", file+".none")
}

func TestCheckOfWhatFits(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.older("Operation1")
	if out := c.must("check"); !strings.Contains(out, "1 orchestrations, 0 not checked, 0 do not fit") {
		t.Errorf("it says\n%s", out)
	}
}

func TestListOfOrphans(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.older("First")
	c.must("start", "Sequence3", "s-2", `{"Number1":15,"Number2":5}`)
	without := lambdabiz.Define("Sequence3", func(lambdabiz.Context, demo.SequenceInput) (demo.OperationResult, error) {
		return demo.OperationResult{}, nil
	})
	c.must("raise", "s-1", "Go", "true") // that wakes it
	stop := c.work(slog.DiscardHandler, without)
	c.must("watch", "s-1", "--interval", "10ms")
	c.must("watch", "s-2", "--interval", "10ms")
	stop()
	if p := decode[page](t, c.must("list", "--orphans", "-o", "json")); len(p.Runs) != 1 || p.Runs[0].ID != "s-1" {
		t.Errorf("listed are %v", p.ids())
	}
	d := decode[diagnosis](t, c.must("doctor", "-o", "json"))
	if len(d.Orphaned) != 1 || d.Orphaned[0].ID != "s-1" || len(d.Orphaned[0].Orphans) == 0 {
		t.Errorf("doctor says %+v", d.Orphaned)
	}
	out := c.must("doctor")
	for _, part := range []string{"note: 1 have ended without operations that are recorded (s-1: [", "Formerly"} {
		if !strings.Contains(out, part) {
			t.Errorf("doctor does not say %q:\n%s", part, out)
		}
	}
}
