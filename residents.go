package lambdabiz

import (
	"slices"
	"sync"
	"time"
)

// residents is which runs are in the memory of this process, who drives them, and what is on its way to them. Its methods
// may be called with a run's lock held: they wait for the lock of no run, and call nothing that does. Messages for a run go
// into its letterbox.
type residents struct {
	most  int           // runs that a worker may have
	works int           // runs that may be active while it claims more
	piece int           // runs that one request asks for at most
	cache bool          // a commit ends the claim: runs are a cache, and do not count
	kicks chan struct{} // full when the worker shall look for work
	busy  chan struct{} // receives when the first run has come, and after a join, which may have seen other workers

	mu        sync.Mutex
	runs      map[string]*run              // by run id
	byID      map[string]*run              // the latest resident of an orchestration id
	hands     map[string][]*run            // driven by hand, by id
	early     map[string]earlyMessages     // by run id
	swept     time.Time                    // when what has left was last taken out of early
	watchers  map[string]map[*watcher]bool // who waits for an orchestration's end, by its id
	starting  int                          // starts of clients on their way that may claim, and claims being taken in
	claiming  int                          // runs that a claim on its way may bring
	short     shortage                     // what others lack that are due; no longer than there is room: see roomierLocked
	accepting bool                         // a worker that is not draining
	claimer   int64                        // the worker whose claims may enter; 0 for none
	drained   chan struct{}                // closed when the last run has left, while the worker drains

	// active is how many runs that workers drive here are active: a branch of theirs is not blocked, or their code has not
	// begun. It is the number of pumps whose counted is true, but for those that have just changed it, and that is as arm
	// has found their branches when their lock was given up last. Where commits end claims nobody counts.
	active int
}

// shortage is what a worker has no room for.
type shortage uint8

const (
	shortOfNothing shortage = iota
	shortOfMemory           // it has as many runs as it may have
	shortOfWork             // as many are active
)

func newResidents(most, works int, cache bool) residents {
	return residents{
		most: most, works: works, piece: claimsOfOne, cache: cache, kicks: make(chan struct{}, 1), busy: make(chan struct{}, 1),
		runs: map[string]*run{}, byID: map[string]*run{}, early: map[string]earlyMessages{},
		hands: map[string][]*run{}, watchers: map[string]map[*watcher]bool{},
	}
}

// kick makes the worker look for work now.
func (m *residents) kick() {
	select {
	case m.kicks <- struct{}{}:
	default:
	}
}

// tellBusy lets a worker go on that waits until it has a run.
func (m *residents) tellBusy() {
	select {
	case m.busy <- struct{}{}:
	default:
	}
}

// How many runs one request asks for. Workers on many machines have claims of others between theirs. Where they share a
// machine, and a writer, many small claims only cost more.
const (
	claimsOfOne  = 256
	claimsOfMany = 64
)

// room is how many runs may be claimed.
func (m *residents) room() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roomLocked()
}

func (m *residents) roomLocked() int {
	if m.cache {
		return m.piece
	}
	return max(0, min(m.piece, m.vacantLocked()))
}

// vacantLocked is how many runs may come; below 0 if there are too many, since a run that is here goes on whatever it wakes to.
func (m *residents) vacantLocked() int { return min(m.most-len(m.runs), m.works-m.active) - m.starting }

func (m *residents) full() bool { return m.room() == 0 }

// lacksMemory reports whether others had room if runs that only wait were parked.
func (m *residents) lacksMemory() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.cache && m.vacantLocked() <= 0 && m.works-m.active-m.starting > 0
}

// claimsOn is asked after a claim, with what it has told of others: more is due, or something will be. It reports whether
// the worker claims again at once. If there is no room for those others, it is kicked when there is.
func (m *residents) claimsOn(more, due bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.short = shortOfNothing
	room := m.roomLocked() > 0
	if !room && (more || due) {
		m.short = shortOfMemory
		if m.works-m.active-m.starting <= 0 {
			m.short = shortOfWork
		}
	}
	return more && room
}

// roomierLocked is called when a run has left, is not active any more, or does not come. It kicks the worker if others lack just
// that. What they lack was noted by claimsOn in the moment in which it found no room, so no room comes free between the two.
func (m *residents) roomierLocked() {
	switch {
	case m.short == shortOfNothing:
	case m.vacantLocked() > 0, m.short == shortOfWork && m.works-m.active-m.starting > 0: // then idle ones may be parked
		m.short = shortOfNothing
		m.kick()
	}
}

// countActive notes that a run has become active, or is not any more.
func (m *residents) countActive(active bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if active {
		m.active++
		return
	}
	m.active--
	m.roomierLocked()
}

// reserve keeps room for what a claim may bring, until free is called with it.
func (m *residents) reserve() (room int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if room = m.roomLocked(); !m.cache {
		m.claiming += room
	}
	return room
}

func (m *residents) free(room int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.cache {
		m.claiming -= room
	}
}

// grant reports how many of n new runs may be claimed with their starts. They count as on their way until that is over, which
// countStarts(-n) says.
func (m *residents) grant(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.accepting {
		return 0
	}
	n = max(0, min(n, m.vacantLocked()-m.claiming))
	m.starting += n
	return n
}

