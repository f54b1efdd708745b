package process_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// shortLease is a lease that a test can wait for. It is long enough for a process that is alive, and gets little of a busy
// machine, not to be taken for dead.
const shortLease = 2 * time.Second

// pair is two workers on one file. In each round one of them is frozen past its lease, the other one does its
// work, and the first one wakes.
type pair struct {
	*bench
	zombie, heir *process
	round        int
	id           string // of the round's orchestration

	lives, graves int // how often the zombie had begun to work, the heir had buried
}

func newPair(t *testing.T, sabotage string) *pair {
	t.Helper()
	b := setup(t)
	return &pair{
		bench:  b,
		zombie: b.worker(args{Name: "one", Lease: shortLease, Sabotage: sabotage}),
		heir:   b.worker(args{Name: "two", Lease: shortLease}),
	}
}

// next begins a round, in which the zombie starts an orchestration.
func (p *pair) next(moves ...move) {
	p.t.Helper()
	p.round++
	p.id = fmt.Sprintf("contested-%d", p.round)
	for i := range moves {
		moves[i].Hold = p.latch(moves[i].Hold)
	}
	p.lives, p.graves = p.zombie.said("ready"), p.heir.said("buried")
	p.zombie.start(p.id, moves...)
}

// latch is one of the round.
func (p *pair) latch(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("%s-%d", name, p.round)
}

// quiet lets the zombie come to where it writes, and no further: frozen in a transaction it would hold
// everybody up.
func (p *pair) quiet() {
	p.t.Helper()
	said := p.zombie.said("quiet")
	p.zombie.tell("quiet", p.latch("loud"))
	p.zombie.awaitNth("quiet", said+1)
}

// thaw wakes the zombie.
func (p *pair) thaw() {
	p.t.Helper()
	p.zombie.tell("let", p.latch("loud"))
	p.zombie.thaw()
}

// reborn waits until the zombie knows that it has lost everything, and works again.
func (p *pair) reborn() {
	p.t.Helper()
	p.zombie.awaitNth("ready", p.lives+1)
}

// wakeInCommit freezes the zombie at the very moment at which it commits a result. It wakes, and commits, when the
// other worker has done the work over and is inside the next body.
func (p *pair) wakeInCommit() {
	p.t.Helper()
	p.next(
		move{ID: "work", Kind: "task", Text: "done", Mode: "who", Hold: "work"},
		move{ID: "next", Kind: "task", Text: "end", Hold: "next"})
	p.zombie.await("recorded " + p.id + " work STARTED")
	p.quiet()
	p.zombie.tell("let", p.latch("work"))
	p.zombie.await("trying " + p.id + " work SUCCEEDED")
	p.zombie.freeze()
	p.heir.tell("let", p.latch("work"))
	p.heir.awaitNth("buried", p.graves+1)
	p.heir.await("body " + p.id + " next")
	p.thaw()
}

// overwritten says what the zombie has done to the record of the other worker, empty for nothing.
func (p *pair) overwritten() string {
	p.t.Helper()
	got, want := string(p.operation(p.id, "work").Result), fmt.Sprintf("%q", "done by "+p.heir.name)
	if got != want {
		return fmt.Sprintf("after the zombie woke the result is %s, it was %s", got, want)
	}
	return ""
}

func TestZombieRecordsNothingAndWorksOn(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	rounds := campaign.Rounds(t, 2, 200)
	for range rounds {
		p.wakeInCommit()
		p.zombie.await("refused " + p.id)
		if complaint := p.overwritten(); complaint != "" {
			t.Fatal(complaint)
		}
		p.heir.tell("let", p.latch("next"))
		if got, want := p.result(p.id), "done by "+p.heir.name+",end"; got != want {
			t.Errorf("the outcome is %q, want %q", got, want)
		}
		p.wantBegun(p.id, "work", 2)
		p.wantBegun(p.id, "next", 1)
		p.reborn()
		p.zombie, p.heir = p.heir, p.zombie
	}
	p.heir.kill()
	p.zombie.start("afterwards", move{ID: "work", Kind: "task", Text: "done", Mode: "who"})
	if got := p.result("afterwards"); got != "done by "+p.zombie.name {
		t.Errorf("the outcome of the next one is %q", got)
	}
	p.zombie.stop()
	if code := p.zombie.awaitExit(); code != 0 {
		t.Errorf("the zombie ended with exit code %d", code)
	}
	campaign.Report(t, "F5", []campaign.Count{{What: "zombies refused", N: rounds}})
}

