package check_test

import (
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
)

// line is a line of a program that is data, so that it can be edited.
type line struct {
	kind   string
	id     string
	key    string // what is done in the world: a customer is charged, a parcel is packed
	note   string // the rest of the input
	task   string // its name, if it is not Charge
	inside []line // of a branch

	former     lambdabiz.FormerlyOption
	notRenamed bool
}

// order is the program that is edited. Each line but a raised event and a branch is a point at which it may stand.
func order() []line {
	l := func(kind, id string, inside ...line) line { return line{kind: kind, id: id, key: id, inside: inside} }
	return []line{
		l("step", "audit"), l("task", "charge"), l("branch", "ship", l("step", "pack"), l("task", "send")), l("timer", "cool"),
		l("raise", "tell"), l("step", "note"), l("child", "invoice"), l("event", "approve"), l("step", "close"),
	}
}

// flat lists lines with the paths that they have.
func flat(lines []line, scope string, each func(path string, l line)) {
	for _, l := range lines {
		each(scope+l.id, l)
		flat(l.inside, scope+l.id+"/", each)
	}
}

func clone(lines []line) []line {
	lines = slices.Clone(lines)
	for i := range lines {
		lines[i].inside = clone(lines[i].inside)
	}
	return lines
}

// edit is a change of the code at a line. It returns what replaces the line and the next one, if there is one.
type edit struct {
	name    string
	row     string // of the table in docs/changing-code.md
	allowed bool   // as the table says: nothing is blocked, and nothing is done twice
	at      string // the kinds of lines that it is for; "" for all
	change  func(scope string, l line, next []line) []line
}

const anEffect = "step task raise child"

func edits() []edit {
	extra := func(kind string) line { return line{kind: kind, id: "extra", key: "extra", note: "extra"} }
	before := func(kind string) func(string, line, []line) []line {
		return func(_ string, l line, next []line) []line { return append([]line{extra(kind), l}, next...) }
	}
	branch := func(kind, id string, inside ...line) line { return line{kind: kind, id: id, key: id, inside: inside} }
	with := func(change func(scope string, l *line)) func(string, line, []line) []line {
		return func(scope string, l line, next []line) []line {
			change(scope, &l)
			return append([]line{l}, next...)
		}
	}
	into := func(kind string, change func(scope string, l *line)) func(string, line, []line) []line {
		return func(scope string, l line, next []line) []line {
			change(scope, &l)
			return append([]line{branch(kind, "inner", l)}, next...)
		}
	}
	out := func(change func(scope string, l *line)) func(string, line, []line) []line {
		return func(scope string, l line, next []line) []line {
			list := slices.Clone(l.inside)
			for i := range list {
				change(scope+l.id+"/", &list[i])
			}
			return append(list, next...)
		}
	}
	nothing := func(string, *line) {}
	rename := func(_ string, l *line) { l.id += "-new" }
	formerly := func(_ string, l *line) {
		l.former = lambdabiz.Formerly(l.id)
		l.id += "-new"
	}
	formerlyAt := func(scope string, l *line) { l.former = lambdabiz.FormerlyAt(scope + l.id) }
	const insert, renames, moves = "insert an operation", "rename an id", "move into a branch, out of one, split or merge scopes"
	return []edit{
		{"nothing", "", true, "", with(nothing)},
		{"rename", renames, false, anEffect, with(rename)},
		{"rename with Formerly", renames, true, "", with(formerly)},
		{"rename and change the input", renames, false, anEffect, with(func(_ string, l *line) {
			l.id, l.note = l.id+"-new", "changed"
		})},
		{"insert a step before", insert, true, "", before("step")},
		{"insert a task before", insert, true, "", before("task")},
		{"insert a timer before", insert, true, "", before("timer")},
		{"insert a raised event before", insert, true, "", before("raise")},
		{"insert a branch before", insert, true, "", func(_ string, l line, next []line) []line {
			return append([]line{branch("branch", "inner", extra("step")), l}, next...)
		}},
		{"insert a step after", insert, true, "", func(_ string, l line, next []line) []line {
			return append([]line{l, extra("step")}, next...)
		}},
		{"copy before", insert, false, anEffect, func(_ string, l line, next []line) []line {
			copied := l
			copied.id = "copy"
			return append([]line{copied, l}, next...)
		}},
		{"copy before with NotRenamed", insert, true, anEffect, func(_ string, l line, next []line) []line {
			copied := l
			copied.id, copied.notRenamed = "copy", true
			return append([]line{copied, l}, next...)
		}},
		{"copy after", insert, true, anEffect, func(_ string, l line, next []line) []line {
			copied := l
			copied.id = "copy"
			return append([]line{l, copied}, next...)
		}},
		{"copy into a branch before", insert, false, anEffect, func(_ string, l line, next []line) []line {
			return append([]line{branch("branch", "inner", l), l}, next...)
		}},
		{"remove", "remove an operation", true, "", func(_ string, _ line, next []line) []line { return next }},
		{"swap with the next", "reorder operations", true, "", func(_ string, l line, next []line) []line {
			return append(next, l)
		}},
		{"swap ids with the next", "reorder operations", false, anEffect, func(_ string, l line, next []line) []line {
			if len(next) == 0 {
				return []line{l}
			}
			other := next[0]
			l.id, other.id = other.id, l.id
			return []line{l, other}
		}},
		{"rename a branch", "rename a branch or a Map", false, "branch", with(rename)},
		{"rename a branch with Formerly", "rename a branch or a Map", true, "branch", with(formerly)},
		{"move into a branch", moves, false, anEffect, into("branch", nothing)},
		{"move into a branch with FormerlyAt", moves, true, "step task raise child timer event", into("branch", formerlyAt)},
		{"move into a branch aside", moves, false, anEffect, into("aside", nothing)},
		{"move into a branch aside with FormerlyAt", moves, true, "step task raise child", into("aside", formerlyAt)},
		{"move into a branch and rename", moves, false, anEffect, into("branch", rename)},
		{"move out of a branch", moves, false, "branch", out(nothing)},
		{"move out of a branch with FormerlyAt", moves, true, "branch", out(formerlyAt)},
		{"move out of a branch and rename", moves, false, "branch", out(rename)},
		{"split a branch", moves, false, "branch", func(_ string, l line, next []line) []line {
			return append([]line{branch("branch", "one", l.inside[0]), branch("branch", "two", l.inside[1:]...)}, next...)
		}},
		{"rename a task", "rename a task, an event or a child's definition", false, "task", with(func(_ string, l *line) {
			l.task = "Charge2"
		})},
		{"change the kind", "change an operation's kind", false, anEffect, with(func(_ string, l *line) {
			l.kind = map[string]string{"step": "task", "task": "step", "raise": "task", "child": "task"}[l.kind]
		})},
		{"change the input", "change an input", true, "task raise child", with(func(_ string, l *line) { l.note = "changed" })},
	}
}

// apply makes the edit at the path; nil if it is not for that line.
func (e *edit) apply(lines []line, scope, path string) []line {
	lines = clone(lines)
	for i, l := range lines {
		if scope+l.id == path {
			if e.at != "" && !strings.Contains(e.at, l.kind) {
				return nil
			}
			end := min(i+2, len(lines))
			return slices.Concat(lines[:i], e.change(scope, l, slices.Clone(lines[i+1:end])), lines[end:])
		}
		if inside := e.apply(l.inside, scope+l.id+"/", path); inside != nil {
			lines[i].inside = inside
			return lines
		}
	}
	return nil
}
