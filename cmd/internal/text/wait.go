package text

import (
	"fmt"
	"strings"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// Blocked says why an orchestration cannot go on.
func Blocked(b *lambdabiz.Blocked) string {
	text := b.Reason
	if b.Operation != "" {
		text += ", operation " + b.Operation
	}
	if b.Source != "" {
		text += ", at " + b.Source
	}
	if b.Times > 1 {
		text += fmt.Sprintf(", %d times", b.Times)
	}
	if !b.RetryAt.IsZero() {
		text += ", tried again at " + TimeCell(b.RetryAt)
	}
	return text
}

// Waiting names what a run waits for, "event Approve, timer cool-off until 12:00:00".
func Waiting(waits []lambdabiz.Waiting) string {
	var parts []string
	for _, w := range waits {
		part := strings.ToLower(w.Kind.String()) + " " + w.Operation
		if !w.Until.IsZero() {
			part += " until " + TimeCell(w.Until)
		}
		parts = append(parts, Clean(part))
	}
	return strings.Join(parts, ", ")
}
