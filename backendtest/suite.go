package backendtest

import (
	"slices"
	"testing"

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
}

// Run tests every rule of [lambdabiz.Backend]. Rules of a feature that the backend refuses are
// skipped when the refusal gives a reason.
func Run(t *testing.T, config Config) {
	t.Helper()
	for _, c := range allChecks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := config.Open(t)
			for _, feature := range c.needs {
				if why, refused := b.Describe().Refuses[feature]; refused {
					if why == "" {
						t.Fatalf("Describe().Refuses[%q] gives no reason", feature)
					}
					t.Skipf("refused: %s: %s", feature, why)
				}
			}
			h := newHarness(t, b)
			if config.Reopen != nil {
				h.reopen = func() lambdabiz.Backend { return config.Reopen(t, b) }
			} else if c.reopens {
				t.Skip("Config.Reopen is nil")
			}
			c.run(h)
		})
	}
}

// check is one rule. It runs on any reporter, so that tests of the suite itself can watch it fail.
type check struct {
	name    string
	run     func(h *harness)
	needs   []lambdabiz.Feature
	reopens bool
}

func allChecks() []check {
	return slices.Concat(
		describeChecks, startChecks, claimChecks, commitChecks, batchChecks, refuseChecks, raiseChecks,
		keepChecks, childChecks, releaseChecks, blockChecks, controlChecks, pauseChecks, continueChecks,
		workerChecks, crashChecks, handChecks, loadChecks, listChecks, purgeChecks, reopenChecks,
		performChecks, concurrentChecks,
	)
}

// reporter is what a check needs of a *testing.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}
