package homes_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// eventOrTimer races an event with a timer of a minute, in one order or the other, and tells the winner.
func eventOrTimer(eventFirst bool) *lambdabiz.Definition[int, string] {
	return lambdabiz.Define("EventOrTimer", func(o lambdabiz.Context, _ int) (string, error) {
		event := func() *lambdabiz.Future[string] {
			return lambdabiz.Go(o, "event", func(o lambdabiz.Context) (string, error) {
				return lambdabiz.WaitForEvent[string](o, "Approve")
			})
		}
		timer := func() *lambdabiz.Future[string] {
			return lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (string, error) {
				return "timer", lambdabiz.Sleep(o, "minute", time.Minute)
			})
		}
		var both []*lambdabiz.Future[string]
		if eventFirst {
			both = append(both, event(), timer())
		} else {
			both = append(both, timer(), event())
		}
		first, err := lambdabiz.Race(o, "first", both[0], both[1])
		if err != nil {
			return "", err
		}
		winner, err := both[first].Wait(o)
		if err != nil || winner != "timer" {
			return winner, err
		}
		// The event that came too late is not lost to the wait that lost.
		late, err := lambdabiz.WaitForEvent[string](o, "late", lambdabiz.Named("Approve"))
		return winner + ", then " + late, err
	})
}

// raceWhileDown lets the event arrive while no worker runs, before or after the timer is due.
func raceWhileDown(b *bench, eventFirst bool, arrives time.Duration, want string) {
	b.t.Helper()
	d := eventOrTimer(eventFirst)
	_, stop := b.worker(d)
	client := b.engine(lambdabiz.Config{}, d)
	start(b, client, d, "r", 0)
	time.Sleep(time.Second)
	stop()
	time.Sleep(arrives)
	raise(b, client, "r", "Approve", "approved")
	time.Sleep(time.Hour)
	e, _ := b.worker(d)
	if got := result(b, lambdabiz.Get(e, d, "r")); got != want {
		b.t.Errorf("event first in the code %v, arriving after %v: %q, want %q", eventFirst, arrives, got, want)
	}
}

func TestRaceIsWonByTheEventThatArrivedBeforeTheTimerWasDue(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) { raceWhileDown(b, true, 30*time.Second, "approved") }, bears(5, countsTime),
		oneClock(onlySender))
}

func TestRaceIsWonByTheEarlierEventWhateverItsPlace(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) { raceWhileDown(b, false, 30*time.Second, "approved") }, bears(5, countsTime),
		oneClock(onlySender))
}

func TestRaceIsWonByTheTimerThatWasDueBeforeTheEvent(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) { raceWhileDown(b, true, 2*time.Minute, "timer, then approved") }, bears(5, countsTime),
		oneClock(onlySender))
}

func TestRaceIsWonByTheEarlierTimerWhateverItsPlace(t *testing.T) {
	everywhere(t, func(_ *testing.T, b *bench) { raceWhileDown(b, false, 2*time.Minute, "timer, then approved") }, bears(5, countsTime),
		oneClock(onlySender))
}

// The worker looks for what other processes did every ten seconds: the timer rings before it has seen an
// event that was raised in time.
func TestRaceLooksForAnEventOfAnotherProcessBeforeTheTimerWins(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := eventOrTimer(true)
		e, _ := b.workerWith(lambdabiz.Config{PollInterval: 10 * time.Minute}, d)
		b.backend = silent{b.backend}
		other := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "r", 0)
		synctest.Wait()
		time.Sleep(59 * time.Second)
		raise(b, other, "r", "Approve", "approved")
		if got := result(b, lambdabiz.Get(e, d, "r")); got != "approved" {
			t.Errorf("the winner is %q", got)
		}
	})
}

// silent is a backend that wakes nobody, like that of another process.
type silent struct{ lambdabiz.Backend }
