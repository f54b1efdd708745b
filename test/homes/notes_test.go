package homes_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// notes is what bodies have seen, in order.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(parts ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, fmt.Sprint(parts...))
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.list, ", ")
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

func (n *notes) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.list)
}
