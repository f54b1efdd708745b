package rules_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

func TestClaim(t *testing.T) {
	t.Parallel()
	for _, due := range []func(h *rules.Head){atOnce, atNoon, freed} {
		if got, want := rules.Claim(run(due), 7), run(held, fence(4)); got != want {
			t.Errorf("by a worker: %+v", got)
		}
		h := run(due)
		h.Mode = lambdabiz.ModeHand
		if got, want := rules.Claim(h, 0), run(byHand, fence(4)); got != want {
			t.Errorf("by hand: %+v", got)
		}
	}
}

func TestCrashed(t *testing.T) {
	t.Parallel()
	for _, h := range allHeads() {
		if !h.Open() || !h.Held {
			continue
		}
		want := h
		want.Held, want.Worker, want.Due, want.Fence = false, 0, rules.AtOnce(), h.Fence+1
		if h.Paused {
			want.Due = time.Time{}
		}
		if got := rules.Taken(h); got != want || got.Writable(h.Fence) {
			t.Errorf("taken from %+v:\n got %+v", h, got)
		}
		want.Crashes++
		if got := rules.Crashed(h); got != want {
			t.Errorf("crashed %+v:\n got %+v", h, got)
		}
	}
}

// The count of crashes is of holders in a row that died without a new record.
func TestCrashesAreCountedFromTheLastRecord(t *testing.T) {
	t.Parallel()
	h := run()
	for i, c := range []struct{ recorded, want int64 }{
		{0, 0}, {0, 1}, {0, 2}, {4, 1}, {4, 2}, {4, 3}, {5, 1}, {5, 2},
	} {
		h = rules.Judge(rules.Claim(h, 7), c.recorded)
		if h.Crashes != c.want {
			t.Errorf("claim %d, with %d recorded: %d crashes, want %d", i, c.recorded, h.Crashes, c.want)
		}
		h = rules.Crashed(h)
	}
	h = rules.Release(rules.Claim(h, 7), &lambdabiz.Release{}, false)
	if h = rules.Judge(rules.Claim(h, 7), 5); h.Crashes != 0 {
		t.Errorf("after a release: %d crashes", h.Crashes)
	}
	if h = rules.Judge(rules.Claim(rules.Crashed(h), 7), 5); h.Crashes != 1 {
		t.Errorf("after a release and a crash: %d crashes", h.Crashes)
	}
}

func TestWhatIsRecordedGrows(t *testing.T) {
	t.Parallel()
	began := lambdabiz.Operation{Number: 1, Status: lambdabiz.StatusStarted, Attempts: 1}
	again, ended := began, began
	again.Attempts, ended.Status = 2, lambdabiz.StatusSucceeded
	last := int64(-1)
	for _, operations := range [][]lambdabiz.Operation{nil, {began}, {again}, {again, began}, {again, ended}} {
		n := rules.Recorded(operations)
		if n <= last {
			t.Errorf("%+v: %d, after %d", operations, n, last)
		}
		last = n
	}
}

func TestFairHalves(t *testing.T) {
	t.Parallel()
	byTime, atOnce := []string{"t1", "t2", "t3", "t4"}, []string{"o1", "o2", "o3", "o4"}
	for name, c := range map[string]struct {
		byTime, atOnce []string
		limit          int
		want           []string
		more           bool
	}{
		"half of the places": {byTime, atOnce, 4, []string{"t1", "t2", "o1", "o2"}, true},
		"the odd place":      {byTime, atOnce, 3, []string{"t1", "t2", "o1"}, true},
		"one place":          {byTime, atOnce, 1, []string{"t1"}, true},
		"no place":           {byTime, atOnce, 0, nil, true},
		"few by time":        {byTime[:1], atOnce, 4, []string{"t1", "o1", "o2", "o3"}, true},
		"few at once":        {byTime, atOnce[:1], 4, []string{"t1", "t2", "t3", "o1"}, true},
		"all":                {byTime[:2], atOnce[:2], 4, []string{"t1", "t2", "o1", "o2"}, false},
		"nothing is due":     {nil, nil, 4, nil, false},
		"no limit":           {byTime, atOnce, math.MaxInt32, append(slices.Clone(byTime), atOnce...), false},
	} {
		got, more := rules.Fair(c.byTime, c.atOnce, c.limit)
		if !slices.Equal(got, c.want) || more != c.more {
			t.Errorf("%s: %v, more %v, want %v, %v", name, got, more, c.want, c.more)
		}
	}
}

func TestWhatAVersionHasBlockedIsLeftToOthers(t *testing.T) {
	t.Parallel()
	others := func(name string) bool { return name == "Order" }
	nobody := func(string) bool { return false }
	for name, c := range map[string]struct {
		head   rules.Head
		by     string
		others func(string) bool
		want   bool
	}{
		"its own":                     {run(blocked), "v1", others, true},
		"its own, and it is alone":    {run(blocked), "v1", nobody, false},
		"another's":                   {run(blocked), "v2", others, false},
		"nobody's":                    {run(), "", others, false},
		"its own, and nobody's again": {run(), "v1", others, false},
	} {
		if got := rules.Leaves(&c.head, c.by, "v1", c.others); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestAWorkerThatJoinsUnblocks(t *testing.T) {
	t.Parallel()
	w := &lambdabiz.WorkerInfo{Names: []string{"Invoice", "Order"}, Version: "v2"}
	for _, h := range append(allHeads(), run(byHand, freed, blocked)) {
		for _, by := range []string{"v1", "v2"} {
			for _, served := range []bool{true, false} {
				if h.Name = "Order"; !served {
					h.Name = "Parcel"
				}
				want, wakes := h, served && by == "v1" && h.Blocked && h.Claimable()
				if wakes {
					want.Due = rules.AtOnce()
				}
				if got, woken := rules.Unblocks(h, by, w); got != want || woken != wakes {
					t.Errorf("blocked by %s: %+v:\n got %+v, %v", by, h, got, woken)
				}
			}
		}
	}
}

func TestUnreadableIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := rules.Unreadable(errors.New("the column tags is no JSON"), noon)
	if b.Reason != "its record cannot be read: the column tags is no JSON" || !b.Since.Equal(noon) || !b.RetryAt.After(noon) {
		t.Errorf("%+v", b)
	}
	if b := rules.Unreadable(errors.New("x"), time.Time{}); !b.RetryAt.IsZero() {
		t.Errorf("in a list: %+v", b)
	}
	h := rules.Release(run(held), &lambdabiz.Release{WakeAt: b.RetryAt, Blocked: b}, true)
	if h.IsDue(noon) || !h.IsDue(b.RetryAt) {
		t.Errorf("set aside, it is due at %v", h.Due)
	}
}
