package homes_test

import (
	"strconv"
	"strings"
)

// exception is a home where a test makes no sense, and why.
type exception struct{ home, why string }

func notOnSWF(why string) exception { return exception{"swf", why} }

// holds reports whether it keeps a test from a home.
func (x exception) holds(h home) bool {
	return x.home == h.name || storm.beyond(x) || x.home == oneClockOnly && clients.ahead != 0
}

// upTo begins the home of an exception of stores that fail.
const upTo = "stores that fail above "

// bears is an exception: the test holds while a share of the calls fails, and not while a greater one does.
func bears(percent int, why string) exception { return exception{upTo + strconv.Itoa(percent), why} }

// noUnknownClaims is the home of an exception where claims that fail say whether they were done.
const noUnknownClaims = "claims of unknown outcome"

// keepsClaims is an exception: the test holds where every claim that fails has a known outcome.
func keepsClaims(why string) exception { return exception{noUnknownClaims, why} }

// fencedByHand is an exception of callers by hand: one whose commit has ended its claim, with an unknown outcome, cannot
// tell itself from another caller when it comes again. It gets ErrFenced, and has to call again.
func fencedByHand() exception { return bears(0, "a caller by hand may take itself for another one") }

// Why tests cannot hold while calls fail.
const (
	countsBodies = "it counts what runs: a claim of unknown outcome makes the worker begin anew, and bodies and code run again"
	countsTime   = "it measures times: a store that fails takes its own, and what is cut begins anew"
	breaksItself = "it lets a call of its own choice fail, and no other may"
	onePass      = "its code keeps something outside the record, and cannot be run again"
)

// beyond reports whether more calls fail than the exception allows.
func (s stormy) beyond(x exception) bool {
	text, found := strings.CutPrefix(x.home, upTo)
	most, err := strconv.Atoi(text)
	return found && err == nil && s.percent > most
}

// oneClockOnly is the home of an exception of clients whose clock differs.
const oneClockOnly = "clients whose clock differs"

// oneClock is an exception: the test holds where clients and workers have one clock.
func oneClock(why string) exception { return exception{oneClockOnly, why} }

// Why tests cannot hold with clients of another clock.
const (
	onlySender      = "nobody but the sender saw when its event came: no worker had the run then"
	comparesClocks  = "it compares times that clients have written with times of its own"
	deadlineOfStart = "the deadline of a start is counted by the clock of who starts it"
	setsClocks      = "it sets the clocks itself"
)
