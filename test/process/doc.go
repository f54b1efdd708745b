// Package process has the tests in which real processes work on one SQLite file, and are killed, frozen
// and stopped. It has no code of its own.
//
// The test binary runs itself again as a child; TestMain picks the child's role from the environment.
// Parent and child talk by lines: the child tells on stdout what it does, the parent says on stdin what
// the child may do. So no test waits for a guess of time, and the state in which a process is killed is
// one that it has told of, or, in the kill tests, a moment that the printed seed picks. Where a process is to end at
// one place of the source, the child is built with the tag "fault"; see package internal/fault.
//
// Package test/campaign says how to go more rounds, and how to repeat one.
package process
