package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// summary is what a run of chaos has to say.
type summary struct {
	Passed      bool             `json:"passed"`
	Interrupted bool             `json:"interrupted"`
	Seconds     float64          `json:"seconds"`
	Tests       []*test          `json:"tests"`
	Totals      []campaign.Count `json:"totals"`
	Problems    []string         `json:"problems"`
	Other       []string         `json:"other,omitempty"` // what does not belong to a test

	options *options
	partial map[string]string // lines that have not ended
	broken  map[string]bool   // packages that failed as a whole
}

// test is one test with its subtests.
type test struct {
	Package string  `json:"package"`
	Test    string  `json:"test"`
	Result  string  `json:"result"` // pass, fail, skip; empty if it did not end
	Seconds float64 `json:"seconds"`
	Faults  []fault `json:"faults,omitempty"`
	Twins   []twin  `json:"twins,omitempty"`
	Repeat  string  `json:"repeat,omitempty"` // the command, if it failed

	seed    string
	skipped bool     // one of its subtests was
	output  []string // the last lines
}

// fault is a line of campaign.Report, twin is one of campaign.Red.
type fault struct {
	Fault  string           `json:"fault"`
	Test   string           `json:"test"`
	Counts []campaign.Count `json:"counts"`
}

type twin struct {
	Fault   string `json:"fault"`
	Test    string `json:"test"`
	Without string `json:"without"`
	Said    string `json:"said"`
}

func newSummary(o *options) *summary {
	return &summary{
		options: o, partial: map[string]string{}, broken: map[string]bool{},
		Tests: []*test{}, Totals: []campaign.Count{}, Problems: []string{},
	}
}

// expect notes the tests that must end.
func (s *summary) expect(found []tested) {
	for _, p := range found {
		for _, name := range p.tests {
			s.test(p.path, name)
		}
	}
}

// test returns the test with a name, and makes it.
func (s *summary) test(pkg, name string) *test {
	for _, t := range s.Tests {
		if t.Package == pkg && t.Test == name {
			return t
		}
	}
	t := &test{Package: pkg, Test: name}
	s.Tests = append(s.Tests, t)
	return t
}

// keptLines is how much of a test's output is shown when it fails.
const keptLines = 60

func (t *test) keep(line string) {
	if strings.HasPrefix(strings.TrimSpace(line), "=== ") {
		return
	}
	t.output = append(t.output, line)
	if len(t.output) > 2*keptLines {
		t.output = slices.Clone(t.output[keptLines:])
	}
}

// line is shown when a test has ended.
func (t *test) line() string {
	word := map[string]string{"pass": "ok", "fail": "FAIL", "skip": "skipped"}[t.Result]
	text := fmt.Sprintf("%-7s %7.1fs  %-12s %s", word, t.Seconds, short(t.Package), t.Test)
	var said []string
	for _, f := range t.Faults {
		said = append(said, f.Fault+" "+f.counts())
	}
	if len(t.Twins) > 0 {
		said = append(said, fmt.Sprintf("%d red", len(t.Twins)))
	}
	if len(said) > 3 {
		said = append(said[:3], "...")
	}
	if len(said) > 0 {
		text += ": " + strings.Join(said, "; ")
	}
	return text
}

func (f *fault) counts() string {
	parts := make([]string, 0, len(f.Counts))
	for _, c := range f.Counts {
		parts = append(parts, fmt.Sprintf("%s=%d", c.What, c.N))
	}
	return strings.Join(parts, ", ")
}

// judge decides whether all is well, and why not.
func (s *summary) judge() {
	passed := 0
	for _, t := range s.Tests {
		name := short(t.Package) + " " + t.Test
		switch {
		case t.Result == "fail":
			t.Repeat = s.repeat(t)
			s.problemf("%s failed", name)
		case t.Result == "" && !s.Interrupted:
			s.problemf("%s did not end", name)
		case t.Result != "pass":
		case s.options.sabotage && len(t.Twins) == 0:
			s.problemf("%s is green: without its protection nothing was seen", name)
		case !s.options.sabotage && len(t.Faults) == 0:
			s.problemf("%s reports no fault", name)
		default:
			passed++
		}
		for _, f := range t.Faults {
			s.count(f.Counts)
		}
	}
	for pkg := range s.broken {
		if !slices.ContainsFunc(s.Tests, func(t *test) bool { return t.Package == pkg && t.Result == "fail" }) && !s.Interrupted {
			s.problemf("package %s failed", pkg)
		}
	}
	if s.Interrupted {
		s.problemf("interrupted")
	} else if passed == 0 {
		s.problemf("nothing has passed")
	}
	s.Passed = len(s.Problems) == 0
}

