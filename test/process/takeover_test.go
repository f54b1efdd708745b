package process_test

import "testing"

// leave makes an owner with a long lease that is killed with two orchestrations: one inside a body, one
// inside a timer. Both have a first result on record.
func leaveTwoBehind(b *bench) {
	b.t.Helper()
	owner := b.worker(args{Name: "owner", Lease: endless})
	owner.start("running",
		move{ID: "first", Kind: "task", Text: "1"},
		move{ID: "second", Kind: "step", Text: "2", Hold: "never in the owner"})
	owner.start("sleeping",
		move{ID: "first", Kind: "task", Text: "1"},
		move{ID: "nap", Kind: "timer", Millis: 300},
		move{ID: "second", Kind: "task", Text: "2"})
	owner.await("recorded running second STARTED")
	owner.await("recorded sleeping nap STARTED")
	owner.kill()
}

// wantTakenOver waits for both far less long than the owner's lease.
func wantTakenOver(b *bench) {
	b.t.Helper()
	if got := b.result("running"); got != "1,2" {
		b.t.Errorf("the running one ended with %q", got)
	}
	if got := b.result("sleeping"); got != "1,nap,2" {
		b.t.Errorf("the sleeping one ended with %q", got)
	}
	b.wantBegun("running", "first", 1)
	b.wantBegun("running", "second", 2)
	b.wantBegun("sleeping", "first", 1)
	b.wantBegun("sleeping", "second", 1)
	for _, s := range []string{"running", "sleeping"} {
		for _, o := range b.state(s).Operations {
			if o.Attempts != 1 {
				b.t.Errorf("%s %s was charged %d attempts", s, o.ID, o.Attempts)
			}
		}
	}
}

func TestRunningWorkerTakesOverFromKilledOneAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	heir := b.worker(args{Name: "heir", Lease: endless, Let: []string{"never in the owner"}})
	// The heir must not take them before the owner is gone: the owner starts them itself, with a claim.
	leaveTwoBehind(b)
	heir.await("buried")
	wantTakenOver(b)
}

func TestWorkerStartedLaterTakesOverFromKilledOneAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	leaveTwoBehind(b)
	heir := b.worker(args{Name: "heir", Lease: endless, Let: []string{"never in the owner"}})
	heir.await("buried")
	wantTakenOver(b)
}
