// Package model explores what the engine commits next, and when: its real code, with one orchestration, on a store of
// which every answer is chosen.
//
// An execution is a list of stimuli. The engine stands still between two of them: every goroutine is blocked, time does not
// pass, and each commit waits until a stimulus says how it ends. What is possible then is tried, one after the
// other, from the beginning of the execution each time: the commit is applied, or not, or nobody knows; an event or a
// cancellation arrives, and the worker is told of it, or not yet; time goes on; the run is paused, parked, or taken over; the
// worker stops and begins again; a body returns.
//
// The first stimulus of those that are possible is the usual one. A schedule departs from it a number of times, and all
// schedules up to a number of departures are tried: two in the ordinary run, more in a campaign. (Musuvathi and
// Qadeer, Iterative Context Bounding for Systematic Testing of Multithreaded Programs, PLDI 2007, bound preemptions for
// the same reason: most faults need few.)
//
// A schedule that fails is printed as a trace: a list of stimuli that can be put into testdata, where it is replayed.
// What happens between two stimuli is left to Go's scheduler, and is not explored.
package model
