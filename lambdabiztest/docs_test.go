package lambdabiztest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```")

// flat is code without its indentation, so that a part of a function can be found in it.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(code)) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

// TestDocsAreCompiledAndRun finds each piece of Go of docs/testing.md in a file that is compiled and tested, and runs
// the whole programs of it.
func TestDocsAreCompiledAndRun(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	var compiled []string
	for _, pattern := range []string{"*_test.go", "testdata/shop/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			compiled = append(compiled, flat(string(text)))
		}
	}
	blocks := goBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 6 {
		t.Errorf("there are %d pieces of code only", len(blocks))
	}
	for _, block := range blocks {
		if code := flat(block[1]); !slices.ContainsFunc(compiled, func(file string) bool { return strings.Contains(file, code) }) {
			t.Errorf("this is in no file that is tested:\n%s", block[1])
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout=60s", "./testdata/shop").CombinedOutput()
	if err != nil {
		t.Errorf("go test ./testdata/shop: %v\n%s", err, out)
	}
}
