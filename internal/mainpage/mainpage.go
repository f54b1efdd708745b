package mainpage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
)

var wholeProgram = regexp.MustCompile("(?s)```go\n(package main\n.*?)```")

// Program compiles the whole program of the README into a folder, and returns its path.
func Program(ctx context.Context, dir string) (path string, err error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("where this file is, is not known")
	}
	root := filepath.Join(filepath.Dir(here), "..", "..")
	page, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return "", fmt.Errorf("read the main page: %w", err)
	}
	found := wholeProgram.FindSubmatch(page)
	if found == nil {
		return "", errors.New("README.md has no whole program")
	}
	source, path := filepath.Join(dir, "main.go"), filepath.Join(dir, "orders")
	if err := os.WriteFile(source, found[1], 0o600); err != nil { //nolint:gosec // the page is the repository's own
		return "", fmt.Errorf("write the program: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", path, source) //nolint:gosec // as the caller says
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, text)
	}
	return path, nil
}
