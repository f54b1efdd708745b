// Package mainpage compiles the program of the README, which everybody copies, for the tests that run it.
//
// The package may import the standard library only.
package mainpage
