// Package faulty wraps a backend so that a part of its calls goes wrong, as the contract of [lambdabiz.Backend]
// allows: with an error before anything was done, with an error of unknown outcome after it was done or before,
// late, out of time, or with messages that were delivered before. What goes wrong follows from a seed, and is
// counted. It imports the root package only.
package faulty
