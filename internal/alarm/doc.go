// Package alarm rings many things at their times, from one timer and by the wall clock.
//
// It imports the standard library only.
package alarm
