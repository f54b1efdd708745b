package limits_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

var update = flag.Bool("update", false, "write the recordings of this version into testdata/golden")

// goldenVersion is the version of the library whose recordings -update writes. Those of others stay as they are.
const goldenVersion = "v0.1"

// golden is a recording: an orchestration that was cut in the middle, with those that belong to it, as "lambdabiz
// show -o json" tells of each.
type golden struct {
	ID     string             `json:"id"`
	Held   string             `json:"held"` // the kind of the operation that was open
	States []*lambdabiz.State `json:"states"`
}

// recordGolden runs the list of all kinds until one of them is open, or all have ended, and tells of all runs.
func recordGolden(t *testing.T, held string) golden {
	t.Helper()
	g := golden{ID: "golden", Held: held}
	complaint := bubble(t, homes[0], 48*time.Hour, nil, func(b *bench) {
		d := listed("Golden", base(held))
		e, stop := b.worker(lambdabiz.Config{Version: goldenVersion}, items(), d)
		start(b, e, sink, "sink", 1)
		start(b, e, d, g.ID, 1, lambdabiz.Tags(map[string]string{"recorded": "by " + goldenVersion}))
		time.Sleep(10 * time.Minute)
		stop()
		b.check(e.RaiseEvent(b.ctx, g.ID, "go", true, lambdabiz.Key("the key")))
		synctest.Wait()
		page, err := e.List(b.ctx, lambdabiz.Filter{})
		b.check(err)
		for i := range page.Runs {
			g.States = append(g.States, b.state(e, page.Runs[len(page.Runs)-1-i].ID)) // the oldest first
		}
	})
	if complaint != "" {
		t.Fatal(complaint)
	}
	return g
}

// restore puts a recording into a backend, as it was.
func (b *bench) restore(g golden) {
	names := map[string]bool{}
	for _, s := range g.States {
		names[s.Name] = true
		c := &lambdabiz.Commit{At: s.ScheduledAt, Starts: []lambdabiz.RunStart{{
			ID: s.ID, RunID: s.RunID, Name: s.Name, Mode: s.Mode, Input: s.Input, Deadline: s.Deadline, Tags: s.Tags, Parent: s.Parent,
		}}}
		b.commit(c)
	}
	worker, err := b.backend.Join(b.ctx, lambdabiz.WorkerInfo{Names: keys(names)})
	b.check(err)
	claims, err := b.backend.Claim(b.ctx, lambdabiz.ClaimRequest{
		Worker: worker, Names: keys(names), Limit: 1000, Now: time.Now().Add(time.Hour),
	})
	b.check(err)
	refs := map[string]lambdabiz.RunRef{}
	for _, run := range claims.Runs {
		refs[run.RunID] = run.Ref
	}
	for _, s := range g.States {
		ref := refs[s.RunID]
		c := &lambdabiz.Commit{Run: &ref, Worker: worker, At: s.StartedAt, Started: !s.StartedAt.IsZero(), Progress: s.Progress}
		for i, o := range s.Operations {
			o.Number = int64(i + 1)
			c.Operations = append(c.Operations, o)
		}
		if s.Status.Ended() {
			c.Close = &lambdabiz.Close{Status: s.Status, Result: s.Result, Error: s.Error, Orphans: s.Orphans}
		} else {
			c.Release = &lambdabiz.Release{WakeAt: s.WakeAt}
		}
		b.commit(c)
		for _, e := range s.Events {
			raise := lambdabiz.Raise{ID: s.ID, Name: e.Name, Key: e.Key, Payload: e.Payload}
			b.commit(&lambdabiz.Commit{At: e.ArrivedAt, Raises: []lambdabiz.Raise{raise}})
		}
	}
	b.check(b.backend.Leave(b.ctx, worker, -1))
}

func (b *bench) commit(c *lambdabiz.Commit) {
	verdicts, err := b.backend.Commit(b.ctx, []*lambdabiz.Commit{c})
	if b.check(err); err == nil {
		for _, v := range verdicts[0].Raises {
			err = errors.Join(err, v.Err)
		}
		b.check(errors.Join(err, verdicts[0].Err))
	}
}

func keys(set map[string]bool) []string {
	var all []string
	for k := range set {
		all = append(all, k)
	}
	return all
}

// resumeGolden lets an engine bring a recording to its end, and says what is wrong.
func resumeGolden(t *testing.T, h home, g golden) string {
	t.Helper()
	return bubble(t, h, 48*time.Hour, nil, func(b *bench) {
		time.Sleep(15 * time.Minute) // the recording is ten minutes long
		b.restore(g)
		d := listed("Golden", base(g.Held))
		e, _ := b.worker(lambdabiz.Config{Version: "the present"}, items(), d)
		time.Sleep(6 * time.Hour)
		s := b.state(e, g.ID)
		if s.Status != lambdabiz.StatusSucceeded || string(s.Result) != "2" || len(s.Orphans) > 0 {
			b.complainf("%v, result %s, orphans %v, blocked %+v, error %+v", s.Status, s.Result, s.Orphans, s.Blocked, s.Error)
		}
		after := map[string]lambdabiz.Operation{}
		for _, o := range s.Operations {
			after[o.ID] = o
		}
		for _, before := range g.States {
			if before.ID != g.ID {
				continue
			}
			for _, o := range before.Operations {
				now := after[o.ID]
				same := now.Status == o.Status && string(now.Result) == string(o.Result) && now.EndedAt.Equal(o.EndedAt)
				if o.Status.Ended() && !same {
					b.complainf("%s was %+v, is %+v", o.ID, o, now)
				}
			}
		}
	})
}

// goldenFiles reads all recordings, of all versions.
func goldenFiles(t *testing.T) map[string]golden {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "golden", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]golden{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var g golden
		if err := json.Unmarshal(text, &g); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[path] = g
	}
	return all
}

// Recordings that versions of the library wrote are resumed by this one to the right end, and nothing that was
// recorded changes. To add those of a new version: set goldenVersion and run
//
//	go test ./test/limits -run TestGoldenRecordings -update
func TestGoldenRecordings(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	all := goldenFiles(t)
	onHomes(t, func(t *testing.T, h home) {
		for path, g := range all {
			if complaint := resumeGolden(t, h, g); complaint != "" {
				t.Errorf("%s: %s", path, complaint)
			}
		}
		campaign.Report(t, "F35", []campaign.Count{{What: "recordings resumed", N: len(all)}})
	})
}

// writeGolden writes the recordings of this version.
func writeGolden(t *testing.T) {
	t.Helper()
	dir := filepath.Join("testdata", "golden", goldenVersion)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, held := range append([]string{""}, kinds...) {
		if held == "RAISE" {
			continue // it is never open
		}
		text, err := json.MarshalIndent(recordGolden(t, held), "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		name := "open-" + strings.ToLower(held) + ".json"
		if held == "" {
			name = "waiting.json"
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A recording in which an operation has another kind is not resumed.
func TestSabotageGoldenRecordingChanged(t *testing.T) {
	t.Parallel()
	g := recordGolden(t, "")
	for _, s := range g.States {
		for i := range s.Operations {
			if o := &s.Operations[i]; o.ID == "the STEP" {
				o.Kind = lambdabiz.KindTimer
			}
		}
	}
	campaign.Red(t, "F35", fmt.Sprint("the true kind in a recording of ", goldenVersion), resumeGolden(t, homes[0], g))
}
