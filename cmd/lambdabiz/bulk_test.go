package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// lines returns what a call prints, line by line, sorted.
func lines(text string) []string {
	list := strings.Fields(strings.ReplaceAll(text, ": ", ":"))
	slices.Sort(list)
	return list
}

func (c *cli) ids(args ...string) string {
	c.t.Helper()
	return strings.Join(lines(c.must(append([]string{"list", "--ids"}, args...)...)), " ")
}

func TestManyAreCancelledResumedAndPurgedByAFilter(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for _, id := range []string{"order-1", "order-2", "order-3", "bill-1"} {
		c.must("start", "Nobody", id, "--tag", "kind="+id[:4])
	}
	c.must("pause", "order-1")
	c.must("pause", "bill-1", "--reason", "counted")
	if got := c.ids(); got != "bill-1 order-1 order-2 order-3" {
		t.Errorf("the ids are %s", got)
	}

	r := c.call("resume", "--prefix", "order-", "--dry-run")
	if r.code != exitOK || !strings.Contains(r.out, "order-1: would be selected") || strings.Contains(r.out, "order-2") {
		t.Errorf("resume --dry-run: %+v", r)
	}
	if got := c.ids("--paused"); got != "bill-1 order-1" {
		t.Errorf("a dry run has resumed: paused are %s", got)
	}
	c.must("resume", "--paused", "--tag", "kind=orde")
	if got := c.ids("--paused"); got != "bill-1" {
		t.Errorf("paused are %s", got)
	}

	out := decode[bulked](t, c.must("terminate", "--prefix", "order-", "--reason", "no stock", "-o", "json"))
	if slices.Sort(out.IDs); out.Action != "terminate" || strings.Join(out.IDs, " ") != "order-1 order-2 order-3" || out.DryRun {
		t.Errorf("terminate printed %+v", out)
	}
	if text := c.must("show", "order-2"); !strings.Contains(text, "no stock") {
		t.Errorf("the reason is not there:\n%s", text)
	}
	r = c.call("cancel", "--all", "--dry-run")
	if got := lines(r.out); !strings.Contains(r.out, "bill-1") || strings.Contains(r.out, "order") {
		t.Errorf("cancel --all selects %v", got)
	}

	for when, want := range map[string]int{"1h": 0, "2001-01-01": 0, "0s": 3, "2999-01-01T00:00:00Z": 3} {
		out := decode[bulked](t, c.must("purge", "--ended-before", when, "--dry-run", "-o", "json"))
		if len(out.IDs) != want || !out.DryRun {
			t.Errorf("ended before %s: %+v", when, out)
		}
	}
	c.must("purge", "--status", "TERMINATED", "--prefix", "order-3")
	c.must("purge", "--all")
	if got := c.ids(); got != "bill-1" {
		t.Errorf("what is left is %s", got)
	}
	if r := c.call("purge", "--status", "STARTED"); r.code != exitOK || !strings.Contains(r.errs, "purge: 0") {
		t.Errorf("an open one: %+v", r)
	}
}

func TestBulkBadInput(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	for _, verb := range []string{"cancel", "terminate", "pause", "resume", "purge"} {
		c.fails(exitUsage, "not both", verb, "n-1", "--name", "Nobody")
		c.fails(exitUsage, "--dry-run needs a filter", verb, "--dry-run")
		c.fails(exitUsage, "argument ID is missing", verb)
		c.fails(exitUsage, "--before is", verb, "--before", "soon")
		c.fails(exitUsage, "--status is", verb, "--status", "LOST")
	}
	c.fails(exitUsage, "--ended-before is", "purge", "--ended-before", "-1h")
	if got := c.ids("--status", "SCHEDULED"); got != "n-1" {
		t.Errorf("something was done: %s", got)
	}
}

