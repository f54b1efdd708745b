package swf

import (
	"slices"
	"sync"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
)

// folds are those of runs that this process has held.
type folds struct {
	mu     sync.Mutex
	byHome map[string]*history.Fold
	order  []string // the oldest first
}

// cacheSize is how many folds of runs a process keeps, so that a claim reads new events only.
const cacheSize = 2000

// cached returns a copy of the fold that this process has of a run.
func (c *folds) cached(home string) (*history.Fold, bool) {
	c.mu.Lock()
	f := c.byHome[home]
	c.mu.Unlock()
	if f == nil {
		return nil, false
	}
	return f.Clone(), true
}

// keep remembers a fold for the run's next claim.
func (c *folds) keep(f *history.Fold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHome[f.Home] == nil {
		c.order = append(c.order, f.Home)
	}
	c.byHome[f.Home] = f
	for len(c.byHome) > cacheSize || len(c.order) > 2*cacheSize {
		delete(c.byHome, c.order[0])
		c.order = c.order[1:]
	}
}

// replace remembers another fold for one, if that is still the one.
func (c *folds) replace(f, by *history.Fold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHome[f.Home] == f {
		c.byHome[f.Home] = by
	}
}

// forget drops what this process has of a run that has ended.
func (c *folds) forget(home string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHome[home] != nil {
		c.order = slices.DeleteFunc(c.order, func(other string) bool { return other == home })
	}
	delete(c.byHome, home)
}
