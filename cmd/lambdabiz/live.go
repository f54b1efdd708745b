package main

import (
	"fmt"
	"io"
	"strings"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// live prints lines as things happen. On a terminal it keeps one more line below them that says what
// goes on now; elsewhere that line is left out.
type live struct {
	w        io.Writer
	terminal bool
	shown    bool // the last line is a status
	width    int  // of the column with the orchestrations' ids
}

func newLive(w io.Writer) *live { return &live{w: w, terminal: isTerminal(w)} }

const eraseLine = "\r\x1b[K"

func (l *live) line(text string) error {
	return write(l.w, l.erase()+clean(text)+"\n")
}

// status replaces the line below.
func (l *live) status(text string) error {
	if !l.terminal {
		return nil
	}
	text = l.erase() + cut(clean(text), 78)
	l.shown = true
	return write(l.w, text)
}

// end takes the line below away.
func (l *live) end() error { return write(l.w, l.erase()) }

func (l *live) erase() string {
	if !l.shown {
		return ""
	}
	l.shown = false
	return eraseLine
}

// operation prints what happened to an operation, in one line of columns.
func (l *live) operation(id string, o *lambdabiz.Operation, what string) error {
	at, took := o.StartedAt, "-"
	if !o.EndedAt.IsZero() {
		at = o.EndedAt
		if !o.StartedAt.IsZero() {
			took = short(o.EndedAt.Sub(o.StartedAt))
		}
	}
	name := strings.ToLower(o.Kind.String())
	if o.Name != "" && o.Name != o.ID {
		name += " " + o.Name
	}
	return l.line(fmt.Sprintf("%-*s %-17s %-16s %-16s %s %8s  %s",
		l.width, id, o.ID, name, what, clock(at), took, operationOutcome(o)))
}

// run prints the outcome of an orchestration, in one line.
func (l *live) run(s *lambdabiz.State) error {
	return l.line(fmt.Sprintf("%-*s %s  %s", l.width, s.ID, s.Status, outcomeCell(s.Result, s.Error)))
}
