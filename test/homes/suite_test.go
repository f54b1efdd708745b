package homes_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz/test/campaign"
	"github.com/lambdabiz/lambdabiz/test/faulty"
)

// suite returns the names of the tests that run on every home, as their source has them, and how many of them do not run
// on stores that fail.
func suite(t *testing.T) (names []string, calm int) {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, p, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || d.Recv != nil {
				continue
			}
			body := text[files.Position(d.Pos()).Offset:files.Position(d.End()).Offset]
			if bytes.Contains(body, []byte("calmOnly"+"(")) && d.Name.Name != "calmOnly" {
				calm++
			}
			if strings.HasPrefix(d.Name.Name, "Test") && bytes.Contains(body, []byte("everywhere"+"(t, ")) {
				names = append(names, d.Name.Name)
			}
		}
	}
	if slices.Sort(names); len(names) < 150 {
		t.Fatalf("there are %d tests for every home only", len(names))
	}
	return names, calm
}

// suiteOutcome is what came of a run of tests on stores that fail.
type suiteOutcome struct {
	tests, calls int
	unsteady     int // tests that have failed, and hold with other seeds
	struck       [faulty.Again + 1]int
	complaint    string
}

// total is how many calls have failed.
func (o *suiteOutcome) total() int {
	n := 0
	for _, struck := range o.struck {
		n += struck
	}
	return n
}

func (o *suiteOutcome) add(other suiteOutcome) {
	o.tests += other.tests
	o.calls += other.calls
	o.unsteady += other.unsteady
	for k, n := range other.struck {
		o.struck[k] += n
	}
}

// runSuite runs tests in a process of their own, over stores of which a share of the calls fails.
func runSuite(t *testing.T, names []string, s stormy) suiteOutcome {
	t.Helper()
	pattern := "^(" + strings.Join(names, "|") + ")$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.timeout=5m") // this program
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, campaign.CyclesVariable+"=") })
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"), faultsVariable+"="+strconv.Itoa(s.percent),
		campaign.SeedVariable+"="+strconv.FormatUint(s.seed, 10), sabotageVariable+"="+s.sabotage)
	text, err := cmd.CombinedOutput()
	var o suiteOutcome
	var rest strings.Builder
	for line := range strings.Lines(string(text)) {
		told, found := strings.CutPrefix(line, struckWord)
		if !found {
			rest.WriteString(line)
			continue
		}
		o.tests++
		for _, field := range strings.Fields(told)[1:] {
			what, number, _ := strings.Cut(field, "=")
			n, _ := strconv.Atoi(number)
			if what == "calls" {
				o.calls += n
			}
			for k := range o.struck {
				if what == faulty.Kind(k).String() {
					o.struck[k] += n
				}
			}
		}
	}
	if err != nil {
		o.complaint = fmt.Sprintf("%v\n%s", err, &rest)
	}
	return o
}

// saidBy is what a test that has failed has said.
func (o *suiteOutcome) saidBy(name string) string {
	_, text, _ := strings.Cut(o.complaint, "--- FAIL: "+name+" ")
	text, _, _ = strings.Cut(text, "\n--- ")
	return text
}

var failedTests = regexp.MustCompile(`(?m)^--- FAIL: (Test\w+) `)

// counts are what the outcome tells of the faults: those that must be, and the others.
func (o *suiteOutcome) counts() (must, also []campaign.Count) {
	must = []campaign.Count{{What: "tests", N: o.tests}, {What: "faults", N: o.total()}}
	also = []campaign.Count{{What: "unsteady tests", N: o.unsteady}, {What: "calls", N: o.calls}}
	for k, n := range o.struck {
		also = append(also, campaign.Count{What: "calls " + faulty.Kind(k).String(), N: n})
	}
	return must, also
}

// calmMost is how many tests may do without stores that fail: those that let calls of their own choice fail, and those
// whose code keeps something outside of the record. A test whose set-up bears no faults is no such one: it has its set-up
// on a store that works (see well, ill and settle).
const calmMost = 7

// unsteadyOf is how many tests there are to one that may fail and hold with other seeds. There is none in the ordinary run:
// what is red there is red. In a campaign, with twenty times as many tests on stores of which up to half of the calls fail,
// there may be few.
const unsteadyOf = 1000

// again reports whether all tests that have failed hold with other seeds, tells of them, and counts them. A store that
// breaks a promise has no second chance.
func (o *suiteOutcome) again(t *testing.T, s stormy) bool {
	t.Helper()
	failed := failedTests.FindAllStringSubmatch(o.complaint, -1)
	if len(failed) == 0 || strings.Contains(o.complaint, brokenWord) {
		return false
	}
	for _, name := range failed {
		for range 3 {
			s.seed++
			if other := runSuite(t, name[1:], s); other.complaint != "" {
				return false
			}
		}
		t.Logf("UNSTEADY %s failed once of four times, to repeat: %s=%d %s=%d\n%s", name[1],
			faultsVariable, s.percent, campaign.SeedVariable, s.seed-3, o.saidBy(name[1]))
		s.seed -= 3
	}
	o.unsteady = len(failed)
	return true
}

// firstError finds the first line that a test has said in what a run has printed, or else its first line.
func firstError(text string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, "_test.go:") {
			return strings.TrimSpace(line)
		}
	}
	first, _, _ := strings.Cut(text, "\n")
	return first
}

// suiteAhead runs tests in a process of their own, and returns what they complain of.
func suiteAhead(t *testing.T, names []string, ahead, sabotage string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^("+strings.Join(names, "|")+")$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"), clockVariable+"="+ahead, sabotageVariable+"="+sabotage)
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, text)
	}
	return ""
}
