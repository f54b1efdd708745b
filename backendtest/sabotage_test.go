package backendtest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// sabotaged is a good backend with one protection switched off. A nil function changes nothing.
type sabotaged struct {
	lambdabiz.Backend
	commit   func(b *sabotaged, c *lambdabiz.Commit) // changes a copy
	verdict  func(v *lambdabiz.Verdict)
	request  func(r *lambdabiz.ClaimRequest)
	claims   func(c *lambdabiz.Claims)
	refusal  func(err error) error // what Claim says instead
	join     func(w *lambdabiz.WorkerInfo)
	leave    func(beat int64) (newBeat int64, skip bool)
	record   func(r *lambdabiz.Record)
	filter   func(f *lambdabiz.Filter)
	swallows func(c *lambdabiz.Commit) bool // acknowledged and not applied

	mu     sync.Mutex
	fences map[string]lambdabiz.RunRef // the newest claim of each run
}

func (s *sabotaged) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	changed := make([]*lambdabiz.Commit, len(batch))
	for i, c := range batch {
		own := *c
		own.Operations, own.Consumed = slices.Clone(c.Operations), slices.Clone(c.Consumed)
		own.Starts, own.Raises = slices.Clone(c.Starts), slices.Clone(c.Raises)
		own.Controls = slices.Clone(c.Controls)
		if s.swallows != nil && s.swallows(&own) {
			own = lambdabiz.Commit{At: c.At, Run: c.Run, Worker: c.Worker}
		}
		if s.commit != nil {
			s.commit(s, &own)
		}
		changed[i] = &own
	}
	verdicts, err := s.Backend.Commit(ctx, changed)
	for i := range verdicts {
		v := &verdicts[i]
		for len(v.Raises) < len(batch[i].Raises) { // a dropped change is acknowledged
			v.Raises = append(v.Raises, lambdabiz.RaiseVerdict{})
		}
		for len(v.Controls) < len(batch[i].Controls) {
			v.Controls = append(v.Controls, nil)
		}
		for len(v.Starts) < len(batch[i].Starts) {
			v.Starts = append(v.Starts, lambdabiz.StartVerdict{Created: true})
		}
		for _, sv := range v.Starts {
			s.note(sv.Run)
		}
		if s.verdict != nil {
			s.verdict(v)
		}
	}
	return verdicts, err
}

func (s *sabotaged) note(ref lambdabiz.RunRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fences == nil {
		s.fences = map[string]lambdabiz.RunRef{}
	}
	if ref.Fence > 0 {
		s.fences[ref.RunID] = ref
	}
}

func (s *sabotaged) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if s.request != nil {
		s.request(&r)
	}
	claims, err := s.Backend.Claim(ctx, r)
	for _, c := range claims.Runs {
		s.note(c.Ref)
	}
	if s.claims != nil {
		s.claims(&claims)
	}
	if s.refusal != nil {
		err = s.refusal(err)
	}
	return claims, err
}

func (s *sabotaged) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	if s.join != nil {
		s.join(&w)
	}
	return s.Backend.Join(ctx, w)
}

func (s *sabotaged) Leave(ctx context.Context, worker, beat int64) error {
	if s.leave != nil {
		var skip bool
		if beat, skip = s.leave(beat); skip {
			return nil
		}
	}
	return s.Backend.Leave(ctx, worker, beat)
}

func (s *sabotaged) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	r, err := s.Backend.Load(ctx, id, runID)
	if r != nil && s.record != nil {
		s.record(r)
	}
	return r, err
}

func (s *sabotaged) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	if s.filter != nil {
		s.filter(&f)
	}
	return s.Backend.List(ctx, f)
}

func counter(every int) func() bool {
	var mu sync.Mutex
	n := 0
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		n++
		return n%every == 0
	}
}

// receipts changes what raises are told.
func receipts(change func(r lambdabiz.Receipt) lambdabiz.Receipt) func(v *lambdabiz.Verdict) {
	return func(v *lambdabiz.Verdict) {
		for i := range v.Raises {
			v.Raises[i].Receipt = change(v.Raises[i].Receipt)
		}
	}
}

