package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func childOp(n int64, id string) lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: n, ID: id, Kind: lambdabiz.KindChild, Name: "D", Target: "C", Status: lambdabiz.StatusStarted, ScheduledAt: epoch,
	}
}

func TestStartsOfChildren(t *testing.T) {
	t.Parallel()
	hand := func(s *wire.Start) { s.Hand = true }
	for name, c := range map[string]struct {
		start  lambdabiz.RunStart
		parent func(s *wire.Start)
		want   string
		text   string // of the refusal
	}{
		"on its parent's list":    {want: "child C D on list, run=r"},
		"on its own":              {start: lambdabiz.RunStart{Queue: "q:1"}, want: "child C D on q%3A1, run=r"},
		"of a run driven by hand": {parent: hand, want: "child C D on workers, run=r"},
		"with too long an input": {
			start: lambdabiz.RunStart{Input: lambdabiz.Payload(strings.Repeat("1", wire.MaxChars))}, text: "input of child C",
		},
		"on a list too long": {start: lambdabiz.RunStart{Queue: strings.Repeat("q", 256)}, text: "check queue"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t)
			if c.parent != nil {
				s = begin(t, c.parent)
			}
			c.start.ID, c.start.Name, c.start.RunID, c.start.Operation = "C", "D", "r", 1
			a := decided(t, s.task(), &lambdabiz.Commit{
				Operations: []lambdabiz.Operation{childOp(1, "c")}, Starts: []lambdabiz.RunStart{c.start},
			}, plan.Found{})
			if c.text != "" {
				wantDecisions(t, a, "timer ~wake~2 in 0 s")
				wantStatus(t, a, 1, lambdabiz.StatusFailed, c.text)
				return
			}
			wantDecisions(t, a, c.want)
			if r := a.Journal.Ops[0]; r.Child == nil || r.Child.Start.RunID != "r" || r.Child.Start.Input != nil {
				t.Errorf("the journal has %+v", r.Child)
			}
		})
	}
}

// TestAChildWhoseIDMustBeNewIsReserved: in the store, before it is decided on.
func TestAChildWhoseIDMustBeNewIsReserved(t *testing.T) {
	t.Parallel()
	task, commit := begin(t).task(), &lambdabiz.Commit{
		At: epoch, Operations: []lambdabiz.Operation{childOp(1, "c")},
		Starts: []lambdabiz.RunStart{{ID: "C", Name: "D", RunID: "r", Operation: 1, Policy: lambdabiz.RejectExisting}},
	}
	wants := plan.Commit(config, task, commit).Wants
	if len(wants.Reserve) != 1 || wants.Reserve[0].Start.Queue != "list" || commit.Starts[0].Queue != "" {
		t.Fatalf("%+v of %+v", wants, commit.Starts)
	}
	bare := config
	bare.Store = false
	if wants := plan.Commit(bare, task, commit).Wants; len(wants.Reserve) > 0 {
		t.Errorf("without a store: %+v", wants)
	}
	a := decided(t, task, commit, plan.Found{Reserved: map[int]plan.Reserved{0: {RunID: "earlier"}}})
	wantDecisions(t, a, "child C D on list, run=earlier")
	a = decided(t, task, commit, plan.Found{Reserved: map[int]plan.Reserved{0: {Err: lambdabiz.ErrExists}}})
	wantDecisions(t, a, "timer ~wake~2 in 0 s")
	wantStatus(t, a, 1, lambdabiz.StatusFailed, "")
}

func TestChildrenThatAreCancelled(t *testing.T) {
	t.Parallel()
	run := begin(t).recorded(recordOf(childOp(1, "a")), recordOf(childOp(2, "b")), recordOf(childOp(3, "c"))).
		child(1, "home1").child(2, "home2").child(3, "") // SWF is about to start the third one
	commit := &lambdabiz.Commit{Operations: []lambdabiz.Operation{
		with(childOp(1, "a"), cancelled), with(childOp(2, "b"), cancelled), with(childOp(3, "c"), cancelled),
	}}
	task := run.task()
	var wanted []int64
	for _, o := range plan.Commit(config, task, commit).Wants.Children {
		wanted = append(wanted, o.Number)
	}
	if !slices.Equal(wanted, []int64{1, 2}) {
		t.Errorf("the latest runs of %v are wanted", wanted)
	}
	a := decided(t, task, commit, plan.Found{Children: map[int64]string{1: "home1b"}}) // the second one has ended
	wantDecisions(t, a, "no child C home1b")
	if first, second := a.After.Find(1), a.After.Find(2); !first.Stopping || first.Told || second.Stopping || !second.Told {
		t.Errorf("%+v, %+v", first, second)
	}
	closing := &lambdabiz.Commit{Operations: commit.Operations, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}}
	if plan.CanClose(task, closing, epoch) {
		t.Error("the run would leave children behind that are cancelled and not told")
	}
	a = answer(t, task, func() *plan.Draft { return plan.Later(config, task, closing) },
		plan.Found{Children: map[int64]string{1: "home1", 2: "home2"}})
	wantDecisions(t, a, "no child C home1", "no child C home2", "timer ~wake~9 in 0 s")
}

// TestAChildThatSWFHadNoRoomForWaits until it is asked again.
func TestAChildThatSWFHadNoRoomForWaits(t *testing.T) {
	t.Parallel()
	s := begin(t).recorded(recordOf(childOp(1, "c"), func(r *wire.Record) {
		r.Child = &wire.Child{List: "list", Start: wire.Start{RunID: "r"}}
	}))
	task := s.task()
	task.Fold.Find(1).NotBefore = epoch.Add(5 * time.Second)
	wantDecisions(t, decided(t, task, &lambdabiz.Commit{}, plan.Found{}), "timer ~wake~4 in 5 s")
	a := answer(t, task, func() *plan.Draft { return plan.Pass(config, task) }, plan.Found{})
	wantDecisions(t, a, "timer ~wake~4 in 5 s")
	task.Fold.Find(1).NotBefore = epoch
	wantDecisions(t, decided(t, task, &lambdabiz.Commit{}, plan.Found{}), "child C D on list, run=r")
}
