package main

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/lambdabiz/lambdabiz/cmd/internal/text"
)

// How values are shown is shared with the program that is the demo alone.
const cellWidth = text.CellWidth

var (
	write            = text.Write
	printJSON        = text.PrintJSON
	printLine        = text.PrintLine
	clean            = text.Clean
	cut              = text.Cut
	short            = text.Short
	clock            = text.Clock
	timeCell         = text.TimeCell
	payloadCell      = text.PayloadCell
	operationOutcome = text.OperationOutcome
	blockedText      = text.Blocked
	waitingText      = text.Waiting
	viewOf           = text.ViewOf
)

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
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
