package orders_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// town is programs that share ids: parents whose children have the ids of people's orchestrations, ids that come to
// somebody else when a child has ended, and ids that look like those that are made for children.
type town struct {
	tenant *lambdabiz.Definition[tenancy, string]
	parent *lambdabiz.Definition[[]errand, []string]
}

// tenancy is the life of whoever has an id.
type tenancy struct {
	Owner  string
	Millis int
	Rounds int // continued as new
}

// errand is one thing that a parent does.
type errand struct {
	ID     string // of the operation
	Child  string // "" for a made id
	Millis int    // of the child's rounds
	Rounds int
	Within int // milliseconds that the child is given in a race; 0 for no race
	Free   bool
}

func newTown() *town {
	t := &town{}
	t.tenant = lambdabiz.Define("Tenant", func(o lambdabiz.Context, in tenancy) (string, error) {
		if err := lambdabiz.Sleep(o, "live", time.Duration(in.Millis)*time.Millisecond); err != nil {
			return "", err
		}
		if in.Rounds > 0 {
			in.Rounds--
			return "", lambdabiz.ContinueAsNew(o, in)
		}
		return in.Owner, nil
	})
	t.parent = lambdabiz.Define("Parent", func(o lambdabiz.Context, errands []errand) ([]string, error) {
		return lambdabiz.Map(o, "errands", errands, func(x errand) string { return x.ID },
			func(o lambdabiz.Context, x errand) (string, error) { return t.run(o, x) }, lambdabiz.Concurrency(3))
	})
	return t
}

// run does an errand. A child that is refused, cancelled or too late is no failure.
func (t *town) run(o lambdabiz.Context, x errand) (string, error) {
	call := func(o lambdabiz.Context) (string, error) {
		var opts []lambdabiz.ChildOption
		if x.Child != "" {
			opts = append(opts, lambdabiz.ChildID(x.Child))
		}
		in := tenancy{Owner: ownerOf(o.ID(), x.ID), Millis: x.Millis, Rounds: x.Rounds}
		if x.Free {
			_, err := lambdabiz.StartChild(o, "child", t.tenant, in, opts...)
			return in.Owner, err
		}
		return lambdabiz.CallChild(o, "child", t.tenant, in, opts...)
	}
	var out string
	var err error
	if x.Within == 0 {
		out, err = call(o)
	} else {
		child := lambdabiz.Go(o, "call", call)
		patience := lambdabiz.Go(o, "patience", func(o lambdabiz.Context) (string, error) {
			return ownerOf(o.ID(), x.ID), lambdabiz.Sleep(o, "patience", time.Duration(x.Within)*time.Millisecond)
		})
		var first int
		if first, err = lambdabiz.Race(o, "first", child, patience); err == nil {
			out, err = []*lambdabiz.Future[string]{child, patience}[first].Wait(o)
		}
	}
	if errors.Is(err, lambdabiz.ErrExists) {
		return ownerOf(o.ID(), x.ID), nil
	}
	return out, err
}

func ownerOf(id, errand string) string { return id + " for " + errand }

// ids that everybody wants. The last ones are what a careless home would make for the children of "a" and "a.b".
var wanted = []string{"p", "q", "a.b", "a.b.errands/c/child", "a.errands/b.c/child", "a.b.errands/c/call/child"}

func errands(random *rand.Rand) []errand {
	var list []errand
	for _, id := range []string{"b.c", "c", "d", "e/f", "g", "h"} {
		x := errand{ID: id, Millis: random.IntN(30), Rounds: max(0, random.IntN(4)-1), Free: random.IntN(6) == 0}
		if random.IntN(3) > 0 {
			x.Child = wanted[random.IntN(3)]
		}
		if random.IntN(2) == 0 {
			x.Within = 1 + random.IntN(40)
		}
		list = append(list, x)
	}
	return list
}

// strangers plays a town on one store.
func strangers(
	t *testing.T, h home, random *rand.Rand, counts *tally, seenAs func(b lambdabiz.Backend) lambdabiz.Backend,
) string {
	t.Helper()
	return h.perform(t, func(s *stage) {
		w := newTown()
		d := &dice{random: rand.New(rand.NewPCG(random.Uint64(), 0))}
		config := lambdabiz.Config{PollInterval: 5 * time.Millisecond}
		store := seenAs(slow(s.store, d, []int{0, 3, 15}[random.IntN(3)], counts))
		e, _ := s.worker(store, config, w.tenant, w.parent)
		client := s.engine(s.store, config, w.tenant, w.parent)
		people := &people{s: s, w: w, client: client, runs: map[string]string{}, counts: counts}
		var all sync.WaitGroup
		parents := []string{"a", "a.b.c", "x"}
		cancelled := parents[random.IntN(len(parents))]
		for _, id := range parents {
			list, after, cancel := errands(random), upTo(random, 20), upTo(random, 60)
			all.Go(func() {
				pass(after)
				run := begin(s, e, w.parent, id, list)
				if id == cancelled {
					pass(cancel)
					if err := client.Cancel(s.ctx, id, "because"); !errors.Is(err, lambdabiz.ErrClosed) {
						s.must(err, "cancel "+id)
					}
				}
				people.wantOwn(id, list, run, id == cancelled)
			})
		}
		for range 8 {
			id, in, after := wanted[random.IntN(len(wanted))], tenancy{Millis: random.IntN(40), Rounds: random.IntN(2)}, upTo(random, 80)
			all.Go(func() { pass(after); people.movesIn(id, in) })
		}
		all.Wait()
		pass(2 * time.Second) // children that were asked to end have done so
		people.wantLeftAlone(cancelled)
	})
}

