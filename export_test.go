package lambdabiz

import (
	"log/slog"
	"time"
)

// Unguarded takes away what keeps hooks, log handlers and backends from doing harm: they are called where things
// happen, as a plain function would be.
func (e *Engine) Unguarded() {
	e.hooks.tell = func(_ string, call func()) bool { call(); return true }
	e.log = slog.New(e.lines.handler)
	if guarded, ok := e.backend.(guardedBackend); ok {
		e.backend = guarded.Backend
	}
}

// HoldRun takes the lock of an orchestration's run, as a long computation over it would, until release is called.
func (e *Engine) HoldRun(id string) (release func()) {
	for _, r := range e.allResidents() {
		if r.info.ID == id {
			r.mu.Lock()
			return r.mu.Unlock
		}
	}
	return func() {}
}

// CancelAsItWakes wakes what waits for its time in an orchestration's run, and cancels the run before its code goes on.
func (e *Engine) CancelAsItWakes(id string) {
	for _, r := range e.allResidents() {
		if r.info.ID == id {
			r.mu.Lock()
			r.fire(now().Add(time.Hour))
			r.stopCode(ErrCancelled)
			r.unlock()
		}
	}
}
