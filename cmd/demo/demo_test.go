package main_test

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The first command of the README is compiled by everybody who looks at the library: it must bring nothing
// that is not needed to look.
func TestTheDemoIsCompiledWithoutOtherHomes(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		first, _, _ := strings.Cut(dep, "/")
		switch {
		case !strings.Contains(first, "."): // the standard library
		case strings.HasPrefix(dep, "github.com/ncruces/"), dep == "golang.org/x/sys/unix", dep == "golang.org/x/sys/windows",
			dep == "github.com/gofrs/flock": // SQLite
		case dep == "github.com/lambdabiz/lambdabiz":
		default:
			ours, found := strings.CutPrefix(dep, "github.com/lambdabiz/lambdabiz/")
			top, _, _ := strings.Cut(ours, "/")
			if !found || top != "internal" && top != "cmd" && ours != "rest" && ours != "sqlite" {
				t.Errorf("the demo is compiled with %s", dep)
			}
		}
	}
}

func TestTheDemoIsKilledAndGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "demo")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if text, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	run := func(args ...string) (text string, code int) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, append([]string{"--db", filepath.Join(dir, "demo.db"), "--timer", "50ms"}, args...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run() // the state tells
		return out.String(), cmd.ProcessState.ExitCode()
	}
	text, code := run("--kill-after", "Operation3")
	if code == 0 || !strings.Contains(text, "Operation3") || strings.Contains(text, "Sequence3 SUCCEEDED") {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	text, code = run()
	if code != 0 || !strings.Contains(text, "recorded before") || !strings.Contains(text, `SUCCEEDED  {"Number1":15`) {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if text, code = run(); code != 0 || !strings.Contains(text, "everything was recorded before: nothing ran") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	for _, args := range [][]string{{"show"}, {"--timer", "-1s"}, {"--kill-after", "Operation9"}, {"--nothing"}} {
		if text, code := run(args...); code != 2 {
			t.Errorf("%v: exit code %d:\n%s", args, code, text)
		}
	}
	if text, code := run("--id", "b-", "--number2", "0"); code != 1 || !strings.Contains(text, "b-Sequence3 FAILED") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}
