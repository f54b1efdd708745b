package orders_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// family is parents that call children, start one that is free of them, and want the same child id.
type family struct {
	leaf   *lambdabiz.Definition[int, int]
	parent *lambdabiz.Definition[int, kin]
	bodies tally // how often each child's step ran
}

// kin is what a parent got of its children.
type kin struct {
	Sum   int
	Mine  bool // the child that both parents want is this one's
	Twice bool // the same child id was refused the second time
}

func newFamily() *family {
	f := &family{}
	f.leaf = lambdabiz.Define("Leaf", func(o lambdabiz.Context, n int) (int, error) {
		if err := lambdabiz.Sleep(o, "grow", time.Duration(n%4)*5*time.Millisecond); err != nil {
			return 0, err
		}
		return lambdabiz.Step(o, "step", func(context.Context) (int, error) {
			f.bodies.add(o.ID(), 1)
			return 10 * n, nil
		})
	})
	f.parent = lambdabiz.Define("Parent", func(o lambdabiz.Context, _ int) (kin, error) {
		var k kin
		if _, err := lambdabiz.StartChild(o, "free", f.leaf, 3); err != nil {
			return k, err
		}
		sum, err := lambdabiz.CallChild(o, "one", f.leaf, 1, lambdabiz.ChildID("one of "+o.ID()))
		if err != nil {
			return k, err
		}
		_, err = lambdabiz.CallChild(o, "twice", f.leaf, 9, lambdabiz.ChildID("one of "+o.ID()))
		if k.Twice = errors.Is(err, lambdabiz.ErrExists); !k.Twice {
			return k, fmt.Errorf("the second child with one id: %w", err)
		}
		got, err := lambdabiz.CallChild(o, "wanted by both", f.leaf, 2, lambdabiz.ChildID("shared"))
		if k.Mine = err == nil; err != nil && !errors.Is(err, lambdabiz.ErrExists) {
			return k, err
		}
		many, err := lambdabiz.Map(o, "many", []int{4, 5, 6}, func(n int) string { return fmt.Sprint(n) },
			func(o lambdabiz.Context, n int) (int, error) { return lambdabiz.CallChild(o, "child", f.leaf, n) })
		if err != nil {
			return k, err
		}
		k.Sum = sum + got + many[0] + many[1] + many[2]
		return k, nil
	})
	return f
}

// check compares the children that there are with what their parents have recorded of them: both were
// written in one commit.
func (f *family) check(s *stage, when string) {
	runs := map[string]*lambdabiz.Record{}
	for _, rec := range s.records() {
		if runs[rec.ID] != nil {
			s.complainf("%s: %s has two runs", when, rec.ID)
		}
		runs[rec.ID] = rec
	}
	for id, rec := range runs {
		if rec.Parent != nil {
			known := false
			for _, o := range runs[rec.Parent.ID].Operations {
				known = known || o.Number == rec.Parent.Operation && o.Target == id && o.Status != lambdabiz.StatusFailed
			}
			if !known {
				s.complainf("%s: there is a child %s, and its parent's record does not say so", when, id)
			}
		}
		for _, o := range rec.Operations {
			if o.Kind == lambdabiz.KindChild && o.Target != "" && o.Status != lambdabiz.StatusFailed && runs[o.Target] == nil {
				s.complainf("%s: %s has recorded a child %s, and there is none", when, id, o.Target)
			}
		}
	}
}

// fate is what happens to a family.
type fate struct {
	at        int // the worker's commit at which it dies; 0 for none
	applied   bool
	cancelled bool // the first parent, some time after the start
	after     time.Duration
	delay     int // milliseconds by which commits are held back
}

// children plays a family on one store, and returns the number of commits of its first worker.
func children(
	t *testing.T, h home, random *rand.Rand, fate fate, counts *tally, seenAs func(b lambdabiz.Backend, c func() *cut) lambdabiz.Backend,
) (string, int) {
	t.Helper()
	commits := 0
	complaint := h.perform(t, func(s *stage) {
		f := newFamily()
		d := &dice{random: rand.New(rand.NewPCG(random.Uint64(), 0))}
		var c *cut
		c = newCut(seenAs(slow(s.store, d, fate.delay, counts), func() *cut { return c }), fate.at, fate.applied)
		config := lambdabiz.Config{PollInterval: 10 * time.Millisecond}
		client := s.engine(s.store, config, f.leaf, f.parent)
		runs := []*lambdabiz.Run[kin]{begin(s, client, f.parent, "x", 0), begin(s, client, f.parent, "y", 0)}
		stop := s.work(s.engine(c, shortLife(config), f.leaf, f.parent))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for _, run := range runs {
				_, _ = run.Result(s.ctx) // looked at below
			}
		}()
		if fate.cancelled {
			pass(fate.after)
			if err := client.Cancel(s.ctx, "x", ""); !errors.Is(err, lambdabiz.ErrClosed) && s.must(err, "cancel") {
				counts.add("cancellations", 1)
			}
		}
		select {
		case <-c.died:
			counts.add("cuts", 1)
		case <-ended:
		}
		commits = c.count()
		s.kill(c, stop)
		f.check(s, "when its worker had died")
		s.work(s.engine(slow(s.store, d, fate.delay, counts), config, f.leaf, f.parent))
		f.outcome(s, client, runs, fate, counts)
	})
	return complaint, commits
}

