package process_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
)

// ledger lies outside the file: what processes have acknowledged, what the file said after each end of a
// process, and what bodies did. check compares them.
type ledger struct {
	*bench

	runIDs   map[string]string // as acknowledged
	approved map[string]bool   // the event was acknowledged
	outcomes map[string]string // as acknowledged
	statuses map[string]string // of what ended otherwise, as acknowledged
	purged   map[string]bool   // as acknowledged
	finished map[string]seen   // operations that were acknowledged as recorded, or found so

	runs    map[lambdabiz.RunRef]lambdabiz.Status // what is in the file, as found last
	present map[string]bool                       // the ids in it
	through time.Time                             // what was scheduled before is in runs, some time aside
	aside   time.Duration                         // how long what was scheduled may have been on its way

	offset int64             // of the effects that have been read
	begun  map[string]bool   // operations whose body has begun
	byLife map[string]bool   // the same, by process
	keys   map[string]string // by operation
	cut    []string          // bodies that the end of a process has met

	faults        []string
	lost, doubled int // of the faults

	lenient  bool      // workers may be taken for dead while they live: see suspects
	suspects []suspect // what only such a worker may have done; judge decides
}

// suspect is a body that began where it need not, and that only a process may begin that was taken for dead, and does not
// know it yet: an effect happens at least once.
type suspect struct {
	pid   int
	fault string
}

// seen is what must stay of a finished operation. It is zero as long as only a process has said so.
type seen struct {
	result string
	ended  time.Time
}

func newLedger(b *bench) *ledger {
	return &ledger{
		bench: b, runIDs: map[string]string{}, approved: map[string]bool{}, outcomes: map[string]string{}, statuses: map[string]string{},
		purged: map[string]bool{}, finished: map[string]seen{}, runs: map[lambdabiz.RunRef]lambdabiz.Status{},
		present: map[string]bool{}, aside: time.Second, begun: map[string]bool{}, byLife: map[string]bool{}, keys: map[string]string{},
	}
}

func (l *ledger) faultf(format string, a ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, a...))
}

func (l *ledger) lostf(format string, a ...any) {
	l.lost++
	l.faultf(format, a...)
}

func (l *ledger) doubledf(format string, a ...any) {
	l.doubled++
	l.faultf(format, a...)
}

// repeatedf notes a body that began again, by a process that may not have known better.
func (l *ledger) repeatedf(pid int, format string, a ...any) {
	if l.lenient {
		l.suspects = append(l.suspects, suspect{pid, fmt.Sprintf(format, a...)})
		return
	}
	l.doubledf(format, a...)
}

// judge makes faults of the suspects, but for those of processes that were taken for dead while they lived. It returns how
// many it has excused.
func (l *ledger) judge(undead map[int]bool) (excused int) {
	for _, s := range l.suspects {
		if undead[s.pid] {
			excused++
		} else {
			l.doubledf("%s", s.fault)
		}
	}
	l.suspects = nil
	return excused
}

// ended is how many orchestrations were found ended.
func (l *ledger) ended() int {
	ids := map[string]bool{}
	for run, status := range l.runs {
		if status.Ended() {
			ids[run.ID] = true
		}
	}
	return len(ids)
}

// acknowledge takes what a process that is gone has said into the ledger.
func (l *ledger) acknowledge(p *process) {
	started, _ := p.find("started")
	for _, line := range started {
		id, runID, _ := strings.Cut(line, " ")
		if known := l.runIDs[id]; known != "" && known != runID {
			l.doubledf("the start of %s was acknowledged as run %s, before as %s", id, runID, known)
		}
		l.runIDs[id] = runID
	}
	ended, _ := p.find("ended")
	for _, line := range ended {
		id, result, _ := strings.Cut(line, " ")
		if known := l.outcomes[id]; known != "" && known != result {
			l.doubledf("%s has ended with %s, and before with %s", id, result, known)
		}
		l.outcomes[id] = result
	}
	otherwise, _ := p.find("otherwise")
	for _, line := range otherwise {
		id, status, _ := strings.Cut(line, " ")
		l.statuses[id] = status
	}
	for words, set := range map[string]map[string]bool{"raised": l.approved, "purged": l.purged} {
		said, _ := p.find(words)
		for _, id := range said {
			set[id] = true
		}
	}
	if failed, _ := p.find("failed"); len(failed) > 0 {
		l.faultf("failed: %v", failed)
	}
	recorded, _ := p.find("recorded")
	for _, line := range recorded {
		if operation, ok := strings.CutSuffix(line, " SUCCEEDED"); ok {
			if _, known := l.finished[operation]; !known {
				l.finished[operation] = seen{}
			}
		}
	}
}

