// Package slots bounds how many things go on at the same time. Whoever comes first is served first.
//
// It imports the standard library only.
package slots
