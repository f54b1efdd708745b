package lambdabiz

import (
	"context"
	"log/slog"
	"time"
)

// Context is what an orchestration's function works with: a context.Context that ends when the run is
// cancelled, when its deadline passes, or when it leaves this process; and the place where operations
// put their ids. It belongs to one goroutine: every branch gets its own. Only this package makes one.
//
// In a run that is resumed after its cancellation or its deadline, the context of the function, and that of each branch,
// ends where it did before: behind the operation in whose course that was, which the record tells, or with one that is
// new, or had not ended. That of a branch that had ended before does not end. If no process was told before, all contexts
// end when the code has come to everything that is recorded. Until then Err is nil, as it was when that was recorded.
// Code that comes to nothing recorded for five seconds, because it waits for Done for example, is told then; code driven
// by hand after a minute.
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

// The methods below note when the code may learn that its context has ended: Err when it says so, Done and Value when they
// give something by which the code may learn it at any time later.

func (v *view) Err() error {
	err := v.Context.Err()
	if err != nil {
		v.asks()
	}
	return err
}

func (v *view) Done() <-chan struct{} {
	v.asks()
	return v.Context.Done()
}

// Value notes it only if the value is a context: that is how package context, when it derives one, finds the context to
// wait for. Log handlers and tracers ask for other values, and learn nothing.
func (v *view) Value(key any) any {
	value := v.Context.Value(key)
	if _, ok := value.(context.Context); ok {
		v.asks()
	}
	return value
}

func (v *view) asks() {
	if !v.free {
		v.s.asked.Store(true)
	}
}

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

// runHandler gives what the code of a run logs to the handler at once, on the code's own goroutine, until the run
// has left this process. A panic of the handler does no harm to the code.
type runHandler struct {
	slog.Handler
	r *run
}

// Enabled reports whether the handler wants the line.
func (h *runHandler) Enabled(ctx context.Context, level slog.Level) bool {
	if h.r.left.Load() {
		return false
	}
	v, err := guard(func() (any, error) { return h.Handler.Enabled(ctx, level), nil })
	h.check(err)
	wanted, _ := v.(bool)
	return wanted
}

// Handle gives the line to the handler.
func (h *runHandler) Handle(ctx context.Context, rec slog.Record) error {
	_, err := guard(func() (any, error) { return nil, h.Handler.Handle(ctx, rec) })
	h.check(err)
	return err
}

// WithAttrs returns a handler that adds attributes.
func (h *runHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func() slog.Handler { return h.Handler.WithAttrs(attrs) })
}

// WithGroup returns a handler that puts what follows into a group.
func (h *runHandler) WithGroup(name string) slog.Handler {
	return h.with(func() slog.Handler { return h.Handler.WithGroup(name) })
}

func (h *runHandler) with(f func() slog.Handler) slog.Handler {
	v, err := guard(func() (any, error) { return f(), nil })
	h.check(err)
	if handler, ok := v.(slog.Handler); ok {
		return &runHandler{handler, h.r}
	}
	return h
}

func (h *runHandler) check(err error) {
	if err != nil {
		h.r.env.lines.failed(err)
	}
}