// TestSabotageZombieWithoutFence: in every round the zombie writes over what the other worker has recorded.
func TestSabotageZombieWithoutFence(t *testing.T) {
	t.Parallel()
	p := newPair(t, "unfenced")
	complaint := ""
	for range campaign.Rounds(t, 2, 200) {
		p.wakeInCommit()
		p.zombie.await("recorded " + p.id + " work SUCCEEDED")
		if complaint = p.overwritten(); complaint == "" {
			break
		}
		p.heir.tell("let", p.latch("next"))
		p.heir.await("closed " + p.id)
		p.reborn()
	}
	campaign.Red(t, "F5", "the fence", complaint)
}

// TestZombieInsideBody is frozen while the body runs: its late result is dropped.
func TestZombieInsideBody(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	rounds := campaign.Rounds(t, 2, 200)
	for range rounds {
		p.next(move{ID: "work", Kind: "step", Text: "done", Mode: "who", Hold: "work", Deaf: true})
		p.zombie.await("recorded " + p.id + " work STARTED")
		p.quiet()
		p.zombie.freeze()
		p.heir.tell("let", p.latch("work"))
		p.wantUnchanged(func() {
			p.reborn()
			p.zombie.tell("let", p.latch("work"))
		})
		p.wantBegun(p.id, "work", 2)
	}
	campaign.Report(t, "F5", []campaign.Count{{What: "late results dropped", N: rounds}})
}

// TestZombieInsideCode is frozen between two operations. It may begin the next body, as an effect is at least once,
// and records nothing.
func TestZombieInsideCode(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	rounds := campaign.Rounds(t, 2, 200)
	for range rounds {
		p.next(
			move{ID: "first", Kind: "task", Text: "1"}, move{ID: "think", Kind: "code", Hold: "think"},
			move{ID: "work", Kind: "task", Text: "done", Mode: "who"})
		p.zombie.await("code " + p.id + " think")
		p.zombie.await("recorded " + p.id + " first SUCCEEDED")
		p.quiet()
		p.zombie.freeze()
		p.heir.tell("let", p.latch("think"))
		p.wantUnchanged(func() {
			p.zombie.tell("let", p.latch("think"))
			p.reborn()
		})
		p.wantBegun(p.id, "first", 1)
		if n := len(p.begun(p.id, "work")); n > 2 {
			t.Errorf("the body of work began %d times", n)
		}
	}
	campaign.Report(t, "F5", []campaign.Count{{What: "decisions dropped", N: rounds}})
}

// wantUnchanged lets the other worker end the round's orchestration, wakes the zombie, and compares what is
// recorded before and after. Then the two change places.
func (p *pair) wantUnchanged(awake func()) {
	p.t.Helper()
	p.heir.await("closed " + p.id)
	before := p.dump(p.id)
	p.thaw()
	awake()
	marker := fmt.Sprintf("afterwards-%d", p.round)
	p.zombie.start(marker, move{ID: "work", Kind: "task", Text: "done"})
	p.result(marker)
	if after := p.dump(p.id); after != before {
		p.t.Errorf("the state was\n%s\nand is\n%s", before, after)
	}
	if n := p.zombie.said("recorded " + p.id + " work SUCCEEDED"); n != 0 {
		p.t.Errorf("the zombie recorded its late result %d times", n)
	}
	p.zombie, p.heir = p.heir, p.zombie
}
