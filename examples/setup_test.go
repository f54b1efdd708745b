package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// names are the examples that a reader runs, kills and runs again.
var names = []string{"sequence", "restsequence", "order", "fanout", "poller", "approval", "agent"}

// binaries is where the compiled examples lie. They are built once for all tests.
var binaries string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lambdabiz-examples")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries = dir
	build := []string{"build", "-o", dir + string(filepath.Separator)}
	if withRace {
		build = append(build, "-race")
	}
	for _, name := range names {
		build = append(build, "./"+name)
	}
	if text, err := exec.CommandContext(context.Background(), "go", build...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, text)
		return 1
	}
	// The programs wait most of the time: more of them at once than there are processors. A -parallel that is given wins.
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// program is an example with a file of its own.
type program struct {
	t    *testing.T
	name string
	db   string
	args []string // given in each run
}

func setup(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, name: name, db: filepath.Join(t.TempDir(), name+".db")}
	p.args = append([]string{"--db", p.db}, args...)
	if name == "restsequence" {
		p.args = append(p.args, "--listen", freeAddress(t))
	}
	return p
}

// freeAddress is an address on loopback that nobody listens at. Where all of 127/8 is this machine it is one of its own:
// the ports of 127.0.0.1 go to whoever connects or listens next.
func freeAddress(t *testing.T) string {
	t.Helper()
	address := "127.0.0.1:0"
	if runtime.GOOS == "linux" {
		address = fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (p *program) command(args ...string) *exec.Cmd {
	path := filepath.Join(binaries, p.name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // against hanging
	p.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, append(slices.Clone(p.args), args...)...)
	// A program with the race detector sleeps for a second before it exits, unless told.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return cmd
}

// call runs the program to its end, which must have this exit code, and returns all that it wrote.
func (p *program) call(code int, args ...string) string {
	p.t.Helper()
	var out bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("%s %q: exit code %d, want %d:\n%s", p.name, args, got, code, &out)
	}
	return out.String()
}

// until runs the program until a line of its output contains the words, sends it the signal, and returns all that it wrote.
func (p *program) until(words string, signal os.Signal, args ...string) string {
	p.t.Helper()
	cmd := p.command(args...)
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // the state tells
		_ = write.Close()
	}()
	var out strings.Builder
	sent := false
	for lines := bufio.NewScanner(read); lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		if !sent && strings.Contains(lines.Text(), words) {
			sent = true
			if err := cmd.Process.Signal(signal); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	want := -1 // killed
	if signal == os.Interrupt {
		want = 130
	}
	if code := cmd.ProcessState.ExitCode(); !sent || code != want {
		p.t.Fatalf("%s %q: sent %v: %t, exit code %d, want %d:\n%s", p.name, args, signal, sent, code, want, &out)
	}
	return out.String()
}

// killed runs the program until a line contains the words, kills it, runs it again to its end, and returns what it wrote in
// its two lives. The args are for the first one: it is slower, so that on a busy machine too the kill comes in time.
func (p *program) killed(words string, args ...string) (first, second string) {
	p.t.Helper()
	first = p.until(words, os.Kill, args...)
	second = p.call(0)
	if !strings.Contains(second, "goes on in process") {
		p.t.Errorf("it does not go on:\n%s", second)
	}
	return first, second
}

// linesWith are the lines of a text that the pattern matches, in their order.
func linesWith(text, pattern string) []string {
	expression := regexp.MustCompile(pattern)
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); expression.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// continued wants the effects of both lives to be the effects of one life, in their order; what was going on at the kill,
// which is the last line before it, may be there twice.
func continued(t *testing.T, first, second, pattern string, want ...string) {
	t.Helper()
	before, after := linesWith(first, pattern), linesWith(second, pattern)
	if len(before) == 0 || len(after) == 0 {
		t.Fatalf("nothing happened before or after the kill:\n%s\n%s", first, second)
	}
	if after[0] == before[len(before)-1] {
		after = after[1:]
	}
	if got := slices.Concat(before, after); !slices.Equal(got, want) {
		t.Errorf("the effects are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in\n%s", w, text)
		}
	}
}
