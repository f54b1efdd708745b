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
