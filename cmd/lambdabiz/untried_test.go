package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// After a deployment all looks well: what waits was run by the code of before, and the new one has not seen it. Doctor
// says so until it has been tried.
func TestDoctorSaysOnWhatTheCodeHasNotBeenTried(t *testing.T) {
	t.Parallel()
	c := setup(t)
	ran := make(chan bool, 10)
	waits := lambdabiz.Define("Waits", func(o lambdabiz.Context, _ any) (any, error) {
		ran <- true
		return lambdabiz.WaitForEvent[any](o, "go")
	})
	ids := []string{"w-1", "w-2", "w-3", "w-4"}
	for _, id := range ids {
		c.must("start", "Waits", id)
	}
	stop := c.workAs("one", slog.DiscardHandler, waits)
	for _, id := range ids {
		w := c.start("watch", id, "--interval", "10ms")
		w.waitFor(id, "go")
		w.interrupt()
		w.ends(exitInterrupted)
		<-ran
	}
	c.saysUntried() // its own code has run them
	stop()
	c.saysUntried() // there is no code to be tried
	if out := c.must("show", "w-1"); !strings.Contains(out, "version one") {
		t.Errorf("show prints\n%s", out)
	}

	c.must("start", "Waits", "w-5")
	stop = c.workAs("two", slog.DiscardHandler, waits)
	<-ran // of w-5: the worker is there
	c.saysUntried(ids...)
	out := c.must("doctor")
	for _, part := range []string{"note: on 4 that wait", "(w-4, w-3, w-2, ...)", "lambdabiz export", "all have a reason to wake"} {
		if !strings.Contains(out, part) {
			t.Errorf("doctor does not say %q:\n%s", part, out)
		}
	}
	c.must("resume", "w-1")
	<-ran
	c.saysUntried("w-2", "w-3", "w-4") // the new code has it, or has released it
	c.must("pause", "w-2")
	c.saysUntried("w-2", "w-3", "w-4")
	stop()

	c.must("start", "Other", "o-1")
	stop = c.workAs("three", slog.DiscardHandler, lambdabiz.Define("Other", func(o lambdabiz.Context, _ any) (any, error) {
		ran <- true
		return lambdabiz.WaitForEvent[any](o, "go")
	}))
	<-ran
	c.saysUntried() // nobody knows the definition
	stop()
}

// saysUntried wants doctor to name exactly these, in a note.
func (c *cli) saysUntried(want ...string) {
	c.t.Helper()
	d := decode[diagnosis](c.t, c.must("doctor", "-o", "json"))
	got := map[string]bool{}
	for _, u := range d.Untried {
		got[u.ID] = true
		if u.Version != "one" || u.Name != "Waits" || u.RunID == "" {
			c.t.Errorf("doctor says %+v", u)
		}
	}
	if len(got) != len(want) {
		c.t.Errorf("untried are %v, want %v", got, want)
	}
	for _, id := range want {
		if !got[id] {
			c.t.Errorf("%s is not untried", id)
		}
	}
}

// Whoever ran it last has not said its version: it was other code than that of a worker which does.
func TestUntriedIsWhatWaitsForOthersCode(t *testing.T) {
	t.Parallel()
	now := time.Now()
	workers := []lambdabiz.WorkerRecord{
		{WorkerInfo: lambdabiz.WorkerInfo{Names: []string{"A"}, Version: "two"}},
		{WorkerInfo: lambdabiz.WorkerInfo{Names: []string{"A"}, Version: "one"}, Gone: true},
	}
	waits := lambdabiz.RunInfo{Name: "A", Status: lambdabiz.StatusStarted, Version: "one"}
	for name, test := range map[string]struct {
		change func(r *lambdabiz.RunInfo)
		want   bool
	}{
		"it waits":          {func(*lambdabiz.RunInfo) {}, true},
		"until a time":      {func(r *lambdabiz.RunInfo) { r.WakeAt = now.Add(time.Hour) }, true},
		"it is paused":      {func(r *lambdabiz.RunInfo) { r.Paused = true }, true},
		"not known who":     {func(r *lambdabiz.RunInfo) { r.Version = "" }, true},
		"the same code":     {func(r *lambdabiz.RunInfo) { r.Version = "two" }, false},
		"it is due":         {func(r *lambdabiz.RunInfo) { r.WakeAt = now }, false},
		"it is held":        {func(r *lambdabiz.RunInfo) { r.Worker = 7 }, false},
		"it is blocked":     {func(r *lambdabiz.RunInfo) { r.Blocked = &lambdabiz.Blocked{} }, false},
		"it is new":         {func(r *lambdabiz.RunInfo) { r.Status = lambdabiz.StatusScheduled }, false},
		"it is driven":      {func(r *lambdabiz.RunInfo) { r.Mode = lambdabiz.ModeHand }, false},
		"nobody can run it": {func(r *lambdabiz.RunInfo) { r.Name = "B" }, false},
	} {
		run := waits
		test.change(&run)
		if got := len(untriedIn(nil, workers, &run, now)) == 1; got != test.want {
			t.Errorf("%s: untried is %v", name, got)
		}
	}
}
