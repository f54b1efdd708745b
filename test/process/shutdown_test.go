package process_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// stateCase is something in which a run can be when its worker is asked to end.
type stateCase struct {
	name   string
	move   move
	ready  string // what the worker says once the run is in it
	event  string // raised after the worker has ended
	path   string // of the body that is looked at, empty for none
	begun  []int  // the attempts as which it began
	result string
}

var stateCases = []stateCase{
	{
		name: "step", move: move{ID: "work", Kind: "step", Text: "2", Hold: "later"},
		ready: "recorded step work STARTED", path: "work", begun: []int{1, 1}, result: "1,2",
	}, {
		name: "task", move: move{ID: "work", Kind: "task", Text: "2", Hold: "later"},
		ready: "recorded task work STARTED", path: "work", begun: []int{1, 1}, result: "1,2",
	}, {
		name: "ending", move: move{ID: "work", Kind: "step", Text: "2", Hold: "soon"},
		ready: "recorded ending work STARTED", path: "work", begun: []int{1}, result: "1,2",
	}, {
		name: "event", move: move{ID: "Approve", Kind: "event"},
		ready: "recorded event Approve STARTED", event: "Approve", result: "1,Approve!",
	}, {
		name: "child", move: move{ID: "sub", Kind: "child", Moves: []move{{ID: "work", Kind: "task", Text: "2", Hold: "later"}}},
		ready: "recorded child~-sub work STARTED", result: "1,2",
	}, {
		name: "race", move: move{ID: "race", Kind: "race"},
		ready: "recorded race hour-of-race/hour STARTED", event: "go", result: "1,go!",
	}, { // these two come last: they must not be over before the worker has ended
		name: "timer", move: move{ID: "nap", Kind: "timer", Millis: 6000},
		ready: "recorded timer nap STARTED", result: "1,nap",
	}, {
		name: "backoff", move: move{ID: "work", Kind: "retried", Text: "2", Mode: "once", Millis: 6000},
		ready: "recorded backoff work SCHEDULED", path: "work", begun: []int{1, 2}, result: "1,2",
	},
}

// TestShutdownInEveryState: a worker that is asked to end does so with everything recorded, charges no
// attempt for what it cut, and another one goes on.
func TestShutdownInEveryState(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.worker(args{Name: "first", Lease: endless, Drain: 1500 * time.Millisecond})
	for _, c := range stateCases {
		first.start(c.name, move{ID: "first", Kind: "task", Text: "1"}, c.move)
		first.await(c.ready)
	}
	first.stop()
	first.await("stopping")
	first.tell("let soon") // while it drains
	if code := first.awaitExit(); code != 0 || first.await("stopped") != "<nil>" {
		t.Errorf("the process ended with exit code %d", code)
	}
	for _, c := range stateCases {
		s := b.state(c.name)
		if s.Status.Ended() && c.name != "ending" || s.Worker != 0 || s.Blocked != nil {
			t.Errorf("%s was left behind as %s", c.name, b.dump(c.name))
		}
		if c.event != "" {
			b.raise(c.name, c.event, c.event+"!")
		}
	}
	second := b.worker(args{Name: "second", Lease: endless, Let: []string{"later", "soon"}})
	for _, c := range stateCases {
		t.Run(c.name, func(t *testing.T) { wantContinued(t, b, second, c) })
	}
}

func wantContinued(t *testing.T, b *bench, by *process, c stateCase) {
	t.Helper()
	if got := b.result(c.name); got != c.result {
		t.Errorf("it ended with %q, want %q", got, c.result)
	}
	if claims, _ := by.find("claimed " + c.name); len(claims) > 0 && claims[0] != "crashes 0" {
		t.Errorf("the orderly end of its worker counts as %s", claims[0])
	}
	b.wantBegun(c.name, "first", 1)
	if c.path == "" {
		return
	}
	found := b.begun(c.name, c.path)
	if len(found) != len(c.begun) {
		t.Fatalf("the body began %d times: %v", len(found), found)
	}
	for i, e := range found {
		if e.attempt != c.begun[i] || e.key != found[0].key {
			t.Errorf("begin %d was attempt %d with key %s, want attempt %d with key %s",
				i+1, e.attempt, e.key, c.begun[i], found[0].key)
		}
	}
	if o := b.operation(c.name, c.path); o.Attempts != c.begun[len(c.begun)-1] {
		t.Errorf("it was charged %d attempts", o.Attempts)
	}
}

// grace is how long a worker whose bodies take some milliseconds may take to end, on a machine that is busy: less than
// the time that the drain would wait for a body that hangs.
const grace = 15 * time.Second

// TestStoppedWorkersCutNothing asks workers to end at random moments: what they have begun they end and
// record, so that nothing at all is repeated, no attempt is charged and no end is a crash.
func TestStoppedWorkersCutNothing(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	stops := campaign.Rounds(t, 6, 200)
	claims := 0
	for range stops {
		p := k.live("")
		k.liveOn(k.random.IntN(100))
		began := time.Now()
		p.stop()
		if code := p.awaitExit(); code != 0 {
			k.faultf("%s ended with exit code %d", p.name, code)
		}
		if took := time.Since(began); took > grace {
			k.faultf("%s took %v to end", p.name, took)
		}
		k.acknowledge(p)
		k.check()
		claims += p.said("claimed")
		k.faults = append(k.faults, p.crashesClaimed()...)
	}
	k.finish()
	k.faults = append(k.faults, k.cutBodies()...)
	k.complain()
	campaign.Report(t, "F38",
		[]campaign.Count{{What: "stops", N: stops}, {What: "claims", N: claims}, {What: "orchestrations ended", N: k.ended()}},
		campaign.Count{What: "bodies cut", N: len(k.cut)}, campaign.Count{What: "lost", N: k.lost},
		campaign.Count{What: "doubled", N: k.doubled})
}

// TestSabotageStopWithoutDrain ends the workers without a word.
func TestSabotageStopWithoutDrain(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	campaign.Red(t, "F38", "the drain", campaign.UntilRed(func(int) string {
		p := k.live("")
		k.liveOn(50)
		p.kill()
		k.acknowledge(p)
		k.check()
		return strings.Join(k.cutBodies(), "\n")
	}))
}

// cutBodies complains of bodies whose result is not recorded.
func (l *ledger) cutBodies() []string {
	if len(l.cut) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("bodies began, and their results are not recorded: %v", l.cut)}
}

// crashesClaimed complains of claims of runs whose last worker did not let them go.
func (p *process) crashesClaimed() []string {
	claims, _ := p.find("claimed")
	crashed := slices.DeleteFunc(claims, func(claim string) bool { return strings.HasSuffix(claim, " crashes 0") })
	for i := range crashed {
		crashed[i] = "the orderly end of a worker counts as a crash: claimed " + crashed[i]
	}
	return crashed
}
