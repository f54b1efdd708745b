package invariant

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Ledger keeps what clients and bodies have seen outside the store, and compares the store with it. The zero value
// is ready. Its methods may be called by many goroutines.
//
// It takes two things for granted: an id is started once (of a chain of continued runs any may be acknowledged),
// and bodies of one operation do not overlap with a takeover. Who lets workers be declared dead while they live,
// or attempts time out, sets Overlaps: then a body may begin that another worker has ended, which no store
// prevents; what is recorded still must not change.
type Ledger struct {
	Overlaps bool

	mu       sync.Mutex
	starts   map[runKey]bool
	outcomes map[runKey]outcome
	events   map[eventKey]*events
	sequence int
	bodies   map[operationKey]*body
	recorded map[operationKey]outcome
	dues     map[operationKey]time.Time
	ended    map[runKey]outcome
	fences   map[runKey]int64
	faults   []Violation
}

type runKey struct{ id, runID string }

type operationKey struct{ id, runID, path string }

// outcome is what must never change again.
type outcome struct {
	status lambdabiz.Status
	result string
	at     time.Time // zero if it is not known
}

// body is what the bodies of one operation have told.
type body struct {
	begun   int
	attempt int
	key     string
}

// Started says that a start was acknowledged.
func (l *Ledger) Started(id, runID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.starts == nil {
		l.starts = map[runKey]bool{}
	}
	l.starts[runKey{id, runID}] = true
}

// Ended says which outcome a client was given. Of one that is not SUCCEEDED the result is not looked at.
func (l *Ledger) Ended(id, runID string, status lambdabiz.Status, result lambdabiz.Payload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, now := runKey{id, runID}, outcome{status: status, result: string(result)}
	if before, known := l.outcomes[key]; known && (before.status != status || before.result != now.result) {
		l.faultf(OneOutcome, operationKey{id, runID, ""}, "a client was given %s, and before %s", now, before)
	}
	if l.outcomes == nil {
		l.outcomes = map[runKey]outcome{}
	}
	l.outcomes[key] = now
}

// Body says that the body of a task, a step or a service call has begun; ctx is its own.
func (l *Ledger) Body(ctx context.Context) {
	if info, ok := lambdabiz.TaskInfoFrom(ctx); ok {
		l.Began(info)
	}
}

// Began is [Ledger.Body] for who has the body's description: one in another process has told it.
func (l *Ledger) Began(info lambdabiz.TaskInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := operationKey{info.OrchestrationID, info.RunID, info.OperationID}
	if now, found := l.recorded[key]; found && !l.Overlaps {
		l.faultf(Resume, key, "its body began again after its result was recorded: %s", now)
	}
	b := l.bodies[key]
	if b == nil {
		b = &body{attempt: info.Attempt, key: info.IdempotencyKey}
		if l.bodies == nil {
			l.bodies = map[operationKey]*body{}
		}
		l.bodies[key] = b
	}
	b.begun++
	if b.key != info.IdempotencyKey {
		l.faultf(Resume, key, "its body began with the key %q, before with %q", info.IdempotencyKey, b.key)
	}
	if info.Attempt < b.attempt && !l.Overlaps {
		l.faultf(Resume, key, "its body began as attempt %d, before as attempt %d", info.Attempt, b.attempt)
	}
	b.attempt = max(b.attempt, info.Attempt)
}

// Recorded says that somebody has found the outcome of an operation on disk: from now on its body must not begin.
// Check finds out by itself what is there when it is called.
func (l *Ledger) Recorded(id, runID, path string, status lambdabiz.Status, result lambdabiz.Payload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle(operationKey{id, runID, path}, outcome{status: status, result: string(result)})
}

// Repeats is how often bodies began again without a new attempt: what faults have cost.
func (l *Ledger) Repeats() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, b := range l.bodies {
		n += b.begun - b.attempt
	}
	return n
}

// Bodies is how many operations have had a body begin.
func (l *Ledger) Bodies() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.bodies)
}

func (o outcome) String() string { return fmt.Sprintf("%s %s", o.status, o.result) }

// faultf notes what has been seen wrong outside the store. It is called with mu held.
func (l *Ledger) faultf(rule string, k operationKey, format string, a ...any) {
	l.faults = append(l.faults, Violation{
		Rule: rule, ID: k.id, RunID: k.runID, Operation: k.path, Problem: fmt.Sprintf(format, a...),
	})
}

// settle notes an operation's outcome, and that it has not changed.
func (l *Ledger) settle(k operationKey, now outcome) {
	before, known := l.recorded[k]
	if known && before.differs(now) {
		l.faultf(OneOutcome, k, "its record was %s at %s, and is %s at %s", before, stamp(before.at), now, stamp(now.at))
	}
	if l.recorded == nil {
		l.recorded = map[operationKey]outcome{}
	}
	if !known || before.at.IsZero() {
		l.recorded[k] = now
	}
}

