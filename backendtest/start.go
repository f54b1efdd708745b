package backendtest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var describeChecks = []check{
	{name: "describe/answers the same", run: describeSame},
	{name: "describe/wakes the receiver", run: describeWake},
}

func describeSame(h *harness) {
	d := h.b.Describe()
	want(h, h.b.Describe(), d, "second Describe")
	if d.Name == "" {
		h.Errorf("Describe().Name is empty")
	}
	for feature, why := range d.Refuses {
		if why == "" {
			h.Errorf("Describe().Refuses[%q] gives no reason", feature)
		}
	}
	for _, kind := range d.Performs {
		if kind == lambdabiz.KindNone || kind == lambdabiz.KindRace {
			h.Errorf("Describe().Performs has %v", kind)
		}
	}
}

func describeWake(h *harness) {
	w, ok := h.b.(lambdabiz.Waker)
	if !ok {
		return // optional
	}
	wake := w.Wake()
	h.start("a")
	select {
	case <-wake:
	case <-time.After(30 * time.Second): // met only by a backend that is broken
		h.Fatalf("Wake: no signal after a commit")
	}
}

var startChecks = []check{
	{name: "start/stores all fields", run: startFields},
	{name: "start/is due at once", run: startDue},
	{name: "start/policies for an open run", run: func(h *harness) { startPolicies(h, "open") }},
	{
		name: "start/policies for a succeeded run", needs: []lambdabiz.Feature{lambdabiz.FeatureStartPolicy},
		run: func(h *harness) { startPolicies(h, "succeeded") },
	},
	{
		name: "start/policies for a failed run", needs: []lambdabiz.Feature{lambdabiz.FeatureStartPolicy},
		run: func(h *harness) { startPolicies(h, "failed") },
	},
	{name: "start/with a known run id is a repetition", run: startRepetition},
	{name: "start/an id belongs to its definition", run: startDefinition},
	{name: "start/concurrent starters get one run", run: startConcurrent},
	{name: "start/of one batch see each other", run: startBatch},
	{name: "start/with a claim is held from the beginning", run: startClaim},
	{name: "start/with a claim of a removed worker is fenced", run: startClaimGone},
	{name: "start/keeps ids exactly", run: startIDs},
}

func startFields(h *harness) {
	h.start("parent")
	s := startOf("a", 1)
	s.Input = text("input")
	s.Deadline = at(3600)
	s.Tags = map[string]string{"colour": "grün", "": "empty"}
	s.Parent = &lambdabiz.Parent{ID: "parent", RunID: "parent#1", Operation: 7, Detached: true}
	h.startNew(s)
	got := h.load("a").RunInfo
	got.WakeAt = time.Time{} // it speaks of parked runs
	if h.describes.Queues {
		got.Queue = "" // it may name the default
	}
	wanted := lambdabiz.RunInfo{
		ID: "a", Name: nameOf("a"), RunID: "a#1", Status: lambdabiz.StatusScheduled, Input: s.Input,
		Deadline: s.Deadline, Tags: s.Tags, Parent: s.Parent, ScheduledAt: at(0),
	}
	want(h, normalInfo(got), normalInfo(wanted), "RunInfo after the start")
}

func startDue(h *harness) {
	h.start("a")
	if c := h.due(at(0), "a", "it is new"); c.RunID != "a#1" || c.Name != nameOf("a") || c.Ref.Fence < 1 {
		h.Fatalf("Claimed: %+v", c)
	}
}

// startPolicies starts an id again under each policy, when its run is in the given state.
func startPolicies(h *harness, state string) {
	const none, exists, created = "answers with the run", "ErrExists", "starts a new run"
	wanted := map[string][]string{
		"open":      {none, exists, exists, none, none},
		"succeeded": {none, exists, created, created, none},
		"failed":    {none, exists, created, created, created},
	}[state]
	for policy := lambdabiz.UseExisting; policy <= lambdabiz.RestartFailed; policy++ {
		id := fmt.Sprintf("%s-%d", state, policy)
		x := h.startHeld(id)
		switch state {
		case "succeeded":
			x.end()
		case "failed":
			x.fail()
		}
		s := startOf(id, 2)
		s.Policy = policy
		v := h.tryStart(s)
		got := none
		if v.Err != nil {
			h.is(v.Err, lambdabiz.ErrExists, "start")
			got = exists
		} else if v.Created {
			got = created
		}
		if got != wanted[policy] {
			h.Fatalf("policy %d with a run that is %s: %s, want %s", policy, state, got, wanted[policy])
		}
		runID := id + "#1"
		if got == created {
			runID = id + "#2"
		} else if v.Info.Name != s.Name || v.Info.Status.Ended() != (state != "open") {
			h.Fatalf("policy %d: Info of the existing run is %+v", policy, v.Info)
		}
		if v.Run.ID != id || v.Run.RunID != runID {
			h.Fatalf("policy %d: Run is %+v, want run %s", policy, v.Run, runID)
		}
		want(h, h.load(id).RunID, runID, "latest run")
	}
}

func startRepetition(h *harness) {
	s := startOf("a", 1)
	s.Policy = lambdabiz.RejectExisting
	h.startNew(s)
	again := func(state string) {
		v := h.tryStart(s)
		if v.Err != nil || v.Created || v.Run.RunID != s.RunID {
			h.Fatalf("repetition of the start, %s: %+v", state, v)
		}
	}
	again("open")
	x := h.hold(h.join(), "a")
	again("held")
	x.end()
	if !h.refuses(lambdabiz.FeatureStartPolicy) {
		again("ended")
	}
	if !h.refuses(lambdabiz.FeatureList) {
		want(h, len(h.list(lambdabiz.Filter{AllRuns: true})), 1, "runs")
	}
}

