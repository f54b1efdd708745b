package process_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

const sleepers = 6

// TestTimersThatFallDueWhileFrozen is a laptop that sleeps: on wake what is due fires, once, and nothing early.
func TestTimersThatFallDueWhileFrozen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.worker(args{Name: "laptop", Lease: endless})
	freezes, overslept, later := 0, 0, 0
	must := func() []campaign.Count {
		return []campaign.Count{
			{What: "freezes", N: freezes}, {What: "timers due while frozen", N: overslept}, {What: "timers due after", N: later},
		}
	}
	rounds := campaign.Rounds(t, 2, 50)
	for round := range campaign.More(rounds, must) {
		freezes++
		ids := b.fallAsleep(p, round, 1+max(0, round+1-rounds)) // on a machine that is slow it takes longer to freeze it
		p.tell("quiet", fmt.Sprintf("loud-%d", round))          // the test reads the file meanwhile
		p.awaitNth("quiet", round+1)
		p.freeze()
		var due []time.Time
		fired := map[string]bool{}
		for _, id := range ids {
			due = append(due, b.operation(id, "nap").DueAt)
			fired[id] = p.said("recorded "+id+" nap SUCCEEDED") > 0
		}
		<-time.After(time.Until(due[sleepers/2].Add(50 * time.Millisecond))) // the world goes on
		woken := time.Now()
		p.tell("let", fmt.Sprintf("loud-%d", round))
		p.thaw()
		for i, id := range ids {
			if got := b.result(id); got != "nap,awake" {
				t.Errorf("the outcome of %s is %q", id, got)
			}
			if complaint := b.firedWrong(id, due[i]); complaint != "" {
				t.Error(complaint)
			}
			p.awaitNth("recorded "+id+" nap SUCCEEDED", 1) // hooks tell of it shortly after it is on disk
			if n := p.said("recorded " + id + " nap SUCCEEDED"); n != 1 {
				t.Errorf("the timer of %s fired %d times", id, n)
			}
			switch {
			case fired[id]: // before the freeze
			case due[i].Before(woken):
				overslept++
			default:
				later++
			}
		}
	}
	campaign.Report(t, "F16", must())
}

// fallAsleep starts orchestrations whose timers fall due one after the other: so many times later than at best.
func (b *bench) fallAsleep(p *process, round, times int) []string {
	b.t.Helper()
	var ids []string
	for i := range sleepers {
		id := fmt.Sprintf("sleeper-%d-%d", round, i)
		p.launch(id, move{ID: "nap", Kind: "timer", Millis: times * (200 + 60*i)}, move{ID: "then", Kind: "task", Text: "awake"})
		ids = append(ids, id)
	}
	for _, id := range ids {
		p.await("recorded " + id + " nap STARTED")
	}
	return ids
}

// firedWrong says what is wrong with a timer that has fired, empty for nothing.
func (b *bench) firedWrong(id string, due time.Time) string {
	b.t.Helper()
	nap := b.operation(id, "nap")
	if nap.EndedAt.Before(due) || !nap.DueAt.Equal(due) {
		return fmt.Sprintf("the timer of %s ended at %v, it was due at %v, now %v", id, nap.EndedAt, due, nap.DueAt)
	}
	b.wantBegun(id, "then", 1)
	if then := b.begun(id, "then"); then[0].at < due.UnixMicro() {
		return fmt.Sprintf("what follows the timer of %s began %d µs early", id, due.UnixMicro()-then[0].at)
	}
	return ""
}

// TestSabotageTimerOfAnotherTime: a worker that is told another time fires early, and the checks see it.
func TestSabotageTimerOfAnotherTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.worker(args{Name: "first", Lease: endless})
	p.start("sleeper", move{ID: "nap", Kind: "timer", Millis: 60_000}, move{ID: "then", Kind: "task", Text: "awake"})
	p.await("recorded sleeper nap STARTED")
	p.kill()
	due := b.operation("sleeper", "nap").DueAt
	b.worker(args{Name: "hasty", Lease: endless, Sabotage: "hasty"})
	b.result("sleeper")
	campaign.Red(t, "F16", "the due time", b.firedWrong("sleeper", due))
}
