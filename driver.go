package lambdabiz

import "time"

// driver is who drives a run in this process: a worker, or, by hand, the code of a caller between [Engine.Create] and the end
// of the context that it gave. run.mu guards what changes.
type driver struct {
	hand bool // driven by hand; what follows matters only then

	replayOnly bool            // the run was over when it was taken: its code is given what is recorded
	paused     error           // it was paused when it was to be claimed, and is not
	caller     <-chan struct{} // closed when the caller's context has ended
	unwatch    func() bool     // ends the watch on that context
	served     chan struct{}   // the process performs the run's own attempts: closed when the last has ended; nil for none yet
	polling    bool            // it is about to look for messages
	looked     time.Time       // when it was last asked for messages
}

// isReadOnly reports whether nothing of the run may be written.
func (d *driver) isReadOnly() bool { return d.replayOnly || d.paused != nil }

// isDue reports whether the code of a caller by hand should look for messages before it goes on, at a time: nobody tells it
// of them, as the worker's loop tells other runs.
func (d *driver) isDue(t time.Time, poll time.Duration) bool {
	return d.hand && poll >= 0 && !d.isReadOnly() && t.Sub(d.looked) >= poll
}
