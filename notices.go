package lambdabiz

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// maxNotices is how many notices wait at most. What comes beyond is dropped and counted.
const maxNotices = 1 << 16

// notices is what hooks or log handlers are still to be told. It may be added to under any lock: a goroutine of its
// own, which lives as long as there is something to tell, calls them one after the other, in the order in which
// they were added. One that blocks holds up the notices behind it and nothing else.
type notices struct {
	// misbehaved is called when one has panicked or ended its goroutine, lost when some were dropped. Neither may
	// block.
	misbehaved func(what string, err error)
	lost       func(n int)

	mu      sync.Mutex
	queue   []notice
	dropped int
	telling chan struct{} // closed when all is told; nil if nothing is there
}

// notice is one call of foreign code, and what is called.
type notice struct {
	what string
	call func()
}

// add reports whether the notice will be told.
func (n *notices) add(what string, call func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) >= maxNotices {
		if n.dropped++; n.dropped == 1 {
			n.lost(0)
		}
		return false
	}
	n.queue = append(n.queue, notice{what, call})
	if n.telling == nil {
		n.telling = make(chan struct{})
		go n.tell()
	}
	return true
}

// tell calls what is there. When a notice ends the goroutine, another one goes on behind it.
func (n *notices) tell() {
	next, finished := notice{}, false
	defer func() {
		if !finished {
			n.misbehaved(next.what, errGoexit)
			go n.tell()
		}
	}()
	for {
		var more bool
		if next, more = n.next(); !more {
			finished = true
			return
		}
		if _, err := guard(func() (any, error) { next.call(); return nil, nil }); err != nil {
			n.misbehaved(next.what, err)
		}
	}
}

// next takes a notice from the queue. False means that there is none, and that the caller's work is done.
func (n *notices) next() (notice, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dropped > 0 && len(n.queue) < maxNotices/2 { // it drains again: say how many it has missed
		n.lost(n.dropped)
		n.dropped = 0
	}
	if len(n.queue) == 0 {
		close(n.telling)
		n.telling, n.queue = nil, nil
		return notice{}, false
	}
	next := n.queue[0]
	n.queue[0] = notice{}
	n.queue = n.queue[1:]
	return next, true
}

// told is a channel that is closed.
var told = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// mark returns a channel that is closed when all that is there now is told.
func (n *notices) mark() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.telling == nil {
		return told
	}
	marked := make(chan struct{})
	n.queue = append(n.queue, notice{call: func() { close(marked) }})
	return marked
}

// settle waits until all is told, but not for long.
func (n *notices) settle() {
	within(n.mark(), foreignGrace)
}

// lines gives what an engine logs to the handler that it was configured with.
type lines struct {
	notices
	handler slog.Handler

	said sync.Once // that the handler has misbehaved
}

func newLines(handler slog.Handler) *lines {
	l := &lines{handler: handler}
	l.misbehaved = func(_ string, err error) { l.failed(err) }
	l.lost = func(dropped int) {
		if dropped > 0 {
			go l.log().Warn("the log handler did not keep up: lines were dropped", "lines", dropped)
		}
	}
	return l
}

// failed says once that the handler has misbehaved, in the hope that it takes this.
func (l *lines) failed(err error) {
	l.said.Do(func() { l.log().Error("the log handler has misbehaved, this is said once", "error", err.Error()) })
}

// log is the logger for the engine's own lines: it may be used under any lock.
func (l *lines) log() *slog.Logger { return slog.New(&lineHandler{lines: l}) }

// lineHandler keeps lines until the engine's goroutine gives them to the handler. It calls nothing of that itself.
type lineHandler struct {
	*lines
	with []func(slog.Handler) slog.Handler
}

func (h *lineHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *lineHandler) Handle(ctx context.Context, rec slog.Record) error {
	h.add("log handler", func() {
		to := h.handler
		for _, with := range h.with {
			to = with(to)
		}
		if !to.Enabled(ctx, rec.Level) {
			return
		}
		if err := to.Handle(ctx, rec); err != nil {
			h.failed(err)
		}
	})
	return nil
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	return h.and(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h *lineHandler) and(with func(slog.Handler) slog.Handler) slog.Handler {
	return &lineHandler{h.lines, append(slices.Clip(h.with), with)}
}
