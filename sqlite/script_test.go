package sqlite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// epoch is the time at which scripts run, so that two runs of one write the same.
var epoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// script is every method of a backend, in an order in which each has something to do. Its runs have ids that
// begin with a prefix of their own, so that one file takes many scripts.
type script struct {
	*bundle
	prefix string
	filler lambdabiz.Payload // how large the payloads are
}

// scriptStep is one call. After it has returned an error, done must be false, else true.
type scriptStep struct {
	name string
	do   func(s *script) error
	done func(s *script) (bool, error) // nil for what only reads
}

var errRefusedVerdict = errors.New("the verdict is a refusal")

// id makes the id of a run of the script.
func (s *script) id(run string) string { return s.prefix + run }

// ref is the right to write a run that was claimed once.
func (s *script) ref(run string) *lambdabiz.RunRef {
	return &lambdabiz.RunRef{ID: s.id(run), RunID: "run-of-" + s.id(run), Fence: 1}
}

// run is a start, claimed at once or not.
func (s *script) run(run string, claim bool) lambdabiz.RunStart {
	return lambdabiz.RunStart{
		ID: s.id(run), RunID: "run-of-" + s.id(run), Name: s.prefix + "Order", Input: s.payload(`"in"`), Claim: claim,
		Tags: map[string]string{"script": "yes"},
	}
}

// payload is a text that may be made larger.
func (s *script) payload(text string) lambdabiz.Payload {
	return append(lambdabiz.Payload(text), s.filler...)
}

// op is an operation that has ended.
func (s *script) op(number int64) lambdabiz.Operation {
	o := s.operation(number)
	o.Result = s.payload(`"out"`)
	return o
}

// apply commits what must be applied, as one batch.
func (s *script) apply(batch ...*lambdabiz.Commit) error {
	for _, c := range batch {
		c.At, c.Worker = epoch, s.worker
	}
	verdicts, err := s.Commit(s.t.Context(), batch)
	if err != nil {
		return err
	}
	for _, v := range verdicts {
		refused := v.Err
		for _, other := range v.Starts {
			refused = errors.Join(refused, other.Err)
		}
		for _, other := range v.Raises {
			refused = errors.Join(refused, other.Err)
		}
		if refused = errors.Join(append(v.Controls, refused)...); refused != nil {
			return fmt.Errorf("%w: %w", errRefusedVerdict, refused)
		}
	}
	return nil
}

// see reports whether a run is there, and is as the question asks.
func (s *script) see(run string, ask func(r *lambdabiz.Record) bool) (bool, error) {
	r, err := s.Load(s.t.Context(), s.id(run), "")
	if errors.Is(err, lambdabiz.ErrNotFound) {
		return false, nil
	}
	return err == nil && ask(r), err
}

func there(*lambdabiz.Record) bool { return true }

// claim makes a claim that must be answered.
func (s *script) claimed(r lambdabiz.ClaimRequest) error {
	r.Names, r.Worker, r.Limit, r.Now = []string{s.prefix + "Order"}, s.worker, 10, epoch
	_, err := s.Claim(s.t.Context(), r)
	return err
}

// control asks for something that must be granted.
func (s *script) controls(kind lambdabiz.ControlKind, run string) error {
	return s.apply(&lambdabiz.Commit{Controls: []lambdabiz.Control{{Kind: kind, ID: s.id(run), Reason: "script"}}})
}

// registered reports whether the worker of the script is there, and with which beat.
func (s *script) registered(beat int64) (bool, error) {
	all, err := s.Workers(s.t.Context())
	i := slices.IndexFunc(all, func(w lambdabiz.WorkerRecord) bool { return w.Version == s.prefix && w.Beat >= beat })
	if i >= 0 {
		s.worker = all[i].Number // a Join of unknown outcome has not told it
	}
	return i >= 0, err
}