// differs compares what both know.
func (o outcome) differs(p outcome) bool {
	return o.status != p.status || o.result != p.result || !o.at.IsZero() && !p.at.IsZero() && !o.at.Equal(p.at)
}

// Check compares the store with the ledger, and remembers what it finds recorded: the next call sees a change. It
// returns what was wrong since the last call. It may be called while workers go on; then clients must not raise
// or start meanwhile. A violation is returned once.
func (l *Ledger) Check(ctx context.Context, b lambdabiz.Backend) ([]Violation, error) {
	all, err := read(ctx, b)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all.each(func(r *lambdabiz.Record) {
		for i := range r.Operations {
			o, key := &r.Operations[i], operationKey{r.ID, r.RunID, r.Operations[i].ID}
			if o.Kind == lambdabiz.KindTimer {
				l.checkDue(key, o.DueAt)
			}
			if o.Status.Ended() && o.Tried == nil {
				l.settle(key, outcome{o.Status, string(o.Result), o.EndedAt})
			}
		}
		if r.Status.Ended() {
			l.settleRun(r)
		}
	})
	l.checkThere(all)
	l.checkAcknowledged(all)
	l.checkEvents(all)
	found := l.faults
	l.faults = nil
	return found, nil
}

// checkDue: when a timer is due never changes.
func (l *Ledger) checkDue(k operationKey, due time.Time) {
	if before, known := l.dues[k]; known && !before.Equal(due) {
		l.faultf(Timers, k, "it was due at %s, and is at %s", stamp(before), stamp(due))
	}
	if l.dues == nil {
		l.dues = map[operationKey]time.Time{}
	}
	l.dues[k] = due
}

func (l *Ledger) settleRun(r *lambdabiz.Record) {
	key, now := runKey{r.ID, r.RunID}, outcome{r.Status, string(r.Result), r.EndedAt}
	if before, known := l.ended[key]; known && before.differs(now) {
		l.faultf(OneOutcome, operationKey{r.ID, r.RunID, ""}, "it had ended as %s at %s, and has as %s at %s",
			before, stamp(before.at), now, stamp(now.at))
		return
	}
	if l.ended == nil {
		l.ended = map[runKey]outcome{}
	}
	l.ended[key] = now
}

// checkThere: what was found ended is there, and ended.
func (l *Ledger) checkThere(all *runs) {
	for k := range l.recorded {
		r := all.find(k.id, k.runID)
		if r == nil {
			if all.whole {
				l.faultf(Durable, k, "its result was recorded, and the run is not there")
			}
			continue
		}
		if o := byPath(r.Operations, k.path); o == nil || !o.Status.Ended() {
			l.faultf(Durable, k, "its result was recorded, and is not any more")
		}
	}
	for k := range l.ended {
		r := all.find(k.id, k.runID)
		if r == nil && all.whole || r != nil && !r.Status.Ended() {
			l.faultf(Durable, operationKey{k.id, k.runID, ""}, "it had ended, and has not any more")
		}
	}
}

func byPath(operations []lambdabiz.Operation, path string) *lambdabiz.Operation {
	for i := range operations {
		if operations[i].ID == path {
			return &operations[i]
		}
	}
	return nil
}

// checkAcknowledged: starts and outcomes that clients were told of.
func (l *Ledger) checkAcknowledged(all *runs) {
	first := map[string]string{}
	for k := range l.starts {
		if all.find(k.id, k.runID) == nil && (all.whole || len(all.byID[k.id]) == 0) {
			l.faultf(Durable, operationKey{k.id, k.runID, ""}, "its start was acknowledged, and it is not there")
		}
		if other, two := first[k.id]; two && !all.chained(k.id, k.runID, other) {
			l.faultf(StartOnce, operationKey{k.id, k.runID, ""}, "its start was acknowledged, and that of run %s too", other)
		}
		first[k.id] = k.runID
	}
	for k, told := range l.outcomes {
		r := all.find(k.id, k.runID)
		if r == nil {
			continue // checkThere has seen it, if it was ever recorded
		}
		if r.Status != told.status || told.status == lambdabiz.StatusSucceeded && string(r.Result) != told.result {
			l.faultf(OneOutcome, operationKey{k.id, k.runID, ""}, "a client was given %s, the record is %s %s", told, r.Status, r.Result)
		}
	}
}

// chained reports whether two runs of an id belong to one chain of continued runs.
func (a *runs) chained(id, one, two string) bool {
	if !a.whole {
		return true
	}
	follows := func(from, to string) bool {
		for r := a.find(id, from); r != nil; r = a.find(id, r.ContinuedAs) {
			if r.RunID == to {
				return true
			}
			if r.ContinuedAs == "" {
				return false
			}
		}
		return false
	}
	return follows(one, two) || follows(two, one)
}
