package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// Oldest is the oldest major version that is supported.
const Oldest = 14

// binaries are the programs of one version.
type binaries struct {
	dir     string
	version string // "15.18"
	major   int
}

// errNone says that there is no server of the version.
var errNone = errors.New("no such server")

// find looks for a server: in PATH, where Debian and others install, and where "make standins" does. Major 0 is any, the
// first that is found.
func find(ctx context.Context, major int) (binaries, error) {
	for _, dir := range folders(standins.Folder()) {
		b, err := look(ctx, dir)
		if err == nil && b.major >= Oldest && (major == 0 || b.major == major) {
			return b, nil
		}
	}
	return binaries{}, errNone
}

// folders are where servers may be, the ones to prefer first.
func folders(installed string) []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian
		"/usr/pgsql-*/bin",          // Red Hat, from PostgreSQL's own packages
		"/opt/homebrew/opt/postgresql@*/bin",
		filepath.Join(installed, "postgres", "node_modules", "*", "native", "bin"),
	} {
		found, _ := filepath.Glob(pattern) // the patterns are right
		slices.Sort(found)
		slices.Reverse(found) // the newest first
		dirs = append(dirs, found...)
	}
	return dirs
}

// look asks the server in a folder for its version.
func look(ctx context.Context, dir string) (binaries, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return binaries{}, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec // it was found there
	if err != nil {
		return binaries{}, err
	}
	return versionOf(dir, string(out))
}

// versionOf reads "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func versionOf(dir, line string) (binaries, error) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return binaries{}, fmt.Errorf("not a version: %q", line)
	}
	number, _, _ := strings.Cut(fields[2], ".")
	digits := len(number) - len(strings.TrimLeft(number, "0123456789")) // "19beta1"
	major, err := strconv.Atoi(number[:digits])
	return binaries{dir: dir, version: fields[2], major: major}, err
}

// path is that of one of the programs.
func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// reachable returns the binaries where the user may run them: there, or where the way to them is closed to others, copied
// into the folder. That is so with .standins/ in a home, while the tests run as root and the server as somebody else.
func (b binaries) reachable(ctx context.Context, u *user, folder string) (binaries, error) {
	err := u.command(ctx, folder, b.path("postgres"), "--version").Run()
	if !errors.Is(err, fs.ErrPermission) {
		return b, err
	}
	to := filepath.Join(folder, "programs")
	if err := os.CopyFS(to, os.DirFS(filepath.Dir(b.dir))); err != nil {
		return binaries{}, fmt.Errorf("copy the programs of PostgreSQL: %w", err)
	}
	b.dir = filepath.Join(to, filepath.Base(b.dir))
	return b, u.own(to)
}