// countStarts makes a worker that drains wait for starts that claim, and for claims that are being taken in.
func (m *residents) countStarts(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.starting += n; n < 0 {
		m.roomierLocked()
	}
	m.tellDrainedLocked()
}

// accept lets runs go on that enter from now on.
func (m *residents) accept() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accepting = true
}

func (m *residents) isAccepting() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accepting
}

// drainAll lets no run go on that enters from now on. The channel is closed when the last one has left, and none is on its
// way.
func (m *residents) drainAll() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accepting = false
	drained := make(chan struct{})
	m.drained = drained
	m.tellDrainedLocked()
	return drained
}

func (m *residents) tellDrainedLocked() {
	if m.drained != nil && len(m.runs) == 0 && m.starting == 0 {
		close(m.drained)
		m.drained = nil
	}
}

// claimsOf says whose claims may enter from now on.
func (m *residents) claimsOf(worker int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claimer = worker
}

func (m *residents) takesClaimsOf(worker int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return worker == m.claimer
}

// enter puts a run among the residents that a worker has claimed, if there is no other copy of it, and returns what has
// come for it. The worker may drain: then it is not accepted.
func (m *residents) enter(r *run, worker int64) (entered, accepting bool, early []Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if worker != m.claimer || m.runs[r.info.RunID] != nil {
		return false, false, nil
	}
	m.runs[r.info.RunID], m.byID[r.info.ID] = r, r
	if len(m.runs) == 1 {
		m.tellBusy()
	}
	kept := m.early[r.info.RunID]
	delete(m.early, r.info.RunID)
	return true, m.accepting, kept.of(r.ref)
}

// enterHand notes a run that a caller drives by hand.
func (m *residents) enterHand(r *run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hands[r.info.ID] = append(m.hands[r.info.ID], r)
}

// leave takes a run out that is dead.
func (m *residents) leave(dead resident, info *RunInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, runID := info.ID, info.RunID
	is := func(r *run) bool { return r != nil && resident(&r.pump) == dead }
	if hands := m.hands[id]; hands != nil {
		if hands = slices.DeleteFunc(hands, is); len(hands) == 0 {
			delete(m.hands, id)
		} else {
			m.hands[id] = hands
		}
	}
	if is(m.byID[id]) {
		delete(m.byID, id)
	}
	if is(m.runs[runID]) {
		delete(m.runs, runID)
		m.roomierLocked()
	}
	m.tellWatchersLocked(id)
	m.tellDrainedLocked()
}

// copyOf is the copy of a run that is in memory; nil for none.
func (m *residents) copyOf(runID string) *run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[runID]
}

// latest is the latest run of an orchestration that a worker drives here; nil for none.
func (m *residents) latest(id string) *run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byID[id]
}

// byHand are the runs of an orchestration that are driven by hand.
func (m *residents) byHand(id string) []*run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.hands[id])
}

// residentOrEarly finds the run that messages are for. One whose start has claimed it may not be resident
// yet: its messages are kept until it enters.
func (m *residents) residentOrEarly(a Arrival) *run {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.runs[a.Ref.RunID]; r != nil {
		return r
	}
	if t := time.Now(); t.Sub(m.swept) > time.Minute {
		m.swept = t
		for id, early := range m.early {
			if t.Sub(early.at) > time.Minute {
				delete(m.early, id) // it was there once, and has left
			}
		}
	}
	early := m.early[a.Ref.RunID]
	early.add(a)
	m.early[a.Ref.RunID] = early
	return nil
}

// forward gives messages that have come for a run that is dead to the copy that follows it.
func (m *residents) forward(a Arrival, dead resident) {
	if next := m.residentOrEarly(a); next != nil && resident(&next.pump) != dead {
		next.post(a)
	}
}

// allResidents are the runs that workers drive here.
func (m *residents) allResidents() []*run {
	m.mu.Lock()
	defer m.mu.Unlock()
	runs := make([]*run, 0, len(m.runs))
	for _, r := range m.runs {
		if !r.isByHand() {
			runs = append(runs, r)
		}
	}
	return runs
}

// watcher is who waits for an orchestration's end.
type watcher struct {
	m    *residents
	id   string
	told chan bool // full when it may have ended
}

// watch tells of runs of the id that have left this process, until stop.
func (m *residents) watch(id string) *watcher {
	w := &watcher{m, id, make(chan bool, 1)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watchers[id] == nil {
		m.watchers[id] = map[*watcher]bool{}
	}
	m.watchers[id][w] = true
	return w
}

func (w *watcher) stop() {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	all := w.m.watchers[w.id]
	if delete(all, w); len(all) == 0 {
		delete(w.m.watchers, w.id)
	}
}

// tellWatchers lets those look who wait for the orchestration's end.
func (m *residents) tellWatchers(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tellWatchersLocked(id)
}

func (m *residents) tellWatchersLocked(id string) {
	for w := range m.watchers[id] {
		w.tell()
	}
}

func (w *watcher) tell() {
	select {
	case w.told <- true:
	default:
	}
}
