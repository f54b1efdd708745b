package lambdabiz

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/slots"
)

// Context is what an orchestration's function works with: a context.Context that ends when the run is
// cancelled, when its deadline passes, or when it leaves this process; and the place where operations
// put their ids. It belongs to one goroutine: every branch gets its own. Only this package makes one.
//
// In a run that is resumed after its cancellation or its deadline, the context of the function, and that of each branch,
// ends when its code has passed what is recorded there: with the last recorded operation, or with one that is new, had
// not ended, or was cancelled. Until then Err is nil, as it was when that was recorded. Code that comes to nothing
// recorded for five seconds, because it waits for Done for example, is told then; code driven by hand after a minute.
type Context interface {
	context.Context

	// ID is the orchestration id.
	ID() string
	// RunID is another one for every run of the id; see [RunInfo.Continues].
	RunID() string
	// Logger adds the orchestration id and the run id. What it logs is logged again when the run
	// resumes over the same lines.
	Logger() *slog.Logger

	run() *run
	scope() *scope
	detached() bool
}

// scope is a place for operation ids: the orchestration's function, or a branch.
type scope struct {
	path   string // "" for the function itself
	parent *scope
	log    atomic.Pointer[slog.Logger] // made when it is asked for

	// own ends with base, when the scope is closed, and with a cancellation or the deadline once its code has passed
	// what is recorded: see heed. It is run.base's child, not the parent's: one of them may have passed when the
	// other has not.
	own    context.Context //nolint:containedctx // a scope is a context's lifetime
	cancel context.CancelCauseFunc

	detached bool // a branch that Detached began: cancellation does not end it

	// Guarded by run.mu.
	visited map[string]callSite // the ids in this pass of branches and of what was refused; operations have their own mark
	place   *place              // in the record
	blocked *waiter             // the last wait of its goroutine, see isBlocked
	turn    *slots.Turn         // of its goroutine, while it waits for a slot
	busy    *callSite           // the operation that goes on
	inBody  bool                // the body of that operation runs
	asking  bool                // the interceptor is asked about it, its code is about to go on
	branch  *future             // nil for the function itself
	site    callSite            // where that was begun
	current *op                 // the operation that goes on; nil while code runs
	awaits  []*future           // branches of which it waits for one; nil while it does not
	began   int64               // what the scope around it had reached when it began
	racing  []*future           // branches of which all but one lose when its race is over; nil while it has none
	met     *circle             // that it was found in last
	reached int64               // the last number of what was recorded here before this pass, and it has come to
	last    time.Time           // when what its code knows last came about
	past    bool                // its code has come to something that had not ended before this pass, or it knows of such a thing
	closed  bool                // lost a race, or its orchestration's function has returned: see isClosed
}

// isBlocked reports whether the goroutine of the scope waits.
func (s *scope) isBlocked() bool { return s.blocked != nil && !s.blocked.woken }

// isClosed reports whether the scope, or one around it, is closed.
func (s *scope) isClosed() bool {
	for ; s != nil; s = s.parent {
		if s.closed {
			return true
		}
	}
	return false
}

// view is a Context on a scope.
type view struct {
	context.Context //nolint:containedctx // it is one
	r               *run
	s               *scope
	free            bool // made by Detached
}

func (v *view) ID() string           { return v.r.info.ID }
func (v *view) RunID() string        { return v.r.info.RunID }
func (v *view) Logger() *slog.Logger { return v.r.loggerOf(v.s) }
func (v *view) run() *run            { return v.r }
func (v *view) scope() *scope        { return v.s }
func (v *view) detached() bool       { return v.free || v.s.detached }

// Deadline is the run's.
func (v *view) Deadline() (time.Time, bool) {
	d := v.r.info.Deadline
	if v.detached() || d.IsZero() {
		return time.Time{}, false
	}
	return d, true
}

// Detached returns a context for clean-up work in the same scope: it does not end with a cancellation
// or the deadline, so operations still run. It ends when the run leaves this process.
func Detached(o Context) Context {
	return &view{Context: o.run().base, r: o.run(), s: o.scope(), free: true}
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

// loggerOf makes the logger of a scope when it is first asked for.
func (r *run) loggerOf(s *scope) *slog.Logger {
	if log := s.log.Load(); log != nil {
		return log
	}
	log := slog.New(&runHandler{r.env.lines.handler, r}).With(r.ids()...)
	if s.parent != nil {
		log = log.With("branch", s.path)
	}
	s.log.CompareAndSwap(nil, log)
	return s.log.Load()
}

// view is what code in the scope is given.
func (r *run) view(s *scope) *view { return &view{Context: s.own, r: r, s: s} }