// joined says what the script does at its begin and with single commits.
var joined = []scriptStep{
	{"Join", func(s *script) error {
		info := lambdabiz.WorkerInfo{Names: []string{s.prefix + "Order"}, Version: s.prefix}
		worker, err := s.Join(s.t.Context(), info)
		if err == nil {
			s.worker = worker
		}
		return err
	}, func(s *script) (bool, error) { return s.registered(0) }},
	{"start", func(s *script) error {
		return s.apply(&lambdabiz.Commit{Starts: []lambdabiz.RunStart{s.run("a", true)}})
	}, func(s *script) (bool, error) { return s.see("a", there) }},
	{"operation", func(s *script) error {
		return s.apply(&lambdabiz.Commit{Run: s.ref("a"), Operations: []lambdabiz.Operation{s.op(1)}})
	}, func(s *script) (bool, error) {
		return s.see("a", func(r *lambdabiz.Record) bool { return len(r.Operations) >= 1 })
	}},
	{"child and operations", func(s *script) error {
		child := s.run("child", true)
		child.Operation = 2
		child.Parent = &lambdabiz.Parent{ID: s.id("a"), RunID: "run-of-" + s.id("a"), Operation: 2}
		c := &lambdabiz.Commit{Run: s.ref("a"), Starts: []lambdabiz.RunStart{child}, Progress: s.payload(`"some"`)}
		for n := range int64(20) {
			c.Operations = append(c.Operations, s.op(n+2))
		}
		return s.apply(c)
	}, func(s *script) (bool, error) {
		return s.see("a", func(r *lambdabiz.Record) bool { return len(r.Operations) == 21 && len(r.Progress) > 0 })
	}},
	{"batch", func(s *script) error {
		return s.apply(
			&lambdabiz.Commit{Starts: []lambdabiz.RunStart{s.run("b", true)}},
			&lambdabiz.Commit{Starts: []lambdabiz.RunStart{s.run("c", false)}},
			&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: s.id("b"), Name: "E", Key: "k", Payload: s.payload(`"event"`)}}},
			&lambdabiz.Commit{Run: s.ref("child"), Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: s.payload(`1`)}})
	}, func(s *script) (bool, error) {
		return s.see("a", func(r *lambdabiz.Record) bool { return len(r.Messages) == 1 })
	}},
	{"checkpoint", func(s *script) error {
		_ = s.Checkpoint("PASSIVE") // what fails in it is left in the log
		return nil
	}, func(s *script) (bool, error) { return s.see("b", there) }},
	{"raise", func(s *script) error {
		return s.apply(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: s.id("b"), Name: "F", Payload: s.payload(`"event"`)}}})
	}, func(s *script) (bool, error) {
		return s.see("b", func(r *lambdabiz.Record) bool { return len(r.Messages) == 2 })
	}},
	{"keep", func(s *script) error {
		kept := lambdabiz.Raise{ID: s.id("later"), Name: "G", Payload: s.payload(`"kept"`), Until: epoch.AddDate(50, 0, 0)}
		mark := &lambdabiz.Commit{Starts: []lambdabiz.RunStart{s.run("mark", false)}}
		return s.apply(&lambdabiz.Commit{Raises: []lambdabiz.Raise{kept}}, mark)
	}, func(s *script) (bool, error) { return s.see("mark", there) }},
	{"start that gets what was kept", func(s *script) error {
		return s.apply(&lambdabiz.Commit{Starts: []lambdabiz.RunStart{s.run("later", false)}})
	}, func(s *script) (bool, error) {
		return s.see("later", func(r *lambdabiz.Record) bool { return len(r.Messages) == 1 })
	}},
}

