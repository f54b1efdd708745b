package process_test

import (
	"testing"
	"time"
)

// shortLease is a lease that a test can wait for.
const shortLease = 600 * time.Millisecond

// wakeZombie freezes an owner at the very moment at which it commits a result, lets another worker do
// the work over after the lease, and thaws the owner, whose commit goes to the file only then. It
// returns both; the other worker is inside the next body.
func wakeZombie(b *bench, sabotage string) (zombie, heir *process) {
	b.t.Helper()
	zombie = b.worker(args{Name: "zombie", Lease: shortLease, Sabotage: sabotage})
	zombie.start("contested",
		move{ID: "work", Kind: "task", Text: "done", Mode: "who", Hold: "work"},
		move{ID: "next", Kind: "task", Text: "end", Hold: "next"})
	zombie.await("recorded contested work STARTED")
	zombie.tell("quiet")
	zombie.await("quiet")
	zombie.tell("let work")
	zombie.await("trying contested work SUCCEEDED")
	zombie.freeze()

	heir = b.worker(args{Name: "heir", Lease: shortLease, Let: []string{"work"}})
	heir.await("buried")
	heir.await("body contested next")
	zombie.tell("let loud")
	zombie.thaw()
	return zombie, heir
}

func TestZombieRecordsNothingAndWorksOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	zombie, heir := wakeZombie(b, "")
	zombie.await("refused contested")
	if got := string(b.operation("contested", "work").Result); got != `"done by heir"` {
		t.Errorf("after the zombie woke the result is %s", got)
	}
	heir.tell("let next")
	if got := b.result("contested"); got != "done by heir,end" {
		t.Errorf("the outcome is %q", got)
	}
	b.wantBegun("contested", "work", 2)
	b.wantBegun("contested", "next", 1)

	zombie.awaitNth("ready", 2)
	heir.kill()
	zombie.start("afterwards", move{ID: "work", Kind: "task", Text: "done", Mode: "who"})
	if got := b.result("afterwards"); got != "done by zombie" {
		t.Errorf("the outcome of the next one is %q", got)
	}
	zombie.stop()
	if code := zombie.awaitExit(); code != 0 {
		t.Errorf("the zombie ended with exit code %d", code)
	}
}

// TestZombieWithoutFenceOverwrites is the proof that the test above sees what it looks for.
func TestZombieWithoutFenceOverwrites(t *testing.T) {
	t.Parallel()
	b := setup(t)
	zombie, _ := wakeZombie(b, "unfenced")
	zombie.await("recorded contested work SUCCEEDED")
	if got := string(b.operation("contested", "work").Result); got != `"done by zombie"` {
		t.Errorf("without a fence the result should be the zombie's, it is %s", got)
	}
}

// TestZombieInsideBody is frozen while the body runs: its late result is dropped.
func TestZombieInsideBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	zombie := b.worker(args{Name: "zombie", Lease: shortLease})
	zombie.start("contested", move{ID: "work", Kind: "step", Text: "done", Mode: "who", Hold: "work", Deaf: true})
	zombie.await("recorded contested work STARTED")
	zombie.tell("quiet") // or it might be frozen in a transaction, and hold everybody up
	zombie.await("quiet")
	zombie.freeze()
	heir := b.worker(args{Name: "heir", Lease: shortLease, Let: []string{"work"}})
	heir.await("closed contested")
	before := b.dump("contested")

	zombie.tell("let loud")
	zombie.thaw()
	zombie.awaitNth("ready", 2)
	zombie.tell("let work")
	zombie.start("afterwards", move{ID: "work", Kind: "task", Text: "done"})
	b.result("afterwards")
	if after := b.dump("contested"); after != before {
		t.Errorf("the state was\n%s\nand is\n%s", before, after)
	}
	if n := zombie.said("recorded contested work SUCCEEDED"); n != 0 {
		t.Errorf("the zombie recorded its late result %d times", n)
	}
}

// TestTimerThatFallsDueWhileFrozen is a laptop that sleeps: the timer fires once, and not early.
func TestTimerThatFallsDueWhileFrozen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.worker(args{Name: "laptop", Lease: endless})
	p.start("sleeper", move{ID: "nap", Kind: "timer", Millis: 500}, move{ID: "then", Kind: "task", Text: "awake"})
	p.await("recorded sleeper nap STARTED")
	p.tell("quiet") // the test reads the file meanwhile
	p.await("quiet")
	p.freeze()
	due := b.operation("sleeper", "nap").DueAt
	<-time.After(time.Until(due.Add(200 * time.Millisecond))) // the world goes on
	p.tell("let loud")
	p.thaw()
	if got := b.result("sleeper"); got != "nap,awake" {
		t.Errorf("the outcome is %q", got)
	}
	nap := b.operation("sleeper", "nap")
	if nap.EndedAt.Before(due) || !nap.DueAt.Equal(due) {
		t.Errorf("the timer ended at %v, it was due at %v, now %v", nap.EndedAt, due, nap.DueAt)
	}
	b.wantBegun("sleeper", "then", 1)
	if then := b.begun("sleeper", "then"); then[0].at < due.UnixMicro() {
		t.Errorf("what follows the timer began %d µs early", due.UnixMicro()-then[0].at)
	}
	if n := p.said("recorded sleeper nap SUCCEEDED"); n != 1 {
		t.Errorf("the timer fired %d times", n)
	}
}
