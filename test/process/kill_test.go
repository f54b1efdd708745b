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

// killing is a test in which workers are killed at random moments. What they have acknowledged, and what
// the file said after each kill, is in the ledger.
type killing struct {
	*ledger
	random *rand.Rand
	orders int // how many have been started
	lives  int
}

// orderMoves is an orchestration with every kind of operation. Bodies take a few milliseconds, so that
// many a kill meets one.
func orderMoves(n int) []move {
	return []move{
		{ID: "reserve", Kind: "task", Text: fmt.Sprintf("r%d", n), Millis: 3 + n%7},
		{ID: "price", Kind: "step", Text: fmt.Sprintf("p%d", n), Millis: 3 + n%5},
		{ID: "pause", Kind: "timer", Millis: 30},
		{ID: "ship", Kind: "map", Items: []string{"a", "b", "c"}, Millis: 5 + n%4},
		{ID: "Approve", Kind: "event"},
		{ID: "invoice", Kind: "child", Moves: []move{{ID: "print", Kind: "task", Text: "paper", Millis: 6}}},
		{ID: "close", Kind: "task", Text: "closed", Millis: 3 + n%3},
	}
}

func orderResult(n int) string {
	return fmt.Sprintf("r%d,p%d,pause,a+b+c,yes,paper,closed", n, n)
}

func orderID(n int) string { return fmt.Sprintf("order-%d", n) }

func newKilling(t *testing.T) *killing {
	t.Helper()
	seed := uint64(setting(t, "LAMBDABIZ_KILL_SEED", int(time.Now().UnixNano())))
	t.Logf("LAMBDABIZ_KILL_SEED=%d", seed)
	return &killing{
		ledger: newLedger(setup(t)),
		random: rand.New(rand.NewPCG(seed, 0)), // it must be repeatable
	}
}

// TestKilledWorkersLoseNothingAndRepeatNothingRecorded: LAMBDABIZ_KILL_CYCLES sets how many are killed.
func TestKilledWorkersLoseNothingAndRepeatNothingRecorded(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	cycles := setting(t, "LAMBDABIZ_KILL_CYCLES", 25)
	for range cycles {
		p := k.live("")
		k.liveOn(20 + k.random.IntN(130))
		p.kill()
		k.acknowledge(p)
		k.check()
	}
	k.finish()
	k.report(cycles)
}

// TestKilledWorkerAmongTwo kills one of two workers in turns: the other one takes over while it works.
func TestKilledWorkerAmongTwo(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	cycles := setting(t, "LAMBDABIZ_KILL_CYCLES", 25) / 2
	workers := []*process{k.live(""), k.live("")}
	for cycle := range cycles {
		k.liveOn(20 + k.random.IntN(130))
		workers[cycle%2].kill()
		k.acknowledge(workers[cycle%2])
		k.check()
		workers[cycle%2] = k.live("")
	}
	k.finish()
	for _, p := range workers {
		p.kill()
		k.acknowledge(p)
	}
	k.check()
	k.report(cycles)
}

// TestStoppedWorkersCutNothing asks workers to end at random moments: what they have begun they end and
// record, so that nothing at all is repeated.
func TestStoppedWorkersCutNothing(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	for range setting(t, "LAMBDABIZ_KILL_CYCLES", 25) / 3 {
		p := k.live("")
		k.liveOn(k.random.IntN(100))
		p.stop()
		if code := p.awaitExit(); code != 0 {
			k.faultf("%s ended with exit code %d", p.name, code)
		}
		k.acknowledge(p)
		k.check()
		for _, crashed := range p.claimsAfterCrash() {
			k.faultf("the orderly end of a worker counts as a crash: claimed %s", crashed)
		}
	}
	k.finish()
	if k.cut > 0 {
		k.faultf("%d bodies began, and their results are not recorded", k.cut)
	}
	for _, fault := range k.faults {
		t.Error(fault)
	}
}

// claimsAfterCrash returns the claims of runs whose last worker did not let them go.
func (p *process) claimsAfterCrash() []string {
	claims, _ := p.find("claimed")
	return slices.DeleteFunc(claims, func(claim string) bool { return strings.HasSuffix(claim, " crashes 0") })
}

// TestKillsWouldShow is the proof that the tests above see what they look for.
func TestKillsWouldShow(t *testing.T) {
	t.Parallel()
	for _, sabotage := range []string{"forgetful", "amnesiac"} {
		t.Run(sabotage, func(t *testing.T) {
			t.Parallel()
			k := newKilling(t)
			for cycle := 0; cycle < 20 && len(k.faults) == 0; cycle++ {
				p := k.live(sabotage)
				k.liveOn(100)
				p.kill()
				k.acknowledge(p)
				k.check()
			}
			if len(k.faults) == 0 {
				t.Fatalf("workers were %s, and no check has seen it", sabotage)
			}
			t.Logf("seen: %s", k.faults[0])
		})
	}
}

// live makes a worker that works on all that is open, and on three new orders.
func (k *killing) live(sabotage string) *process {
	k.t.Helper()
	k.lives++
	p := k.worker(args{Name: fmt.Sprintf("life %d", k.lives), Lease: endless, Sabotage: sabotage})
	k.orders += 3
	for n := range k.orders {
		if k.outcomes[orderID(n)] == "" {
			p.launch(orderID(n), orderMoves(n)...)
		}
	}
	p.await("started")
	return p
}

// liveOn raises events in some of what has started, again and again with the same keys, and lets the
// workers live for some milliseconds more.
func (k *killing) liveOn(millis int) {
	k.t.Helper()
	for id := range k.runIDs {
		if k.outcomes[id] == "" && k.random.IntN(3) == 0 {
			k.raise(id, "Approve", "yes")
			k.approved[id] = true
		}
	}
	<-time.After(time.Duration(millis) * time.Millisecond) // the life of a process that gets no warning
}

// finish lets one worker end everything, and checks every outcome.
func (k *killing) finish() {
	k.t.Helper()
	p := k.live("")
	for n := range k.orders {
		id := orderID(n)
		if k.outcomes[id] == "" {
			p.await("started " + id)
		}
		if k.runIDs[id] == "" || !k.settled[id] {
			k.raiseIfOpen(id)
		}
		if got, want := k.result(id), orderResult(n); got != want {
			k.faultf("%s ended with %q, want %q", id, got, want)
		}
	}
	p.stop()
	if code := p.awaitExit(); code != 0 {
		k.faultf("the last worker ended with exit code %d", code)
	}
	k.acknowledge(p)
	clear(k.settled) // the last check looks at everything
	k.check()
}

func (k *killing) report(cycles int) {
	k.t.Helper()
	for _, fault := range k.faults {
		k.t.Error(fault)
	}
	k.t.Logf("%d cycles cut %d bodies", cycles, k.cut)
	if k.cut < cycles/5 {
		k.t.Errorf("only %d bodies were cut in %d cycles: the kills came at the wrong times", k.cut, cycles)
	}
}
