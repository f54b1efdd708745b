package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// workers is the sequence on n processes, each of which starts its part of what is in flight, and works on whatever is due. The
// limits are measured before and after: nobody holds all of the processes.
func workers(ctx context.Context, b *bed) (figures, error) {
	all := make([]*worker, b.n)
	var err error
	for i := range all {
		if all[i], err = b.startWorker(ctx, i); err != nil {
			break
		}
	}
	m := figures{}
	if err == nil {
		err = b.race(all, m)
	}
	for _, w := range all {
		if w != nil {
			err = errors.Join(err, w.end())
		}
	}
	if err != nil {
		return nil, err
	}
	b.limits.add(m)
	m["ratio_to_row_limit"] = m["orch_per_s"] / m["limit_rows_per_s"]
	return m, nil
}

// worker is a child process.
type worker struct {
	cmd  *exec.Cmd
	to   io.WriteCloser
	says *bufio.Scanner
}

// partOf keeps the ids of the processes apart.
const partOf = 100_000_000

func (b *bed) startWorker(ctx context.Context, i int) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	w := &worker{cmd: exec.CommandContext(ctx, self, "-workload", "workers", "-child", strconv.Itoa(i)+" "+b.server.schema,
		"-backend", b.backend, "-n", strconv.Itoa(b.n), "-c", strconv.Itoa(b.c), "-time", b.duration.String())}
	w.cmd.Env = append(os.Environ(), postgresVariable+"="+b.postgres)
	w.cmd.Stderr = os.Stderr
	w.to, err = w.cmd.StdinPipe()
	var out io.ReadCloser
	if err == nil {
		out, err = w.cmd.StdoutPipe()
	}
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	w.says = bufio.NewScanner(out)
	return w, nil
}

// race waits until all are warm, lets them go, and adds up what they say.
func (b *bed) race(all []*worker, m figures) error {
	for _, w := range all {
		if !w.says.Scan() {
			return errors.New("a worker has ended before it was warm")
		}
	}
	if err := b.limits.slice(4 * sliceTime); err != nil {
		return err
	}
	begun, before := time.Now(), b.server.cpuTime()
	for _, w := range all {
		if _, err := io.WriteString(w.to, "go\n"); err != nil {
			return fmt.Errorf("let a worker go: %w", err)
		}
	}
	ended, computed := 0, 0.0
	for _, w := range all {
		var n int
		var ms float64
		if !w.says.Scan() {
			return errors.New("a worker has ended before it was through")
		}
		if _, err := fmt.Sscan(w.says.Text(), &n, &ms); err != nil {
			return fmt.Errorf("a worker said %q: %w", w.says.Text(), err)
		}
		ended, computed = ended+n, computed+ms
	}
	took, server := time.Since(begun), millis(b.server.cpuTime()-before)
	m["orch_per_s"] = float64(ended) / took.Seconds()
	m["cpu_ms_per_orch"] = (computed + server) / float64(ended)
	if server > 0 {
		m["server_cpu_ms_per_orch"] = server / float64(ended)
	}
	return b.limits.slice(4 * sliceTime)
}

// end lets a worker leave.
func (w *worker) end() error {
	err := w.to.Close()
	if failed := w.cmd.Wait(); failed != nil {
		err = errors.Join(err, fmt.Errorf("run a worker: %w", failed))
	}
	return err
}

// workersChild is such a process. It says that it is warm, waits for a word, works, says what it has done, and leaves when its
// input ends: until then it has runs of the others.
func workersChild(ctx context.Context, c *config) error {
	part, schema, _ := strings.Cut(c.child, " ")
	number, err := strconv.Atoi(part)
	if err != nil {
		return fmt.Errorf("read which worker this is: %w", err)
	}
	b := &bed{config: c, server: &server{url: c.postgres, schema: schema}}
	e, _, err := b.engine(ctx, lambdabiz.Config{}, fiveTasks...)
	if err != nil {
		return err
	}
	err = e.RunWhile(ctx, func(ctx context.Context) error {
		w := &crowd{e: e, c: max(1, c.c/c.n)}
		w.next.Store(int64(number) * partOf)
		for _, d := range []time.Duration{c.duration / 3, c.duration} {
			w.clock = since()
			before := cpuTime()
			if err := w.run(ctx, func(int) bool { return w.clock() < d }); err != nil {
				return err
			}
			fmt.Println(len(w.took), millis(cpuTime()-before))
			if word := bufio.NewScanner(os.Stdin); d < c.duration && !word.Scan() {
				return errors.New("nobody has let this worker go")
			}
		}
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	})
	return errors.Join(err, e.Close())
}
