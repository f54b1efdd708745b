package storetest

import (
	"slices"
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

// Config says how [Run] gets its stores, and what they are known not to do.
type Config struct {
	// Open returns a new store with nothing in it. It is called for many tests at once, and registers
	// its own clean-up with t.
	Open func(t *testing.T) lambdabiz.Store

	// Reopen opens the storage of a store that Open returned once more, as another process would,
	// while the first one stays open. Nil skips the tests that need it.
	Reopen func(t *testing.T, s lambdabiz.Store) lambdabiz.Store

	// TooLarge is the size in bytes of a payload that the store refuses. 0 skips the tests of refusals,
	// for a store that takes all that the machine can hold.
	TooLarge int

	// Skips names checks that what is under the store cannot do, each with the reason: for a stand-in
	// of a service that is no full copy of it. A name that no check has fails the test.
	Skips map[string]string
}

// Run tests every rule of [lambdabiz.Store].
func Run(t *testing.T, config Config) {
	t.Helper()
	known := map[string]bool{}
	for _, c := range allChecks() {
		known[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if why := config.Skips[c.name]; why != "" {
				t.Skip(why)
			}
			if c.reopens && config.Reopen == nil {
				t.Skip("Config.Reopen is nil")
			}
			if c.refuses && config.TooLarge == 0 {
				t.Skip("Config.TooLarge is 0")
			}
			s := config.Open(t)
			h := &harness{reporter: t, s: s, tooLarge: config.TooLarge, other: s}
			if config.Reopen != nil {
				h.other = config.Reopen(t, s)
			}
			c.run(h)
		})
	}
	for name := range config.Skips {
		if !known[name] {
			t.Errorf("Config.Skips names %q, which is no check", name)
		}
	}
}

// check is one rule. It runs on any reporter, so that tests of the suite itself can watch it fail.
type check struct {
	name    string
	run     func(h *harness)
	reopens bool
	refuses bool
}

func allChecks() []check {
	return slices.Concat(
		putChecks, versionChecks, fieldChecks, refuseChecks, reserveChecks, getChecks, listChecks, keepChecks,
		deleteChecks, concurrentChecks, randomChecks,
	)
}

// reporter is what a check needs of a *testing.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}
