package lambdabiztest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/probe"
)

// journal is what was called in a test. It is guarded by Env.mu.
type journal struct {
	operations map[operationKey]*called
	list       []*called // in the order of their first calls
	clock      int       // counts beginnings and ends
	faults     []string  // bodies that began after their results were recorded
}

// operationKey finds an operation in all runs.
type operationKey struct{ run, path string }

// called is an operation that code has come to.
type called struct {
	orchestration string
	path          string
	kind, name    string
	input         []byte
	status        lambdabiz.Status
	begun, ended  int          // by the journal's clock; 0 for not yet
	bodies        map[int]int  // how often a body has begun, by attempt
	settled       int          // the last attempt whose end is stored
	recorded      bool         // its end is stored
	loose         map[int]bool // the attempts that had begun, and whose ends were not stored, when the process died
}

// attempts counts calls: what a crash repeats has the same attempt.
func (c *called) attempts() int { return len(c.bodies) }

func (j *journal) tick() int {
	j.clock++
	return j.clock
}

// hasBody reports whether operations of the kind are counted by their bodies.
func hasBody(kind string) bool { return kind == "TASK" || kind == "STEP" || kind == "SERVICE" }

// met notes that code has come to an operation that has not ended.
func (j *journal) met(o *probe.Operation) {
	key := operationKey{o.RunID, o.Path}
	c := j.operations[key]
	if c == nil {
		c = &called{
			orchestration: o.Orchestration, path: o.Path, kind: o.Kind, name: o.Name, input: o.Input, bodies: map[int]int{},
		}
		j.operations[key] = c
		j.list = append(j.list, c)
	}
	if !hasBody(o.Kind) && c.begun == 0 {
		c.begun, c.bodies[1] = j.tick(), 1
	}
}

// begun notes that a body begins, and reports whether it may: not in a process that is dead.
func (env *Env) begun(p *process, info lambdabiz.TaskInfo) bool {
	env.mu.Lock()
	defer env.mu.Unlock()
	if p.dead {
		return false
	}
	if _, stub := env.children[info.OrchestrationID]; stub {
		return true
	}
	j := &env.journal
	c := j.operations[operationKey{info.RunID, info.OperationID}]
	if c == nil {
		return true
	}
	c.bodies[info.Attempt]++
	if c.begun == 0 {
		c.begun = j.tick()
	}
	switch {
	case c.recorded:
		j.faults = append(j.faults, fmt.Sprintf("operation %q of orchestration %s ran again after its result was recorded",
			c.path, c.orchestration))
	case info.Attempt <= c.settled:
		j.faults = append(j.faults, fmt.Sprintf("attempt %d of operation %q of orchestration %s ran again after its failure was recorded",
			info.Attempt, c.path, c.orchestration))
	}
	return true
}

// endedOperation notes that an operation has ended.
func (env *Env) endedOperation(op *lambdabiz.OperationEvent) {
	env.mu.Lock()
	defer env.mu.Unlock()
	if c := env.journal.operations[operationKey{op.Run.RunID, op.Operation.ID}]; c != nil {
		c.status = op.Operation.Status
		if c.ended == 0 {
			c.ended = env.journal.tick()
		}
	}
}

// recorded notes which operations' ends are stored.
func (j *journal) recorded(c *lambdabiz.Commit) {
	for i := range c.Operations {
		o := &c.Operations[i]
		known := j.operations[operationKey{c.Run.RunID, o.ID}]
		switch {
		case known == nil:
		case o.Status.Ended():
			known.recorded, known.status, known.settled = true, o.Status, o.Attempts
		case o.Status == lambdabiz.StatusScheduled:
			known.settled = o.Attempts // it waits for the next one
		default:
			known.settled = max(known.settled, o.Attempts-1)
		}
	}
}

// died notes which attempts a dead process leaves without an end: they may run once more.
func (j *journal) died() {
	for _, o := range j.list {
		o.loose = map[int]bool{}
		for attempt := range o.bodies {
			o.loose[attempt] = !o.recorded && attempt > o.settled
		}
	}
}

// text lists what was called: of many operations the first and the last.
func (j *journal) text() string {
	var b strings.Builder
	const first, last = 30, 70
	for i, c := range j.list {
		if left := len(j.list) - first - last; left > 1 && i >= first && i < first+left {
			if i == first {
				fmt.Fprintf(&b, "\t... %d operations more ...\n", left)
			}
			continue
		}
		fmt.Fprintf(&b, "\t%s  %s  %s", c.orchestration, c.path, c.kind)
		if c.name != "" {
			fmt.Fprintf(&b, " %q", c.name)
		}
		switch {
		case c.begun == 0:
			b.WriteString("  not begun")
		case hasBody(c.kind):
			fmt.Fprintf(&b, "  attempts: %d", c.attempts())
		}
		if c.status != lambdabiz.StatusNone {
			fmt.Fprintf(&b, "  %s", c.status)
		}
		if len(c.input) > 0 {
			fmt.Fprintf(&b, "  input %s", short(c.input))
		}
		b.WriteString("\n")
	}
	return cmp.Or(b.String(), "\tnothing\n")
}

// short is the beginning of a payload.
func short(p []byte) string {
	const most = 120
	text := strings.ToValidUTF8(string(p), "\uFFFD")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// checkCallsLocked compares what was called with what was expected.
func (env *Env) checkCallsLocked() {
	for _, c := range env.calls {
		met := env.metLocked(c)
		n := 0
		for _, o := range met {
			n += o.attempts()
		}
		switch {
		case c.counts && n != c.times:
			env.faultAtLockedf(c.at, "the %s was called %s, expected %s", c.name(), times(n), times(c.times))
		case !c.counts && !c.used && !c.optional:
			env.faultAtLockedf(c.at, "the %s was not used", c.name())
		}
	}
	for _, order := range env.orders {
		env.checkOrderLocked(order)
	}
	for _, fault := range env.journal.faults {
		env.faultAtLockedf(env.runAt, "%s", fault)
	}
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	default:
		return fmt.Sprintf("%d times", n)
	}
}

// metLocked returns the operations that a call speaks of.
func (env *Env) metLocked(c *Call) []*called {
	var met []*called
	for _, o := range env.journal.list {
		if c.matches(o.orchestration, o.path, o.kind) && o.begun > 0 {
			met = append(met, o)
		}
	}
	return met
}

func (env *Env) checkOrderLocked(order order) {
	for i, c := range order.calls {
		if len(env.metLocked(c)) == 0 {
			env.faultAtLockedf(order.at, "the %s has a place in an order, and was never called", c.name())
			return
		}
		if i == 0 {
			continue
		}
		for _, before := range env.metLocked(order.calls[i-1]) {
			later := env.metLocked(c)
			first := slices.MinFunc(later, func(a, b *called) int { return cmp.Compare(a.begun, b.begun) })
			if before.ended == 0 || before.ended > first.begun {
				env.faultAtLockedf(order.at, "operation %q of orchestration %s began before operation %q of orchestration %s had ended",
					first.path, first.orchestration, before.path, before.orchestration)
			}
		}
	}
}
