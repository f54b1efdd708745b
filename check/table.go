package check

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Table is what code does with all orchestrations of an export.
type Table []*Report

// Fits reports whether the code may take all of them over: see [Report.Fits].
func (t Table) Fits() bool { return len(t.misfits()) == 0 }

func (t Table) misfits() Table {
	var list Table
	for _, r := range t {
		if !r.Fits() {
			list = append(list, r)
		}
	}
	return list
}

// String is the table as a text: a line for each orchestration, with the numbers of operations that are kept, new (next
// ones included), repeated and orphaned, and whether it would be blocked; then what is repeated and why it is blocked, and
// one line that sums up.
func (t Table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		line := make([]string, len(cells))
		for i, c := range cells {
			line[i] = clean(fmt.Sprint(c))
		}
		_, _ = fmt.Fprintln(w, strings.Join(line, "\t")) // into memory
	}
	row("ID", "NAME", "KEPT", "NEW", "REPEATED", "ORPHANED", "BLOCKED")
	skipped := 0
	for _, r := range t {
		blocked := "-"
		switch {
		case r.Skipped != "":
			skipped++
			blocked = "not checked"
		case r.Blocked != nil:
			blocked = "blocked"
		case r.Unplayed != "":
			blocked = "unknown"
		}
		row(r.ID, r.Name, len(r.Kept), len(r.New)+len(r.Next), len(r.Repeated), len(r.Orphaned), blocked)
	}
	_ = w.Flush() // into memory
	for _, r := range t {
		r.explain(&b)
	}
	fmt.Fprintf(&b, "%d orchestrations, %d not checked, %d do not fit\n", len(t), skipped, len(t.misfits()))
	return b.String()
}

// explain says what does not fit.
func (r *Report) explain(b *strings.Builder) {
	for _, i := range r.Beside {
		fmt.Fprintf(b, "%s: new: %s: both are performed\n", clean(r.ID), clean(i.String()))
	}
	for _, i := range r.Repeated {
		fmt.Fprintf(b, "%s: repeated: %s\n", clean(r.ID), clean(i.String()))
	}
	if r.Blocked != nil {
		fmt.Fprintf(b, "%s: blocked: %s", clean(r.ID), clean(r.Blocked.Reason))
		if r.Blocked.Source != "" {
			fmt.Fprintf(b, " at %s", clean(r.Blocked.Source))
		}
		b.WriteString("\n")
	}
	for _, why := range []string{r.Skipped, r.Unplayed} {
		if why != "" {
			fmt.Fprintf(b, "%s: not checked: %s\n", clean(r.ID), clean(why))
		}
	}
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
