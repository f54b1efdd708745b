// Package spare runs functions on goroutines that it keeps for the next ones.
//
// A goroutine begins with a small stack, which grows by being copied. Where each of many short calls has a goroutine
// of its own, because what it calls may block or end it, that copying costs more than the rest of the change of
// goroutines: a kept goroutine has the stack that the last call needed.
//
// It imports the standard library only.
package spare
