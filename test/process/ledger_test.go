package process_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// ledger lies outside the file: what processes have acknowledged, what the file said after each kill, and
// what bodies did. check compares them.
type ledger struct {
	*bench

	moves    map[string][]move // of each orchestration that is in the file, children included
	runIDs   map[string]string // as acknowledged
	approved map[string]bool   // the event was acknowledged
	outcomes map[string]string // as acknowledged
	finished map[string]seen   // operations that were acknowledged as recorded, or found so
	settled  map[string]bool   // orchestrations that were found ended, and checked then

	offset int64             // of the effects that have been read
	begun  map[string]bool   // operations whose body has begun
	byLife map[string]bool   // the same, by process
	keys   map[string]string // by operation
	cut    int               // bodies that a kill has met

	faults []string
}

// seen is what must stay of a finished operation. It is zero as long as only a process has said so.
type seen struct {
	result string
	ended  time.Time
}

func newLedger(b *bench) *ledger {
	return &ledger{
		bench: b, moves: map[string][]move{}, runIDs: map[string]string{}, approved: map[string]bool{},
		outcomes: map[string]string{}, finished: map[string]seen{}, settled: map[string]bool{},
		begun: map[string]bool{}, byLife: map[string]bool{}, keys: map[string]string{},
	}
}

func (l *ledger) faultf(format string, a ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, a...))
}

// acknowledge takes what a process that is gone has said into the ledger.
func (l *ledger) acknowledge(p *process) {
	started, _ := p.find("started")
	for _, line := range started {
		id, runID, _ := strings.Cut(line, " ")
		if known := l.runIDs[id]; known != "" && known != runID {
			l.faultf("the start of %s was acknowledged as run %s, before as %s", id, runID, known)
		}
		l.runIDs[id] = runID
	}
	ended, _ := p.find("ended")
	for _, line := range ended {
		id, result, _ := strings.Cut(line, " ")
		l.outcomes[id] = result
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

// raiseIfOpen raises the event once more: a sender with a key may.
func (l *ledger) raiseIfOpen(id string) {
	l.t.Helper()
	err := l.client.RaiseEvent(l.t.Context(), id, "Approve", "yes", lambdabiz.Key("the only Approve"))
	if err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
		l.t.Fatal(err)
	}
	l.approved[id] = true
}

// check compares the file with the ledger, after a kill. Other workers may go on meanwhile: what bodies
// did is read first, so that the file must know of all that had to be recorded before.
func (l *ledger) check() {
	l.t.Helper()
	last := l.newEffects()
	l.checkRepeats(last)
	runs := l.allRuns()
	for id := range l.runIDs {
		if l.moves[id] == nil {
			l.faultf("the start of %s was acknowledged, and it is not there", id)
		}
	}
	done := map[string]bool{}
	looked := map[string]bool{}
	for _, id := range runs {
		if !l.settled[id] {
			looked[id] = true
			l.checkRun(id, done)
		}
	}
	for id := range looked {
		l.checkBarrier(id, done)
	}
	for _, e := range last {
		if e.what == "begin" && looked[e.id] && !done[e.operation()] {
			l.cut++
		}
	}
	for operation := range l.finished {
		if id, _, _ := strings.Cut(operation, " "); looked[id] && !done[operation] {
			l.faultf("%s was acknowledged as recorded, and is not", operation)
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

// allRuns lists what is in the file.
func (l *ledger) allRuns() []string {
	l.t.Helper()
	var ids []string
	for cursor := ""; ; {
		page, err := l.client.List(l.t.Context(), lambdabiz.Filter{Limit: 1000, Cursor: cursor})
		if err != nil {
			l.t.Fatal(err)
		}
		for _, info := range page.Runs {
			ids = append(ids, info.ID)
			n, err := strconv.Atoi(strings.TrimPrefix(info.ID, "order-"))
			if l.moves[info.ID] = orderMoves(n); err != nil {
				l.moves[info.ID] = []move{{ID: "print", Kind: "task"}} // a child
			}
		}
		if cursor = page.Next; cursor == "" {
			return ids
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
			l.faultf("the body of %s began again after its result was recorded", operation)
		}
		if known := l.keys[operation]; known != "" && known != e.key {
			l.faultf("%s was repeated with the key %s, before %s", operation, e.key, known)
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
		l.faultf("the body of %s began twice in one process", e.operation())
	}
	l.byLife[life], l.begun[e.operation()], l.keys[e.operation()] = true, true, e.key
}

// checkRun: one record for each operation, and none that ended has changed.
func (l *ledger) checkRun(id string, done map[string]bool) {
	l.t.Helper()
	s := l.state(id)
	if known := l.runIDs[id]; known != "" && s.RunID != known {
		l.faultf("%s is run %s, it was acknowledged as %s", id, s.RunID, known)
	}
	if want := l.outcomes[id]; want != "" && string(s.Result) != want {
		l.faultf("%s has the result %s, acknowledged was %s", id, s.Result, want)
	}
	// The kills make crash loops. A run that is taken for one must go on by itself.
	if s.Blocked != nil && !strings.Contains(s.Blocked.Reason, "workers in a row died") {
		l.faultf("%s is blocked: %s", id, s.Blocked.Reason)
	}
	paths := map[string]bool{}
	consumed := false
	for _, o := range s.Operations {
		if paths[o.ID] {
			l.faultf("%s has two records of %s", id, o.ID)
		}
		paths[o.ID] = true
		if o.Attempts > 1 {
			l.faultf("%s %s has %d attempts", id, o.ID, o.Attempts)
		}
		if o.Status == lambdabiz.StatusSucceeded {
			consumed = consumed || o.Kind == lambdabiz.KindEvent
			done[id+" "+o.ID] = true
			l.keep(id+" "+o.ID, seen{string(o.Result), o.EndedAt})
		}
	}
	l.checkEvents(id, consumed, len(s.Events))
	l.settled[id] = s.Status.Ended()
}

// checkEvents: of an acknowledged event, raised many times with one key, there is one.
func (l *ledger) checkEvents(id string, consumed bool, left int) {
	if l.approved[id] && !consumed && left != 1 {
		l.faultf("%s: of one acknowledged event %d are left, and none is consumed", id, left)
	}
	if consumed && left > 0 {
		l.faultf("%s: an event with the key of the one that is consumed has come again", id)
	}
}

func (l *ledger) keep(operation string, now seen) {
	before := l.finished[operation]
	if !before.ended.IsZero() && before != now {
		l.faultf("the record of %s was %v and is %v", operation, before, now)
	}
	l.finished[operation] = now
}

// checkBarrier: a body began only when the results of all moves before its own were on disk.
func (l *ledger) checkBarrier(id string, done map[string]bool) {
	var before []string
	for _, m := range l.moves[id] {
		paths := bodies(m)
		for _, path := range paths {
			if !l.begun[id+" "+path] {
				continue
			}
			for _, earlier := range before {
				if !done[id+" "+earlier] {
					l.faultf("%s began the body of %s before the result of %s was on disk", id, path, earlier)
				}
			}
		}
		before = append(before, paths...)
	}
}

// bodies returns the paths of a move's records.
func bodies(m move) []string {
	if m.Kind != "map" {
		return []string{m.ID}
	}
	var paths []string
	for _, item := range m.Items {
		paths = append(paths, m.ID+"/"+item+"/pack")
	}
	return paths
}
