// Package idle decides which of many idle things are let go, and when: those that have been idle for long, those that
// are beyond a memory budget, and those whose room others need.
//
// It imports the standard library only.
package idle
