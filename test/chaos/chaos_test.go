package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const sqlitePackage = "example.org/m/sqlite"

// summed takes in a stream of testdata, as if these tests had been found.
func summed(t *testing.T, o options, file string, tests ...string) (s *summary, progress, text string) {
	t.Helper()
	stream, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	s = newSummary(&o)
	s.expect([]tested{{sqlitePackage, tests}})
	var p, out bytes.Buffer
	if err := s.read(stream, &p); err != nil {
		t.Fatal(err)
	}
	s.judge()
	if err := s.write(&out); err != nil {
		t.Fatal(err)
	}
	return s, p.String(), out.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line) {
			t.Errorf("want %q in:\n%s", line, text)
		}
	}
}

func TestSummaryOfACampaign(t *testing.T) {
	t.Parallel()
	s, progress, text := summed(t, options{cycles: 50}, "campaign.json", "TestKill", "TestTorn", "TestSilent", "TestElsewhere")
	wantLines(t, progress,
		"ok          1.5s  sqlite       TestKill: F1 kills=1000, lost=0, doubled=0\n",
		"FAIL        1.5s  sqlite       TestTorn: F24 cuts=500, lost=0\n",
		"skipped     1.5s  sqlite       TestElsewhere\n")
	wantLines(t, text,
		"cut 17: event 3 is lost",
		"to repeat: LAMBDABIZ_SEED=7 LAMBDABIZ_CYCLES=50 go test -count=1 -timeout=0 -run '^TestTorn$' example.org/m/sqlite\n",
		"F1     sqlite TestKill    kills=1000, lost=0, doubled=0\n",
		"F24    sqlite TestTorn/a  cuts=500, lost=0\n",
		"total: kills=1000, lost=0, doubled=0, cuts=500\n",
		"problem: sqlite TestTorn failed\n",
		"problem: sqlite TestSilent reports no fault\n",
		"FAILED: 4 tests")
	if s.Passed || len(s.Problems) != 2 {
		t.Errorf("passed %t, problems %q", s.Passed, s.Problems)
	}
	if strings.Contains(text, "=== RUN") {
		t.Error("it shows which tests run")
	}
}

func TestSummaryOfTwins(t *testing.T) {
	t.Parallel()
	s, progress, text := summed(t, options{sabotage: true}, "sabotage.json",
		"TestSabotage", "TestSabotageOfNothing", "TestSabotageElsewhere")
	wantLines(t, progress, "TestSabotage: 2 red\n", "skipped     1.5s  sqlite       TestSabotageElsewhere")
	wantLines(t, text,
		"red      F5     the fence  sqlite TestSabotage/a: I3: two outcomes: 1 and 2\n",
		"red      F5     the lease  sqlite TestSabotage/b: I7: late\n",
		"GREEN                      sqlite TestSabotageOfNothing\n",
		"skipped                    sqlite TestSabotageElsewhere\n",
		"problem: sqlite TestSabotageOfNothing is green")
	if s.Passed || len(s.Problems) != 1 {
		t.Errorf("passed %t, problems %q", s.Passed, s.Problems)
	}
}

func TestSummaryOfWhatCannotBeBuilt(t *testing.T) {
	t.Parallel()
	_, _, text := summed(t, options{}, "broken.json", "TestKill")
	wantLines(t, text, "undefined: y", "go: something about the machine", "TestKill did not end",
		"package example.org/m/sqlite failed", "nothing has passed", "FAILED")
}

func TestSummaryAfterAnInterrupt(t *testing.T) {
	t.Parallel()
	s := newSummary(&options{})
	s.expect([]tested{{sqlitePackage, []string{"TestKill"}}})
	s.Interrupted = true
	s.judge()
	if s.Passed || len(s.Problems) != 1 || s.Problems[0] != "interrupted" {
		t.Errorf("passed %t, problems %q", s.Passed, s.Problems)
	}
}

func TestFaultTestsAreFoundInTheSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const text = `package x

type bench struct{}

func (b *bench) report(t *testing.T) { deeper(t) }
func deeper(t *testing.T)            { campaign.Report(t, "F1", nil) }
func again(n int)                    { again(n - 1) }

func TestDirect(t *testing.T)   { campaign.Report(t, "F1", nil) }
func TestByMethod(t *testing.T) { b := &bench{}; t.Run("a", func(t *testing.T) { b.report(t) }) }
func TestPlain(t *testing.T)    { again(campaign.Rounds(t, 1, 2)) }
func TestMain(m *testing.M)     { campaign.Report(nil, "F1", nil) }
func TestSabotageIt(t *testing.T) { campaign.Red(t, "F1", "it", "x") }
`
	if err := os.WriteFile(filepath.Join(dir, "x_test.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &listed{Dir: dir, XTestGoFiles: []string{"x_test.go"}}
	for twins, want := range map[bool][]string{false: {"TestDirect", "TestByMethod"}, true: {"TestSabotageIt"}} {
		if got, err := p.tests(twins); err != nil || !slices.Equal(got, want) {
			t.Errorf("twins %t: %v %v, want %v", twins, got, err, want)
		}
	}
}

func TestTestsOfAHome(t *testing.T) {
	t.Parallel()
	o := options{backend: "postgres"}
	for _, tc := range []struct {
		pkg, name string
		want      bool
	}{
		{"example.org/m/postgres", "TestKill", true},
		{"example.org/m/process", "TestPostgresFails", true},
		{"example.org/m/process", "TestKill", false},
	} {
		if got := o.isOf(tc.pkg, tc.name); got != tc.want {
			t.Errorf("%s of %s: %t", tc.name, tc.pkg, got)
		}
	}
	if all := (options{}); !all.isOf(sqlitePackage, "TestKill") {
		t.Error("without a home it leaves one out")
	}
}

// The suite of stores has a twin for each of its rules.
func TestChaosRunsTwins(t *testing.T) {
	t.Parallel()
	var out, progress bytes.Buffer
	if code := chaos(t.Context(), []string{"-sabotage", "-json", "../../storetest"}, &out, &progress); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, &progress, &out)
	}
	var s summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if !s.Passed || len(s.Tests) != 1 || len(s.Tests[0].Twins) < 10 {
		t.Errorf("it says %s", &out)
	}
}

func TestChaosRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		code int
		says string
		args []string
	}{
		{0, "examples:", []string{"-help"}},
		{2, "-cycles is 0", []string{"-cycles", "0"}},
		{2, `-seed is "x"`, []string{"-seed", "x"}},
		{2, "-run:", []string{"-run", "("}},
		{1, "no such test", []string{"-backend", "nothing", "."}},
		{2, "not defined: -bad", []string{"-bad"}},
		{1, "no such test", []string{"-run", "TestNothing", "."}},
		{1, "list packages", []string{"./nowhere"}},
	} {
		var out bytes.Buffer
		if code := chaos(t.Context(), tc.args, &out, &out); code != tc.code || !strings.Contains(out.String(), tc.says) {
			t.Errorf("%v: exit code %d, want %d; it says %s", tc.args, code, tc.code, &out)
		}
	}
}

func TestChaosEndsWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if code := chaos(ctx, []string{"-sabotage", "."}, &out, &out); code != 1 {
		t.Errorf("exit code %d, want 1; it says %s", code, &out)
	}
}