// driven says what it does next: claims, controls and ends.
var driven = []scriptStep{
	{"Claim", func(s *script) error { return s.claimed(lambdabiz.ClaimRequest{}) }, func(s *script) (bool, error) {
		return s.see("c", func(r *lambdabiz.Record) bool { return r.Worker > 0 })
	}},
	{"consume and release", func(s *script) error {
		r, err := s.Load(s.t.Context(), s.id("b"), "")
		if err != nil {
			return err
		}
		c := &lambdabiz.Commit{Run: s.ref("b"), Started: true, Seen: 1 << 60, Conditional: true, Operations: []lambdabiz.Operation{s.op(1)}}
		for _, m := range r.Messages {
			c.Consumed = append(c.Consumed, m.Number)
		}
		c.Release = &lambdabiz.Release{WakeAt: epoch.Add(time.Hour)}
		return s.apply(c)
	}, func(s *script) (bool, error) {
		return s.see("b", func(r *lambdabiz.Record) bool { return len(r.Messages) == 0 && r.Worker == 0 })
	}},
	{"pause", func(s *script) error { return s.controls(lambdabiz.ControlPause, "b") }, func(s *script) (bool, error) {
		return s.see("b", func(r *lambdabiz.Record) bool { return r.Paused })
	}},
	{"resume", func(s *script) error { return s.controls(lambdabiz.ControlResume, "b") }, func(s *script) (bool, error) {
		return s.see("b", func(r *lambdabiz.Record) bool { return !r.Paused })
	}},
	{"cancel", func(s *script) error { return s.controls(lambdabiz.ControlCancel, "a") }, func(s *script) (bool, error) {
		return s.see("a", func(r *lambdabiz.Record) bool { return r.CancelRequested })
	}},
	{"terminate", func(s *script) error { return s.controls(lambdabiz.ControlTerminate, "c") }, func(s *script) (bool, error) {
		return s.see("c", func(r *lambdabiz.Record) bool { return r.Status == lambdabiz.StatusTerminated })
	}},
	{"continue", func(s *script) error {
		next := s.run("a", false)
		next.RunID = "next-of-" + s.id("a")
		return s.apply(&lambdabiz.Commit{
			Run: s.ref("a"), Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &next, Orphans: []string{"x"}},
		})
	}, func(s *script) (bool, error) {
		return s.see("a", func(r *lambdabiz.Record) bool { return r.RunID == "next-of-"+s.id("a") })
	}},
	{"checkpoint that cuts the log", func(s *script) error {
		_ = s.Checkpoint("TRUNCATE") // what fails in it is left in the log
		return nil
	}, func(s *script) (bool, error) { return s.see("b", there) }},
	{"hand", func(s *script) error {
		byHand := s.run("hand", false)
		byHand.Mode = lambdabiz.ModeHand
		return s.apply(&lambdabiz.Commit{Starts: []lambdabiz.RunStart{byHand}})
	}, func(s *script) (bool, error) { return s.see("hand", there) }},
	{"Claim by hand", func(s *script) error {
		_, err := s.Claim(s.t.Context(), lambdabiz.ClaimRequest{Hand: s.id("hand"), Now: epoch})
		return err
	}, nil},
	{"Renew", func(s *script) error { return s.Renew(s.t.Context(), s.worker) }, func(s *script) (bool, error) { return s.registered(1) }},
	{"Load", func(s *script) error { _, err := s.Load(s.t.Context(), s.id("a"), ""); return err }, nil},
	{"List", func(s *script) error {
		_, err := s.List(s.t.Context(), lambdabiz.Filter{IDPrefix: s.prefix, AllRuns: true})
		return err
	}, nil},
	{"Workers", func(s *script) error { _, err := s.Workers(s.t.Context()); return err }, nil},
	{"Purge", func(s *script) error {
		_, err := s.Purge(s.t.Context(), lambdabiz.PurgeRequest{ID: s.id("c")})
		return err
	}, func(s *script) (bool, error) {
		found, err := s.see("c", there)
		return !found, err
	}},
	{"Leave", func(s *script) error { return s.Leave(s.t.Context(), s.worker, -1) }, func(s *script) (bool, error) {
		found, err := s.registered(0)
		return !found, err
	}},
}

// allSteps is the script.
func allSteps() []scriptStep { return slices.Concat(joined, driven) }

// picture is all that the script has left, with its prefix taken out.
func (s *script) picture() (string, error) {
	ctx := context.WithoutCancel(s.t.Context())
	page, err := s.List(ctx, lambdabiz.Filter{IDPrefix: s.prefix, AllRuns: true, Limit: 1000})
	if err != nil {
		return "", err
	}
	slices.SortFunc(page.Runs, func(a, b lambdabiz.RunInfo) int { return strings.Compare(a.ID+a.RunID, b.ID+b.RunID) })
	var all strings.Builder
	for _, info := range page.Runs {
		r, err := s.Load(ctx, info.ID, info.RunID)
		if err != nil {
			return "", err
		}
		r.Worker, r.WakeAt = min(r.Worker, 1), r.WakeAt.UTC()
		for i := range r.Messages {
			r.Messages[i].Number = int64(i)
		}
		text, err := json.Marshal(r)
		if err != nil {
			return "", err
		}
		all.Write(text)
		all.WriteByte('\n')
	}
	return strings.ReplaceAll(all.String(), s.prefix, "~"), nil
}

// newScript makes a script on a file that is open.
func (b *bundle) newScript(prefix string) *script {
	return &script{bundle: &bundle{Backend: b.Backend, t: b.t, path: b.path, now: epoch}, prefix: prefix}
}

// whole runs the script without any fault, and returns what is left.
func (b *bundle) whole(t *testing.T, prefix string) string {
	t.Helper()
	s := b.newScript(prefix)
	for _, step := range allSteps() {
		if err := step.do(s); err != nil {
			t.Fatalf("without a fault: %s: %v", step.name, err)
		}
		if step.done == nil {
			continue
		}
		if done, err := step.done(s); err != nil || !done {
			t.Fatalf("without a fault: %s: done %t, %v", step.name, done, err)
		}
	}
	picture, err := s.picture()
	if err != nil {
		t.Fatal(err)
	}
	return picture
}
