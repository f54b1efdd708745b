package swf

import (
	"context"
	"sync"

	"github.com/lambdabiz/lambdabiz"
)

// activityLists are the task lists that this process asks for activities.
type activityLists struct {
	life *lifetime

	mu     sync.Mutex
	byName map[string]*polls[lambdabiz.TaskClaim]
}

// of is a task list, which ask asks for activities.
func (q *activityLists) of(name string, ask func(ctx context.Context) (*lambdabiz.TaskClaim, error)) *polls[lambdabiz.TaskClaim] {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.byName[name]
	if l == nil {
		l = &polls[lambdabiz.TaskClaim]{life: q.life, most: 1, ask: ask}
		q.byName[name] = l
	}
	return l
}

// takeReady takes what polls have brought and nobody has asked for.
func (q *activityLists) takeReady() []*lambdabiz.TaskClaim {
	q.mu.Lock()
	defer q.mu.Unlock()
	var ready []*lambdabiz.TaskClaim
	for _, l := range q.byName {
		ready = append(ready, l.takeReady()...)
	}
	return ready
}
