package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/spf13/cobra"
)

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	t.Parallel()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" {
			return
		}
		if c.Short == "" || !strings.Contains(c.Example, "lambdabiz") {
			t.Errorf("%s has no short help or no example", c.CommandPath())
		}
		path := strings.Fields(c.CommandPath())[1:]
		var out, errs bytes.Buffer
		code := run(t.Context(), append(path, "--help"), strings.NewReader(""), &out, &errs)
		if code != exitOK || !strings.Contains(out.String(), "Examples:") || errs.Len() > 0 {
			t.Errorf("%s --help: exit code %d, %s, %s", c.CommandPath(), code, &out, &errs)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&app{}))
}

func TestHelpNamesTheExitCodes(t *testing.T) {
	t.Parallel()
	if out := setup(t).must("--help"); !strings.Contains(out, "Exit codes:") {
		t.Errorf("--help prints %s", out)
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.fails(exitUsage, `unknown command "shwo", did you mean show?`, "shwo")
	c.fails(exitUsage, `unknown command "xyzzy"`, "xyzzy")
	c.fails(exitUsage, "unknown flag: --verbos", "list", "--verbos")
	c.fails(exitUsage, `--output is "yaml", it must be table or json`, "list", "-o", "yaml")
	c.fails(exitUsage, "the argument ID is missing", "show")
	c.fails(exitUsage, "--interval is 1ms", "watch", "--interval", "1ms")
	c.fails(exitUsage, "--grace is -1s", "doctor", "--grace", "-1s")
	c.fails(exitUsage, "takes no arguments", "version", "1")
	c.fails(exitUsage, "completion: expected one of", "completion", "tcsh")
	for _, backend := range []string{"", "sqlite", "sqlite:", "mysql://x", "postgres:x", "file.db"} {
		c.backend = backend
		c.fails(exitUsage, "it must be sqlite:FILE", "list")
		c.fails(exitUsage, "it must be sqlite:FILE", "demo")
	}
}

// A misspelt path must not leave an empty database behind.
func TestReadingCreatesNoFile(t *testing.T) {
	t.Parallel()
	c := setup(t)
	path := strings.TrimPrefix(c.backend, "sqlite:")
	for _, args := range []string{
		"list", "show a", "watch", "watch a", "doctor", "export", "check", "raise a b", "cancel a", "terminate a", "pause a",
		"resume a", "drop a 1", "purge a",
	} {
		c.fails(exitError, "the file does not exist", strings.Fields(args)...)
		if _, err := os.Stat(path); err == nil {
			t.Fatalf("%s has created the file", args)
		}
	}
}

func TestFilesThatAreNoStore(t *testing.T) {
	t.Parallel()
	c := setup(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"list"}, {"demo"}, {"start", "a", "b"}} {
		c.backend = "sqlite:" + text
		c.fails(exitError, "not a SQLite database", args...)
		c.backend = "sqlite:" + dir
		c.fails(exitError, "is a directory", args...)
		c.backend = "sqlite:" + filepath.Join(dir, "none", "test.db")
		if r := c.call(args...); r.code != exitError {
			t.Errorf("%v: exit code %d, standard error %s", args, r.code, r.errs)
		}
	}
}

// What only reads leaves no file beside the database either.
func TestReadingLeavesNoFileBehind(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	files := func() (names []string) {
		entries, err := os.ReadDir(filepath.Dir(c.path()))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	before := files()
	for _, args := range []string{"list", "show n-1", "doctor --grace 1h", "watch -h", "version", "completion bash"} {
		c.must(strings.Fields(args)...)
		if after := files(); !slices.Equal(after, before) {
			t.Fatalf("after %s there is %v, before there was %v", args, after, before)
		}
	}
}

func TestStoreOfANewerVersion(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	db, err := sqlite3.Open(c.path())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Exec("PRAGMA user_version=999"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"list", "demo", "start Nobody n-2"} {
		c.fails(exitError, "is newer than", strings.Fields(args)...)
	}
}

func TestBackendFromTheEnvironment(t *testing.T) {
	t.Parallel()
	c := setup(t)
	cmd := command(t.Context(), "start", "Nobody", "n-1")
	cmd.Env = append(cmd.Env, backendEnv+"="+c.backend)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, text)
	}
	c.show("n-1")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	c := setup(t)
	if v := decode[versionView](t, c.must("version", "-o", "json")); v.Go == "" || v.Version == "" {
		t.Errorf("version printed %+v", v)
	}
	if out := c.must("version"); !strings.HasPrefix(out, "lambdabiz ") {
		t.Errorf("version printed %s", out)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := c.must("completion", shell); !strings.Contains(out, "lambdabiz") {
			t.Errorf("completion %s printed %s", shell, out)
		}
	}
	c.must("start", "Nobody", "n-1")
	c.must("start", "Nobody", "n-2")
	c.must("terminate", "n-2")
	for args, want := range map[string]string{
		"show n-": "n-1 n-2", "cancel n": "n-1", "demo --kill-after Operation5": "Operation5",
		"list --status SCH": "SCHEDULED", "show -o j": "json", "start --on-used-id reject-o": "reject-open",
	} {
		out := c.must(append([]string{"__complete"}, strings.Fields(args)...)...)
		for id := range strings.FieldsSeq(want) {
			if !strings.Contains(out, id) {
				t.Errorf("completing %q gives %s", args, out)
			}
		}
		if args == "cancel n" && strings.Contains(out, "n-2") {
			t.Errorf("an ended one is offered: %s", out)
		}
	}
}

func TestOutputDoesNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1", `"\u009b31m red"`)
	if out := c.must("show", "n-1"); strings.ContainsAny(out, "\x1b\u009b") {
		t.Errorf("show printed %q", out)
	}
	if got := clean("a\x1b[2Jb\nc\td\u202e"); got != "a\ufffd[2Jb c d\ufffd" {
		t.Errorf("clean gives %q", got)
	}
}