// checkAll is check for everything, also for what was found ended before, and for what runs say of each other. No
// worker is left, and everything must have ended.
func (l *ledger) checkAll() {
	l.t.Helper()
	clear(l.runs)
	l.through = time.Time{}
	l.check()
	broken, err := invariant.All(l.t.Context(), l.backend, invariant.Options{Purged: true, Ended: true})
	if err != nil {
		l.t.Fatal(err)
	}
	l.addBroken(broken)
}

func (l *ledger) addBroken(broken []invariant.Violation) {
	for _, v := range broken {
		l.faultf("%s", v)
	}
}

// check compares the file with the ledger, after the end of a process. Other workers may go on meanwhile:
// what bodies did is read first, so that the file must know of all that had to be recorded before.
func (l *ledger) check() {
	l.t.Helper()
	last := l.newEffects()
	l.checkRepeats(last)
	now := time.Now()
	l.list(l.aside)
	if len(l.missing()) > 0 {
		l.list(time.Hour) // some may have been on their way to the disk for long
	}
	l.through = now
	for _, id := range l.missing() {
		l.lostf("the start of %s was acknowledged, and it is not there", id)
	}
	done := map[string]bool{}
	looked := map[string]bool{}
	for run, status := range l.runs {
		if !status.Ended() {
			looked[run.ID] = true
			l.runs[run] = l.checkRun(run, done)
		}
	}
	for id := range looked {
		l.checkBarrier(id, done)
		l.checkEvents(id, done)
	}
	for _, e := range last {
		if e.what == "begin" && looked[e.id] && !done[e.operation()] {
			l.cut = append(l.cut, e.operation())
		}
	}
	for operation, found := range l.finished {
		if id, _, _ := strings.Cut(operation, " "); looked[id] && !done[operation] && found.ended.IsZero() {
			l.lostf("%s was acknowledged as recorded, and is not", operation)
		}
	}
	for _, e := range l.newEffects() { // while the file was read: before or after, nobody knows
		l.note(e)
	}
}

// newEffects reads what bodies did since it was called last.
func (l *ledger) newEffects() []effect {
	l.t.Helper()
	var fresh []effect
	fresh, l.offset = l.effectsFrom(l.offset)
	return fresh
}

