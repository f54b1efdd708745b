package model_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// trace is an execution as it is written down: lines that begin with "#" say what it is, lines with a colon in which
// setting it takes place, and the others are its stimuli. After the last one what is usual happens.
//
// "without" names the mutation with which the trace is red.
type trace struct {
	setting
	without string
	stimuli []string
}

func (t *trace) String() string {
	return fmt.Sprintf("home: %s\nnap: %v\nlate: %v\n\n%s\n", t.home, t.nap, t.late, strings.Join(t.stimuli, "\n"))
}

func parseTrace(text string) (*trace, error) {
	t := &trace{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, header := strings.Cut(line, ": ")
		var err error
		switch {
		case !header && stimulusNamed(line) == nil:
			err = fmt.Errorf("there is no stimulus %q", line)
		case !header:
			t.stimuli = append(t.stimuli, line)
		case key == "home":
			t.home = value
		case key == "nap":
			t.nap, err = time.ParseDuration(value)
		case key == "late":
			t.late, err = time.ParseDuration(value)
		case key == "without":
			t.without = value
		default:
			err = fmt.Errorf("there is no setting %q", key)
		}
		if err != nil {
			return nil, err
		}
	}
	if _, known := homes[t.home]; !known {
		return nil, fmt.Errorf("there is no home %q", t.home)
	}
	return t, nil
}

// tracesOf reads the traces that are kept.
func tracesOf(t *testing.T) map[string]*trace {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "*.trace"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	traces := map[string]*trace{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".trace")
		if traces[name], err = parseTrace(string(text)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return traces
}

// Schedules that were red once, or would be without a protection.
// Row 187 of docs/proof/bugs.md.
func TestTracesHold(t *testing.T) {
	t.Parallel()
	for name, trace := range tracesOf(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, complaint := trace.perform(t, trace.stimuli); complaint != "" {
				t.Fatal(brokenWord + complaint)
			}
		})
	}
}

// What is printed of a failure can be put into a file as it is.
func TestTraceIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	want := &trace{setting: explored[0].setting, stimuli: []string{"poll", "ok", "park in time"}}
	got, err := parseTrace(want.String())
	if err != nil || got.setting != want.setting || !slices.Equal(got.stimuli, want.stimuli) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"home: nowhere\n\npoll", "home: held\n\nnothing", "home: held\nsince: 1s"} {
		if _, err := parseTrace(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
