package rules_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/lambdabiz/lambdabiz/lambdabizvet/rules"
)

// TestRules runs each analyzer over the package of its name, whose comments say what is to be found there, and nothing else.
func TestRules(t *testing.T) {
	for _, a := range rules.All() {
		t.Run(a.Name, func(t *testing.T) {
			analysistest.Run(t, analysistest.TestData(), a, "./"+a.Name)
		})
	}
}

// TestNothingIsFoundInTheExamples runs the program over what the repository offers to copy, as go vet does: there is no false
// alarm in it.
func TestNothingIsFoundInTheExamples(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "lambdabizvet")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", tool, "..").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "-vettool="+tool, "./examples/...", "./cmd/...", "./rest")
	vet.Dir, vet.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}