// outcome checks what the parents got, and that each child has done its work.
func (f *family) outcome(s *stage, client *lambdabiz.Engine, runs []*lambdabiz.Run[kin], fate fate, counts *tally) {
	mine := 0
	for _, run := range runs {
		k, err := outcome(s, run)
		if fate.cancelled && run.ID() == "x" && errors.Is(err, lambdabiz.ErrCancelled) {
			mine = -1 // it may have had it
			counts.add("cancelled parents", 1)
			continue
		}
		want := 160
		if k.Mine {
			want += 20
			mine++
		}
		if s.must(err, "result of "+run.ID()) && (k.Sum != want || !k.Twice) {
			s.complainf("%s got %+v of its children", run.ID(), k)
		}
	}
	if mine != 1 && !fate.cancelled {
		s.complainf("%d of two parents got the child that both wanted", mine)
	}
	for _, id := range []string{"x~-free", "y~-free"} {
		if _, err := s.store.Load(s.ctx, id, ""); fate.cancelled && errors.Is(err, lambdabiz.ErrNotFound) {
			continue // it was cancelled before it came to it
		}
		if got := result(s, lambdabiz.Get(client, f.leaf, id)); got != 30 {
			s.complainf("%s gave %d", id, got)
		}
	}
	pass(2 * time.Second) // children that were asked to cancel have done so
	f.check(s, "at the end")
	for _, rec := range s.records() {
		ran := f.bodies.get(rec.ID)
		switch {
		case !rec.Status.Ended():
			s.complainf("%s is open when its parent has ended", rec.ID)
		case rec.Parent != nil && rec.CancelRequested && rec.Parent.Detached:
			s.complainf("the free child %s was cancelled", rec.ID)
		case rec.Parent != nil && rec.CancelRequested && rec.Parent.ID != "x":
			s.complainf("%s was cancelled, its parent was not", rec.ID)
		case rec.Parent != nil && rec.Status == lambdabiz.StatusSucceeded && (ran < 1 || ran > 2):
			s.complainf("the step of %s ran %d times, and one worker died", rec.ID, ran)
		}
	}
}

func asItIs(b lambdabiz.Backend, _ func() *cut) lambdabiz.Backend { return b }

// F19: the worker of parents and children dies at each of its commits, before the store has it and after.
// Children end before their parents learn of their start, parents are cancelled, and ids are wanted twice.
func TestChildrenWhenTheirParentsDie(t *testing.T) {
	t.Parallel()
	seed, rounds := campaign.Seed(t), campaign.Rounds(t, 60, 1_000)
	var counts tally
	most := map[string]int{}
	must := func() []campaign.Count {
		return counts.list("cuts", "cancellations", "cancelled parents", "held")
	}
	for round := range campaign.More(rounds, must) {
		random := campaign.Random(seed, round)
		h := homes[round%len(homes)]
		if most[h.name] == 0 {
			complaint, commits := children(t, h, random, fate{}, &counts, asItIs)
			if complaint != "" {
				t.Fatalf("undisturbed: %s", complaint)
			}
			most[h.name] = commits
		}
		lot := fate{
			at: 1 + random.IntN(most[h.name]), applied: random.IntN(2) == 0, cancelled: random.IntN(4) == 0,
			after: upTo(random, 40), delay: []int{0, 5, 40}[random.IntN(3)],
		}
		if complaint, _ := children(t, h, random, lot, &counts, asItIs); complaint != "" {
			t.Fatalf("round %d, %+v: %s", round, lot, complaint)
		}
	}
	campaign.Report(t, "F19", must(),
		campaign.Count{What: "families", N: rounds})
}

// inTwo writes children first and their parent's progress in another commit, and dies between them.
func inTwo(b lambdabiz.Backend, c func() *cut) lambdabiz.Backend {
	return &between{Backend: b, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		for _, one := range batch {
			if one.Run != nil && len(one.Starts) > 0 {
				first := &lambdabiz.Commit{At: one.At, Starts: one.Starts}
				for i := range first.Starts {
					first.Starts[i].Claim = false
				}
				_, err := b.Commit(ctx, []*lambdabiz.Commit{first})
				c().die()
				return nil, errors.Join(errCut, err)
			}
		}
		return b.Commit(ctx, batch)
	}}
}

func TestSabotageChildren(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	campaign.Red(t, "F19", "one commit for a child and its parent's record", campaign.UntilRed(func(round int) string {
		complaint, _ := children(t, homes[0], campaign.Random(seed, round), fate{}, &tally{}, inTwo)
		return complaint
	}))
}
