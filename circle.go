package lambdabiz

import (
	"fmt"
	"slices"
	"strings"
)

// blockCircleLocked blocks the run if the code of a scope has come to wait for what only it can end: branches that wait
// for each other, or a branch that waits for itself. A wait is for the first of several branches to end, so it is in
// vain if no chain of waits leads from it to a branch that does something else.
func (r *run) blockCircleLocked(s *scope) bool {
	var circle []*scope
	for next := []*scope{s}; len(next) > 0; next = next[1:] {
		at := next[0]
		if slices.Contains(circle, at) {
			continue
		}
		circle = append(circle, at)
		for _, f := range at.awaits {
			if f.ended || !f.begun || f.s == nil || f.s.awaits == nil {
				return false
			}
			next = append(next, f.s)
		}
	}
	var waits []string
	for _, at := range circle {
		waits = append(waits, at.waitText())
	}
	b := Blocked{Operation: s.path, Reason: "branches wait for each other: " + strings.Join(waits, ", ")}
	if len(circle) == 1 {
		b.Reason = "a branch waits for itself: " + waits[0]
	}
	if s.busy != nil {
		b.Source = s.busy.String()
	}
	r.blockLocked(b)
	return true
}

// waitText says where the scope waits for what.
func (s *scope) waitText() string {
	var paths []string
	for _, f := range s.awaits {
		paths = append(paths, fmt.Sprintf("%q", f.path))
	}
	who := "the orchestration"
	if s.path != "" {
		who = fmt.Sprintf("%q", s.path)
	}
	text := who + " waits for " + strings.Join(paths, " or ")
	if s.busy != nil {
		text += " at " + s.busy.String()
	}
	return text
}
