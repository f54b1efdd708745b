package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
)

// Report is what code does with a recorded orchestration. The lists are in the order of the operations' paths. Its String is
// made to be compared with a text that is kept beside the test.
type Report struct {
	ID   string // the orchestration's
	Name string // its definition's

	Next      []Item // would be performed now; the code was held there
	New       []Item // would be performed, before something that is recorded: the code went past it with a stub's result
	Beside    []Item // of the new ones: those where the code comes to a recorded one of the same kind and name as well
	Repeated  []Item // would be performed, and were already, for all that can be told, under another id
	Waits     []Item // timers, events and children that it waits for
	Goes      []Item // would be recorded at once: timers that are due, events that have arrived, races, cancellations
	Kept      []Item // recorded results that were returned to the code
	Changed   []Item // the input differs from the recorded one, which stays
	Orphaned  []Item // recorded, and the code has gone on without it so far: to its end, or to something recorded later
	Unreached []Item // recorded, and not reached: the code was held, waits, or is blocked before

	Ends     string             // the outcome, if the code comes to its end; else ""
	Blocked  *lambdabiz.Blocked // the mistake that would block it; else nil
	Skipped  string             // why it was not played: it is not this program's
	Unplayed string             // why it was not played to where it waits: its code does not come to rest, or a stub misled it
}

// Fits reports whether the code may take the orchestration over: it would not be blocked, and nothing would be
// repeated. New operations and orphans are allowed. It is true of one that was skipped.
func (r *Report) Fits() bool { return len(r.Repeated) == 0 && r.Blocked == nil && r.Unplayed == "" }

// Item is an operation in a [Report].
type Item struct {
	Operation string // its path
	Kind      lambdabiz.Kind
	Name      string
	Detail    string // an input, a time, a status
}

func newReport(rec *lambdabiz.Record) *Report { return &Report{ID: rec.ID, Name: rec.Name} }

func (r *Report) lists() []struct {
	title string
	items []Item
} {
	return []struct {
		title string
		items []Item
	}{
		{"next", r.Next},
		{"new", r.New},
		{"beside recorded ones", r.Beside},
		{"repeated", r.Repeated},
		{"waits for", r.Waits},
		{"goes on with", r.Goes},
		{"kept", r.Kept},
		{"changed", r.Changed},
		{"orphaned", r.Orphaned},
		{"not reached", r.Unreached},
	}
}

func (r *Report) sort() {
	for _, list := range r.lists() {
		slices.SortStableFunc(list.items, func(a, b Item) int { return cmp.Compare(a.Operation, b.Operation) })
	}
}

// String is the report as a text: a title for each list that is not empty, and a line for each item.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Name, r.ID)
	for _, list := range r.lists() {
		if len(list.items) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", list.title)
		for _, item := range list.items {
			fmt.Fprintf(&b, "  %s\n", item)
		}
	}
	if r.Blocked != nil {
		fmt.Fprintf(&b, "blocked: %s", r.Blocked.Reason)
		if r.Blocked.Operation != "" {
			fmt.Fprintf(&b, " (operation %s)", r.Blocked.Operation)
		}
		b.WriteString("\n")
	}
	for _, why := range []string{r.Skipped, r.Unplayed} {
		if why != "" {
			fmt.Fprintf(&b, "not played: %s\n", why)
		}
	}
	if r.Ends != "" {
		fmt.Fprintf(&b, "ends: %s\n", r.Ends)
	}
	return b.String()
}

// String is the item as one line.
func (i Item) String() string {
	text := i.Operation + "  " + i.Kind.String()
	if i.Name != "" && i.Kind != lambdabiz.KindStep {
		text += fmt.Sprintf(" %q", i.Name)
	}
	if i.Detail != "" {
		text += "  " + i.Detail
	}
	return text
}
