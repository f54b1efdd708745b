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
	_, here, _, _ := runtime.Caller(0)
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
	if err := os.WriteFile(source, found[1], 0o600); err != nil {
		return "", fmt.Errorf("write the program: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", path, source)
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, text)
	}
	return path, nil
}
