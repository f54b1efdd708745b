package orders_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// asked is an operation of a client on an id, got is what it was answered.
type asked struct {
	id     string
	what   string // seed, start, get, terminate
	policy lambdabiz.StartPolicy
}

type got struct {
	runID string
	found string // "", "open", "succeeded", "failed"
	err   error
}

// owner is what the model knows of an id.
type owner struct {
	runID string
	state string // as got.found
	past  string // the run ids that it had before
}

// putIfAbsent is the model of one id: a start puts a new run where its policy lets it, all others find it.
var putIfAbsent = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byID := map[string][]porcupine.Operation{}
		for _, op := range history {
			id := op.Input.(asked).id
			byID[id] = append(byID[id], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byID {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return owner{} },
	Step: func(state, input, output any) (bool, any) {
		return state.(owner).step(input.(asked), output.(got))
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(input, output any) string {
		in, out := input.(asked), output.(got)
		return fmt.Sprintf("%s %s (policy %d) -> %s %s %v", in.what, in.id, in.policy, out.runID, out.found, out.err)
	},
}

func (o owner) step(in asked, out got) (bool, owner) {
	switch in.what {
	case "seed":
		return true, owner{runID: out.runID, state: out.found}
	case "get":
		if o.state == "" {
			return errors.Is(out.err, lambdabiz.ErrNotFound), o
		}
		return out.err == nil && out.runID == o.runID && out.found == o.state, o
	case "terminate":
		switch o.state {
		case "":
			return errors.Is(out.err, lambdabiz.ErrNotFound), o
		case "open":
			next := o
			next.state = "failed"
			return out.err == nil, next
		default:
			return errors.Is(out.err, lambdabiz.ErrClosed), o
		}
	}
	switch o.answer(in.policy) {
	case "refused":
		return errors.Is(out.err, lambdabiz.ErrExists), o
	case "its run":
		return out.err == nil && out.runID == o.runID, o
	default:
		fresh := out.runID != o.runID && !strings.Contains(o.past, out.runID+" ")
		return out.err == nil && out.runID != "" && fresh, owner{out.runID, "open", o.past + o.runID + " "}
	}
}

// answer is the table of the start policies.
func (o owner) answer(p lambdabiz.StartPolicy) string {
	switch {
	case o.state == "":
		return "new"
	case p == lambdabiz.RejectExisting:
		return "refused"
	case p == lambdabiz.UseExisting:
		return "its run"
	case o.state == "open":
		if p == lambdabiz.RejectOpen {
			return "refused"
		}
		return "its run"
	case p == lambdabiz.RestartFailed && o.state == "succeeded":
		return "its run"
	default:
		return "new"
	}
}

// startRace is many clients that start, look at and terminate the same ids.
type startRace struct {
	seen    lambdabiz.Backend // the store as the clients see it
	engines []*lambdabiz.Engine
	ids     []string
	clock   atomic.Int64
	mu      sync.Mutex
	history []porcupine.Operation
	counts  tally
}

// held stays open until it is terminated.
var held = lambdabiz.Define("Held", func(o lambdabiz.Context, at string) (string, error) {
	if at == "ends" {
		return at, nil
	}
	return lambdabiz.WaitForEvent[string](o, "never")
})

// ask does one operation and notes it.
func (r *startRace) ask(ctx context.Context, e *lambdabiz.Engine, client int, in asked) {
	called := r.clock.Add(1)
	var out got
	switch in.what {
	case "start":
		run, err := lambdabiz.Start(ctx, e, held, in.id, "", lambdabiz.OnUsedID(in.policy))
		if out.err = err; err == nil {
			out.runID = run.RunID()
		}
	case "get":
		s, err := e.State(ctx, in.id)
		if out.err = err; err == nil {
			out.runID, out.found = s.RunID, foundAs(s.Status)
		}
	case "terminate":
		out.err = e.Terminate(ctx, in.id, "")
	}
	returned := r.clock.Add(1)
	r.counts.add(in.what, 1)
	switch {
	case errors.Is(out.err, lambdabiz.ErrExists):
		r.counts.add("refused", 1)
	case out.err == nil && in.what == "start":
		r.counts.add("answered", 1)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: in, Call: called, Output: out, Return: returned})
}

func foundAs(s lambdabiz.Status) string {
	switch {
	case !s.Ended():
		return "open"
	case s == lambdabiz.StatusSucceeded:
		return "succeeded"
	default:
		return "failed"
	}
}

const (
	raceClients = 64
	raceIDs     = 200
)

// run lets the clients race, and returns the histories that no order of the operations explains.
func (r *startRace) run(ctx context.Context, seed uint64, round, operations int) string {
	var clients sync.WaitGroup
	for client := range raceClients {
		clients.Go(func() {
			random := campaign.Random(seed, round*raceClients+client)
			for range operations / raceClients {
				r.ask(ctx, r.engines[client%len(r.engines)], client, r.pick(random))
			}
		})
	}
	clients.Wait()
	verdict, info := porcupine.CheckOperationsVerbose(putIfAbsent, r.history, time.Minute)
	if verdict == porcupine.Ok {
		return ""
	}
	return fmt.Sprintf("round %d: the history of %d operations is %s: %s", round, len(r.history), verdict, stuck(info))
}

// stuck names an operation that no order explains.
func stuck(info porcupine.LinearizationInfo) string {
	for _, part := range info.PartialLinearizationsOperations() {
		if len(part) == 0 {
			continue
		}
		longest := slices.MaxFunc(part, func(a, b []porcupine.Operation) int { return len(a) - len(b) })
		if len(longest) > 0 {
			last := longest[len(longest)-1]
			return "an order was found up to " + putIfAbsent.DescribeOperation(last.Input, last.Output)
		}
	}
	return "no order was found"
}

func (r *startRace) pick(random *rand.Rand) asked {
	in := asked{id: r.ids[random.IntN(len(r.ids))]}
	switch n := random.IntN(10); {
	case n < 5:
		in.what, in.policy = "start", lambdabiz.StartPolicy(random.IntN(5))
	case n < 9:
		in.what = "get"
	default:
		in.what = "terminate"
	}
	return in
}

// seed gives a third of the ids a run that has succeeded, before the race.
func (r *startRace) seed(ctx context.Context, store lambdabiz.Backend) error {
	for i, id := range r.ids {
		if i%3 != 0 {
			continue
		}
		run, err := lambdabiz.Start(ctx, r.engines[0], held, id, "ends")
		if err != nil {
			return err
		}
		if _, err := run.Result(ctx); err != nil {
			return err
		}
		rec, err := store.Load(ctx, id, "")
		if err != nil {
			return err
		}
		at := r.clock.Add(1)
		r.history = append(r.history, porcupine.Operation{
			Input: asked{id: id, what: "seed"}, Call: at,
			Output: got{runID: rec.RunID, found: foundAs(rec.Status)}, Return: r.clock.Add(1),
		})
	}
	return nil
}

// duplicateStarts plays one race on a home, without virtual time: two workers, which claim what they start
// themselves, and two engines that are clients only.
func duplicateStarts(
	t *testing.T, h home, seed uint64, round, operations int, seenAs func(lambdabiz.Backend) lambdabiz.Backend,
) (string, *tally) {
	t.Helper()
	store, err := h.open(t)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{ctx: t.Context(), home: h, store: store, known: map[string]string{}}
	defer func() { // after the workers' ends
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		for _, fault := range s.faults {
			t.Error(fault)
		}
	}()
	race := &startRace{seen: seenAs(store)}
	for i := range raceIDs {
		race.ids = append(race.ids, fmt.Sprintf("order-%d", i))
	}
	for i := range 4 {
		e := s.engine(race.seen, lambdabiz.Config{}, held)
		race.engines = append(race.engines, e)
		if i >= 2 {
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		defer func() { cancel(); s.must(<-done, "run engine") }()
	}
	if err := race.seed(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	return race.run(t.Context(), seed, round, operations), &race.counts
}

func straight(b lambdabiz.Backend) lambdabiz.Backend { return b }

// F9: 64 clients on four engines start, look at and terminate 200 ids at once, by all policies.
func TestDuplicateStartsRace(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	const operations = 2560
	rounds := campaign.Rounds(t, 2, 1_000_000/operations+1)
	var all tally
	for round := range rounds {
		complaint, counts := duplicateStarts(t, homes[round%len(homes)], seed, round, operations, straight)
		if complaint != "" {
			t.Fatal(complaint)
		}
		for what, n := range counts.n {
			all.add(what, n)
		}
	}
	campaign.Report(t, "F9", []campaign.Count{
		{What: "starts", N: all.get("start")}, {What: "answered", N: all.get("answered")},
		{What: "refused", N: all.get("refused")}, {What: "gets", N: all.get("get")},
		{What: "terminations", N: all.get("terminate")},
	})
}

// stale answers to one Load in 50 what it has answered before of the same id.
func stale(b lambdabiz.Backend) lambdabiz.Backend {
	var mu sync.Mutex
	old, n := map[string]*lambdabiz.Record{}, 0
	return &between{Backend: b, load: func(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
		rec, err := b.Load(ctx, id, runID)
		mu.Lock()
		defer mu.Unlock()
		if n++; err != nil {
			return rec, err
		}
		if was := old[id]; was != nil && n%50 == 0 {
			return was, nil
		} else if was == nil {
			old[id] = rec
		}
		return rec, nil
	}}
}

func TestSabotageDuplicateStartsWithStaleReads(t *testing.T) {
	t.Parallel()
	startUntilRed(t, "reads that are fresh", stale)
}

// forgetful takes every fourth start of an id that is used for a new one, as a store would that looks for
// the id in one transaction and writes the run in another.
func forgetful(b lambdabiz.Backend) lambdabiz.Backend {
	var n atomic.Int64
	return &between{Backend: b, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		verdicts, err := b.Commit(ctx, batch)
		for i := range verdicts {
			for j := range verdicts[i].Starts {
				v := &verdicts[i].Starts[j]
				if !v.Created && v.Err == nil && n.Add(1)%4 == 0 {
					v.Created, v.Run.RunID = true, batch[i].Starts[j].RunID
				}
			}
		}
		return verdicts, err
	}}
}

func TestSabotageDuplicateStartsWithoutUniqueIDs(t *testing.T) {
	t.Parallel()
	startUntilRed(t, "one run for an id", forgetful)
}

func startUntilRed(t *testing.T, protection string, remove func(lambdabiz.Backend) lambdabiz.Backend) {
	t.Helper()
	seed := campaign.Seed(t)
	campaign.Red(t, "F9", protection, campaign.UntilRed(func(round int) string {
		complaint, _ := duplicateStarts(t, homes[0], seed, round, 2560, remove)
		return complaint
	}))
}