// missing are the orchestrations whose start was acknowledged, and that no list had.
func (l *ledger) missing() (ids []string) {
	for id := range l.runIDs {
		if !l.present[id] && !l.purged[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// list finds the runs that are new in the file, with those that were scheduled some time aside. Those that it has looked at
// since they ended stay as they are.
func (l *ledger) list(aside time.Duration) {
	l.t.Helper()
	filter := lambdabiz.Filter{Limit: 1000, AllRuns: true}
	if !l.through.IsZero() {
		filter.ScheduledAfter = l.through.Add(-aside)
	}
	for {
		var page lambdabiz.Page
		err := l.persist(func() (err error) {
			page, err = l.client.List(l.t.Context(), filter)
			return err
		})
		if err != nil {
			l.t.Fatal(err)
		}
		for i := range page.Runs {
			run := lambdabiz.RunRef{ID: page.Runs[i].ID, RunID: page.Runs[i].RunID}
			if _, known := l.runs[run]; !known {
				l.runs[run] = lambdabiz.StatusScheduled // until it is looked at
			}
			l.present[run.ID] = true
		}
		if filter.Cursor = page.Next; filter.Cursor == "" {
			return
		}
	}
}

// checkRepeats: a body whose result was found recorded never began again, none began twice in one
// process, and a repeat carries the attempt and the key of the first.
func (l *ledger) checkRepeats(effects []effect) {
	for _, e := range effects {
		if e.what != "begin" {
			continue
		}
		operation := e.operation()
		if !l.finished[operation].ended.IsZero() {
			l.repeatedf(e.pid, "the body of %s began again after its result was recorded", operation)
		}
		if known := l.keys[operation]; known != "" && known != e.key {
			l.doubledf("%s was repeated with the key %s, before %s", operation, e.key, known)
		}
		if e.attempt != 1 {
			l.faultf("%s was repeated as attempt %d", operation, e.attempt)
		}
		l.note(e)
	}
}

func (l *ledger) note(e effect) {
	if e.what != "begin" {
		return
	}
	life := fmt.Sprintf("%d %s", e.pid, e.operation())
	if l.byLife[life] {
		l.repeatedf(e.pid, "the body of %s began twice in one process", e.operation())
	}
	l.byLife[life], l.begun[e.operation()], l.keys[e.operation()] = true, true, e.key
}

// checkRun: its record is sound, says what was acknowledged, and nothing that ended has changed. It returns the
// status.
func (l *ledger) checkRun(run lambdabiz.RunRef, done map[string]bool) lambdabiz.Status {
	l.t.Helper()
	id := run.ID
	var rec *lambdabiz.Record
	err := l.persist(func() (err error) {
		rec, err = l.backend.Load(l.t.Context(), id, run.RunID)
		return err
	})
	if errors.Is(err, lambdabiz.ErrNotFound) && strings.HasPrefix(id, "purge-") {
		return lambdabiz.StatusSucceeded
	}
	if err != nil {
		l.lostf("run %s of %s was there: %v", run.RunID, id, err)
		return lambdabiz.StatusNone
	}
	if want := l.outcomes[id]; want != "" && rec.ContinuedAs == "" && string(rec.Result) != want {
		l.lostf("%s has the result %s, acknowledged was %s", id, rec.Result, want)
	}
	if want := l.statuses[id]; want != "" && rec.Status.String() != want {
		l.lostf("%s is %s, acknowledged was %s", id, rec.Status, want)
	}
	if known := l.runIDs[id]; known != "" && run.RunID != known {
		l.doubledf("%s is run %s, it was acknowledged as %s", id, run.RunID, known)
	}
	// The kills make crash loops. A run that is taken for one must go on by itself.
	if b := rec.Blocked; b != nil && b.Times > 0 && !strings.Contains(b.Reason, "workers in a row died") {
		l.faultf("%s is blocked: %s", id, b.Reason)
	}
	l.addBroken(invariant.Record(rec, invariant.Options{Purged: true}))
	for i := range rec.Operations {
		o := &rec.Operations[i]
		if o.Attempts > 1 {
			l.faultf("%s %s has %d attempts", id, o.ID, o.Attempts)
		}
		if o.Status == lambdabiz.StatusSucceeded {
			done[id+" "+o.ID] = true
			l.keep(id+" "+o.ID, seen{string(o.Result), o.EndedAt})
		}
		if o.Kind == lambdabiz.KindChild && !l.isThere(o.Target) {
			l.lostf("%s has the child %s on record, and it is not there", id, o.Target)
		}
	}
	for _, m := range rec.Messages {
		if m.Kind == lambdabiz.MessageEvent {
			done["event "+id+" "+m.Name] = true
		}
	}
	return rec.Status
}

// checkEvents: of an acknowledged event, raised many times with one key, there is one.
func (l *ledger) checkEvents(id string, done map[string]bool) {
	parent, isNote := strings.CutSuffix(id, "~-note")
	event := "Approve"
	acknowledged := l.approved[id]
	if isNote {
		event = "Told"
		acknowledged = done[parent+" tell"] || !l.finished[parent+" tell"].ended.IsZero()
	}
	consumed, left := done[id+" "+event], done["event "+id+" "+event]
	if acknowledged && !consumed && !left && !l.hasEvent(id, event) {
		l.lostf("%s: of one acknowledged event none is left, and none is consumed", id)
	}
	if consumed && left {
		l.doubledf("%s: an event with the key of the one that is consumed has come again", id)
	}
}

// isThere looks again for what was not in the list: another worker may have started it since.
func (l *ledger) isThere(id string) bool {
	if !l.present[id] {
		_, err := l.look(id)
		l.present[id] = err == nil
	}
	return l.present[id]
}

// hasEvent looks again for an event: another worker may have raised it since.
func (l *ledger) hasEvent(id, event string) bool {
	s, err := l.look(id)
	return err == nil && (slices.ContainsFunc(s.Events, func(e lambdabiz.Buffered) bool { return e.Name == event }) ||
		slices.ContainsFunc(s.Operations, func(o lambdabiz.Operation) bool {
			return o.ID == event && o.Status == lambdabiz.StatusSucceeded
		}))
}

func (l *ledger) keep(operation string, now seen) {
	before := l.finished[operation]
	if !before.ended.IsZero() && before != now {
		l.doubledf("the record of %s was %v and is %v", operation, before, now)
	}
	l.finished[operation] = now
}

// checkBarrier: a body began only when the results of all moves before its own were on disk.
func (l *ledger) checkBarrier(id string, done map[string]bool) {
	var before []string
	for _, m := range movesOf(id) {
		paths := bodies(m)
		for _, path := range paths {
			if !l.begun[id+" "+path] {
				continue
			}
			for _, earlier := range before {
				if !done[id+" "+earlier] && l.finished[id+" "+earlier].ended.IsZero() {
					l.faultf("%s began the body of %s before the result of %s was on disk", id, path, earlier)
				}
			}
		}
		before = append(before, paths...)
	}
}
