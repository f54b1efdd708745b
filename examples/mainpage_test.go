package examples_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// The program of the repository's README is copied by everybody: what stops services, a SIGTERM, must
// let its worker end in order.
func TestTheReadmesProgramStopsInOrder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	page, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```go\n(package main\n.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatal("README.md has no whole program")
	}
	dir := t.TempDir()
	source, path := filepath.Join(dir, "main.go"), filepath.Join(dir, "orders")
	if err := os.WriteFile(source, found[1], 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, source).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		cmd := exec.CommandContext(t.Context(), path)
		cmd.Dir = dir
		read, write := io.Pipe()
		cmd.Stdout, cmd.Stderr = write, write
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			_ = cmd.Wait() // the state tells
			_ = write.Close()
		}()
		var out strings.Builder
		sent := false
		for lines := bufio.NewScanner(read); lines.Scan(); {
			out.WriteString(lines.Text() + "\n")
			if !sent && strings.Contains(lines.Text(), "worker started") {
				sent = true
				if err := cmd.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
			}
		}
		if code := cmd.ProcessState.ExitCode(); !sent || code != 1 {
			t.Fatalf("%v: sent %t, exit code %d:\n%s", signal, sent, code, &out)
		}
		contains(t, out.String(), "worker stopped", "stopped; the order is kept")
	}
}