func TestListByTimeWithProgressAndIDsAlone(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	c.must("start", "Nobody", "n-2")
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"--after", "1h"}, "n-1 n-2"},
		{[]string{"--after", "1d", "--before", "0s"}, "n-1 n-2"},
		{[]string{"--before", "1h"}, ""},
		{[]string{"--after", "2999-01-01"}, ""},
		{[]string{"--after", "2001-01-01T00:00:00Z", "--before", "2999-01-01 00:00"}, "n-1 n-2"},
	} {
		if got := c.ids(x.args...); got != x.want {
			t.Errorf("%v: %s, want %s", x.args, got, x.want)
		}
	}
	if ids := decode[[]string](t, c.must("list", "--ids", "-o", "json")); !slices.Equal(ids, []string{"n-2", "n-1"}) {
		t.Errorf("ids in JSON: %v", ids)
	}
	if r := c.call("list", "--ids", "--limit", "1"); r.out != "n-2\n" || !strings.Contains(r.errs, "--cursor") {
		t.Errorf("a page of ids: %+v", r)
	}
	c.fails(exitUsage, "--after is", "list", "--after", "yesterday")
	c.fails(exitUsage, "--cursor", "list", "--cursor", "garbage")

	backend, err := sqlite.Open(strings.TrimPrefix(c.backend, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backend.Close() }()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	o, err := engine.Create(t.Context(), "n-3")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Start(1); err != nil {
		t.Fatal(err)
	}
	if err := lambdabiz.SetProgress(o, "7 of 9"); err != nil {
		t.Fatal(err)
	}
	if err := lambdabiz.Do(o, "flush", func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if out := c.must("list", "--progress"); !strings.Contains(out, "7 of 9") || !strings.Contains(out, "PROGRESS") {
		t.Errorf("list --progress printed\n%s", out)
	}
}

// What is repeated is done already; what ended otherwise is a conflict.
func TestVerbsMayBeRepeated(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	c.must("terminate", "n-1")
	if out := c.must("terminate", "n-1"); !strings.Contains(out, "is terminated") {
		t.Errorf("terminate printed %s", out)
	}
	c.fails(exitConflict, "has ended", "cancel", "n-1")
}

func TestErrorsOfTheCommandLineDoNotStutter(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	c.must("start", "Nobody", "n-2")
	c.must("terminate", "n-2")
	for _, args := range [][]string{
		{"drop", "n-1", "7"}, {"drop", "n-9", "7"}, {"list", "--cursor", "garbage"}, {"cancel", "n-9"}, {"cancel", "n-2"},
		{"raise", "n-9", "E"}, {"raise", "n-2", "E"}, {"purge", "n-1"}, {"purge", "n-9"}, {"show", "n-9"},
		{"start", "Other", "n-1"}, {"start", "Nobody", "n-1", "--on-used-id", "reject-existing"},
	} {
		r := c.call(args...)
		if r.code == exitOK {
			t.Errorf("%v: no error", args)
		}
		seen := map[string]bool{}
		for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(r.errs), " (see --help)"), ": ") {
			for _, word := range []string{part, strings.TrimPrefix(part, "orchestration ")} {
				if seen[word] {
					t.Errorf("%v says %q twice: %s", args, word, r.errs)
				}
			}
			seen[part], seen[strings.TrimPrefix(part, "orchestration ")] = true, true
			if fields := strings.Fields(part); len(fields) > 0 {
				seen[fields[len(fields)-1]] = seen[fields[len(fields)-1]] || strings.HasPrefix(fields[len(fields)-1], "n-")
			}
		}
	}
	if r := c.call("drop", "n-1", "7"); r.code != exitNotFound || !strings.Contains(r.errs, "no event with this number") ||
		strings.Contains(r.errs, "orchestration not found") {
		t.Errorf("a missing event: %+v", r)
	}
}

func TestAnEmptyFileStaysEmpty(t *testing.T) {
	t.Parallel()
	c := setup(t)
	path := strings.TrimPrefix(c.backend, "sqlite:")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"list"}, {"show", "a"}, {"cancel", "a"}, {"purge", "--all"}, {"doctor"}, {"raise", "a", "E"}} {
		c.fails(exitError, "the file is empty", args...)
	}
	if stat, err := os.Stat(path); err != nil || stat.Size() != 0 {
		t.Errorf("the file has changed: %v, %v", stat, err)
	}
	c.must("start", "Nobody", "n-1") // which creates what is not there
}

