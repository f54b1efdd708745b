// Package storetest proves a [lambdabiz.Store]: somebody who writes one needs nothing else.
//
// [Run] has a test for every rule in the comments of the root package's store.go. It neither sleeps nor
// looks at a clock: every time is given, and lies in the year 2030 or after, so that a store that
// removes what is old by the clock of its service removes nothing of it.
//
// Like net/http/httptest it supports tests and is no test itself, so it may import testing; beside it
// the root package and the standard library. It imports no store.
package storetest
