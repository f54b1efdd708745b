package lambdabiz_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// proofs are the names of tests in a row, and the words in brackets that say where those before them stand.
var proofs = regexp.MustCompile("`(Test[A-Za-z0-9_]*)(?:/[^`]*)?`|\\(([a-z/]+)\\)")

// places are the directories that docs/proof/guarantees.md has short words for.
var places = map[string]string{
	"sqlite": "sqlite", "swf": "aws/swf", "process": "test/process", "limits": "test/limits", "orders": "test/orders",
	"faults": "test/faults", "model": "test/model", "check": "check", "rest": "rest", "cmd/lambdabiz": "cmd/lambdabiz",
	"backendtest": "backendtest", "postgres": "postgres", "memory": "",
}

// TestDocsProofsStandWhereTheRowSays: the rows of the guarantees name tests by their packages; without one they are tests of the
// engine, or those of the conformance suite.
func TestDocsProofsStandWhereTheRowSays(t *testing.T) {
	t.Parallel()
	where := map[string][]string{}
	for _, f := range goFiles(t) {
		for name := range testsOf(f) {
			where[name] = append(where[name], f.dir)
		}
	}
	rows := 0
	for line := range strings.Lines(page(t, "proof/guarantees.md")) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var group []string // since the last place was named
		found := proofs.FindAllStringSubmatch(line, -1)
		for _, p := range found {
			dir, isPlace := places[p[2]]
			switch {
			case p[1] != "":
				group = append(group, p[1])
			case isPlace && dir != "":
				if last := len(group) - 1; last >= 0 && !slices.Contains(where[group[last]], dir) {
					t.Errorf("%s stands in %v, not in %s: %s", group[last], where[group[last]], dir, line)
				}
				for _, name := range group {
					if !slices.Contains(where[name], dir) && !ofTheEngine(where[name]) {
						t.Errorf("%s stands in %v, neither in %s nor among the tests of the engine: %s", name, where[name], dir, line)
					}
				}
				group = nil
			case isPlace:
				group = nil
			}
		}
		for _, name := range group {
			if !ofTheEngine(where[name]) {
				t.Errorf("%s stands in %v, and the row does not say so: %s", name, where[name], line)
			}
		}
		if len(found) > 0 {
			rows++
		}
	}
	if rows < 80 {
		t.Errorf("there are %d rows with a proof only", rows)
	}
}

// ofTheEngine reports whether a test is one of the engine or of the conformance suite, which need no place.
func ofTheEngine(dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return slices.Contains([]string{".", "test/homes", "memory"}, dir) })
}
