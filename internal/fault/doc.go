// Package fault marks the places at which a test ends the process: before and after each step that must be
// all or nothing together with others. It imports the standard library only.
//
// An ordinary build has an empty [Point], which the compiler inlines away, name and all. A build with the tag
// "fault" calls there what the test has set:
//
//	fault.Set(func(name string) { ... })
//
// Names are string constants, each used once: tests read them from the source, end a process at each of them,
// and fail for one that is never reached.
package fault
