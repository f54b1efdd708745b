package process_test

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// killing is a test in which workers end at random moments. What they have acknowledged, and what the file
// said after each end, is in the ledger.
type killing struct {
	*ledger
	random *rand.Rand
	orders int // how many have been started
	lives  int
	kills  int
	enough int // bodies that kills must meet
}

// fewOrders is how many orders are open at a time.
const fewOrders = 12

func newKilling(t *testing.T) *killing {
	t.Helper()
	return &killing{ledger: newLedger(setup(t)), random: campaign.Random(campaign.Seed(t), 0)}
}

// TestKilledWorkersLoseNothingAndRepeatNothingRecorded kills the only worker again and again.
func TestKilledWorkersLoseNothingAndRepeatNothingRecorded(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	for range k.cycles(12, 1000) {
		p := k.live("")
		k.liveOn(20 + k.random.IntN(130))
		p.kill()
		k.acknowledge(p)
		k.check()
	}
	k.finish()
	k.report("F1")
}

// TestKilledWorkerAmongTwo kills one of two workers in turns: the other one takes over while it works.
func TestKilledWorkerAmongTwo(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	workers := []*process{k.live(""), k.live("")}
	for cycle := range k.cycles(8, 300) {
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
	k.report("F1")
}

// TestSabotageKilledWorkers: the checks see results that are acknowledged and not written, records that a
// claim does not bring, and changes that come in parts.
func TestSabotageKilledWorkers(t *testing.T) {
	t.Parallel()
	for sabotage, protection := range map[string]string{
		"forgetful": "writing the results", "amnesiac": "reading the results back",
	} {
		t.Run(sabotage, func(t *testing.T) {
			t.Parallel()
			k := newKilling(t)
			campaign.Red(t, "F1", protection, campaign.UntilRed(func(cycle int) string {
				p := k.live(sabotage)
				k.liveOn(100 + 10*cycle) // longer and longer, on a machine that is slow
				p.kill()
				k.acknowledge(p)
				k.check()
				return strings.Join(k.faults, "\n")
			}))
		})
	}
}

// cycles yields the numbers of the cycles: more than planned, if the kills have met too few bodies.
func (k *killing) cycles(short, full int) iter.Seq[int] {
	k.t.Helper()
	k.enough = max(1, campaign.Rounds(k.t, short, full)/5)
	return func(yield func(cycle int) bool) {
		for cycle := range campaign.More(campaign.Rounds(k.t, short, full), k.met) {
			k.kills++
			if !yield(cycle) {
				return
			}
		}
	}
}

// met is how often the kills have met enough bodies: one in every fifth of the planned cycles.
func (k *killing) met() []campaign.Count {
	return []campaign.Count{{What: "times enough bodies cut", N: len(k.cut) / k.enough}}
}

// live makes a worker that works on all that is open, and on up to three new orders.
func (k *killing) live(sabotage string) *process {
	k.t.Helper()
	k.lives++
	p := k.worker(args{Name: fmt.Sprintf("life %d", k.lives), Lease: endless, Sabotage: sabotage, Parks: k.lives%3 == 0})
	for n := range k.nextOrders() {
		p.launch(orderID(n), orderMoves(n)...)
	}
	p.await("started")
	return p
}

// nextOrders are the orders that have not ended, with up to three new ones, at least one.
func (k *killing) nextOrders() func(yield func(n int) bool) {
	var open []int
	for n := range k.orders {
		if k.outcomes[orderID(n)] == "" {
			open = append(open, n)
		}
	}
	for range max(1, min(3, fewOrders-len(open))) {
		open = append(open, k.orders)
		k.orders++
	}
	return slices.Values(open)
}

// liveOn raises events in some of what has started, again and again with the same keys, and lets the
// workers live for some milliseconds more.
func (k *killing) liveOn(millis int) {
	k.t.Helper()
	for n := range k.orders {
		id := orderID(n)
		if k.runIDs[id] != "" && k.outcomes[id] == "" && k.random.IntN(3) == 0 {
			k.raiseIfOpen(id)
		}
	}
	<-time.After(time.Duration(millis) * time.Millisecond) // the life of a process that gets no warning
}

// raiseIfOpen raises the event once more: a sender with a key may.
func (l *ledger) raiseIfOpen(id string) {
	l.t.Helper()
	err := l.persist(func() error {
		return l.client.RaiseEvent(l.t.Context(), id, "Approve", "yes", lambdabiz.Key("the only Approve"))
	})
	if err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
		l.t.Fatal(err)
	}
	l.approved[id] = true
}

// finish lets one worker end everything, and checks every outcome.
func (k *killing) finish() {
	k.t.Helper()
	p := k.live("")
	for n := range k.orders {
		id := orderID(n)
		if k.outcomes[id] == "" {
			p.await("started " + id)
			k.raiseIfOpen(id)
		}
		if got, want := k.result(id), orderResult(n); got != want {
			k.faultf("%s ended with %q, want %q", id, got, want)
		}
		if got := k.result(id + "~-note"); got != noteResult {
			k.faultf("%s~-note ended with %q, want %q", id, got, noteResult)
		}
	}
	p.stop()
	if code := p.awaitExit(); code != 0 {
		k.faultf("the last worker ended with exit code %d", code)
	}
	k.acknowledge(p)
	k.checkAll()
}

// report says what happened. Too few bodies cut, or no orchestration ended, proves nothing.
func (k *killing) report(fault string) {
	k.t.Helper()
	k.complain()
	campaign.Report(k.t, fault,
		append(k.met(), campaign.Count{What: "kills", N: k.kills}, campaign.Count{What: "orchestrations ended", N: k.ended()}),
		campaign.Count{What: "bodies cut", N: len(k.cut)}, campaign.Count{What: "lost", N: k.lost},
		campaign.Count{What: "doubled", N: k.doubled})
}

// complain fails the test for what the checks have found.
func (l *ledger) complain() {
	l.t.Helper()
	for _, fault := range l.faults {
		l.t.Error(fault)
	}
}
