package rules_test

import (
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

func TestStartedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head rules.Head
		want bool
	}{
		"new": {run(scheduled, held), true}, "started": {run(held), false}, "ended": {run(succeeded), false},
	} {
		h, first := rules.Started(c.head)
		if first != c.want || first && h != run(held) || !first && h != c.head {
			t.Errorf("%s: %+v, %v", name, h, first)
		}
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	why := &lambdabiz.Blocked{Reason: "a mistake"}
	now := rules.AtOnce()
	for name, c := range map[string]struct {
		head    rules.Head
		release lambdabiz.Release
		unseen  bool
		due     time.Time
	}{
		"until a message":                      {run(held), lambdabiz.Release{}, false, time.Time{}},
		"until a time":                         {run(held), lambdabiz.Release{WakeAt: noon}, false, noon},
		"with a message that it has not seen":  {run(held), lambdabiz.Release{WakeAt: noon}, true, now},
		"blocked":                              {run(held), lambdabiz.Release{Blocked: why}, false, time.Time{}},
		"blocked until a time":                 {run(held), lambdabiz.Release{WakeAt: noon, Blocked: why}, false, noon},
		"blocked, with a message":              {run(held), lambdabiz.Release{WakeAt: noon, Blocked: why}, true, noon},
		"resumed meanwhile":                    {run(held, atOnce), lambdabiz.Release{WakeAt: noon}, false, now},
		"resumed meanwhile, and blocked":       {run(held, atOnce), lambdabiz.Release{WakeAt: noon, Blocked: why}, false, now},
		"paused":                               {run(held, paused), lambdabiz.Release{WakeAt: noon}, false, time.Time{}},
		"paused, with a message":               {run(held, paused), lambdabiz.Release{WakeAt: noon}, true, time.Time{}},
		"paused, and blocked":                  {run(held, paused), lambdabiz.Release{WakeAt: noon, Blocked: why}, true, time.Time{}},
		"driven by hand":                       {run(byHand), lambdabiz.Release{WakeAt: noon}, false, noon},
		"no longer blocked, and with no crash": {run(held, blocked), lambdabiz.Release{}, false, time.Time{}},
	} {
		c.head.Crashes, c.head.Mark = 3, 17
		want := c.head
		want.Held, want.Worker, want.Fence = false, 0, c.head.Fence+1
		want.Blocked, want.Due, want.Crashes, want.Mark = c.release.Blocked != nil, c.due, 0, 0
		if got := rules.Release(c.head, &c.release, c.unseen); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

// What the rules say of a pause and a resume must not depend on whether the holder lets the run go before or after them.
func TestResumeThatOvertakesTheReleaseIsNotLost(t *testing.T) {
	t.Parallel()
	for _, blocked := range []*lambdabiz.Blocked{nil, {Reason: "a mistake"}} {
		h := control(t, run(held), lambdabiz.Control{Kind: lambdabiz.ControlPause}).Head
		h = control(t, h, lambdabiz.Control{Kind: lambdabiz.ControlResume}).Head
		h = rules.Release(h, &lambdabiz.Release{WakeAt: later, Blocked: blocked}, false)
		if !h.Claimable() || !h.IsDue(noon) {
			t.Errorf("blocked %v: it is not due: %+v", blocked, h)
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	failure := &lambdabiz.Failure{Message: "no stock"}
	for _, h := range allHeads() {
		for _, parent := range []func(h *rules.Head){func(*rules.Head) {}, child(false), child(true)} {
			for _, next := range []*lambdabiz.RunStart{nil, {RunID: "a#2"}} {
				h := h
				parent(&h)
				k := &lambdabiz.Close{Status: lambdabiz.StatusFailed, Error: failure, Result: lambdabiz.Payload("r"), Next: next}
				c := rules.Close(h, k, noon)
				if !h.Open() {
					if c != (rules.Change{Head: h}) {
						t.Errorf("one that has ended: %+v", c)
					}
					continue
				}
				want := h
				want.Status, want.Held, want.Worker, want.Due = lambdabiz.StatusFailed, false, 0, time.Time{}
				want.Paused, want.PauseReason, want.Blocked = false, "", false
				if c.Head != want || c.Error != failure || c.Message != nil || c.Withdraw {
					t.Errorf("%+v:\n%+v", h, c)
				}
				waits := h.Parent != nil && !h.Parent.Detached && next == nil
				m := c.Outcome
				if (m != nil) != waits {
					t.Fatalf("parent %+v, next %+v: it hears %+v", h.Parent, next, m)
				}
				if m != nil && (m.Kind != lambdabiz.MessageChild || m.Operation != 5 || m.Status != lambdabiz.StatusFailed ||
					m.Error != failure || string(m.Payload) != "r" || !m.ArrivedAt.Equal(noon)) {
					t.Errorf("its parent hears %+v", m)
				}
			}
		}
	}
}
