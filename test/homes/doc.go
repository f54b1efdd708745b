// Package homes has the tests of the engine's behaviour: the same test, with the same orchestrations, runs on every
// backend of this module, in virtual time. It has no code of its own.
//
// A file is named after what its tests prove, mostly a file of the root package; a test says the behaviour, and its
// comment the row of the track record in docs/reliability.md, if it has one. A test is a function for everywhere, which
// gives it a bench for each home; onHomes is for the few that fit some homes only. What they come to is looked at by
// internal/invariant.
//
// On PostgreSQL, and by "make portable" in its portable mode, they run against a real server: virtual time stands still while a call to
// it is on its way, so a call takes none, as on the other homes. Two things are not as they are outside. Nobody listens for
// notices, so a worker hears of what this process does, and of nothing else; and what a server does by its own clock, such as
// a limit of a lock, goes by real time.
// Package postgres has tests in real time, with several processes.
//
// The same tests run on stores of which a part of the calls fails, and with clients whose clock differs from the
// workers': TestSuiteOverStoresThatFail and TestSuiteWithClocksOfClientsThatDiffer start them so in processes of their
// own, by the variables LAMBDABIZ_FAULTS (calls of a hundred), LAMBDABIZ_SEED and LAMBDABIZ_CLIENT_CLOCK. What is red
// there is red. A test whose set-up must be recorded before it goes on has it between well and ill; what it counts or
// measures may be more while calls fail, and never less (exact); keepsClaims and keepsEnds leave out faults that let
// bodies run again, and calmOnly all of them: few may say so.
package homes
