package lambdabiz

import (
	"sync"
)

// barrier keeps bodies from beginning before every result is durable that the code of any branch has been given. A
// commit that leaves none behind admits all bodies that wait for it together. Until the last of these has begun, no
// code is given another result: each would find the barrier shut again, and wait for a commit of its own.
// It is guarded by run.mu.
type barrier struct {
	given    uint64 // the last change that code knows of
	waiting  int    // bodies that wait for a commit
	opened   int    // counts the times that it was opened
	admitted int    // bodies that it was opened for, and that have not begun
	begun    sync.Cond
}

// isOpen reports whether all that was given is durable, under a claim.
func (b *barrier) isOpen(durable uint64, claimed bool) bool { return durable >= b.given && claimed }

// open admits the bodies that wait, if they may begin. The caller wakes who waits for a commit.
func (b *barrier) open(durable uint64, claimed bool) {
	if b.waiting > 0 && b.isOpen(durable, claimed) {
		b.opened++
		b.admitted += b.waiting
		b.waiting = 0
	}
}
