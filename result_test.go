package lambdabiz_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

func TestContinuesTellsTheRunsOfAChain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		runID, previous, earlier string
		want                     bool
	}{
		{"A-2", "A", "A", true},
		{"A-3", "A-2", "A", true},
		{"A-12", "A-11", "A-9", true},
		{"A-12", "A-11", "A-12", false},
		{"A-12", "A-11", "A-13", false},
		{"A-2", "A", "B", false},
		{"A-3", "A-2", "B-2", false},
		{"A", "", "A", false},
		{"A-2", "", "A", false}, // the first of its chain, whatever its id
		{"A-2-2", "A-2", "A-2", true},
		{"A-2-3", "A-2-2", "A-2", true},
		{"A-2-3", "A-2-2", "A", false},
		{"A-02", "A-1", "A", false},
		{"A-1", "B", "A", false},
		{"A-x", "B", "A", false},
		{"A-99999999999999999999", "B", "A", false},
		{"-2", "B", "", false},
		{"B", "A", "A", true}, // of a chain whose runs have ids of their own
		{"C", "B", "A", false},
		{"A-3", "A-2", "", false},
	} {
		info := lambdabiz.RunInfo{RunID: c.runID, Previous: c.previous}
		if got := info.Continues(c.earlier); got != c.want {
			t.Errorf("%s after %q continues %q: %v", c.runID, c.previous, c.earlier, got)
		}
	}
}
