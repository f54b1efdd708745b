package rules_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

func TestRaise(t *testing.T) {
	t.Parallel()
	open, ended := run(), run(succeeded)
	keyed := lambdabiz.Raise{Key: "k"}
	early := lambdabiz.Raise{Until: later}
	afterEnd := lambdabiz.Raise{Until: later, AfterEnd: true}
	for name, c := range map[string]struct {
		head    *rules.Head
		known   bool
		raise   lambdabiz.Raise
		route   rules.Route
		receipt lambdabiz.Receipt
		err     error
	}{
		"to an open run":                     {&open, false, keyed, rules.ToInbox, lambdabiz.ReceiptAdded, nil},
		"again":                              {&open, true, keyed, rules.Nowhere, lambdabiz.ReceiptRepeated, nil},
		"without a key there is no again":    {&open, true, lambdabiz.Raise{}, rules.ToInbox, lambdabiz.ReceiptAdded, nil},
		"again, after the end":               {&ended, true, keyed, rules.Nowhere, lambdabiz.ReceiptRepeated, nil},
		"after the end":                      {&ended, false, keyed, rules.Nowhere, lambdabiz.ReceiptUnknown, lambdabiz.ErrClosed},
		"to nobody":                          {nil, false, keyed, rules.Nowhere, lambdabiz.ReceiptUnknown, lambdabiz.ErrNotFound},
		"before a start":                     {nil, false, early, rules.ToKept, lambdabiz.ReceiptAdded, nil},
		"before a start, and there is a run": {&open, false, early, rules.ToInbox, lambdabiz.ReceiptAdded, nil},
		"before a start, and it has ended":   {&ended, false, early, rules.Nowhere, lambdabiz.ReceiptUnknown, lambdabiz.ErrClosed},
		"before another start":               {&ended, false, afterEnd, rules.ToKept, lambdabiz.ReceiptAdded, nil},
		"before a start, until a time that was": {
			nil, false, lambdabiz.Raise{Until: noon}, rules.Nowhere, lambdabiz.ReceiptUnknown, lambdabiz.ErrNotFound,
		},
		"before another, until it was": {
			&ended, false, lambdabiz.Raise{Until: noon, AfterEnd: true}, rules.Nowhere, lambdabiz.ReceiptUnknown, lambdabiz.ErrClosed,
		},
		"a run that is named is not kept for": {
			nil, false, lambdabiz.Raise{RunID: "a#9", Until: later}, rules.Nowhere, lambdabiz.ReceiptUnknown, lambdabiz.ErrNotFound,
		},
		"nor is one that has ended": {
			&ended, false, lambdabiz.Raise{RunID: "a#1", Until: later, AfterEnd: true},
			rules.Nowhere, lambdabiz.ReceiptUnknown, lambdabiz.ErrClosed,
		},
	} {
		route, v := rules.Raise(c.head, c.known, &c.raise, noon)
		if route != c.route || v.Receipt != c.receipt || !errors.Is(v.Err, c.err) {
			t.Errorf("%s: route %d, %+v", name, route, v)
		}
	}
}

func TestEventsAreKeptUntilTheirTime(t *testing.T) {
	t.Parallel()
	for until, want := range map[time.Time]bool{
		{}: false, noon.Add(-1): false, noon: false, noon.Add(1): true,
	} {
		if got := rules.Lasts(until, noon); got != want {
			t.Errorf("until %v: %v, want %v", until, got, want)
		}
	}
}