func startDefinition(h *harness) {
	x := h.startHeld("a")
	s := startOf("a", 2)
	s.Name = "another"
	v := h.tryStart(s)
	h.is(v.Err, lambdabiz.ErrExists, "start of an id that belongs to another definition")
	want(h, v.Info.Name, nameOf("a"), "Info.Name")
	x.end()
	if !h.refuses(lambdabiz.FeatureStartPolicy) {
		h.is(h.tryStart(s).Err, lambdabiz.ErrExists, "the same after its run ended")
	}
}

func startConcurrent(h *harness) {
	const starters = 8
	verdicts := make([]lambdabiz.StartVerdict, starters)
	errs := make([]error, starters)
	var wg sync.WaitGroup
	for i := range starters {
		wg.Go(func() {
			c := lambdabiz.Commit{At: at(i), Starts: []lambdabiz.RunStart{startOf("a", i)}}
			all, err := h.b.Commit(background, []*lambdabiz.Commit{&c})
			if err != nil || all[0].Err != nil {
				errs[i] = fmt.Errorf("commit: %w, verdicts %+v", err, all)
				return
			}
			verdicts[i] = all[0].Starts[0]
		})
	}
	wg.Wait()
	created := 0
	for i, v := range verdicts {
		h.must(errs[i], "concurrent start")
		h.must(v.Err, "concurrent start")
		if v.Created {
			created++
		}
		want(h, v.Run.RunID, verdicts[0].Run.RunID, "run of a concurrent starter")
	}
	want(h, created, 1, "runs created")
	want(h, h.load("a").RunID, verdicts[0].Run.RunID, "stored run")
}

func startBatch(h *harness) {
	first := lambdabiz.Commit{At: at(0), Starts: []lambdabiz.RunStart{startOf("a", 1)}}
	second := lambdabiz.Commit{At: at(0), Starts: []lambdabiz.RunStart{startOf("a", 2), startOf("b", 1), startOf("b", 2)}}
	v := append(h.commitAll(&first), h.commitAll(&second)...)
	if h.batchSize(2) == 2 {
		third := lambdabiz.Commit{At: at(0), Starts: []lambdabiz.RunStart{startOf("c", 1)}}
		fourth := lambdabiz.Commit{At: at(0), Starts: []lambdabiz.RunStart{startOf("c", 2)}}
		w := h.commitAll(&third, &fourth)
		if !w[0].Starts[0].Created || w[1].Starts[0].Created {
			h.Fatalf("verdicts of a batch: %+v", w)
		}
	}
	if !v[0].Starts[0].Created || v[1].Starts[0].Created || !v[1].Starts[1].Created || v[1].Starts[2].Created {
		h.Fatalf("verdicts: %+v", v)
	}
	want(h, v[1].Starts[0].Run.RunID, "a#1", "run of the second start")
	want(h, v[1].Starts[2].Run.RunID, "b#1", "run of the second start in one commit")
}

func startClaim(h *harness) {
	worker := h.join(nameOf("a"))
	s := startOf("a", 1)
	s.Claim = true
	v := h.outside(lambdabiz.Commit{Worker: worker, Starts: []lambdabiz.RunStart{s}}).Starts[0]
	h.must(v.Err, "start")
	if v.Run.Fence == 0 {
		if !h.endsClaim {
			h.Fatalf("start with a claim: no fence, though claims are held here")
		}
		h.due(at(0), "a", "it is new and not claimed")
		return
	}
	h.notDue(at(100), "a", "its starter holds it")
	if !h.describes.Supervised {
		want(h, h.load("a").Worker, worker, "Worker")
	}
	x := &holding{h: h, worker: worker, now: at(4)}
	x.Ref, x.ID = v.Run, "a"
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}, Started: true})
	x.end()
	want(h, h.load("a").Status, lambdabiz.StatusSucceeded, "status")
}

func startClaimGone(h *harness) {
	worker := h.join(nameOf("a"))
	h.leave(worker)
	s := startOf("a", 1)
	s.Claim = true
	c := lambdabiz.Commit{At: at(0), Worker: worker, Starts: []lambdabiz.RunStart{s}}
	v := h.commitAll(&c)[0]
	if h.endsClaim { // nobody holds it anyway
		h.must(errors.Join(v.Err, v.Starts[0].Err), "start")
		h.due(at(0), "a", "nobody holds it")
		return
	}
	h.is(v.Err, lambdabiz.ErrFenced, "start with a claim by a removed worker")
	_, err := h.b.Load(background, "a", "")
	h.is(err, lambdabiz.ErrNotFound, "Load after a refused start")
}

func startIDs(h *harness) {
	ids := []string{
		"a", "A", "a ", " a", "a/b", "a~1b", "a.b", "%", "_", "a%", "'; --", `"`, `\`, "é", "e\u0301", "日本語", "🙂",
		strings.Repeat("x", 200), "0", "00", "null", "a#1",
	}
	for _, id := range ids {
		h.start(id)
	}
	for _, id := range ids {
		r, err := h.b.Load(background, id, "")
		h.must(err, "Load of "+id)
		if r.ID != id || r.RunID != id+"#1" {
			h.Errorf("id %q came back as %q, run %q", id, r.ID, r.RunID)
		}
	}
	// A control character is refused by the engine. A backend keeps it exactly or refuses it.
	s := startOf("n\x00l", 1)
	v, err := h.b.Commit(background, []*lambdabiz.Commit{{At: at(0), Starts: []lambdabiz.RunStart{s}}})
	if err == nil && v[0].Err == nil && v[0].Starts[0].Err == nil {
		want(h, h.load(s.ID).ID, s.ID, "id with a NUL")
	}
	if _, err := h.b.Load(background, "n", ""); err == nil {
		h.Fatalf("id with a NUL was shortened")
	}
}
