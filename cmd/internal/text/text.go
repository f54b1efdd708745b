package text

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

// CellWidth is how much of a payload or a message a table shows.
const CellWidth = 72

// PrintJSON prints one JSON value, indented.
func PrintJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return Write(w, string(text)+"\n")
}

// Write prints a text as it is.
func Write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// Clean makes one printable line of a text: what others have recorded must not steer the terminal.
func Clean(text string) string {
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

// Cut shortens a text to a width in characters.
func Cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

// PayloadCell shows a payload in one line.
func PayloadCell(p lambdabiz.Payload) string {
	if len(p) == 0 {
		return "-"
	}
	text, err := p.MarshalJSON()
	if err != nil {
		return "-"
	}
	var line bytes.Buffer
	if json.Compact(&line, text) != nil {
		return Cut(string(text), CellWidth)
	}
	return Cut(line.String(), CellWidth)
}

// OutcomeCell shows a result, or the error when there is one.
func OutcomeCell(result lambdabiz.Payload, failure *lambdabiz.Failure) string {
	if failure != nil {
		return Cut(failure.Message, CellWidth)
	}
	return PayloadCell(result)
}

// OperationOutcome is OutcomeCell of an operation: of a service's response the status and the body.
func OperationOutcome(o *lambdabiz.Operation) string {
	var r rest.Response
	if o.Kind != lambdabiz.KindService || o.Error != nil || json.Unmarshal(o.Result, &r) != nil || r.Status == 0 {
		return OutcomeCell(o.Result, o.Error)
	}
	return Cut(strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, r.Body)), CellWidth)
}

// TimeCell shows a time by the local clock, with the day.
func TimeCell(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// Clock shows a time of today with milliseconds.
func Clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("15:04:05.000")
}

// Short rounds a duration to what a person wants to know.
func Short(d time.Duration) string {
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

// IsTerminal reports whether a person looks at w: only then it makes sense to write over lines.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	stat, err := f.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice != 0
}

// PrintLine prints one JSON value in a line.
func PrintLine(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return Write(w, string(text)+"\n")
}
