//go:build linux || darwin

package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supported says whether servers can be started here.
const supported = true

// user is whom a server runs as.
type user struct {
	credential *syscall.Credential // nil: as the tests
}

// serverUser is the user of the tests, or postgres or nobody where that is root, as which a server refuses to run.
func serverUser() (*user, error) {
	if os.Geteuid() != 0 {
		return &user{}, nil
	}
	var missing error
	for _, name := range []string{"postgres", "nobody"} {
		entry, err := osuser.Lookup(name)
		if err != nil {
			missing = err
			continue
		}
		uid, err := strconv.ParseUint(entry.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(entry.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &user{credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, fmt.Errorf("a server does not run as root, and there is no other user: %w", missing)
}

// command is one that runs as the user, in the folder, without the environment of the tests. In a session of its own no
// interrupt at the terminal reaches it; and in a group of this session a frozen server would be woken when the test binary is
// killed, and its watcher ended: the kernel sends SIGHUP and SIGCONT to a group with a stopped process that is left alone.
func (u *user) command(ctx context.Context, folder, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // commands are in this package
	cmd.Dir = folder
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", "TZ=UTC", "HOME=" + folder}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: u.credential}
	return cmd
}

// own gives the user the folder and all in it.
func (u *user) own(folder string) error {
	if u.credential == nil {
		return nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, int(u.credential.Uid), int(u.credential.Gid))
	})
	return errors.Join(err, root.Close())
}

func send(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil // it has ended already
}

// freeze stops the parent first, and lists the children when it can have no more.
func freeze(ctx context.Context, pid int) error {
	if err := send(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for settled := false; ; {
		family, stopped, err := children(ctx, pid)
		if err != nil {
			return err
		}
		for _, child := range family {
			if err := send(child, syscall.SIGSTOP); err != nil {
				return err
			}
		}
		if settled {
			return nil
		}
		if settled = stopped; settled {
			continue
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func thaw(ctx context.Context, pid int) error {
	family, _, err := children(ctx, pid)
	return errors.Join(err, resume(append(family, pid)))
}

// endFrozen sends the signal to a frozen parent before anything of it goes on.
func endFrozen(pid int, sig syscall.Signal) error {
	family, _, err := children(context.Background(), pid)
	return errors.Join(err, send(pid, sig), resume(append(family, pid)))
}

func resume(all []int) (err error) {
	for _, pid := range all {
		err = errors.Join(err, send(pid, syscall.SIGCONT))
	}
	return err
}

// children lists the children of a process, and says whether it is stopped itself.
func children(ctx context.Context, parent int) (family []int, stopped bool, err error) {
	all, err := processes(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, p := range all {
		switch parent {
		case p.pid:
			stopped = strings.HasPrefix(p.state, "T")
		case p.parent:
			family = append(family, p.pid)
		}
	}
	return family, stopped, nil
}

type entry struct {
	pid, parent int
	state       string
}

// processes lists those of this computer.
func processes(ctx context.Context) ([]entry, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []entry
	if len(stats) == 0 { // not Linux
		out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=", "-o", "state=", "-o", "ppid=").Output()
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		for line := range strings.Lines(string(out)) {
			var e entry
			if _, err := fmt.Sscan(line, &e.pid, &e.state, &e.parent); err == nil {
				all = append(all, e)
			}
		}
		return all, nil
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// 12 (a name, which may have anything in it) T 1 ...
		var e entry
		rest := stat[bytes.LastIndexByte(stat, ')')+1:]
		if _, err := fmt.Sscan(string(stat), &e.pid); err != nil {
			continue
		}
		if _, err := fmt.Sscan(string(rest), &e.state, &e.parent); err == nil {
			all = append(all, e)
		}
	}
	return all, nil
}

// forgetMemory removes the segment of shared memory by which a killed server keeps others from its folder. It stays until
// the next start, and there are only so many on a computer.
func forgetMemory(data string) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return // it has ended in order
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return
	}
	var key, id int
	if _, err := fmt.Sscan(lines[6], &key, &id); err == nil {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	}
}
