package lambdabiz

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/slots"
)

// scope is a place for operation ids: the orchestration's function, or a branch.
type scope struct {
	path   string // "" for the function itself
	parent *scope
	log    atomic.Pointer[slog.Logger] // made when it is asked for

	// own ends with base, when the scope is closed, and with a cancellation or the deadline: see cancel.go. It is
	// run.base's child, not the parent's: one of them may have come to where it is told when the other has not.
	own    context.Context //nolint:containedctx // a scope is a context's lifetime
	cancel context.CancelCauseFunc

	detached bool // a branch that Detached began: cancellation does not end it

	asked atomic.Bool // its code may know that its context has ended, at least once it has

	// Guarded by run.mu.
	visited map[string]callSite // the ids in this pass of branches and of what was refused; operations have their own mark
	place   *place              // in the record
	blocked *waiter             // the last wait of its goroutine, see isBlocked
	turn    *slots.Turn         // of its goroutine, while it waits for a slot
	busy    *callSite           // the operation that goes on
	leaving *leaving            // its goroutine, of a caller by hand, that waits for bodies before it leaves; nil for none
	asking  bool                // the interceptor is asked about it, its code is about to go on
	branch  *future             // nil for the function itself
	site    callSite            // where that was begun
	current *op                 // the operation that goes on; nil while code runs
	awaits  []*future           // branches of which it waits for one; nil while it does not
	began   int64               // what the scope around it had reached when it began
	racing  []*future           // branches of which all but one lose when its race is over; nil while it has none
	met     *mark               // of the circle that it was found in last
	step    int                 // its place in the run's trail, from 1, if it is there
	reached int64               // the last number of what was recorded here before this pass, and it has come to
	last    time.Time           // when what its code knows last came about
	past    bool                // its code has come to something that had not ended before this pass, or it knows of such a thing
	told    bool                // its code is told to stop: its context has ended, unless it is detached
	unsure  *op                 // its last operation, if it was told since, and does not know it yet
	latest  *op                 // its last operation that is over
	closed  bool                // lost a race, or its orchestration's function has returned: see isClosed
}

// mark is what somebody who looks at scopes leaves where he has been. It has a size, so that no two are the same.
type mark struct{ _ byte }

// isBlocked reports whether the goroutine of the scope waits.
func (s *scope) isBlocked() bool { return s.blocked != nil && !s.blocked.woken }

// onlyWaits reports whether all that its goroutine does is wait for the end of branches, and may do so for long.
func (s *scope) onlyWaits() bool {
	if s.awaits == nil || !s.isBlocked() {
		return false // its code runs, or is about to
	}
	for _, f := range s.awaits {
		if f.ended || !f.begun || f.s == nil {
			return false
		}
	}
	return true
}

// isClosed reports whether the scope, or one around it, is closed.
func (s *scope) isClosed() bool {
	for ; s != nil; s = s.parent {
		if s.closed {
			return true
		}
	}
	return false
}

// tell ends the scope's context, because the code is to stop; that of a branch that Detached began goes on.
func (s *scope) tell(cause error) {
	s.told, s.past = true, true
	if !s.detached {
		s.cancel(cause)
	}
}

// isOver reports whether nobody looks at the scope's context any more.
func (s *scope) isOver() bool { return s.closed || s.branch != nil && s.branch.ended }

// waitsForBranch reports whether the code waits for a branch, of which none has ended yet.
func (s *scope) waitsForBranch() bool {
	for _, f := range s.awaits {
		if f.ended {
			return false
		}
	}
	return s.awaits != nil
}

// knows notes when something came about that the code of the scope knows now.
func (s *scope) knows(t time.Time) {
	if t.After(s.last) {
		s.last = t
	}
}

// newScope makes the scope of a branch, or of the function itself when parent is nil, whose context ends with base.
func newScope(base context.Context, parent *scope, path string, detached bool) *scope {
	s := &scope{path: path, parent: parent, detached: detached}
	if parent != nil {
		s.past, s.began = parent.past, parent.reached
	}
	s.own, s.cancel = context.WithCancelCause(base)
	return s
}

// visitedLocked notes an id of this pass that has no operation.
func (s *scope) visitedLocked(id string, site callSite) {
	if s.visited == nil {
		s.visited = map[string]callSite{}
	}
	s.visited[id] = site
}

// waitText says where the scope waits for what.
func (s *scope) waitText() string {
	var paths []string
	for _, f := range s.awaits {
		paths = append(paths, fmt.Sprintf("%q", f.path))
	}
	who := "the orchestration"
	if s.path != "" {
		who = fmt.Sprintf("%q", s.path)
	}
	text := who + " waits for " + strings.Join(paths, " or ")
	if s.busy != nil {
		text += " at " + s.busy.String()
	}
	return text
}

// hasTwinOf reports whether a recorded operation is what a new one at the path is in a branch that runs the same code
// beside this scope's: in another item of a Map, or in another branch that the same line has begun. While that branch
// goes on, or is still to begin, it has the recorded operation ahead of it. Items reach one place in the code in any
// order, and a Map with a lower limit does not begin all of those that it had begun in an earlier pass.
func (s *scope) hasTwinOf(o *op, path string) bool {
	p := o.place
	for p != nil && p.scope == nil {
		p = p.above
	}
	if p == nil {
		return false
	}
	for b := p.scope; b.branch != nil; b = b.parent {
		if b.branch.ended {
			return false
		}
		for a := s; a.branch != nil; a = a.parent {
			if a != b && a.parent == b.parent && a.site.pcs == b.site.pcs &&
				strings.TrimPrefix(path, a.path) == strings.TrimPrefix(o.path(), b.path) {
				return true
			}
		}
	}
	return false
}

// future is a branch without its type. Its fields are guarded by run.mu.
type future struct {
	s       *scope // nil if it did not begin
	path    string
	former  *former
	begun   bool // its code runs, or has run
	ended   bool
	order   uint64    // branches of a run in the order of their ends
	at      time.Time // when what ended it came about
	err     error
	lost    bool
	read    bool   // its value was given to the code
	told    bool   // the child that it is for has its id, see GoChild
	then    func() // begins the next item of a Map, with mu held
	waiters []*waiter
}

// here takes the call site above the operation's own functions, in a scope.
func here(s *scope) callSite {
	var c callSite
	runtime.Callers(3, c.pcs[:])
	if s.branch != nil {
		c.begun = &s.site
	}
	return c
}

// handedOut reports whether the code outside of the operation's branches may know its result: all of
// them have ended, and none has lost.
func (o *op) handedOut() bool {
	for p := o.place; p != nil; p = p.above {
		if s := p.scope; s != nil && (!s.branch.ended || s.branch.lost) {
			return false
		}
	}
	return true
}

// leaving is the goroutine of a caller by hand that waits for bodies before it leaves.
type leaving struct {
	atBegin bool          // it was not in an operation
	crossed chan struct{} // closed when another one came to begin something, too
	over    bool          // that is closed
}

// cross tells that another one has come.
func (l *leaving) cross() {
	if !l.over {
		l.over = true
		close(l.crossed)
	}
}
