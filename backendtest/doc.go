// Package backendtest proves a [lambdabiz.Backend]: somebody who writes one needs nothing else.
//
// [Run] has a test for every rule in the comments of the root package's backend.go. [Differential]
// lets a backend and a simple model answer the same random operations and compares the answers.
// Neither sleeps nor looks at a clock: every time is given.
//
// Like net/http/httptest it supports tests and is no test itself, so it may import testing; beside it
// the root package, the standard library and pgregory.net/rapid, which makes and shrinks the random
// operations. It imports no backend.
package backendtest
