package process_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// setting reads a number from the environment, for longer runs than the ordinary one.
func setting(t *testing.T, name string, ordinary int) int {
	t.Helper()
	text, set := os.LookupEnv(name)
	if !set {
		return ordinary
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// killing is a test in which one worker after the other is killed. Its ledger lies outside the file:
// what processes have acknowledged, and what the file said after each kill.
type killing struct {
	*bench
	random *rand.Rand

	moves    map[string][]move // of each started orchestration, children included
	runIDs   map[string]string // as acknowledged
	approved map[string]bool   // the event was acknowledged
	finished map[string]seen   // operations that were found recorded
	outcomes map[string]string // as acknowledged
	keys     map[string]string // by operation
	effects  int               // how many have been checked
	faults   []string          // what was found wrong
	inFlight int               // bodies that a kill has cut
}

// seen is what must stay of a finished operation.
type seen struct {
	result string
	ended  time.Time
}

// orderMoves is an orchestration with every kind of operation. Bodies take a few milliseconds, so that
// many a kill meets one.
func orderMoves(n int) []move {
	return []move{
		{ID: "reserve", Kind: "task", Text: fmt.Sprintf("r%d", n), Millis: 1 + n%7},
		{ID: "price", Kind: "step", Text: fmt.Sprintf("p%d", n), Millis: 1 + n%5},
		{ID: "pause", Kind: "timer", Millis: 30},
		{ID: "ship", Kind: "map", Items: []string{"a", "b", "c"}, Millis: 3 + n%4},
		{ID: "Approve", Kind: "event"},
		{ID: "invoice", Kind: "child", Moves: []move{{ID: "print", Kind: "task", Text: "paper", Millis: 4}}},
		{ID: "close", Kind: "task", Text: "closed", Millis: 1 + n%3},
	}
}

func orderResult(n int) string {
	return fmt.Sprintf("r%d,p%d,pause,a+b+c,yes,paper,closed", n, n)
}

func newKilling(t *testing.T) *killing {
	t.Helper()
	seed := uint64(setting(t, "LAMBDABIZ_KILL_SEED", int(time.Now().UnixNano()))) //nolint:gosec // any number will do
	t.Logf("LAMBDABIZ_KILL_SEED=%d", seed)
	return &killing{
		bench: setup(t), random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // it must be repeatable
		moves: map[string][]move{}, runIDs: map[string]string{}, approved: map[string]bool{},
		finished: map[string]seen{}, outcomes: map[string]string{}, keys: map[string]string{},
	}
}

func orderID(n int) string { return fmt.Sprintf("order-%d", n) }

func TestKilledWorkersLoseNothingAndRepeatNothingRecorded(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	cycles := setting(t, "LAMBDABIZ_KILL_CYCLES", 25)
	for cycle := range cycles {
		k.live(cycle, "", k.random.IntN(130)+20)
		k.check()
	}
	k.finish(2 * cycles)
	for _, fault := range k.faults {
		t.Error(fault)
	}
	t.Logf("%d cycles cut %d bodies", cycles, k.inFlight)
	if k.inFlight < cycles/5 {
		t.Errorf("only %d bodies were cut in %d cycles: the kills came at the wrong times", k.inFlight, cycles)
	}
}

// TestKillsWouldShowForgottenResults is the proof that the test above sees what it looks for.
func TestKillsWouldShowForgottenResults(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	for cycle := 0; cycle < 20 && len(k.faults) == 0; cycle++ {
		k.live(cycle, "forgetful", 100)
		k.check()
	}
	if len(k.faults) == 0 {
		t.Error("a worker acknowledged results that it did not write, and no check has seen it")
	}
}

// live lets one worker live for some milliseconds after it has begun to work.
func (k *killing) live(cycle int, sabotage string, millis int) {
	k.t.Helper()
	p := k.worker(args{Name: fmt.Sprintf("life %d", cycle), Lease: endless, Sabotage: sabotage})
	for n := range 2 * (cycle + 1) {
		if k.outcomes[orderID(n)] == "" {
			p.launch(orderID(n), orderMoves(n)...)
		}
	}
	p.await("started")
	k.approve()
	<-time.After(time.Duration(millis) * time.Millisecond) // the life of a process that gets no warning
	p.kill()
	k.acknowledge(p)
}

// approve raises the event in everything that has started, again and again with the same key.
func (k *killing) approve() {
	k.t.Helper()
	for id := range k.runIDs {
		if k.random.IntN(3) == 0 && k.outcomes[id] == "" {
			k.raise(id, "Approve", "yes")
			k.approved[id] = true
		}
	}
}

// acknowledge takes what a process has said into the ledger.
func (k *killing) acknowledge(p *process) {
	k.t.Helper()
	started, _ := p.find("started")
	for _, line := range started {
		id, runID, _ := strings.Cut(line, " ")
		if known := k.runIDs[id]; known != "" && known != runID {
			k.fault("the start of %s was acknowledged as run %s, before as %s", id, runID, known)
		}
		k.runIDs[id] = runID
	}
	ended, _ := p.find("ended")
	for _, line := range ended {
		id, result, _ := strings.Cut(line, " ")
		k.outcomes[id] = result
	}
	if failed, _ := p.find("failed"); len(failed) > 0 {
		k.fault("failed: %v", failed)
	}
	recorded, _ := p.find("recorded")
	for _, line := range recorded {
		if operation, ok := strings.CutSuffix(line, " SUCCEEDED"); ok {
			if _, known := k.finished[operation]; !known {
				k.finished[operation] = seen{}
			}
		}
	}
}

func (k *killing) fault(format string, a ...any) {
	k.faults = append(k.faults, fmt.Sprintf(format, a...))
}

// check compares the file with the ledger, after a kill.
func (k *killing) check() {
	k.t.Helper()
	effects := k.allEffects()
	k.checkRepeats(effects[k.effects:])
	done := map[string]bool{}
	for _, info := range k.allRuns() {
		k.checkRun(info.ID, done)
	}
	for id := range k.runIDs {
		if k.moves[id] == nil {
			k.fault("the start of %s was acknowledged, and it is not there", id)
		}
	}
	k.checkBarrier(effects, done)
	k.countCut(effects[k.effects:], done)
	k.effects = len(effects)
	for operation := range k.finished {
		if !done[operation] {
			k.fault("%s was acknowledged as recorded, and is not", operation)
		}
	}
}

// allRuns lists what is in the file.
func (k *killing) allRuns() []lambdabiz.RunInfo {
	k.t.Helper()
	page, err := k.client.List(k.t.Context(), lambdabiz.Filter{Limit: 1000})
	if err != nil {
		k.t.Fatal(err)
	}
	for _, info := range page.Runs {
		n, err := strconv.Atoi(strings.TrimPrefix(info.ID, "order-"))
		if k.moves[info.ID] = orderMoves(n); err != nil {
			k.moves[info.ID] = []move{{ID: "print", Kind: "task"}}
		}
	}
	return page.Runs
}

// checkRepeats: a body whose result was recorded before this life never began in it, none began twice
// in one life, and a repeat carries the attempt and the key of the first.
func (k *killing) checkRepeats(life []effect) {
	begun := map[string]bool{}
	for _, e := range life {
		if e.what != "begin" {
			continue
		}
		operation := e.operation()
		if before, recorded := k.finished[operation]; recorded && !before.ended.IsZero() {
			k.fault("the body of %s began again after its result was recorded", operation)
		}
		if begun[operation] {
			k.fault("the body of %s began twice in one life", operation)
		}
		begun[operation] = true
		if known := k.keys[operation]; known != "" && known != e.key {
			k.fault("%s was repeated with the key %s, before %s", operation, e.key, known)
		}
		k.keys[operation] = e.key
		if e.attempt != 1 {
			k.fault("%s was repeated as attempt %d", operation, e.attempt)
		}
	}
}

// checkRun: one record for each operation, and none that ended has changed.
func (k *killing) checkRun(id string, done map[string]bool) {
	s := k.state(id)
	if known := k.runIDs[id]; known != "" && s.RunID != known {
		k.fault("%s is run %s, it was acknowledged as %s", id, s.RunID, known)
	}
	if want := k.outcomes[id]; want != "" && string(s.Result) != want {
		k.fault("%s has the result %s, acknowledged was %s", id, s.Result, want)
	}
	if s.Blocked != nil && !strings.Contains(s.Blocked.Reason, "workers in a row died") {
		k.fault("%s is blocked: %s", id, s.Blocked.Reason)
	}
	paths := map[string]bool{}
	consumed := false
	for _, o := range s.Operations {
		if paths[o.ID] {
			k.fault("%s has two records of %s", id, o.ID)
		}
		paths[o.ID] = true
		if o.Attempts > 1 {
			k.fault("%s %s has %d attempts", id, o.ID, o.Attempts)
		}
		if o.Status == lambdabiz.StatusSucceeded {
			consumed = consumed || o.Kind == lambdabiz.KindEvent
			done[id+" "+o.ID] = true
			k.keep(id+" "+o.ID, seen{string(o.Result), o.EndedAt})
		}
	}
	if k.approved[id] && !consumed && len(s.Events) != 1 {
		k.fault("%s: of one acknowledged event %d are left, and none is consumed", id, len(s.Events))
	}
	if consumed && len(s.Events) > 0 {
		k.fault("%s: an event with the key of the one that is consumed has come again", id)
	}
}

func (k *killing) keep(operation string, now seen) {
	before := k.finished[operation]
	if !before.ended.IsZero() && before != now {
		k.fault("the record of %s was %v and is %v", operation, before, now)
	}
	k.finished[operation] = now
}

// checkBarrier: a body began only when the results of all moves before its own were on disk.
func (k *killing) checkBarrier(effects []effect, done map[string]bool) {
	begun := map[string]bool{}
	for _, e := range effects {
		begun[e.id+" "+e.path] = true
	}
	for id, moves := range k.moves {
		last := slices.IndexFunc(moves, func(m move) bool { return m.ID == "close" })
		for ; last > 0 && !begun[id+" "+bodies(moves[last])[0]]; last-- { //nolint:revive // it only looks
		}
		for i := range max(last, 0) {
			for _, path := range bodies(moves[i]) {
				if !done[id+" "+path] {
					k.fault("%s began the body of %s before the result of %s was on disk", id, moves[last].ID, path)
				}
			}
		}
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

// countCut counts the bodies that the kill has met, so that the test knows that it had some.
func (k *killing) countCut(life []effect, done map[string]bool) {
	for _, e := range life {
		if e.what == "begin" && !done[e.operation()] {
			k.inFlight++
		}
	}
}

// finish lets one worker end everything, and checks every outcome.
func (k *killing) finish(orders int) {
	k.t.Helper()
	p := k.worker(args{Name: "last life", Lease: endless})
	for n := range orders {
		p.launch(orderID(n), orderMoves(n)...)
	}
	p.awaitNth("started", orders)
	for n := range orders {
		k.raise(orderID(n), "Approve", "yes")
		k.approved[orderID(n)] = true
	}
	for n := range orders {
		if got, want := k.result(orderID(n)), orderResult(n); got != want {
			k.fault("%s ended with %q, want %q", orderID(n), got, want)
		}
	}
	p.stop()
	if code := p.awaitExit(); code != 0 {
		k.fault("the last worker ended with exit code %d", code)
	}
	k.acknowledge(p)
	k.check()
}
