package backendtest

import (
	"fmt"
	"slices"

	"github.com/lambdabiz/lambdabiz"
)

// rule says of a home whether a check is of its rules.
type rule struct {
	says string // what is said of a home where it is not
	of   func(d lambdabiz.Description) bool
}

var (
	selective = rule{
		"LongPoll: a claim gives what comes",
		func(d lambdabiz.Description) bool { return !d.LongPoll },
	}
	polled = rule{
		"no LongPoll: a claim gives what is asked for",
		func(d lambdabiz.Description) bool { return d.LongPoll },
	}
	delivers = rule{
		"LongPoll: messages come with the next claim",
		func(d lambdabiz.Description) bool { return !d.LongPoll },
	}
	leases = rule{
		"Supervised: the home itself sees when a holder has died",
		func(d lambdabiz.Description) bool { return !d.Supervised },
	}
	supervised = rule{
		"not Supervised: workers are seen by their beats",
		func(d lambdabiz.Description) bool { return d.Supervised },
	}
	conditional = rule{
		"CloseOnlyConditional: other commits are applied, and the run is due again",
		func(d lambdabiz.Description) bool { return !d.CloseOnlyConditional },
	}
	closeOnly = rule{
		"no CloseOnlyConditional: every commit may be conditional",
		func(d lambdabiz.Description) bool { return d.CloseOnlyConditional },
	}
	endsClaims = rule{
		"no CommitEndsClaim: a claim lasts",
		func(d lambdabiz.Description) bool { return d.CommitEndsClaim },
	}
)

// unperformed is the rule of homes that leave all the given kinds to the engine.
func unperformed(kinds ...lambdabiz.Kind) rule {
	return rule{fmt.Sprintf("Performs has one of %v: it ends with a later claim", kinds), func(d lambdabiz.Description) bool {
		return !slices.ContainsFunc(kinds, func(k lambdabiz.Kind) bool { return slices.Contains(d.Performs, k) })
	}}
}

// performing is the rule of homes that do all the given kinds themselves.
func performing(kinds ...lambdabiz.Kind) rule {
	return rule{fmt.Sprintf("Performs has not all of %v", kinds), func(d lambdabiz.Description) bool {
		return !slices.ContainsFunc(kinds, func(k lambdabiz.Kind) bool { return !slices.Contains(d.Performs, k) })
	}}
}