// people start orchestrations of their own.
type people struct {
	s      *stage
	w      *town
	client *lambdabiz.Engine
	counts *tally

	mu   sync.Mutex
	runs map[string]string // the owner of each run that a person has started
}

// movesIn starts an orchestration unless the id has an open one, and expects its own result.
func (p *people) movesIn(id string, in tenancy) {
	p.mu.Lock()
	in.Owner = fmt.Sprint("person ", len(p.runs))
	p.runs[in.Owner] = id
	p.mu.Unlock()
	run, err := lambdabiz.Start(p.s.ctx, p.client, p.w.tenant, id, in, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
	if errors.Is(err, lambdabiz.ErrExists) {
		p.counts.add("people who found an id in use", 1)
		return
	}
	if !p.s.must(err, "start "+id) {
		return
	}
	p.counts.add("people who moved in", 1)
	if got := result(p.s, run); got != in.Owner {
		p.s.complainf("%s, started by %s, gave %q", id, in.Owner, got)
	}
}

// wantOwn expects that a parent got what is its own, and nothing else.
func (p *people) wantOwn(id string, list []errand, run *lambdabiz.Run[[]string], cancelled bool) {
	got, err := outcome(p.s, run)
	if err != nil && (!cancelled || !errors.Is(err, lambdabiz.ErrCancelled)) {
		p.s.complainf("%s ended with %v", id, err)
	}
	for i, owner := range got {
		if err == nil && owner != ownerOf(id, list[i].ID) {
			p.s.complainf("%s got %q for errand %s", id, owner, list[i].ID)
		}
	}
}

// wantLeftAlone looks at all runs that were asked to end: the operation that started each was cancelled.
func (p *people) wantLeftAlone(cancelled string) {
	records := p.s.records()
	runs := map[string]*lambdabiz.Record{}
	for _, rec := range records {
		runs[rec.RunID] = rec
	}
	for _, rec := range records {
		var started *lambdabiz.Operation
		if rec.Parent != nil {
			parent := runs[rec.Parent.RunID]
			i := slices.IndexFunc(parent.Operations, func(o lambdabiz.Operation) bool { return o.Number == rec.Parent.Operation })
			started = &parent.Operations[i]
			p.counts.add("children", 1)
		}
		asked := started != nil && !rec.Parent.Detached && started.Status == lambdabiz.StatusCancelled
		switch {
		case !rec.Status.Ended():
			p.s.complainf("%s is open when all is over", rec.ID)
		case rec.CancelRequested && rec.ID == cancelled && started == nil:
		case rec.CancelRequested && !asked:
			p.s.complainf("%s was asked to end by somebody who has nothing to do with it: parent %+v", rec.ID, rec.Parent)
		case rec.CancelRequested:
			p.counts.add("children that were asked to end", 1)
		case asked && rec.ContinuedAs == "" && rec.EndedAt.After(started.EndedAt.Add(time.Second)):
			p.s.complainf("%s went on after it was to be cancelled", rec.ID)
		}
		for _, o := range rec.Operations {
			if o.Kind == lambdabiz.KindChild && o.Status == lambdabiz.StatusFailed {
				p.counts.add("children whose id was somebody else's", 1)
			}
		}
	}
}

func seenWhole(b lambdabiz.Backend) lambdabiz.Backend { return b }

// F49: ids that somebody else owns, comes to own, or had. Nobody but the run that is meant is touched.
func TestStrangersAreLeftAlone(t *testing.T) {
	t.Parallel()
	seed, rounds := campaign.Seed(t), campaign.Rounds(t, 80, 10_000)
	var counts tally
	must := func() []campaign.Count {
		return counts.list("people who moved in", "people who found an id in use", "children",
			"children that were asked to end", "children whose id was somebody else's")
	}
	for round := range campaign.More(rounds, must) {
		h := homes[round%len(homes)]
		if complaint := strangers(t, h, campaign.Random(seed, round), &counts, seenWhole); complaint != "" {
			t.Fatalf("round %d: %s", round, complaint)
		}
	}
	campaign.Report(t, "F49", must(), campaign.Count{What: "towns", N: rounds})
}

// byID is a store whose controls go by the id alone.
func byID(b lambdabiz.Backend) lambdabiz.Backend {
	return &between{Backend: b, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		for _, c := range batch {
			c.Controls = slices.Clone(c.Controls)
			for i := range c.Controls {
				c.Controls[i].Parent = nil
			}
		}
		return b.Commit(ctx, batch)
	}}
}

func TestSabotageStrangers(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	campaign.Red(t, "F49", "controls that name the child", campaign.UntilRed(func(round int) string {
		return strangers(t, homes[0], campaign.Random(seed, round), &tally{}, byID)
	}))
}
