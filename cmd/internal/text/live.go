package text

import (
	"fmt"
	"io"
	"strings"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// Live prints lines as things happen. On a terminal it keeps one more line below them that says what
// goes on now; elsewhere that line is left out.
type Live struct {
	w        io.Writer
	terminal bool
	shown    bool // the last line is a status
	Width    int  // of the column with the orchestrations' ids
}

// NewLive prints to a file, which may be a terminal, or anything else.
func NewLive(w io.Writer) *Live { return &Live{w: w, terminal: IsTerminal(w)} }

const eraseLine = "\r\x1b[K"

// Line prints a line that stays.
func (l *Live) Line(text string) error {
	return Write(l.w, l.erase()+Clean(text)+"\n")
}

// Status replaces the line below.
func (l *Live) Status(text string) error {
	if !l.terminal {
		return nil
	}
	text = l.erase() + Cut(Clean(text), 78)
	l.shown = true
	return Write(l.w, text)
}

// End takes the line below away.
func (l *Live) End() error { return Write(l.w, l.erase()) }

func (l *Live) erase() string {
	if !l.shown {
		return ""
	}
	l.shown = false
	return eraseLine
}

// Operation prints what happened to an operation, in one line of columns.
func (l *Live) Operation(id string, o *lambdabiz.Operation, what string) error {
	at, took := o.StartedAt, "-"
	if !o.EndedAt.IsZero() {
		at = o.EndedAt
		if !o.StartedAt.IsZero() {
			took = Short(o.EndedAt.Sub(o.StartedAt))
		}
	}
	name := strings.ToLower(o.Kind.String())
	if o.Name != "" && o.Name != o.ID {
		name += " " + o.Name
	}
	return l.Line(fmt.Sprintf("%-*s %-17s %-16s %-16s %s %8s  %s",
		l.Width, id, o.ID, name, what, Clock(at), took, OperationOutcome(o)))
}

// Run prints the outcome of an orchestration, in one line.
func (l *Live) Run(s *lambdabiz.State) error {
	return l.Line(fmt.Sprintf("%-*s %s  %s", l.Width, s.ID, s.Status, OutcomeCell(s.Result, s.Error)))
}
