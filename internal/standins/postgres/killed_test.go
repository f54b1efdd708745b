//go:build linux

package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// TestNothingIsLeftBehindByAKilledTest kills a test binary with SIGKILL: its server must end too, even a frozen one, and
// its folder go.
func TestNothingIsLeftBehindByAKilledTest(t *testing.T) {
	t.Parallel()
	postgres.Shared(t, 18) // is it installed?
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	holder := osexec.CommandContext(t.Context(), self, "-test.run=^$")
	holder.Env = append(os.Environ(), hold+"=1")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var url, folder, failed string
	var watcher int
	if _, err := fmt.Sscan(line, &url, &folder, &watcher, &failed); err != nil || failed != "<nil>" {
		t.Fatalf("%q: %v", line, err)
	}
	end, err := unix.PidfdOpen(watcher, 0) // readable when the last one of them has ended
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(end) }()
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // says that it was killed
	ended := []unix.PollFd{{Fd: int32(end), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(ended, 60_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("the server outlives what started it: %d, %v", n, err)
		}
		break
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder is left behind: %v", err)
	}
	if conn, err := pgx.Connect(t.Context(), url+"&connect_timeout=10"); err == nil {
		t.Errorf("it still serves: %v", conn)
	}
}

// TestWhatHasClosedItsOutputIsNotGone: a process that ends does so before it is over. A PostgreSQL that is started again on the
// same folder while the number is there believes that another one has it.
func TestWhatHasClosedItsOutputIsNotGone(t *testing.T) {
	t.Parallel()
	script := postgres.Script(t, "echo ready; exec sleep 1000 >/dev/null 2>&1")
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := script.Signal(short, unix.SIGCONT); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("it runs, and was gone: %v", err)
	}
	pid := script.Pid()
	if err := script.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("it was killed, and is there: %v", err)
	}
}

// TestProgramsInAClosedFolderAreCopied: as root runs tests in its home, where another user cannot look.
func TestProgramsInAClosedFolderAreCopied(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("this is of servers that root starts as another user; run the tests as root to have it")
	}
	postgres.Shared(t, 18) // is it installed?
	dir, err := postgres.Installed(t.Context(), 18)
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(closed, "native"), os.DirFS(filepath.Dir(dir))); err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "lambdabiz-postgres-") //nolint:usetesting // the folder of a test is closed to others too
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	got, err := postgres.Reachable(t.Context(), filepath.Join(closed, "native", "bin"), folder)
	if err != nil || got != filepath.Join(folder, "programs", "bin") {
		t.Errorf("run from %s, %v; want a copy in %s", got, err, folder)
	}
}