// sabotages are the protections, each switched off, with a check of the suite that must notice it.
// Random scripts must notice it too, unless they cannot see it.
var sabotages = []struct {
	name   string
	check  string
	unseen bool // by the differential test
	make   func(s *sabotaged)
}{
	{"a fence is ignored", "commit/a fenced one applies nothing", false, func(s *sabotaged) {
		s.commit = func(s *sabotaged, c *lambdabiz.Commit) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if c.Run == nil {
				return
			}
			if newest, claimed := s.fences[c.Run.RunID]; claimed {
				c.Run = &newest // the old holder writes as if it were the new one
			}
		}
	}},
	{"an event is dropped", "raise/keeps order and fields", false, func(s *sabotaged) {
		third := counter(3)
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			if len(c.Raises) > 0 && third() {
				c.Raises = nil
			}
		}
	}},
	{"a commit is swallowed", "commit/replaces operations by number", false, func(s *sabotaged) {
		s.swallows = func(c *lambdabiz.Commit) bool {
			return c.Run != nil && c.Release == nil && c.Close == nil && len(c.Operations) > 1
		}
	}},
	{"a condition is ignored", "release/no wake-up is lost", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) { c.Conditional = false }
	}},
	{"a wake-up is lost", "release/a message wakes before WakeAt", false, func(s *sabotaged) {
		const deaf = "no message wakes it"
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			if c.Release != nil && c.Release.Blocked == nil {
				c.Release = &lambdabiz.Release{WakeAt: c.Release.WakeAt, Blocked: &lambdabiz.Blocked{Reason: deaf}}
			}
		}
		s.record = func(r *lambdabiz.Record) {
			if r.Blocked != nil && r.Blocked.Reason == deaf {
				r.Blocked = nil
			}
		}
		s.claims = func(c *lambdabiz.Claims) {
			for i := range c.Runs {
				s.record(&c.Runs[i].Record)
			}
		}
	}},
	{"only the first thousand operations are stored", "batch/as large as it describes", true, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) { c.Operations = c.Operations[:min(1000, len(c.Operations))] }
	}},
	{"a sleeper never wakes", "claim/a run is due exactly at its WakeAt", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			if c.Release != nil {
				c.Release = &lambdabiz.Release{Blocked: c.Release.Blocked}
			}
		}
	}},
	{"a run is due early", "claim/a run is due exactly at its WakeAt", false, func(s *sabotaged) {
		s.request = func(r *lambdabiz.ClaimRequest) { r.Now = r.Now.Add(time.Minute) }
	}},
	{"keys are ignored", "raise/a key is taken once", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Raises {
				c.Raises[i].Key = ""
			}
		}
	}},
	{"a known key passes for a new one", "receipt/a known key is told from a new one", false, func(s *sabotaged) {
		s.verdict = receipts(func(r lambdabiz.Receipt) lambdabiz.Receipt { return min(r, lambdabiz.ReceiptAdded) })
	}},
	{"a key of a kept event is not told", "receipt/a key of a kept event is known", false, func(s *sabotaged) {
		s.verdict = receipts(func(lambdabiz.Receipt) lambdabiz.Receipt { return lambdabiz.ReceiptUnknown })
	}},
	{"every key passes for a known one", "receipt/one of many is the first", false, func(s *sabotaged) {
		s.verdict = receipts(func(r lambdabiz.Receipt) lambdabiz.Receipt { return min(2*r, lambdabiz.ReceiptRepeated) })
	}},
	{"events are kept for ended runs unasked", "keep/an event waits for the run after an ended one", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Raises {
				c.Raises[i].AfterEnd = true
			}
		}
	}},
	{"events are not kept", "keep/an event waits for the start", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Raises {
				c.Raises[i].Until = time.Time{}
			}
		}
	}},
	{"the parent is not told", "child/its end reaches the parent once", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Starts {
				c.Starts[i].Parent = nil
			}
		}
	}},
	{"consumed messages stay", "commit/removes consumed messages", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) { c.Consumed = nil }
	}},
	{"a policy is ignored", "start/policies for an open run", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Starts {
				c.Starts[i].Policy = lambdabiz.UseExisting
			}
		}
	}},
	{"a start runs twice", "start/with a known run id is a repetition", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Starts {
				c.Starts[i].RunID += fmt.Sprintf("-%p", c)
			}
		}
	}},
	{"times lose their fractions", "commit/keeps times to the microsecond", true, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Operations {
				o := &c.Operations[i]
				o.EndedAt = o.EndedAt.Truncate(time.Millisecond)
			}
		}
	}},
	{"a field is forgotten", "commit/keeps every field of an operation", true, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Operations {
				c.Operations[i].Details = nil
			}
		}
	}},
	{"where code was told to stop is forgotten", "commit/keeps every field of an operation", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Operations {
				c.Operations[i].AfterStop = false
			}
		}
	}},
	{"an operation that has ended is marked no more", "commit/keeps every field of an operation", true, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			if len(c.Operations) == 1 && c.Operations[0].Status.Ended() {
				c.Operations[0].LastBeforeStop = false
			}
		}
	}},
	{"what a block had seen is forgotten", "block/a blocked run keeps its reason", true, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			if c.Release != nil && c.Release.Blocked != nil {
				release, blocked := *c.Release, *c.Release.Blocked
				blocked.Recorded, release.Blocked = 0, &blocked
				c.Release = &release
			}
		}
	}},
	{"a lease is forgotten", "worker/the registered ones are listed", true, func(s *sabotaged) {
		s.join = func(w *lambdabiz.WorkerInfo) { w.Lease = 0 }
	}},
	{"a beat is not looked at", "worker/Leave with an old beat does nothing", false, func(s *sabotaged) {
		s.leave = func(int64) (int64, bool) { return -1, false }
	}},
	{"a version takes again what it has blocked", "block/its version leaves it to another one that lives", false, func(s *sabotaged) {
		s.join = func(w *lambdabiz.WorkerInfo) { w.Version += "'" } // so that none is the version that has blocked it
	}},
	{"Leave frees nothing", "worker/Leave frees what it held", false, func(s *sabotaged) {
		s.leave = func(beat int64) (int64, bool) { return beat, true }
	}},
	{"crashes are not counted", "crash/holders that die are counted", true, func(s *sabotaged) {
		s.claims = func(c *lambdabiz.Claims) {
			for i := range c.Runs {
				c.Runs[i].Crashes = 0
			}
		}
	}},
	{"messages come in another order", "raise/keeps order and fields", false, func(s *sabotaged) {
		s.record = func(r *lambdabiz.Record) { slices.Reverse(r.Messages) }
	}},
	{"arrivals are forgotten", "claim/hands out messages for held runs once", false, func(s *sabotaged) {
		s.claims = func(c *lambdabiz.Claims) { c.Arrived = nil }
	}},
	{"the limit is ignored", "claim/keeps to its limit and says that more is due", true, func(s *sabotaged) {
		s.request = func(r *lambdabiz.ClaimRequest) { r.Limit *= 100 }
	}},
	{"a refusal leaves its operation", "refuse/a raise marks its operation as failed", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Raises {
				c.Raises[i].Operation = 0
			}
		}
	}},
	{"a control goes by the id alone", "identity/a parent's control does not reach a stranger", false, func(s *sabotaged) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Controls {
				c.Controls[i].Parent = nil
			}
		}
	}},
	{"a filter is ignored", "list/filters", false, func(s *sabotaged) {
		s.filter = func(f *lambdabiz.Filter) { f.Status = nil }
	}},
	{"a page is repeated", "list/pages have every run once", false, func(s *sabotaged) {
		s.filter = func(f *lambdabiz.Filter) { f.Cursor = "" }
	}},
}

