// Package fakeswf is Amazon SWF in memory, for tests and local programs: an [net/http.Handler] that speaks SWF's JSON 1.0 protocol
// well enough for the real SDK, with a clock that a test can move.
//
// It imports the standard library only. Each rule cites the sentence of AWS's documentation that it follows, in quotation marks, or
// says "assumed". A fake is no proof of what AWS does.
package fakeswf
