package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/mainpage"
)

// program runs another program on the same database, which it knows from the environment.
func (c *cli) program(path string) *process {
	c.t.Helper()
	return c.process(func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, path)
		cmd.Dir, cmd.Env = c.t.TempDir(), append(os.Environ(), backendEnv+"="+c.backend)
		return cmd
	})
}

// takeoverLimit is how long the other one may take: a lease is 7.5 s, and the computer may be busy.
const takeoverLimit = 30 * time.Second

// The README's program in two terminals, on one database. The one that charges is killed before its second attempt: the other
// one goes on when the lease is over, with the same key, which a third terminal sees.
func TestTheReadmesProgramOnTwoMachines(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	path, err := mainpage.Program(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c.must("start", "Fulfil", "order-7", `{"Item":"tea","Cents":450}`)
	c.must("pause", "order-7")
	one, other := c.program(path), c.program(path)
	one.waitFor("worker started")
	other.waitFor("worker started")
	watch := c.start("watch", "order-7", "--interval", "50ms")
	c.must("resume", "order-7")

	charging := func(line string) (key string) {
		if _, key, _ = strings.Cut(line, " key "); !strings.HasPrefix(line, "charging 450 cents") {
			return ""
		}
		return key
	}
	first := ""
	for first == "" {
		select {
		case line := <-one.lines:
			first = charging(line)
		case line := <-other.lines:
			if first = charging(line); first != "" {
				one, other = other, one
			}
		}
	}
	one.signal(syscall.SIGKILL)
	killed := time.Now()
	line := other.waitFor("charging 450 cents")
	took := time.Since(killed)
	t.Logf("the other one charges %v after the kill", took.Round(time.Millisecond))
	if took > takeoverLimit {
		t.Errorf("it took %v", took)
	}
	if key := charging(line); key != first {
		t.Errorf("the keys are %s and %s", first, key)
	}
	watch.waitFor("order-7", "charge", "SUCCEEDED")
	c.must("raise", "order-7", "Approve", "true")
	other.waitFor("shipping tea")
	other.waitFor("done: payment-1 and parcel of tea")
	if text := other.ends(exitOK); !strings.Contains(text, "took over from a worker") {
		t.Errorf("it has not taken over:\n%s", text)
	}
	watch.waitFor("order-7", "ship", "SUCCEEDED")
	watch.ends(exitOK)
	if _, code := one.end(); code != -int(syscall.SIGKILL) {
		t.Errorf("the first one ended with %d", code)
	}
}