// A copy that nobody shall write, a backup say, can be looked at, and stays what it is.
func TestAReadOnlyCopyCanBeRead(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	path := strings.TrimPrefix(c.backend, "sqlite:")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "copy.db")
	if err := os.WriteFile(file, before, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	c.backend = "sqlite:" + file
	for _, args := range [][]string{{"list"}, {"show", "n-1"}, {"doctor"}, {"list", "--ids"}} {
		if r := c.call(args...); !strings.Contains(r.out+r.errs, "n-1") && args[0] != "doctor" || r.code == exitError {
			t.Errorf("%v: %+v", args, r)
		}
	}
	after, err := os.ReadFile(file)
	files, _ := os.ReadDir(dir)
	if err != nil || !bytes.Equal(before, after) || len(files) != 1 {
		t.Errorf("the copy has changed, or something lies beside it: %v, %v", files, err)
	}
}

func TestByteOrderMarkOnStandardInput(t *testing.T) {
	t.Parallel()
	c := setup(t)
	r := c.callWith("\xef\xbb\xbf{\"a\": 1}\r\n", "start", "Nobody", "n-1", "-")
	if r.code != exitOK || c.show("n-1").Input["a"] != 1.0 {
		t.Errorf("got %+v", r)
	}
}

// sealed is a codec that keeps values from whoever reads the store.
type sealed struct{ inJSON bool }

func (s sealed) Encode(v any) (lambdabiz.Payload, error) {
	plain, err := json.Marshal(v)
	text := "sealed:" + base64.StdEncoding.EncodeToString(plain)
	if s.inJSON {
		text = `"` + text + `"`
	}
	return lambdabiz.Payload(text), err
}

func (s sealed) Decode(p lambdabiz.Payload, v any) error {
	plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.Trim(string(p), `"`), "sealed:"))
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}

// What the command line would raise as plain JSON blocks an orchestration whose engine encrypts.
func TestNothingIsWrittenBesideAnEngineWithACodec(t *testing.T) {
	t.Parallel()
	for _, codec := range []sealed{{}, {inJSON: true}} {
		c := setup(t)
		backend, err := sqlite.Open(strings.TrimPrefix(c.backend, "sqlite:"))
		if err != nil {
			t.Fatal(err)
		}
		engine, err := lambdabiz.New(backend, lambdabiz.Config{Codec: codec, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		d := lambdabiz.Define("Waits", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.WaitForEvent[int](o, "E", lambdabiz.Timeout(time.Hour))
		})
		quick := lambdabiz.Define("Quick", func(lambdabiz.Context, int) (int, error) { return 1, nil })
		if err := engine.Register(d, quick); err != nil {
			t.Fatal(err)
		}
		err = engine.RunWhile(t.Context(), func(ctx context.Context) error {
			first, err := lambdabiz.Start(ctx, engine, quick, "w-0", 1)
			if err != nil {
				return err
			}
			if _, err := first.Result(ctx); err != nil { // from here on the worker has joined
				return err
			}
			run, err := lambdabiz.Start(ctx, engine, d, "w-1", 1)
			if err != nil {
				return err
			}
			c.fails(exitUsage, "a codec of their own", "raise", "w-1", "E", "7")
			c.fails(exitUsage, "a codec of their own", "raise", "w-9", "E", "7", "--before-start", "1h")
			c.fails(exitUsage, "a codec of their own", "start", "Waits", "w-2", "7")
			c.must("pause", "w-1") // what has no value is no matter
			c.must("resume", "w-1")
			if err := run.Raise(ctx, "E", 8); err != nil {
				return err
			}
			if got, err := run.Result(ctx); err != nil || got != 8 {
				t.Errorf("got %d, %v", got, err)
			}
			_, err = lambdabiz.Start(ctx, engine, d, "w-3", 1)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := backend.Close(); err != nil {
			t.Fatal(err)
		}
		if !codec.inJSON { // without a worker only the values tell
			c.fails(exitUsage, "a codec of their own", "raise", "w-3", "E", "7")
			c.fails(exitUsage, "a codec of their own", "start", "Waits", "w-4", "7")
		}
	}
}