func (s *summary) problemf(format string, a ...any) {
	s.Problems = append(s.Problems, fmt.Sprintf(format, a...))
}

// totalled are the counts that mean the same in every test.
var totalled = []string{
	"kills", "exits", "stops", "freezes", "cuts", "power losses", "faults", "takeovers", "bodies cut",
	"orchestrations ended", "lost", "doubled",
}

// count adds to the totals.
func (s *summary) count(counts []campaign.Count) {
	for _, c := range counts {
		if !slices.Contains(totalled, c.What) {
			continue
		}
		i := slices.IndexFunc(s.Totals, func(total campaign.Count) bool { return total.What == c.What })
		if i < 0 {
			s.Totals = append(s.Totals, c)
		} else {
			s.Totals[i].N += c.N
		}
	}
}

// repeat is the command that does a failed test again.
func (s *summary) repeat(t *test) string {
	var parts []string
	if t.seed != "" {
		parts = append(parts, campaign.SeedVariable+"="+t.seed)
	}
	if !s.options.sabotage {
		parts = append(parts, fmt.Sprintf("%s=%d", campaign.CyclesVariable, s.options.cycles))
	}
	return strings.Join(append(parts, "go test -count=1 -timeout=0 -run '^"+t.Test+"$' "+t.Package), " ")
}

func (s *summary) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}

// write writes the summary for people.
func (s *summary) write(w io.Writer) error {
	s.writeFailures(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if s.options.sabotage {
		s.twinRows(table)
	} else {
		s.faultRows(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(s.Totals) > 0 {
		total := fault{Counts: s.Totals}
		sayf(w, "\ntotal: %s\n", total.counts())
	}
	for _, p := range s.Problems {
		sayf(w, "problem: %s\n", p)
	}
	verdict := "passed"
	if !s.Passed {
		verdict = "FAILED"
	}
	_, err := fmt.Fprintf(w, "\n%s: %d tests in %.1f s\n", verdict, len(s.Tests), s.Seconds)
	return err
}

func (s *summary) writeFailures(w io.Writer) {
	for _, line := range s.Other {
		sayf(w, "%s\n", line)
	}
	for _, t := range s.Tests {
		if t.Result != "fail" && (t.Result != "" || s.Interrupted) {
			continue
		}
		sayf(w, "\n--- %s %s\n", t.Package, t.Test)
		for _, line := range t.output[max(0, len(t.output)-keptLines):] {
			sayf(w, "%s\n", line)
		}
		if t.Repeat != "" {
			sayf(w, "to repeat: %s\n", t.Repeat)
		}
	}
}

func (s *summary) faultRows(w io.Writer) {
	type row struct{ fault, name, counts string }
	var rows []row
	for _, t := range s.Tests {
		for _, f := range t.Faults {
			rows = append(rows, row{f.Fault, short(t.Package) + " " + f.Test, f.counts()})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return compareFaults(a.fault, b.fault) })
	sayf(w, "\nFAULT\tTEST\tWHAT HAPPENED\n")
	for _, r := range rows {
		sayf(w, "%s\t%s\t%s\n", r.fault, r.name, r.counts)
	}
}

func (s *summary) twinRows(w io.Writer) {
	sayf(w, "\nTWIN\tFAULT\tWITHOUT\tWHAT THE CHECK SAID\n")
	for _, t := range s.Tests {
		for _, x := range t.Twins {
			sayf(w, "red\t%s\t%s\t%s %s: %s\n", x.Fault, x.Without, short(t.Package), x.Test, cut(x.Said))
		}
		if len(t.Twins) == 0 {
			word := map[string]string{"pass": "GREEN", "skip": "skipped", "fail": "FAILED"}[t.Result]
			sayf(w, "%s\t\t\t%s %s\n", word, short(t.Package), t.Test)
		}
	}
}

// cut keeps a row on a screen.
func cut(text string) string {
	const most = 120
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "..."
	}
	return text
}

// compareFaults orders F2 before F10.
func compareFaults(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
