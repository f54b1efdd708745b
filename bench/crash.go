package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// crash is W6. A child process runs n sequences, c in flight, and is killed at half of their steps. A second
// one, on the same file, must finish all that the first has acknowledged by itself, and then runs the rest. The
// times are the second child's, from the moment at which it was started.
func crash(ctx context.Context, b *bed) (figures, error) {
	if err := b.limits.slice(4 * sliceTime); err != nil {
		return nil, err
	}
	acked, err := b.firstLife(ctx)
	if err != nil {
		return nil, err
	}
	m, err := b.secondLife(ctx, acked)
	if err != nil {
		return nil, err
	}
	m["acked_before_kill"] = float64(len(acked))
	if m["steps_repeated"], err = b.repeats(); err != nil {
		return nil, err
	}
	if err := b.limits.slice(4 * sliceTime); err != nil {
		return nil, err
	}
	b.limits.add(m)
	if m["lost"] > 0 || m["wrong"] > 0 {
		err = fmt.Errorf("%v acknowledged orchestrations are lost, %v have a wrong result", m["lost"], m["wrong"])
	}
	return m, err
}

func (b *bed) effects() string { return filepath.Join(b.folder, "effects") }

// spawn starts this program as a child on the bed's folder.
func (b *bed) spawn(ctx context.Context, role string, stdin io.Reader) (*exec.Cmd, *bufio.Scanner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-workload", "crash", "-child", role, "-dir", b.folder,
		"-n", strconv.Itoa(b.n), "-c", strconv.Itoa(b.c))
	cmd.Stderr, cmd.Stdin = os.Stderr, stdin
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("start a child: %w", err)
	}
	return cmd, bufio.NewScanner(out), nil
}

// firstLife returns the numbers of the sequences whose start was acknowledged before the kill.
func (b *bed) firstLife(ctx context.Context) ([]int, error) {
	cmd, lines, err := b.spawn(ctx, "first", nil)
	if err != nil {
		return nil, err
	}
	var acked []int
	killed := false
	for lines.Scan() {
		if lines.Text() == "half" {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				return nil, fmt.Errorf("kill the child: %w", err)
			}
			continue // what it has said before is acknowledged too
		}
		i, err := strconv.Atoi(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("the child said %q", lines.Text())
		}
		acked = append(acked, i)
	}
	if err := cmd.Wait(); !killed {
		return nil, fmt.Errorf("the child ended before it was killed: %w", err)
	}
	return acked, nil
}

// secondLife hands what was acknowledged to a new child, and returns what it measures.
func (b *bed) secondLife(ctx context.Context, acked []int) (figures, error) {
	var list strings.Builder
	for _, i := range acked {
		fmt.Fprintln(&list, i)
	}
	begun := time.Now()
	cmd, lines, err := b.spawn(ctx, "second", strings.NewReader(list.String()))
	if err != nil {
		return nil, err
	}
	m := figures{}
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if value == "" {
			m[name] = time.Since(begun).Seconds()
			continue
		}
		if m[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("the child said %q", lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("run the second child: %w", err)
	}
	return m, nil
}

// repeats counts the steps whose body ran more than once.
func (b *bed) repeats() (float64, error) {
	text, err := os.ReadFile(b.effects())
	if err != nil {
		return 0, fmt.Errorf("read what the steps did: %w", err)
	}
	times := map[string]int{}
	repeated := 0
	for line := range strings.Lines(string(text)) {
		if times[line]++; times[line] > 1 {
			repeated++
		}
	}
	if want := 5 * b.n; len(times) != want {
		return 0, fmt.Errorf("%d steps ran, want %d", len(times), want)
	}
	return float64(repeated), nil
}

// crashChild is a child process of the workload.
func crashChild(ctx context.Context, c *config) error {
	b := &bed{config: c, folder: c.dir}
	effects, err := os.OpenFile(b.effects(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the file of the effects: %w", err)
	}
	var steps atomic.Int64
	effect = func(ctx context.Context, task string) error {
		info, _ := lambdabiz.TaskInfoFrom(ctx)
		if _, err := fmt.Fprintf(effects, "%s %s %s\n", info.OrchestrationID, info.OperationID, task); err != nil {
			return fmt.Errorf("note a step: %w", err)
		}
		if steps.Add(1) == int64(5*c.n/2) && c.child == "first" {
			fmt.Println("half")
		}
		return nil
	}
	backend, err := sqlite.Open(b.file())
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	e, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err == nil {
		err = e.Register(fiveTasks...)
	}
	if err != nil {
		return err //nolint:wrapcheck // it says what it was doing
	}
	err = e.RunWhile(ctx, func(ctx context.Context) error {
		if c.child == "first" {
			w := &crowd{e: e, c: c.c, clock: since(), started: func(i int) { fmt.Println(i) }}
			return w.run(ctx, func(i int) bool { return i < c.n })
		}
		return finish(ctx, e, c)
	})
	return errors.Join(err, e.Close(), effects.Close())
}

// finish waits for what was acknowledged before the kill, then starts the rest. Each word on stdout is a moment.
func finish(ctx context.Context, e *lambdabiz.Engine, c *config) error {
	fmt.Println("open_s")
	acked := map[int]bool{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		i, err := strconv.Atoi(lines.Text())
		if err != nil {
			return fmt.Errorf("the parent said %q", lines.Text())
		}
		acked[i] = true
	}
	var lost, wrong atomic.Int64
	var all sync.WaitGroup
	for i := range acked {
		all.Go(func() {
			err := checkFive(ctx, lambdabiz.Get(e, five, sequenceID(i)), i)
			switch {
			case errors.Is(err, lambdabiz.ErrNotFound):
				lost.Add(1)
			case err != nil:
				fmt.Fprintln(os.Stderr, err)
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Println("inflight_done_s")
	fmt.Println("lost", lost.Load())
	fmt.Println("wrong", wrong.Load())
	w := &crowd{e: e, c: c.c, clock: since()}
	if err := w.run(ctx, func(i int) bool { return i < c.n }); err != nil { // an id that is used answers with its run
		return err
	}
	fmt.Println("all_done_s")
	return nil
}
