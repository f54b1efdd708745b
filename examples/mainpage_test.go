package examples_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/lambdabiz/lambdabiz/internal/mainpage"
)

// The program of the repository's README is copied by everybody: what stops services, a SIGTERM, must
// let its worker end in order.
func TestTheReadmesProgramStopsInOrder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	path, err := mainpage.Program(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		cmd := exec.CommandContext(t.Context(), path)
		cmd.Dir = t.TempDir()
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
