package standins

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// TB is what this package needs of a *testing.T or *testing.B.
type TB interface {
	Helper()
	Cleanup(f func())
	Failed() bool
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// DynamoDB returns the URL of a dynalite that runs for this test binary, and starts it if need be. It plays DynamoDB: its
// tables are in memory, and apart for each access key; a condition and its write are one step. It knows no transactions,
// and removes nothing by its time to live. Call it outside of a synctest bubble: it is a process.
// Not installed, it skips the test, or fails it where CI=true. If the test fails, the last of its log is logged.
func DynamoDB(tb TB) string {
	tb.Helper()
	return dynamoDB.endpoint(tb)
}

// Moto returns the URL of a moto server that runs for this test binary, and starts it if need be. It plays SWF and
// DynamoDB and tells them apart by the credential scope of the signature, as the SDK sends it. All tests share its state.
// Call it outside of a synctest bubble: it is a process.
// Not installed, it skips the test, or fails it where CI=true. If the test fails, the last of its log is logged.
func Moto(tb TB) string {
	tb.Helper()
	return moto.endpoint(tb)
}

// CfnLint returns the path of the program cfn-lint. Not installed, it skips the test, or fails it where CI=true.
func CfnLint(tb TB) string {
	tb.Helper()
	dir := installed(tb, "cfn-lint", "python", here())
	return filepath.Join(dir, "python", "bin", "cfn-lint")
}

var (
	dynamoDB = &shared{name: "dynalite", stamp: "dynalite", command: func(root string) []string {
		script := filepath.Join(root, "internal", "standins", "dynalite_loopback.cjs")
		return []string{"node", script, filepath.Join(root, folder, "dynalite")}
	}}
	moto = &shared{name: "moto", stamp: "python", command: func(root string) []string {
		python := filepath.Join(root, folder, "python", "bin", "python")
		return []string{python, filepath.Join(root, "internal", "standins", "moto_loopback.py")}
	}}
)

// folder is where setup.sh installs, at the root of the repository.
const folder = ".standins"

// shared is a stand-in that all tests of a binary use.
type shared struct {
	name    string
	stamp   string // setup.sh's word for it
	command func(root string) []string

	mu  sync.Mutex
	run *process // nil before the first start
}

func (s *shared) endpoint(tb TB) string {
	tb.Helper()
	place := here()
	installed(tb, s.name, s.stamp, place)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		run, err := start(s.command(place.root))
		if err != nil {
			tb.Fatalf("start %s: %v", s.name, err)
		}
		s.run = run
	}
	run := s.run
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the last of the log of %s:\n%s", s.name, run.log)
		}
	})
	return run.endpoint
}

// place is where a test runs.
type place struct {
	root string // of the repository; "" if it is not in one
	ci   bool   // a stand-in that is not installed is a failure
}

// here looks at the working directory, which for tests is their package's, and at the environment: the one that a child
// process would get, as nothing but a program and a test reads its own.
func here() place {
	at := place{ci: Variable("CI") == "true"}
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "internal", "standins", "setup.sh")); missing == nil {
			at.root = dir
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return at
}

// ErrNotInstalled says that a stand-in is not there; its text says what to do.
var ErrNotInstalled = errors.New("not installed: run make standins")

// StartDynamoDB starts a dynalite for a program, with its tables in memory, and returns its URL. It ends by stop,
// or with the program. It returns ErrNotInstalled where it is not installed.
func StartDynamoDB() (url string, stop func() error, err error) {
	place := here()
	if _, err := find(dynamoDB.stamp, place); err != nil {
		return "", nil, fmt.Errorf("start dynalite: %w", err)
	}
	run, err := start(dynamoDB.command(place.root))
	if err != nil {
		return "", nil, fmt.Errorf("start dynalite: %w", err)
	}
	return run.endpoint, run.stop, nil
}

// find returns the folder of the stand-ins if setup.sh has left its stamp of that name there.
func find(stamp string, at place) (string, error) {
	if at.root == "" {
		return "", ErrNotInstalled
	}
	dir := filepath.Join(at.root, folder)
	_, err := os.Stat(filepath.Join(dir, stamp+".stamp"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNotInstalled
	}
	return dir, err
}

// installed is find for a test.
func installed(tb TB, name, stamp string, at place) string {
	tb.Helper()
	dir, err := find(stamp, at)
	switch {
	case err == nil:
	case !errors.Is(err, ErrNotInstalled):
		tb.Fatalf("look for %s: %v", name, err)
	default:
		missing(tb, name, "run make standins", at.ci)
	}
	return dir
}

// Folder returns the folder that setup.sh installs into, as a name that is nowhere if there is no repository around the
// working directory.
func Folder() string { return filepath.Join(here().root, folder) }

// Variable returns a variable of the environment of the tests, "" if it is not set.
func Variable(name string) string {
	for _, entry := range slices.Backward((&exec.Cmd{}).Environ()) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// Missing skips a test for what is not installed, and says how to have it. Where CI=true it fails the test.
func Missing(tb TB, name, remedy string) {
	tb.Helper()
	missing(tb, name, remedy, here().ci)
}

func missing(tb TB, name, remedy string, ci bool) {
	tb.Helper()
	if ci {
		tb.Fatalf("%s is not installed, and in continuous integration it must be: %s", name, remedy)
	}
	tb.Skipf("%s is not installed: %s", name, remedy)
}

// environment is the environment of a stand-in: without what belongs to a real AWS account.
func environment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(entry string) bool {
		return strings.HasPrefix(strings.ToUpper(entry), "AWS_")
	})
}

// portOf reads the line that a stand-in prints when it serves.
func portOf(line string) (int, error) {
	number, ok := strings.CutPrefix(strings.TrimSpace(line), "port ")
	if !ok {
		return 0, fmt.Errorf("not the line of a port: %q", line)
	}
	return strconv.Atoi(number)
}
