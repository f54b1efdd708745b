package campaign_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// recorder is a test that may fail without harm.
type recorder struct {
	log    strings.Builder
	failed bool
}

func (r *recorder) Helper()      {}
func (r *recorder) Name() string { return "TestIt/sub" }

func (r *recorder) Logf(format string, args ...any) { fmt.Fprintf(&r.log, format+"\n", args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
}

func TestRoundsFollowTheCampaign(t *testing.T) {
	if got := campaign.Rounds(t, 7, 50_000); got != 7 {
		t.Errorf("without a campaign: %d rounds, want 7", got)
	}
	t.Setenv(campaign.CyclesVariable, "100")
	if got := campaign.Rounds(t, 7, 50_000); got != 5_000 {
		t.Errorf("a tenth of the full length: %d rounds, want 5000", got)
	}
	if got := campaign.Rounds(t, 7, 1); got != 7 {
		t.Errorf("%d rounds, want the 7 of the ordinary run at least", got)
	}
	t.Setenv(campaign.CyclesVariable, "many")
	bad := &recorder{}
	if campaign.Rounds(bad, 1, 1); !bad.failed {
		t.Error("a number that is none was taken")
	}
}

func TestSeedRepeats(t *testing.T) {
	t.Setenv(campaign.SeedVariable, "42")
	r := &recorder{}
	if got := campaign.Seed(r); got != 42 {
		t.Errorf("seed %d, want 42", got)
	}
	if want := "LAMBDABIZ_SEED=42 go test -run '^TestIt$'"; !strings.Contains(r.log.String(), want) {
		t.Errorf("it says %q, want %q in it", &r.log, want)
	}
	if a, b := campaign.Random(42, 3).Uint64(), campaign.Random(42, 3).Uint64(); a != b {
		t.Errorf("the same seed and round gave %d and %d", a, b)
	}
}

func TestReportFailsWhenNothingHappened(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	campaign.Report(r, "F1", []campaign.Count{{What: "kills", N: 3}}, campaign.Count{What: "lost", N: 0})
	if r.failed || !strings.Contains(r.log.String(), "FAULT F1 TestIt/sub: kills=3, lost=0\n") {
		t.Errorf("failed %t, it says %q", r.failed, &r.log)
	}
	campaign.Report(r, "F1", []campaign.Count{{What: "kills", N: 0}})
	if !r.failed {
		t.Error("no kill, and the test goes on")
	}
}

func TestMoreGoesOnUntilItHasHappened(t *testing.T) {
	t.Parallel()
	for happens, want := range map[int]int{0: 3, 2: 3, 7: 8, 1000: 103} {
		rounds := 0
		must := func() []campaign.Count {
			return []campaign.Count{{What: "always", N: 1}, {What: "kills", N: max(0, rounds-happens)}}
		}
		for range campaign.More(3, must) {
			rounds++
		}
		if rounds != want {
			t.Errorf("it happens after round %d: %d rounds, want %d", happens, rounds, want)
		}
	}
}

func TestUntilRedStopsAtTheComplaint(t *testing.T) {
	t.Parallel()
	last := -1
	got := campaign.UntilRed(func(round int) string {
		if last = round; round == 4 {
			return "two outcomes"
		}
		return ""
	})
	if got != "two outcomes" || last != 4 {
		t.Errorf("it says %q after round %d", got, last)
	}
	if got := campaign.UntilRed(func(int) string { return "" }); got != "" {
		t.Errorf("it says %q", got)
	}
}

func TestRedFailsWithoutAComplaint(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	campaign.Red(r, "F5", "the fence", "two outcomes\nand more")
	if r.failed || !strings.HasSuffix(r.log.String(), "SABOTAGE F5 TestIt/sub: without the fence: two outcomes\n") {
		t.Errorf("failed %t, it says %q", r.failed, &r.log)
	}
	campaign.Red(r, "F5", "the fence", "")
	if !r.failed {
		t.Error("a twin that is green is taken")
	}
}
