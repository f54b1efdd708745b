package postgres

import (
	"strings"
	"sync"
)

// journalLines is how much of a server's log is kept.
const journalLines = 200

// journal keeps the last lines of a server's log, over all its lives, and tells who waits for a line.
type journal struct {
	mu    sync.Mutex
	lines []string
	waits map[*wait]struct{}
}

// wait is for one line.
type wait struct {
	match func(line string) bool
	seen  chan struct{} // closed when it has come
}

// expect begins to wait for a line. Begin before what makes the server write it, and forget it afterwards.
func (j *journal) expect(match func(line string) bool) *wait {
	w := &wait{match: match, seen: make(chan struct{})}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.waits == nil {
		j.waits = map[*wait]struct{}{}
	}
	j.waits[w] = struct{}{}
	return w
}

func (j *journal) forget(w *wait) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.waits, w)
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	if over := len(j.lines) - journalLines; over > 0 {
		j.lines = append(j.lines[:0], j.lines[over:]...)
	}
	for w := range j.waits {
		if w.match(line) {
			close(w.seen)
			delete(j.waits, w)
		}
	}
}

// String returns what is kept.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// has matches a line with the text in it.
func has(text string) func(line string) bool {
	return func(line string) bool { return strings.Contains(line, text) }
}
