package postgres

import (
	"math/rand/v2"
	"sync"
	"time"
)

// numbers makes the numbers of runs, workers and witnesses: milliseconds since 2025, and 22 random bits. They grow within a
// process, also when its clock goes back. A number that somebody else has made too is refused by the primary key.
type numbers struct {
	mu   sync.Mutex
	last int64
	made func() int64 // by a test; nil else
}

const randomBits = 22

var beginning = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

func (n *numbers) next() int64 {
	if n.made != nil {
		return n.made()
	}
	made := numberAt(time.Now()) | rand.Int64N(1<<randomBits)
	n.mu.Lock()
	defer n.mu.Unlock()
	if made <= n.last {
		made = n.last + 1 + rand.Int64N(1<<10) // not one after the other: another process counts as well
	}
	n.last = made
	return made
}

// numberAt is the least number of a time.
func numberAt(t time.Time) int64 { return max(t.Sub(beginning).Milliseconds(), 0) << randomBits }
