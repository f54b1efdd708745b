package lambdabiz

import "errors"

// life is where a run is in its life in this process; run.mu guards it.
type life struct {
	phase   phase
	cause   error    // why it is not live
	release *Release // how it stops
	closing *Close   // its function has returned
	outcome *Close   // the closing, once it is durable
}

// phase is where a resident run is in its life in this process.
type phase uint8

const (
	phaseLive     phase = iota // its code runs
	phaseStopping              // its code unwinds; bodies that still run are recorded
	phaseDead                  // no commit, panic, error, log line or return of it counts any more
)

// isOpen reports whether the code of the run may still come to something.
func (l *life) isOpen() bool { return l.phase == phaseLive && l.closing == nil }

// mayGoOn has a stopping run wake at once that would wake later: something has come that may be what it waits for. It counts
// as seen, so nothing else would wake the run.
func (l *life) mayGoOn() {
	if l.phase == phaseStopping && l.release.Blocked == nil {
		l.release.WakeAt = now()
	}
}

// mayBeFixed has a run that stops since it is blocked wake at once.
func (l *life) mayBeFixed() {
	if l.phase == phaseStopping && l.release.Blocked != nil {
		l.release.WakeAt = now()
	}
}

// leftBecause is why a run has left this process with a commit that ends it or lets it go.
func (l *life) leftBecause(c *Commit) error {
	switch {
	case c.Close != nil:
		return ErrClosed
	case l.cause != nil:
		return l.cause
	default:
		return errParked
	}
}

// pausedBy is why a run stops that such a message has come for.
func pausedBy(id string, m *Message) error {
	err := &PausedError{ID: id}
	if m.Error != nil {
		err.Reason = m.Error.Message
	}
	return err
}

var errParked = errors.New("orchestration is parked")
