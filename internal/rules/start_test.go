package rules_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

func TestStartPolicies(t *testing.T) {
	t.Parallel()
	const answer, exists, create = "answer", "exists", "create"
	states := map[string]rules.Head{"open": run(), "succeeded": run(succeeded), "failed": run(failed)}
	for policy, wants := range map[lambdabiz.StartPolicy]map[string]string{
		lambdabiz.UseExisting:    {"open": answer, "succeeded": answer, "failed": answer},
		lambdabiz.RejectExisting: {"open": exists, "succeeded": exists, "failed": exists},
		lambdabiz.RejectOpen:     {"open": exists, "succeeded": create, "failed": create},
		lambdabiz.RestartEnded:   {"open": answer, "succeeded": create, "failed": create},
		lambdabiz.RestartFailed:  {"open": answer, "succeeded": answer, "failed": create},
	} {
		for state, want := range wants {
			h := states[state]
			s := &lambdabiz.RunStart{ID: "a", RunID: "a#2", Name: "Order", Policy: policy}
			created, err := rules.Start(&h, s)
			got := answer
			switch {
			case errors.Is(err, lambdabiz.ErrExists):
				got = exists
			case created:
				got = create
			}
			if got != want || got == exists && created {
				t.Errorf("policy %d, %s: %s, %v, want %s", policy, state, got, err, want)
			}
			s.Name = "Invoice"
			if created, err := rules.Start(&h, s); created || !errors.Is(err, lambdabiz.ErrExists) {
				t.Errorf("policy %d, %s, another definition: %v, %v", policy, state, created, err)
			}
			s.RunID = h.RunID
			if created, err := rules.Start(&h, s); created || err != nil {
				t.Errorf("policy %d, %s, its own start again: %v, %v", policy, state, created, err)
			}
			if created, err := rules.Start(nil, s); !created || err != nil {
				t.Errorf("policy %d, a new id: %v, %v", policy, created, err)
			}
		}
	}
}

func TestNewRun(t *testing.T) {
	t.Parallel()
	const worker = 7
	fresh := run(scheduled, atOnce, fence(0))
	claimed := run(held, fence(1))
	hand := fresh
	hand.Mode = lambdabiz.ModeHand
	for name, c := range map[string]struct {
		start  lambdabiz.RunStart
		worker int64
		want   rules.Head
	}{
		"nobody claims it":           {lambdabiz.RunStart{}, worker, fresh},
		"its worker claims it":       {lambdabiz.RunStart{Claim: true}, worker, claimed},
		"a client cannot claim":      {lambdabiz.RunStart{Claim: true}, 0, fresh},
		"by hand, unclaimed":         {lambdabiz.RunStart{Mode: lambdabiz.ModeHand}, worker, hand},
		"by hand, claimed":           {lambdabiz.RunStart{Mode: lambdabiz.ModeHand, Claim: true}, 0, run(byHand, fence(1))},
		"by hand, beside a worker's": {lambdabiz.RunStart{Mode: lambdabiz.ModeHand, Claim: true}, worker, run(byHand, fence(1))},
	} {
		c.start.ID, c.start.RunID, c.start.Name = "a", "a#1", "Order"
		if got := rules.New(&c.start, c.worker); got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, c.want)
		}
	}
	s := lambdabiz.RunStart{Parent: &lambdabiz.Parent{ID: "p"}}
	if got := rules.New(&s, 0); got.Parent != s.Parent {
		t.Errorf("its parent is %+v", got.Parent)
	}
}

// A start that comes twice gets its claim again only while nobody can know of it but by this start.
func TestStillHeld(t *testing.T) {
	t.Parallel()
	start := lambdabiz.RunStart{ID: "a", RunID: "a#1", Name: "Order", Claim: true}
	unclaimed, hand, another := start, start, start
	unclaimed.Claim, hand.Mode, another.RunID = false, lambdabiz.ModeHand, "a#2"
	for name, c := range map[string]struct {
		head   rules.Head
		start  lambdabiz.RunStart
		worker int64
		want   bool
	}{
		"as it was started":          {run(held, fence(1)), start, 7, true},
		"claimed again since":        {run(held, fence(2)), start, 7, false},
		"by another worker":          {run(held, fence(1)), start, 8, false},
		"by a client":                {run(held, fence(1)), start, 0, false},
		"released":                   {run(fence(2)), start, 7, false},
		"ended":                      {run(succeeded, fence(1)), start, 7, false},
		"a start that does not":      {run(held, fence(1)), unclaimed, 7, false},
		"a start of one driven":      {run(byHand, fence(1)), hand, 7, false},
		"a start of another run":     {run(held, fence(1)), another, 7, false},
		"nobody's, and a client's":   {run(fence(1)), start, 0, false},
		"held, and it was paused":    {run(held, paused, fence(1)), start, 7, true},
		"held, and it was cancelled": {run(held, cancelled, fence(1)), start, 7, true},
	} {
		if got := rules.StillHeld(&c.head, &c.start, c.worker); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestNextInherits(t *testing.T) {
	t.Parallel()
	for _, before := range allHeads() {
		child(false)(&before)
		s := &lambdabiz.RunStart{ID: "another", RunID: "a#2", Name: "Order", Claim: true, Deadline: later}
		want := rules.Head{
			ID: "a", RunID: "a#2", Name: "Order", Parent: before.Parent, Status: lambdabiz.StatusScheduled, Due: rules.AtOnce(),
			Paused: before.Paused, PauseReason: before.PauseReason,
			Cancelled: before.Cancelled, CancelReason: before.CancelReason,
		}
		if before.Paused {
			want.Due = time.Time{}
		}
		if got := rules.Next(before, s); got != want {
			t.Errorf("after %+v:\n got %+v\nwant %+v", before, got, want)
		}
	}
}

func TestMessagesThatMoveAndStay(t *testing.T) {
	t.Parallel()
	for kind, want := range map[lambdabiz.MessageKind][2]bool{
		lambdabiz.MessageEvent:  {true, false},
		lambdabiz.MessageChild:  {false, false},
		lambdabiz.MessageCancel: {true, true},
		lambdabiz.MessagePause:  {false, false},
		lambdabiz.MessageDrop:   {true, false},
	} {
		if got := [2]bool{rules.Moves(kind), rules.Stays(kind)}; got != want {
			t.Errorf("kind %d moves and stays: %v, want %v", kind, got, want)
		}
	}
}
