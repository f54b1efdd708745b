// Package invariant looks into a store of orchestrations for what must never be there. Fault tests call it after
// every fault, and "lambdabiz doctor" uses the same rules for what nothing will ever wake.
//
// The rules have the numbers under which they are promised:
//
//	I1  an id has one open run; concurrent starters get the same one
//	I2  what was acknowledged is there
//	I3  an operation and a run have one outcome, which never changes
//	I4  an acknowledged event is consumed once or still pending, in order
//	I5  a timer is not early
//	I6  an open run has a reason to wake
//	I7  a write under an old fence is refused
//	I8  records are complete; no body begins after its result was recorded
//	I9  after the last fault everything ends
//
// [Record] looks at one run, [All] at all runs of a backend and at what they say of each other. Both see the store
// only. What clients and bodies have seen outside of it is kept by a [Ledger], which compares.
//
// The package stands above the root package, although it is internal: programs and tests share it, and users
// need not know it. It imports the root package and the standard library.
package invariant
