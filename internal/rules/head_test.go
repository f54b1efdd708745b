package rules_test

import (
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// noon is a time of some clock, and later is after it.
var (
	noon  = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	later = noon.Add(time.Hour)
)

// run is an open run that nobody holds and that waits for a message, but for what is changed.
func run(changes ...func(h *rules.Head)) rules.Head {
	h := rules.Head{
		ID: "a", RunID: "a#1", Name: "Order", Mode: lambdabiz.ModeWorker, Status: lambdabiz.StatusStarted, Fence: 3,
	}
	for _, change := range changes {
		change(&h)
	}
	return h
}

func held(h *rules.Head)      { h.Held, h.Worker = true, 7 }
func byHand(h *rules.Head)    { h.Mode, h.Held = lambdabiz.ModeHand, true }
func paused(h *rules.Head)    { h.Paused, h.PauseReason = true, "stock is counted" }
func blocked(h *rules.Head)   { h.Blocked = true }
func cancelled(h *rules.Head) { h.Cancelled, h.CancelReason = true, "too late" }
func scheduled(h *rules.Head) { h.Status = lambdabiz.StatusScheduled }
func succeeded(h *rules.Head) { h.Status = lambdabiz.StatusSucceeded }
func failed(h *rules.Head)    { h.Status = lambdabiz.StatusFailed }
func atOnce(h *rules.Head)    { h.Due = rules.AtOnce() }
func atNoon(h *rules.Head)    { h.Due = noon }
func freed(h *rules.Head)     { h.Held, h.Worker = false, 0 }
func fence(n int64) func(h *rules.Head) {
	return func(h *rules.Head) { h.Fence = n }
}

func child(detached bool) func(h *rules.Head) {
	parent := &lambdabiz.Parent{ID: "p", RunID: "p#1", Operation: 5, Detached: detached}
	return func(h *rules.Head) { h.Parent = parent }
}

// allHeads is every combination of what the rules look at.
func allHeads() []rules.Head {
	all := []rules.Head{run()}
	for _, change := range []func(h *rules.Head){held, paused, blocked, cancelled, atOnce} {
		for _, h := range all {
			change(&h)
			all = append(all, h)
		}
	}
	for _, h := range all {
		h.Status = lambdabiz.StatusFailed
		all = append(all, h)
	}
	return all
}

func TestWritableUnderItsFenceOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head  rules.Head
		fence int64
		want  bool
	}{
		"its holder":               {run(held), 3, true},
		"one who drives it":        {run(byHand), 3, true},
		"a holder before":          {run(held), 2, false},
		"one who knows no fence":   {run(held, fence(0)), 0, false},
		"nobody holds it":          {run(), 3, false},
		"it has ended":             {run(held, succeeded), 3, false},
		"it is paused":             {run(held, paused), 3, true},
		"it is blocked, as before": {run(held, blocked), 3, true},
	} {
		if got := c.head.Writable(c.fence); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if (*rules.Head)(nil).Writable(1) {
		t.Error("a run that is not there can be written")
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	before1970 := time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		head rules.Head
		now  time.Time
		want bool
	}{
		"by no time":                        {run(), later, false},
		"before its time":                   {run(atNoon), noon.Add(-1), false},
		"at its time":                       {run(atNoon), noon, true},
		"after its time":                    {run(atNoon), later, true},
		"at once":                           {run(atOnce), noon, true},
		"at once, by a clock that is wrong": {run(atOnce), before1970, true},
	} {
		if got := c.head.IsDue(c.now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestClaimableUnlessSomethingKeepsIt(t *testing.T) {
	t.Parallel()
	for _, h := range allHeads() {
		want := h.Open() && !h.Held && !h.Paused
		if got := h.Claimable(); got != want {
			t.Errorf("%+v: %v, want %v", h, got, want)
		}
	}
	h := run(byHand)
	h.Held = false
	if h.Claimable() {
		t.Error("a worker may claim what is driven by hand")
	}
}

func TestWakeAtTellsNoTimeThatIsNone(t *testing.T) {
	t.Parallel()
	scheduledAt := noon.Add(-time.Minute)
	for name, c := range map[string]struct {
		head rules.Head
		want time.Time
	}{
		"by no time":                   {run(), time.Time{}},
		"at a time":                    {run(atNoon), noon},
		"at once":                      {run(atOnce), scheduledAt},
		"held, and resumed":            {run(held, atOnce), time.Time{}},
		"driven by hand, and resumed":  {run(byHand, atOnce), time.Time{}},
		"driven by hand, and released": {run(byHand, atNoon), noon},
	} {
		if got := c.head.WakeAt(scheduledAt); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A message makes a run due, unless something keeps it that only a person, a worker or its holder can end.
func TestDeliver(t *testing.T) {
	t.Parallel()
	for _, h := range allHeads() {
		want := h
		if h.Open() && !h.Held && !h.Paused && !h.Blocked {
			want.Due = rules.AtOnce()
		}
		if got := rules.Deliver(h); got != want {
			t.Errorf("%+v:\n got %+v", h, got)
		}
	}
	if got := rules.Deliver(run(atNoon)); !rules.IsAtOnce(got.Due) {
		t.Errorf("one that sleeps is due at %v", got.Due)
	}
}
