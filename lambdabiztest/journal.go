package lambdabiztest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/seam"
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
	begun, ended  int         // by the journal's clock; 0 for not yet
	bodies        map[int]int // how often a body has begun, by attempt
	recorded      bool        // its end is stored
	loose         bool        // it was begun and its end was not stored when the process died
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
func (j *journal) met(o *seam.Operation) {
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

// begun notes that a body begins.
func (env *Env) begun(info lambdabiz.TaskInfo) {
	env.mu.Lock()
	defer env.mu.Unlock()
	if _, stub := env.children[info.OrchestrationID]; stub {
		return
	}
	j := &env.journal
	c := j.operations[operationKey{info.RunID, info.OperationID}]
	if c == nil {
		return
	}
	c.bodies[info.Attempt]++
	if c.begun == 0 {
		c.begun = j.tick()
	}
	if c.recorded {
		j.faults = append(j.faults, fmt.Sprintf("operation %q of orchestration %s ran again after its result was recorded",
			c.path, c.orchestration))
	}
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
		if known := j.operations[operationKey{c.Run.RunID, o.ID}]; known != nil && o.Status.Ended() {
			known.recorded, known.status = true, o.Status
		}
	}
}

// text lists what was called.
func (j *journal) text() string {
	var b strings.Builder
	for _, c := range j.list {
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
			env.faultLockedf("the %s was called %s, expected %s", c.name(), times(n), times(c.times))
		case !c.counts && !c.used && !c.optional:
			env.faultLockedf("the %s was not used", c.name())
		}
	}
	for _, order := range env.orders {
		env.checkOrderLocked(order)
	}
	for _, fault := range env.journal.faults {
		env.faultLockedf("%s", fault)
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

func (env *Env) checkOrderLocked(order []*Call) {
	for i, c := range order {
		if len(env.metLocked(c)) == 0 {
			env.faultLockedf("the %s has a place in an order, and was never called", c.name())
			return
		}
		if i == 0 {
			continue
		}
		for _, before := range env.metLocked(order[i-1]) {
			later := env.metLocked(c)
			first := slices.MinFunc(later, func(a, b *called) int { return cmp.Compare(a.begun, b.begun) })
			if before.ended == 0 || before.ended > first.begun {
				env.faultLockedf("operation %q of orchestration %s began before operation %q of orchestration %s had ended",
					first.path, first.orchestration, before.path, before.orchestration)
			}
		}
	}
}