func sound() lambdabiz.Backend {
	b := memory.New()
	return b
}

func TestSabotage(t *testing.T) {
	t.Parallel()
	if failing := backendtest.Failing(sound, ""); len(failing) > 0 {
		t.Fatalf("checks fail without sabotage: %v", failing)
	}
	if err := backendtest.Differs(&sabotaged{Backend: sound()}, 50); err != nil {
		t.Fatalf("a difference without sabotage: %v", err)
	}
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			broken := func() lambdabiz.Backend {
				b := &sabotaged{Backend: sound()}
				s.make(b)
				return b
			}
			failing := backendtest.Failing(broken, s.check)[s.check]
			campaign.Red(t, "suite", fmt.Sprintf("the rule against %q", s.name), strings.Join(failing, "; "))
			if s.unseen {
				return
			}
			switch err := backendtest.Differs(broken(), 200); {
			case err == nil:
				t.Error("the differential test finds no difference")
			case !strings.Contains(err.Error(), "sabotaged answers"):
				t.Errorf("not a difference: %v", err)
			}
		})
	}
}

// The crowd of workers and senders has to notice what only shows when they meet.
func TestSabotageInACrowd(t *testing.T) {
	t.Parallel()
	const check = "concurrent/workers, senders and deaths"
	for _, s := range sabotages {
		switch s.name {
		case "a wake-up is lost", "keys are ignored", "consumed messages stay", "Leave frees nothing":
		default:
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			broken := func() lambdabiz.Backend {
				b := &sabotaged{Backend: sound()}
				s.make(b)
				return b
			}
			complaint := campaign.UntilRed(func(int) string { // who meets whom is up to the scheduler
				return strings.Join(backendtest.Failing(broken, check)[check], "; ")
			})
			campaign.Red(t, "suite", fmt.Sprintf("the rule against %q", s.name), complaint)
		})
	}
}
