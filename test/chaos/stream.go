package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// event is a line of "go test -json", as package cmd/test2json describes it.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Elapsed    float64
	Output     string
}

var (
	faultLine  = regexp.MustCompile(`^\s+\S+\.go:\d+: ` + campaign.FaultWord + ` (\S+) (\S+): (.*)$`)
	twinLine   = regexp.MustCompile(`^\s+\S+\.go:\d+: ` + campaign.SabotageWord + ` (\S+) (\S+): without (.*?): (.*)$`)
	repeatLine = regexp.MustCompile(`to repeat: ` + campaign.SeedVariable + `=(\d+) `)
	seedLine   = regexp.MustCompile(`^\s+\S+\.go:\d+: .*\bseed[= ](\d+)\b`)
)

// read takes in what the tests say, until the stream ends.
func (s *summary) read(stream io.Reader, progress io.Writer) error {
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if bad := json.Unmarshal(line, &e); bad != nil {
				s.Other = append(s.Other, strings.TrimSpace(string(line))) // the go command itself has a word to say
			} else {
				s.take(e, progress)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read what the tests say: %w", err)
		}
	}
}

// take takes one event in.
func (s *summary) take(e event, progress io.Writer) {
	switch e.Action {
	case "build-output":
		s.Other = append(s.Other, strings.TrimRight(e.Output, "\n"))
	case "output":
		s.hear(e)
	case "pass", "fail", "skip":
		if e.Test == "" {
			if e.Action == "fail" {
				s.broken[e.Package] = true
			}
			return
		}
		root, _, sub := strings.Cut(e.Test, "/")
		t := s.test(e.Package, root)
		if sub {
			t.skipped = t.skipped || e.Action == "skip"
			return
		}
		if t.skipped && e.Action == "pass" && len(t.Twins)+len(t.Faults) == 0 {
			e.Action = "skip" // what it needs is not here
		}
		t.Result, t.Seconds = e.Action, e.Elapsed
		sayf(progress, "%s\n", t.line())
	}
}

// hear puts the pieces of a line together, for a long one comes in several events.
func (s *summary) hear(e event) {
	key := e.Package + " " + e.Test
	text := s.partial[key] + e.Output
	if !strings.HasSuffix(text, "\n") {
		s.partial[key] = text
		return
	}
	delete(s.partial, key)
	text = strings.TrimRight(text, "\n")
	if e.Test == "" {
		if strings.HasPrefix(text, "panic:") || strings.HasPrefix(text, "FAIL\t") {
			s.Other = append(s.Other, text)
		}
		return
	}
	root, _, _ := strings.Cut(e.Test, "/")
	t := s.test(e.Package, root)
	t.keep(text)
	if m := faultLine.FindStringSubmatch(text); m != nil {
		t.Faults = append(t.Faults, fault{Fault: m[1], Test: m[2], Counts: counts(m[3])})
	}
	if m := twinLine.FindStringSubmatch(text); m != nil {
		t.Twins = append(t.Twins, twin{Fault: m[1], Test: m[2], Without: m[3], Said: m[4]})
	}
	if m := repeatLine.FindStringSubmatch(text); m != nil {
		t.seed = m[1]
	} else if m := seedLine.FindStringSubmatch(text); m != nil && t.seed == "" {
		t.seed = m[1]
	}
}

// counts reads "kills=3, lost=0".
func counts(text string) []campaign.Count {
	var list []campaign.Count
	for part := range strings.SplitSeq(text, ", ") {
		what, number, ok := strings.Cut(part, "=")
		if n, err := strconv.Atoi(number); ok && err == nil {
			list = append(list, campaign.Count{What: what, N: n})
		}
	}
	return list
}
