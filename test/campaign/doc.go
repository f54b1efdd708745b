// Package campaign is what fault tests share: how many rounds they go, the seed that repeats a run, and the
// lines by which a long run counts what really happened. It imports the standard library only, and not testing.
//
// In the ordinary run of the tests every fault test goes a few rounds. A campaign goes many:
//
//	LAMBDABIZ_CYCLES=1000   rounds, in thousandths of what a fault test calls its full length
//	LAMBDABIZ_SEED=7        repeats the run that has printed this seed
//
// A fault test says what it did with [Report]. Its twin, the same test with the protection switched off, says
// with [Red] what the checks found: a twin in which they find nothing fails, for then the test proves nothing.
// Twins are named TestSabotage..., so that one command runs them all.
package campaign
