package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// child is another process. It speaks lines, and goes on when its input is closed.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &child{cmd, in, bufio.NewReader(out)}
}

func (c *child) wantLine(t *testing.T, want string) {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if strings.TrimSpace(line) != want {
		t.Fatalf("child said %q (%v), want %q", line, err, want)
	}
}

// release lets the child go on, and waits for its end.
func (c *child) release(t *testing.T) {
	t.Helper()
	_ = c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func childMain(role, path string) error {
	ctx := context.Background()
	b, err := sqlite.Open(path)
	if err != nil {
		return err
	}
	switch role {
	case "open":
		fmt.Println("opened")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return b.Close()
	case "work":
		return childWork(ctx, b)
	case "hold":
		held, release := make(chan struct{}), make(chan struct{})
		go func() {
			<-held
			fmt.Println("holding")
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(release)
		}()
		return b.HoldWriter(ctx, held, release)
	case "write":
		return childWrite(ctx, b)
	}
	return fmt.Errorf("unknown role %q", role)
}

// childWork joins, holds a run with one operation, and waits to be killed.
func childWork(ctx context.Context, b *sqlite.Backend) error {
	worker, err := b.Join(ctx, lambdabiz.WorkerInfo{Names: []string{"Order"}, PID: os.Getpid()})
	if err != nil {
		return err
	}
	verdicts, err := b.Commit(ctx, []*lambdabiz.Commit{{
		Worker: worker, At: time.Now(),
		Starts: []lambdabiz.RunStart{{ID: "held", RunID: "held-1", Name: "Order", Claim: true}},
	}})
	if err != nil {
		return err
	}
	_, err = b.Commit(ctx, []*lambdabiz.Commit{{
		Run: &verdicts[0].Starts[0].Run, Worker: worker, At: time.Now(),
		Operations: []lambdabiz.Operation{{Number: 1, ID: "one", Kind: lambdabiz.KindTask, Status: lambdabiz.StatusStarted}},
	}})
	if err != nil {
		return err
	}
	fmt.Println("holding")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

const childRuns = 40

// childWrite starts runs and ends them, beside other processes that do the same.
func childWrite(ctx context.Context, b *sqlite.Backend) error {
	worker, err := b.Join(ctx, lambdabiz.WorkerInfo{Names: []string{"Order"}, PID: os.Getpid()})
	if err != nil {
		return err
	}
	for i := range childRuns {
		id := fmt.Sprintf("%d-%d", worker, i)
		verdicts, err := b.Commit(ctx, []*lambdabiz.Commit{{
			Worker: worker, At: time.Now(),
			Starts: []lambdabiz.RunStart{{ID: id, RunID: id, Name: "Order", Claim: true}},
		}})
		if err != nil {
			return err
		}
		end := &lambdabiz.Commit{
			Run: &verdicts[0].Starts[0].Run, Worker: worker, At: time.Now(), Conditional: true,
			Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded},
		}
		if verdicts, err = b.Commit(ctx, []*lambdabiz.Commit{end}); err != nil || verdicts[0].Err != nil {
			return fmt.Errorf("end %s: %v, %w", id, verdicts, err)
		}
	}
	fmt.Println("written")
	if err := b.Leave(ctx, worker, -1); err != nil {
		return err
	}
	return b.Close()
}
