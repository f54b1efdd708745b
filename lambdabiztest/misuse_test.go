package lambdabiztest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What go test prints for tests that fail.
func TestFailuresAreSaidByGoTest(t *testing.T) {
	t.Parallel()
	printed, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout=60s", "./testdata/misuse").CombinedOutput()
	text := string(printed)
	if err == nil {
		t.Fatalf("they passed:\n%s", text)
	}
	for _, want := range []string{
		"--- FAIL: TestNoStub",
		`orchestration code-1 is blocked: the task "Double" is neither stubbed nor registered`,
		"misuse_test.go:17",
		"--- FAIL: TestCrash",
		"--- FAIL: TestCrash/commit_1_is_lost",
		"the process died before commit 1 (code-1: double SUCCEEDED, end SUCCEEDED): ",
		"orchestration code-1: the outcome is result 42, undisturbed result 21",
		"calls is 2, undisturbed 1",
		"--- FAIL: TestRecording",
		"lambdabiztest: resume: read the recording: it is no state of an orchestration",
		"deadlock", // of synctest: a goroutine is left
	} {
		if !strings.Contains(text, want) {
			t.Errorf("they do not say %q, but\n%s", want, text)
		}
	}
	if strings.Contains(text, "the test goes on") {
		t.Errorf("a test went on after its failure:\n%s", text)
	}
	wantLines(t, text)
}

var (
	marked  = regexp.MustCompile(`// said here: (.*)`)
	foreign = regexp.MustCompile(`(?m)^ +(?:\w+\.go:\d+|unknown): .*`)
)

// wantLines wants each failure at the line of the test that it is about, and none at a line of the library.
func wantLines(t *testing.T, text string) {
	t.Helper()
	code, err := os.ReadFile(filepath.Join("testdata", "misuse", "misuse_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	marks := 0
	for i, line := range strings.Split(string(code), "\n") {
		if mark := marked.FindStringSubmatch(line); mark != nil {
			marks++
			if want := fmt.Sprintf("misuse_test.go:%d: lambdabiztest: %s", i+1, mark[1]); !strings.Contains(text, want) {
				t.Errorf("they do not say %q, but\n%s", want, text)
			}
		}
	}
	if marks < 14 {
		t.Errorf("%d lines are marked only", marks)
	}
	for _, line := range foreign.FindAllString(text, -1) {
		if !strings.HasPrefix(strings.TrimSpace(line), "misuse_test.go:") {
			t.Errorf("a failure is at a line of the library: %s", line)
		}
	}
}
