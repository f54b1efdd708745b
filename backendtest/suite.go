package backendtest

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Config says how [Run] gets its backends.
type Config struct {
	// Open returns a new backend with nothing stored. It is called for many tests at once, and
	// registers its own clean-up with t.
	Open func(t *testing.T) lambdabiz.Backend

	// Reopen opens the storage of a backend that Open returned once more, as another process would,
	// while the first one stays open. Nil skips the tests that need it.
	Reopen func(t *testing.T, b lambdabiz.Backend) lambdabiz.Backend

	// SetTime moves the clock of a home that has one of its own (Description.LongPoll): it is called before
	// every call with the time that the call is made at. The clock must not go back. Nil where the times of
	// ClaimRequest.Now and Commit.At count.
	SetTime func(t *testing.T, b lambdabiz.Backend, now time.Time)

	// Precision is how exactly the home stamps what happens by its own clock: the arrival of messages, the
	// end of runs and of what it performs.
	Precision time.Duration

	// Late is how much later than asked for a run may be due, by the home's own clock. It is never early.
	Late time.Duration

	// HomeTasks says that the home does what [HomeTask] does as tasks that are not local. Without it the tests
	// of these are skipped.
	HomeTasks bool

	// Bubble runs every test in a bubble of testing/synctest, where SetTime may sleep.
	Bubble bool
}

// Run tests every rule of [lambdabiz.Backend]. Rules of a feature that the backend refuses are
// skipped when the refusal gives a reason, and so are those that Description says do not hold there.
func Run(t *testing.T, config Config) {
	t.Helper()
	for _, c := range allChecks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !config.Bubble {
				config.try(t, c)
				return
			}
			skipped := "" // a skip inside a bubble does not show outside
			synctest.Test(t, func(t *testing.T) { skipped = config.try(t, c) })
			if skipped != "" {
				t.Skip(skipped)
			}
		})
	}
}

// try runs a check, or returns why it does not apply.
func (config Config) try(t *testing.T, c check) string {
	t.Helper()
	b := config.Open(t)
	if why := c.inapplicable(b.Describe()); why != "" {
		return config.skip(t, why)
	}
	h := newHarness(t, b)
	if config.Reopen != nil {
		h.reopen = func() lambdabiz.Backend { return config.Reopen(t, b) }
	} else if c.reopens {
		return config.skip(t, "Config.Reopen is nil")
	}
	if c.atHome && !config.HomeTasks {
		return config.skip(t, "Config.HomeTasks is not set")
	}
	if config.SetTime != nil {
		h.setTime = func(now time.Time) { config.SetTime(t, b, now) }
	}
	h.precision, h.late = config.Precision, config.Late
	h.reach(epoch)
	c.run(h)
	return ""
}

func (config Config) skip(t *testing.T, why string) string {
	t.Helper()
	if !config.Bubble {
		t.Skip(why)
	}
	return why
}

// check is one rule. It runs on any reporter, so that tests of the suite itself can watch it fail.
type check struct {
	name    string
	run     func(h *harness)
	needs   []lambdabiz.Feature
	where   rule // the homes whose rule it is; all if it has none
	reopens bool
	atHome  bool // the home does what HomeTask does
}

// inapplicable says why a check is not of the rules of a home, by its description alone.
func (c check) inapplicable(d lambdabiz.Description) string {
	for _, feature := range c.needs {
		if why, refused := d.Refuses[feature]; refused {
			return fmt.Sprintf("refused: %s: %s", feature, why)
		}
	}
	if c.where.of != nil && !c.where.of(d) {
		return "described: " + c.where.says
	}
	return ""
}

func allChecks() []check {
	return slices.Concat(
		describeChecks, startChecks, claimChecks, commitChecks, batchChecks, refuseChecks, raiseChecks,
		receiptChecks, keepChecks, childChecks, releaseChecks, blockChecks, controlChecks, pauseChecks, continueChecks, identityChecks,
		workerChecks, crashChecks, handChecks, loadChecks, listChecks, purgeChecks, reopenChecks,
		performChecks, attemptChecks, concurrentChecks,
	)
}

// reporter is what a check needs of a *testing.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}
