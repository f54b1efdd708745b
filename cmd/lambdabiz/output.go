package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

// cellWidth is how much of a payload or a message a table shows.
const cellWidth = 72

// printJSON prints one JSON value, indented.
func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return write(w, string(text)+"\n")
}

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// table gathers rows and prints them in columns.
type table struct {
	text bytes.Buffer
	tabs *tabwriter.Writer
}

func newTable(columns ...string) *table {
	t := &table{}
	t.tabs = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	if len(columns) > 0 {
		t.row(columns...)
	}
	return t
}

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	_, _ = fmt.Fprintln(t.tabs, strings.Join(cells, "\t")) // into memory
}

func (t *table) String() string {
	_ = t.tabs.Flush() // into memory
	var text strings.Builder
	for line := range strings.Lines(t.text.String()) {
		text.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return text.String()
}

// clean makes one printable line of a text: what others have recorded must not steer the terminal.
func clean(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.IsPrint(c):
			return c
		case unicode.IsSpace(c):
			return ' '
		default:
			return unicode.ReplacementChar
		}
	}, text)
}

// cut shortens a text to a width in characters.
func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

// payloadCell shows a payload in one line.
func payloadCell(p lambdabiz.Payload) string {
	if len(p) == 0 {
		return "-"
	}
	text, err := p.MarshalJSON()
	if err != nil {
		return "-"
	}
	var line bytes.Buffer
	if json.Compact(&line, text) != nil {
		return cut(string(text), cellWidth)
	}
	return cut(line.String(), cellWidth)
}

// outcomeCell shows a result, or the error when there is one.
func outcomeCell(result lambdabiz.Payload, failure *lambdabiz.Failure) string {
	if failure != nil {
		return cut(failure.Message, cellWidth)
	}
	return payloadCell(result)
}

// operationOutcome is outcomeCell of an operation: of a service's response the status and the body.
func operationOutcome(o *lambdabiz.Operation) string {
	var r rest.Response
	if o.Kind != lambdabiz.KindService || o.Error != nil || json.Unmarshal(o.Result, &r) != nil || r.Status == 0 {
		return outcomeCell(o.Result, o.Error)
	}
	return cut(strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, r.Body)), cellWidth)
}

// timeCell shows a time by the local clock, with the day.
func timeCell(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// clock shows a time of today with milliseconds.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("15:04:05.000")
}

// short rounds a duration to what a person wants to know.
func short(d time.Duration) string {
	d = max(d, 0) // the clocks of two machines may have told begin and end
	switch {
	case d >= time.Hour:
		return d.Round(time.Minute).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(100 * time.Microsecond).String()
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// isTerminal reports whether a person looks at w: only then it makes sense to write over lines.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	stat, err := f.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice != 0
}

// printLine prints one JSON value in a line.
func printLine(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return write(w, string(text)+"\n")
}
