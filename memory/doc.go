// Package memory is the home for tests: orchestrations live in maps of this process and end with it.
//
// It keeps every rule of [lambdabiz.Backend] except that nothing is on disk, refuses no feature, and
// has no goroutines and no clock of its own (only a worker's JoinedAt is read from it), so it works
// inside a testing/synctest bubble. With Config.CommitEndsClaim it behaves like a home where a commit
// can only answer a claim, such as Amazon SWF.
//
// What happens to a run it asks internal/rules. Beside that it imports the root package and the standard library only.
package memory
