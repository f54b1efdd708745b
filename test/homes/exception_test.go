package homes_test

// exception is a home where a test makes no sense, and why.
type exception struct{ home, why string }

func notOnSWF(why string) exception { return exception{"swf", why} }

// holds reports whether it keeps a test from a home.
func (x exception) holds(h home) bool {
	return x.home == h.name || x.home == anyStorm && storm.percent > 0 || x.home == oneClockOnly && clients.ahead != 0
}

// anyStorm is the home of an exception of all stores that fail.
const anyStorm = "stores that fail"

// calmOnly is an exception: the test holds where no call fails but those that it lets fail itself. There are few, and
// TestSuiteOverStoresThatFail counts them.
func calmOnly(why string) exception { return exception{anyStorm, why} }

// noUnknownClaims is the home of an exception where claims that fail say whether they were done.
const noUnknownClaims = "claims of unknown outcome"

// keepsClaims is an exception: the test holds where every claim that fails has a known outcome.
func keepsClaims(why string) exception { return exception{noUnknownClaims, why} }

// endsKnown is the home of an exception where commits that fail and end a claim say whether they were done.
const endsKnown = "ends of claims of unknown outcome"

// keepsEnds is an exception of callers by hand: the test holds where commits that end a claim have a known outcome. A caller
// who comes again after another one cannot tell itself from somebody else: it gets ErrFenced, and has to call again.
func keepsEnds() exception {
	return exception{endsKnown, "a caller by hand may take itself for another one"}
}

// Why tests cannot hold while calls fail.
const (
	countsBodies = "it counts what runs: a claim of unknown outcome makes the worker begin anew, and bodies and code run again"
	countsTime   = "it measures times: a store that fails takes its own, and what is cut begins anew"
	breaksItself = "it lets a call of its own choice fail, and no other may"
	onePass      = "its code keeps something outside the record, and cannot be run again"
)

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
