package model_test

import (
	"strconv"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// stimulus is something that happens to an engine that stands still. An execution in which only usual ones happen, the
// first that is possible, has no faults.
type stimulus struct {
	name     string
	usual    bool
	rare     bool // it need not be possible in few schedules
	possible func(w *world) bool
	do       func(w *world)
}

var stimuli []stimulus

func init() { //nolint:gochecknoinits // what is possible depends on the table's own names
	stimuli = []stimulus{
		{"answer", true, false, // the worker gets the answer to a claim that was kept
			func(w *world) bool { return w.now.asked },
			func(w *world) { w.locked(w.store.handOut) }},
		{"ok", true, false, // the store decides on the commit that waits: it is applied, stale or fenced
			func(w *world) bool { return len(w.now.commits) > 0 },
			func(w *world) { w.now.commits[0].end <- answered }},
		{"poll", true, false, // the worker claims what is due, and is told what has come
			func(w *world) bool { return !w.ending && !w.now.asked && w.now.changes > w.now.told },
			func(w *world) { w.store.poll() }},
		{"start", true, false, // the engine is a worker again
			func(w *world) bool { return w.stopped },
			func(w *world) { w.work() }},
		{"moment", true, false, // time for a late flush, and for another try of a commit
			func(w *world) bool { return w.stirred },
			func(w *world) { w.pass(aMoment) }},
		{"resume", true, false, // somebody resumes the orchestration
			func(w *world) bool { return w.rec.Paused },
			func(w *world) { w.resume() }},
		{"return", true, false, // the oldest body returns
			func(w *world) bool { return len(w.now.bodies) > 0 },
			func(w *world) { w.program.finish() }},
		{"time", true, false, // the next time comes that somebody waits for
			func(w *world) bool { return len(w.dues()) > 0 },
			func(w *world) { w.pass(time.Until(w.dues()[0])) }},

		{"decide", false, false, // as ok, but the answer is on its way for a while
			func(w *world) bool {
				return len(w.now.commits) > 0 && !w.now.decided && w.did["decide"] < 2
			},
			func(w *world) { w.now.commits[0].end <- decided }},
		{"lost", false, false, // the commit does not arrive, and nobody knows
			func(w *world) bool {
				return len(w.now.commits) > 0 && !w.now.decided && w.did["lost"] < 2
			},
			func(w *world) { w.now.commits[0].end <- lost }},
		{"cut", false, false, // the commit arrives, its answer does not, and nobody knows
			func(w *world) bool { return len(w.now.commits) > 0 && w.did["cut"] < 2 },
			func(w *world) { w.now.commits[0].end <- cut }},
		{"ok younger", false, true, // of two commits, by an earlier and a later holder, the later one is decided on first
			func(w *world) bool { return len(w.now.commits) > 1 },
			func(w *world) { w.now.commits[1].end <- answered }},
		{"park in time", false, false, // others need room as the next time comes
			func(w *world) bool {
				return !w.store.ends && !w.ending && w.did["park in time"] < 1 && w.rec.Worker != 0 && len(w.dues()) > 0
			},
			func(w *world) {
				due := time.Until(w.dues()[0])
				w.locked(func() { w.store.full = true })
				time.AfterFunc(due, w.store.poll)
				w.pass(due)
			}},
		{"event", false, false, // an event that the program waits for arrives
			func(w *world) bool { return len(w.events) < 2 && !w.rec.Status.Ended() },
			func(w *world) { w.raise() }},
		{"cancel", false, false, // somebody cancels the orchestration
			func(w *world) bool { return w.cancelled.IsZero() && !w.rec.Status.Ended() },
			func(w *world) {
				w.cancelled = time.Now()
				w.ask(&lambdabiz.Commit{Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlCancel, ID: theID}}})
			}},
		{"park", false, false, // other runs need room; where commits end claims, that says nothing
			func(w *world) bool {
				return !w.store.ends && !w.ending && w.did["park"] < 2 && !w.now.asked && w.rec.Worker != 0
			},
			func(w *world) {
				w.locked(func() { w.store.full = true })
				w.store.poll()
			}},
		{"lose", false, false, // another worker takes this one for dead, and frees what it holds
			func(w *world) bool { return w.rec.Worker != 0 && !w.ending && w.did["lose"] < 2 },
			func(w *world) {
				if err := w.store.lose(w.ctx); err != nil {
					w.complainf("lose: %v", err)
				}
			}},
		{"pause", false, false, // somebody pauses the orchestration: a holder lets it go
			func(w *world) bool { return w.did["pause"] < 1 && !w.rec.Status.Ended() },
			func(w *world) {
				w.ask(&lambdabiz.Commit{Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlPause, ID: theID}}})
			}},
		{"stop", false, false, // the worker is to end: it drains
			func(w *world) bool { return !w.ending && w.did["stop"] < 1 },
			func(w *world) {
				w.ending = true
				w.cancel()
			}},
		{"ask", false, false, // as poll, but the answer is on its way for a while
			func(w *world) bool {
				return !w.ending && !w.now.asked && w.now.changes > w.now.told && w.did["ask"] < 2
			},
			func(w *world) {
				w.locked(func() { w.store.keeping = true })
				w.store.poll()
			}},
	}
}

func stimulusNamed(name string) *stimulus {
	for i := range stimuli {
		if stimuli[i].name == name {
			return &stimuli[i]
		}
	}
	return nil
}

// locked does something to the store under its lock.
func (w *world) locked(f func()) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	f()
}

func (w *world) resume() {
	w.ask(&lambdabiz.Commit{Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlResume, ID: theID}}})
}

// raised is an event that was raised.
type raised struct {
	payload string
	at      time.Time
	late    map[string]bool // the waits that had ended by then
}

// raise raises the next event.
func (w *world) raise() {
	e := raised{payload: strconv.Itoa(len(w.events) + 7), at: time.Now(), late: map[string]bool{}}
	for i := range w.rec.Operations {
		o := &w.rec.Operations[i]
		e.late[o.ID] = ended(o)
	}
	w.events = append(w.events, e)
	w.ask(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: theID, Name: opEvent, Payload: lambdabiz.Payload(e.payload)}}})
}

// ask is a client's commit.
func (w *world) ask(c *lambdabiz.Commit) {
	c.At = time.Now()
	if err := w.store.outside(w.ctx, c); err != nil {
		w.complainf("a client's commit: %v", err)
	}
}
