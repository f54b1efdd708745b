package lambdabiz

import "time"

// driver is who drives a run in this process: a worker, or, by hand, the code of a caller between [Engine.Create] and the end
// of the context that it gave. run.mu guards what changes.
type driver struct {
	mode driveMode

	// What follows is of a caller by hand.
	paused  error           // why it may not write, if mode is driveBeforePause
	caller  <-chan struct{} // closed when the caller's context has ended
	unwatch func() bool     // ends the watch on that context
	served  chan struct{}   // the process performs the run's own attempts: closed when the last has ended; nil for none yet
	polling bool            // it is about to look for messages
	looked  time.Time       // when it was last asked for messages
}

// driveMode is what a driver may do.
type driveMode uint8

const (
	driveByWorker    driveMode = iota // all, and it is told of messages
	driveByHand                       // all, and it looks for messages itself
	driveReplay                       // by hand: the run was over when it was taken, so its code is given what is recorded
	driveBeforePause                  // by hand: the run was paused, and is not claimed; its code is given what has ended
)

// isByHand reports whether a caller's code drives the run.
func (d *driver) isByHand() bool { return d.mode != driveByWorker }

// replays reports whether the run was over when it was taken.
func (d *driver) replays() bool { return d.mode == driveReplay }

// isReadOnly reports whether nothing of the run may be written.
func (d *driver) isReadOnly() bool { return d.mode >= driveReplay }

// isDue reports whether the code of a caller by hand should look for messages before it goes on, at a time: nobody tells it
// of them, as the worker's loop tells other runs.
func (d *driver) isDue(t time.Time, poll time.Duration) bool {
	return d.mode == driveByHand && poll >= 0 && t.Sub(d.looked) >= poll
}
