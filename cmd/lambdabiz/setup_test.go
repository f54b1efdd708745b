package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the program, built once for all tests that need processes.
var binary string

func TestMain(m *testing.M) {
	if signal.Ignored(os.Interrupt) { // as in the background of a script: the program would ignore it, too
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	dir, err := os.MkdirTemp("", "lambdabiz-cmd")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "lambdabiz")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := []string{"build", "-o", binary}
	if withRace {
		build = append(build, "-race")
	}
	code := 1
	if text, err := exec.CommandContext(context.Background(), "go", append(build, ".")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, text)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// cli calls the program on a database of its own.
type cli struct {
	t       *testing.T
	backend string
	env     []string // beside that of command
}

func setup(t *testing.T) *cli {
	t.Helper()
	return &cli{t: t, backend: "sqlite:" + filepath.Join(t.TempDir(), "test.db")}
}

// result is what a call came to.
type result struct {
	out, errs string
	code      int
}

// call runs the program to its end.
func (c *cli) call(args ...string) result { return c.callWith("", args...) }

func (c *cli) callWith(input string, args ...string) result {
	c.t.Helper()
	var out, errs bytes.Buffer
	cmd := command(c.t.Context(), append([]string{"--backend", c.backend}, args...)...)
	cmd.Env = append(cmd.Env, c.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// command is the program as a process, without what the environment of the tests says.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "LAMBDABIZ_") || strings.HasPrefix(v, "AWS_")
	})
	cmd.Env = append(cmd.Env, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY="+secretKey,
		"AWS_SESSION_TOKEN="+sessionToken, "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=2")
	// A program with the race detector sleeps for a second before it exits, unless told.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return cmd
}

// must is call, for calls that have to succeed.
func (c *cli) must(args ...string) string {
	c.t.Helper()
	r := c.call(args...)
	if r.code != exitOK {
		c.t.Fatalf("%v: exit code %d, standard error: %s", args, r.code, r.errs)
	}
	return r.out
}

// fails is call, for calls that must end with a code and say some words.
func (c *cli) fails(code int, words string, args ...string) {
	c.t.Helper()
	r := c.call(args...)
	if r.code != code || !strings.Contains(r.errs, words) {
		c.t.Errorf("%v: exit code %d, standard error %q, want %d and %q", args, r.code, r.errs, code, words)
	}
	if strings.Count(r.errs, "\n") != 1 {
		c.t.Errorf("%v: standard error is not one line: %q", args, r.errs)
	}
}

// shown is what `show -o json` prints, with the fields that scripts rely on.
type shown struct {
	ID, Name, Status string
	Paused           bool
	CancelRequested  bool
	Input            map[string]any
	Result           map[string]any
	Error            *struct{ Message string }
	Operations       []shownOperation
	WaitingFor       []struct{ Operation, Kind string }
	Blocked          *struct{ Reason string }
	Events           []struct{ Number int64 }
}

type shownOperation struct {
	ID, Kind, Name, Status          string
	Attempts                        int
	Input, Result                   any
	ScheduledAt, StartedAt, EndedAt *time.Time
}

func (c *cli) show(id string) shown {
	c.t.Helper()
	return decode[shown](c.t, c.must("show", id, "-o", "json"))
}

func (s *shown) operation(t *testing.T, id string) shownOperation {
	t.Helper()
	for _, o := range s.Operations {
		if o.ID == id {
			return o
		}
	}
	t.Fatalf("%s has no operation %s", s.ID, id)
	return shownOperation{}
}

// decode reads the one JSON value in a text.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one JSON value in %s", text)
	}
	return v
}

// process is the program in a process of its own.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // standard output and standard error
	text  []string    // the lines so far
}

// start runs the program in a process of its own.
func (c *cli) start(args ...string) *process {
	c.t.Helper()
	return c.process(func(ctx context.Context) *exec.Cmd {
		cmd := command(ctx, append([]string{"--backend", c.backend}, args...)...)
		cmd.Env = append(cmd.Env, c.env...)
		return cmd
	})
}

// process runs a command in a process of its own, which does not outlive the test.
func (c *cli) process(command func(context.Context) *exec.Cmd) *process {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // against hanging
	c.t.Cleanup(cancel)
	p := &process{t: c.t, cmd: command(ctx), lines: make(chan string, 1000)}
	read, write := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = write, write
	if err := p.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the state tells
		_ = write.Close()
	}()
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(read); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	c.t.Cleanup(func() { p.end() })
	return p
}

// waitFor reads until a line contains all the words, and returns it.
func (p *process) waitFor(words ...string) string {
	p.t.Helper()
	for line := range p.lines {
		p.text = append(p.text, line)
		if containsAll(line, words) {
			return line
		}
	}
	p.t.Fatalf("the process ended without a line with %q:\n%s", words, strings.Join(p.text, "\n"))
	return ""
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// end waits for the process's end, and returns all that it wrote and how it ended: the exit code, or
// minus the signal.
func (p *process) end() (string, int) {
	for line := range p.lines {
		p.text = append(p.text, line)
	}
	code := p.cmd.ProcessState.ExitCode()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = -int(status.Signal())
	}
	return strings.Join(p.text, "\n") + "\n", code
}

// ends is end, for a process whose end is known.
func (p *process) ends(code int) string {
	p.t.Helper()
	text, got := p.end()
	if got != code {
		p.t.Fatalf("exit code %d, want %d:\n%s", got, code, text)
	}
	return text
}

func (p *process) interrupt() {
	p.t.Helper()
	p.signal(os.Interrupt)
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}
