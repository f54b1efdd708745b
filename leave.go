package lambdabiz

import (
	"fmt"
	"runtime"
)

// leaveLocked ends the calling goroutine, which holds mu: the run is not live, or the scope is closed.
// A goroutine that belongs to the caller of an orchestration driven by hand gets an error instead.
func (r *run) leaveLocked(s *scope) error {
	s.busy = nil
	if r.isByHand() && s.parent == nil {
		return r.leaveByHandLocked(s, false)
	}
	r.unlock()
	runtime.Goexit()
	return nil
}

// leaveAtBeginLocked is leaveLocked for code that would begin something in a run that is not live. The context of a caller
// by hand has one goroutine: if that is in an operation, or waits for bodies to leave, who comes here is one of these
// bodies, and must not wait for its own end.
func (r *run) leaveAtBeginLocked(s *scope) error {
	if !r.isByHand() || s.parent != nil {
		return r.leaveLocked(s)
	}
	switch l := s.leaving; {
	case l != nil && l.atBegin: // it may have been a body, and this is the caller
		l.cross()
		r.moved.Broadcast()
	case l == nil && s.busy == nil:
		return r.leaveByHandLocked(s, true)
	}
	defer r.unlock()
	return r.crossedLocked()
}

// crossedLocked is what a caller by hand gets whose context is used by a body, too, and that body.
func (r *run) crossedLocked() error {
	return fmt.Errorf("a context is used by two goroutines at once: it is not for bodies, which still run as the run leaves: %w", r.cause)
}

// leaveByHandLocked waits for bodies that still run, and gives mu up: the caller's process may end with it, and what they
// come to is on disk by then.
func (r *run) leaveByHandLocked(s *scope, atBegin bool) error {
	l := &leaving{atBegin: atBegin, crossed: make(chan struct{})}
	s.leaving = l
	defer func() {
		if s.leaving == l {
			s.leaving = nil
		}
		r.unlock()
	}()
	for r.phase == phaseStopping && !l.over {
		r.await(&r.moved)
	}
	err, served := r.cause, r.served
	if _, paused := err.(*PausedError); paused && served != nil { //nolint:errorlint // the engine's own
		r.unlock()
		select {
		case <-served: // tasks that the home has given to this process have ended
		case <-r.caller:
		case <-l.crossed:
		}
		r.mu.Lock()
	}
	if l.over {
		return r.crossedLocked()
	}
	return err
}
