package lambdabiztest_test

import (
	"os/exec"
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
		"misuse_test.go:14",
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
}
