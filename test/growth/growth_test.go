// Package growth_test proves that no operation costs more the more an orchestration, or a worker, has behind it. It
// counts work instead of time: how often each block of the source runs, as Go's coverage counts it. So a loop over all
// that has been shows wherever it is written, and a slow machine changes nothing.
package growth_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The work for large is compared with the work for small. Where each of n things costs the same, it is factor times as
// much; where each costs as much as there are, factor squared.
const (
	small  = 250
	factor = 6
	large  = factor * small
)

// counted are the packages whose work counts: ours, and those of the standard library that search for us.
const counted = "github.com/lambdabiz/lambdabiz,github.com/lambdabiz/lambdabiz/memory,slices"

func TestNothingGrowsWithWhatHasBeen(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "shapes")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary,
		"-covermode", "atomic", "-coverpkg", counted, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			few, many := count(t, binary, name, small), count(t, binary, name, large)
			for block, n := range many {
				// Half way between both, in the logarithm, for what makes each thing a little dearer: a search in a
				// heap, a sort. A hundred for each thing is no loop over all there is.
				if before := max(few[block], small); n > 100*large && n*n > before*before*factor*factor*factor {
					t.Errorf("%s runs %d times for %d, %d times for %d", block, few[block], small, n, large)
				}
			}
		})
	}
}

// count runs a shape in a process of its own, and returns how often each block ran.
func count(t *testing.T, binary, shape string, n int) map[string]int {
	t.Helper()
	profile := filepath.Join(t.TempDir(), strconv.Itoa(n))
	cmd := exec.CommandContext(t.Context(), binary, "-test.run", "^TestShape$", "-test.coverprofile", profile)
	cmd.Env = append(os.Environ(), "GROWTH_SHAPE="+shape, "GROWTH_SIZE="+strconv.Itoa(n))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s of %d: %v\n%s", shape, n, err, out)
	}
	f, err := os.Open(profile)
	if err != nil {
		t.Fatal(err)
	}
	counts, ran := map[string]int{}, 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var statements, times int
		block, rest, _ := strings.Cut(lines.Text(), " ")
		if _, err := fmt.Sscan(rest, &statements, &times); err != nil {
			continue // the first line says the mode
		}
		counts[block] = times
		ran += min(times, 1)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if ran < 500 {
		t.Fatalf("%s of %d ran %d blocks: that is no profile of the engine", shape, n, ran)
	}
	return counts
}
